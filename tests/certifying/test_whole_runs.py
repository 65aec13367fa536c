"""Whole runs: shared batches, resuming, the run's time, the largest range, and two engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_pipelines import Data, grey_pipeline, linear_of_pixels, one_image, sampled_batch_norm
from torch import Tensor, nn

from usncli import zoo
from usncli.bounding.affine.engine import AffineEngine
from usncli.bounding.engine import Bounded, Work
from usncli.certifying import (
    CertificationRecord,
    CertifyOptions,
    Engine,
    Method,
    QueryRecord,
    Verdict,
    certify,
    reproof,
)
from usncli.certifying.batching import Request, bound_together
from usncli.certifying.certify import OUT_OF_TIME
from usncli.certifying.max_range import GAP
from usncli.certifying.problem import make_problem
from usncli.certifying.properties import KeypointProperty
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import Boxes, parse_range
from usncli.types import Sample, Task

RANGES = [parse_range("brightness=0.1"), parse_range("brightness=0.05,contrast=0.1")]
# The first pixel is 0.2: class 1 wins at b = 0.1.
FIRST_PIXEL = ([[0.0, 0.0], [1.0, 0.0]], [0.3, 0.0])
SECOND_PIXEL = ([[0.0, 0.0], [0.0, 1.0]], [0.8, 0.0])


def classifier() -> Pipeline:
    torch.manual_seed(0)
    network = sampled_batch_norm(zoo.classifier(classes=3, channels=1, size=8, width=0.2), (1, 8, 8))
    return grey_pipeline(network, (8, 8), Task.CLASSIFICATION)


def images(count: int) -> Data:
    generator = torch.Generator().manual_seed(7)
    samples = [Sample(torch.rand(1, 8, 8, generator=generator), torch.tensor(0), str(place)) for place in range(count)]
    return Data(samples, Task.CLASSIFICATION, labelled=False)


def without_times(record: CertificationRecord) -> list[QueryRecord]:
    return [replace(query, seconds=0.0) for query in record.queries]


def test_the_same_run_says_the_same_and_goes_on_from_any_part_of_its_journal(tmp_path: Path) -> None:
    path, options = tmp_path / "journal.jsonl", CertifyOptions(pieces=200, batch=6)
    whole = certify(classifier(), images(12), RANGES, options, journal=path)
    assert whole.counts["certified"] > 6
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in (1, 8, 15, 24):
        path.write_bytes(b"".join(lines[:kept]))
        assert without_times(certify(classifier(), images(12), RANGES, options, journal=path)) == without_times(whole)
        assert len(path.read_bytes().splitlines()) == len(lines)


def test_queries_alone_and_in_company_end_the_same() -> None:
    together = certify(classifier(), images(4), RANGES, CertifyOptions(pieces=200))
    alone = certify(classifier(), images(4), RANGES, CertifyOptions(pieces=200, engine=Engine.LIRPA))
    decided = {Verdict.CERTIFIED, Verdict.FALSIFIED}
    for ours, theirs in zip(together.queries, alone.queries, strict=True):
        assert (ours.engine or "usn", theirs.engine or "lirpa") == ("usn", "lirpa")
        assert ours.verdict == theirs.verdict or not {ours.verdict, theirs.verdict} <= decided


def test_the_end_of_the_run_leaves_unknowns_that_another_run_takes_up(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    short = certify(classifier(), images(3), RANGES, CertifyOptions(run_seconds=1e-9), journal=path)
    assert {(query.verdict, query.message) for query in short.queries} == {(Verdict.UNKNOWN, OUT_OF_TIME)}
    assert len(path.read_bytes().splitlines()) == 1
    assert certify(classifier(), images(3), RANGES, CertifyOptions(), journal=path).counts["unknown"] == 0


@pytest.mark.parametrize(
    ("layer", "text", "critical"),
    [
        (FIRST_PIXEL, "brightness=0.4", 0.25),
        (FIRST_PIXEL, "brightness=-0.9:0.11", 0.1 / 0.11),
        (FIRST_PIXEL, "brightness=0:0.0999", None),
        # 0.6 a + b reaches 0.8 at b = 0.2 s and a = 1 + 0.5 s, s = 0.4.
        (SECOND_PIXEL, "brightness=0.2,contrast=0.5:1.5", 0.4),
        (SECOND_PIXEL, "brightness=0.04,contrast=0.5:1.2", None),
    ],
)
def test_the_largest_range(layer: tuple[list[list[float]], list[float]], text: str, critical: float | None) -> None:
    pipeline = grey_pipeline(linear_of_pixels(*layer), (1, 2), Task.CLASSIFICATION)
    data = one_image(torch.tensor([[[0.2, 0.6]]]), torch.tensor(0))
    region = parse_range(text)
    record = certify(pipeline, data, [region], CertifyOptions(max_range=True)).queries[0]
    assert record.certified_scale is not None
    if critical is None:
        assert record.verdict == Verdict.CERTIFIED
        assert (record.certified_scale, record.falsified_scale) == (1.0, None)
        return
    assert record.verdict == Verdict.FALSIFIED
    assert record.falsified_scale is not None
    assert record.certified_scale < critical <= record.falsified_scale * (1 + 1e-6)
    assert record.falsified_scale <= record.certified_scale * (1 + GAP) * (1 + 1e-9)
    assert record.pieces < 50
    assert certify(pipeline, data, [region]).queries[0].certified_scale is None


def test_the_largest_range_within_a_budget_is_proved() -> None:
    options = CertifyOptions(max_range=True, pieces=12)
    whole = certify(classifier(), images(6), [parse_range("brightness=0.5,contrast=0.5")], options)
    for query in whole.queries:
        assert query.certified_scale is not None
        if query.certified_scale:
            smaller = f"brightness={0.5 * query.certified_scale!r},contrast={0.5 * query.certified_scale!r}"
            again = certify(classifier(), one_of(images(6), query.index), [parse_range(smaller)])
            assert again.queries[0].verdict == Verdict.CERTIFIED
    assert any(query.certified_scale for query in whole.queries)


def one_of(data: Data, index: int) -> Data:
    return Data([data[index]], data.task, data.labelled)


class Dip(nn.Module):
    """Two logits whose difference is 0.01 but in a dip, 0.002 wide, at p = 0.233, that no coarse grid meets."""

    def forward(self, values: Tensor) -> Tensor:
        p = values.flatten(1)[:, :1] - 0.233
        distance = torch.relu(p) + torch.relu(-p)
        margin = 0.01 - 0.05 * torch.relu(1 - 1000 * distance)
        return torch.cat([margin, 0 * margin], dim=1)


def dip() -> tuple[Pipeline, Data]:
    pipeline = grey_pipeline(Dip(), (1, 1), Task.CLASSIFICATION)
    return pipeline, one_image(torch.tensor([[[0.2]]]), torch.tensor(0))


def test_a_narrow_dip_is_found() -> None:
    record = certify(*dip(), [parse_range("brightness=0.1")]).queries[0]
    assert record.verdict == Verdict.FALSIFIED
    assert record.witness is not None
    assert abs(record.witness[0] - 0.033) < 0.001


def lying(self: AffineEngine, work: Work) -> Bounded:
    return Bounded(work.centre.clone(), torch.ones(len(work.centre), 1), torch.ones(len(work.centre)))


def test_a_second_opinion_contradicts_an_engine_that_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AffineEngine, "lower_bounds", lying)
    ranges = [parse_range("brightness=0.1")]
    assert certify(*dip(), ranges).queries[0].verdict == Verdict.CERTIFIED
    record = certify(*dip(), ranges, CertifyOptions(second_opinion=True)).queries[0]
    assert record.verdict == Verdict.ERROR
    assert "contradict" in (record.message or "")


def test_a_second_opinion_that_is_not_reached_leaves_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges = [parse_range("brightness=0.03")]
    record = certify(*dip(), ranges, CertifyOptions(second_opinion=True)).queries[0]
    assert (record.verdict, record.engine) == (Verdict.CERTIFIED, "usn+lirpa")
    monkeypatch.setattr(reproof, "MOST_PARTS", 0)
    record = certify(*dip(), ranges, CertifyOptions(second_opinion=True)).queries[0]
    assert record.verdict == Verdict.UNKNOWN
    assert record.certified_fraction == 0
    assert "confirms only a part" in (record.message or "")


def test_what_our_engine_leaves_goes_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def weak(self: AffineEngine, work: Work) -> Bounded:
        return real(self, work)._replace(lower=torch.full_like(work.centre, -torch.inf))

    real = AffineEngine.lower_bounds
    monkeypatch.setattr(AffineEngine, "lower_bounds", weak)
    ranges, options = [parse_range("brightness=0.05")], CertifyOptions(pieces=40)
    record = certify(classifier(), images(1), ranges, options).queries[0]
    assert (record.verdict, record.engine) == (Verdict.CERTIFIED, "usn+lirpa")
    assert 30 < record.pieces <= 40
    alone = certify(classifier(), images(1), ranges, replace(options, engine=Engine.USN)).queries[0]
    assert (alone.verdict, alone.engine, alone.pieces) == (Verdict.UNKNOWN, "usn", 40)


def requests() -> tuple[Pipeline, Sequence[tuple[str, KeypointProperty]]]:
    torch.manual_seed(1)
    pipeline = grey_pipeline(zoo.cnn7(outputs=6, channels=1, size=16, width=0.2), (16, 16), Task.KEYPOINTS)
    reference = torch.zeros(3, 2)
    few, all_of_them = torch.tensor([True, False, False]), torch.ones(3, dtype=torch.bool)
    one, two = "brightness=0.05", "brightness=0.05,contrast=0.1"
    return pipeline, [
        (one, KeypointProperty(reference, few, 5.0)),
        (two, KeypointProperty(reference, all_of_them, 4.0)),
    ]


@pytest.mark.parametrize("engine", [Engine.USN, Engine.LIRPA])
def test_queries_of_other_shapes_share_a_batch(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, asked = requests()
    problem = make_problem(pipeline, CertifyOptions(engine=engine, method=Method.FORWARD))
    batch = []
    for text, claim in asked:
        region = parse_range(text)
        image = problem.image(torch.rand(1, 16, 16, generator=torch.Generator().manual_seed(3)), region, claim, 1.0)
        lower, upper = region.corners()
        boxes = Boxes(torch.stack([lower, lower / 2]), torch.stack([upper / 2, upper]))
        rows = claim.rows(image.clean_prediction()).bias.shape[1]
        batch.append(Request(image, boxes, torch.ones(2, rows, dtype=torch.bool)))
    chosen, told = problem.engines.first, []
    bounding = chosen.engine.lower_bounds
    monkeypatch.setattr(
        chosen.engine, "lower_bounds", lambda work: told.append(work.queries.tolist()) or bounding(work)
    )
    together = bound_together(chosen, batch)
    numbers = [request.problem.number for request in batch]
    assert numbers[0] != numbers[1]
    assert told == [[numbers[0]] * 2 + [numbers[1]] * 2]  # what is learned of a query's pieces is for that query alone
    for request, shared in zip(batch, together, strict=True):
        (alone,) = bound_together(chosen, [request])
        assert shared.lower.shape == request.wanted.shape
        assert shared.split.shape == request.boxes.lower.shape
        torch.testing.assert_close(shared.centre, alone.centre)
        assert bool((shared.lower <= shared.centre).all())
        assert bool(torch.isfinite(shared.lower).all())
        torch.testing.assert_close(shared.lower, alone.lower, rtol=1e-3, atol=1e-3)


def test_a_second_opinion_covers_the_largest_range_too(monkeypatch: pytest.MonkeyPatch) -> None:
    options = CertifyOptions(max_range=True, second_opinion=True)
    pipeline = grey_pipeline(linear_of_pixels(*SECOND_PIXEL), (1, 2), Task.CLASSIFICATION)
    data, ranges = one_image(torch.tensor([[[0.2, 0.6]]]), torch.tensor(0)), [parse_range("brightness=0.4")]
    record = certify(pipeline, data, ranges, options).queries[0]
    assert (record.verdict, record.engine, record.message) == (Verdict.FALSIFIED, "usn+lirpa", None)
    assert record.certified_scale == pytest.approx(0.5 / 1.05, rel=1e-3)
    monkeypatch.setattr(reproof, "MOST_PARTS", 0)
    record = certify(pipeline, data, ranges, options).queries[0]
    assert (record.verdict, record.certified_scale, record.certified_lower) == (Verdict.FALSIFIED, 0.0, None)
    assert record.message
