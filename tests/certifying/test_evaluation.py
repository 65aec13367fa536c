from __future__ import annotations

import pytest
import torch
from tiny_pipelines import Data, grey_pipeline, linear_of_pixels
from torch import nn

from usncli.certifying.certify import certify
from usncli.certifying.evaluation import make_evaluate
from usncli.certifying.options import CertifyOptions
from usncli.errors import ConfigurationError, UnsupportedOperationError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.pruning.options import Best, BestOptions
from usncli.types import Sample, Task

RANGES = (parse_range("brightness=0.2"),)


def threshold(at: float) -> Pipeline:
    """Class 1 where the first pixel is above a threshold."""
    return grey_pipeline(linear_of_pixels([[0.0, 0.0], [1.0, 0.0]], [0.0, -at]), (1, 2), Task.CLASSIFICATION)


def images(*values: float) -> Data:
    """Images whose class is 1 above 0.5; one further from a threshold than 0.2 is certified."""
    samples = [
        Sample(torch.full((1, 1, 2), value), torch.tensor(int(value > 0.5)), str(index))
        for index, value in enumerate(values)
    ]
    data = Data(samples, Task.CLASSIFICATION)
    data.label_names = ("dark", "bright")
    return data


def test_the_last_network_needs_no_judge_and_others_need_images() -> None:
    assert make_evaluate(threshold(0.5), None, RANGES, BestOptions()) is None
    for choice in (Best.ERROR, Best.CERTIFIED):
        with pytest.raises(ConfigurationError, match=f"best {choice}: expected validation images .*--validation"):
            make_evaluate(threshold(0.5), None, RANGES, BestOptions(choice))


def test_by_error() -> None:
    evaluate = make_evaluate(threshold(0.5), images(0.2, 0.4, 0.6, 0.9), RANGES, BestOptions(Best.ERROR))
    assert evaluate is not None
    assert evaluate(threshold(0.5)) == ((0.0,), {"error": 0.0})
    assert evaluate(threshold(0.3)) == ((-0.25,), {"error": 0.25})


def test_by_certified_rate_and_then_by_error() -> None:
    validation = images(0.1, 0.2, 0.65, 0.9)
    evaluate = make_evaluate(threshold(0.5), validation, RANGES, BestOptions(Best.CERTIFIED))
    assert evaluate is not None
    exact, low = evaluate(threshold(0.5)), evaluate(threshold(0.43))
    assert exact == ((0.75, 0.0), {"certified_rate": 0.75, "error": 0.0})
    assert low.figures == {"certified_rate": 1.0, "error": 0.0}
    assert low.rank > exact.rank
    always = evaluate(threshold(-9.0))
    assert always.figures == {"certified_rate": 1.0, "error": 0.5}
    assert always.rank < low.rank
    record = certify(threshold(0.5), validation, RANGES, CertifyOptions())
    assert record.certified_rate == exact.figures["certified_rate"]


def test_the_images_certified_are_evenly_spread() -> None:
    evaluate = make_evaluate(threshold(0.5), images(0.1, 0.5, 0.9, 0.5), RANGES, BestOptions(Best.CERTIFIED, images=2))
    assert evaluate is not None
    assert evaluate(threshold(0.5)).figures["certified_rate"] == 1.0


def test_what_cannot_be_bounded_is_said_before_training() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.LayerNorm(2))
    pipeline = grey_pipeline(network, (1, 2), Task.CLASSIFICATION)
    with pytest.raises(UnsupportedOperationError):
        make_evaluate(pipeline, images(0.1), RANGES, BestOptions(Best.CERTIFIED))
    assert make_evaluate(pipeline, images(0.1), RANGES, BestOptions(Best.ERROR)) is not None
