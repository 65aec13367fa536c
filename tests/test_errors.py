"""The family of errors, and the hints they end with."""

import inspect

import pytest

from usncli import errors
from usncli.errors import UnsupportedOperationError, UsnError, suggestion


def test_every_error_is_of_the_family_and_documented() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)]
    assert len(kinds) >= 7
    for kind in kinds:
        assert issubclass(kind, UsnError), kind
        assert inspect.getdoc(kind), kind


def test_layers_travel_with_the_error() -> None:
    error = UnsupportedOperationError("no rule for these", (name for name in ("stem.0", "head")))
    assert error.layers == ("stem.0", "head")
    assert str(error) == "no rule for these"
    assert UnsupportedOperationError("none").layers == ()


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("brightnes", ["brightness", "contrast"], "; did you mean 'brightness'?"),
        ("zzz", ["contrast", "brightness"], "; expected one of brightness, contrast"),
        ("zzz", [], ""),
        ("b", (word for word in ("b", "c")), "; did you mean 'b'?"),
    ],
)
def test_suggestion(word: str, known: list[str], hint: str) -> None:
    assert suggestion(word, known) == hint
