import pytest

from tests.pruning import tiny


@pytest.fixture
def dots():
    return tiny.Dots()


@pytest.fixture
def make_pipeline():
    return tiny.make_pipeline
