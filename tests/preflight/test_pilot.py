"""Pilots on a network of one pixel: what they run, and what they hand on."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tiny_pipelines import Data, grey_pipeline, linear_of_pixels

from usncli.bounding.method import Engine
from usncli.certifying import CertifyOptions, Verdict
from usncli.certifying.options import Reference
from usncli.errors import InputError, NothingToCertifyError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.preflight import pilot as module
from usncli.preflight.memory import peak_memory
from usncli.preflight.pilot import IMAGES, LEAST_CAP, SHARE, run_pilot
from usncli.progress import ProgressUpdate
from usncli.types import Sample, Task

RANGES = [parse_range("brightness=0.05"), parse_range("contrast=0.1")]


def pipeline() -> Pipeline:
    return grey_pipeline(linear_of_pixels([[0.0, 0.0], [1.0, 0.0]], [0.3, 0.0]), (1, 2), Task.CLASSIFICATION)


def data(count: int, *, labelled: bool = True) -> Data:
    samples = [Sample(torch.tensor([[[0.1, 0.6]]]), torch.tensor(0), f"{index}.png") for index in range(count)]
    return Data(samples, Task.CLASSIFICATION, labelled)


def test_a_pilot_certifies_images_spread_over_the_data() -> None:
    told: list[ProgressUpdate] = []
    found = run_pilot(pipeline(), data(80), RANGES, CertifyOptions(), progress=told.append)
    assert found.images == IMAGES
    assert [query.image for query in found.queries[::2]] == [
        f"{place}.png" for place in (0, 40, 20, 60, 10, 50, 30, 70)
    ]
    assert {query.verdict for query in found.queries} == {Verdict.CERTIFIED}
    assert {update.stage for update in told} == {"pilot"}
    assert found.counting == 0
    assert found.device_memory is None
    assert found.memory == pytest.approx(peak_memory(), rel=0.2)


def test_its_budget_is_a_share_of_its_time_and_it_stays_with_our_own_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[CertifyOptions] = []
    real = module.certify

    def certify(*arguments: Any, **named: Any) -> Any:
        given.append(arguments[3])
        return real(*arguments, **named)

    monkeypatch.setattr(module, "certify", certify)
    options = CertifyOptions(seconds=60.0, unstable_images=2)
    found = run_pilot(pipeline(), data(2), RANGES, options, seconds=10.0)
    assert (found.cap, given[0].seconds) == (SHARE * 5, SHARE * 5)
    assert (given[0].run_seconds, given[0].engine, given[0].unstable_images) == (10.0, Engine.USN, 0)
    assert found.counting > 0
    assert run_pilot(pipeline(), data(2), RANGES, CertifyOptions(seconds=0.5), seconds=10.0).cap == 0.5
    assert run_pilot(pipeline(), data(2), RANGES, CertifyOptions(), seconds=0.1).cap == LEAST_CAP
    run_pilot(pipeline(), data(2), RANGES, CertifyOptions(engine=Engine.LIRPA))
    assert given[-1].engine == Engine.LIRPA


def test_what_certifying_refuses_a_pilot_refuses() -> None:
    with pytest.raises(NothingToCertifyError):
        run_pilot(pipeline(), data(0), RANGES, CertifyOptions())
    with pytest.raises(InputError, match="label"):
        run_pilot(pipeline(), data(2, labelled=False), RANGES, CertifyOptions(reference=Reference.LABEL))
