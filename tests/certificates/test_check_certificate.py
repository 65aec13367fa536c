"""Certificates that hold, and whatever somebody may do to one."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from certificate_samples import Issued, forge, issued, pipeline_of
from jsonschema import Draft202012Validator
from tiny_pipelines import Data

from usncli.bounding.method import Arithmetic, Engine
from usncli.certificates.agreement import CheckedNetwork, Expectations
from usncli.certificates.check import CheckOptions, check
from usncli.certificates.issue import bind, issue
from usncli.certificates.lines import SCHEMA_NAME, schema_text
from usncli.certificates.reading import Certificate
from usncli.certificates.record import CheckRecord, Outcome
from usncli.certifying import CertifyOptions, Verdict, certify
from usncli.certifying.partition import Partition
from usncli.errors import CertificateError, ConfigurationError, InputError
from usncli.perturbing import Boxes, parse_range
from usncli.types import Task

USN = CheckOptions(engine=Engine.USN)
TASKS = tuple(Task)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Issued]:
    folder = tmp_path_factory.mktemp("certificates")
    return {task: issued(folder, task) for task in TASKS}


def outcomes(record: CheckRecord) -> list[tuple[str, Outcome]]:
    return [(finding.verdict, finding.outcome) for finding in record.findings]


@pytest.mark.parametrize("task", TASKS)
def test_a_certificate_is_confirmed_by_either_engine(samples: dict[Task, Issued], task: Task) -> None:
    given = samples[task]
    verdicts = {query.verdict for query in given.record.queries}
    assert {Verdict.CERTIFIED, Verdict.FALSIFIED} <= verdicts
    first = check(given.path, given.network, given.data, USN)
    assert first.confirmed
    assert first.count(Outcome.CONFIRMED) == sum(
        query.verdict in (Verdict.CERTIFIED, Verdict.FALSIFIED, Verdict.MISCLASSIFIED) for query in given.record.queries
    )
    assert [finding.verdict for finding in first.findings] == [query.verdict.value for query in given.record.queries]
    again = check(given.path, given.network, given.data, CheckOptions(engine=Engine.LIRPA))
    assert outcomes(again) == outcomes(first)
    assert (first.engine, again.engine) == ("usn", "lirpa")


@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_no_image_is_left_out_where_they_are_taken_in_groups(
    samples: dict[Task, Issued], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    given = samples[Task.KEYPOINTS]
    monkeypatch.setattr("usncli.certificates.check.AT_ONCE", at_once)
    record = check(given.path, given.network, given.data, USN)
    places = [(finding.position, finding.perturbation) for finding in record.findings]
    assert places == [(index, region.label) for index in range(len(given.data)) for region in given.ranges]


@pytest.mark.parametrize("task", TASKS)
def test_every_line_is_as_the_schema_says(samples: dict[Task, Issued], task: Task) -> None:
    shipped = (files("usncli.certificates") / SCHEMA_NAME).read_text(encoding="utf-8")
    assert shipped == schema_text(), "type: poe schema"
    validator = Draft202012Validator(json.loads(shipped))
    for line in samples[task].path.read_text().splitlines():
        validator.validate(json.loads(line))


def test_pieces_are_where_the_search_left_them(samples: dict[Task, Issued]) -> None:
    given = samples[Task.KEYPOINTS]
    proofs = [proof for line in Certificate.open(given.path).images() for proof in line.proofs]
    for query, proof in zip(given.record.queries, proofs, strict=True):
        assert proof.verdict == query.verdict.value
        if query.partition is None:
            assert proof.edges is None
        else:
            assert Partition(proof.edges or (), proof.cells) == query.partition
            assert proof.margin == query.margin
    assert any(proof.cells for proof in proofs) or any(len(proof.edges or ()) == 2 for proof in proofs)


def test_a_thousand_changed_bytes_are_refused_and_none_crashes(samples: dict[Task, Issued], tmp_path: Path) -> None:
    given, generator = samples[Task.KEYPOINTS], random.Random(0)
    content, path = given.path.read_bytes(), tmp_path / "changed.jsonl"
    for _ in range(1000):
        changed = bytearray(content)
        for _ in range(generator.choice([1, 1, 1, 3])):
            place = generator.randrange(len(changed))
            match generator.randrange(4):
                case 0:
                    changed[place] ^= 1 << generator.randrange(8)
                case 1:
                    del changed[place]
                case 2:
                    changed.insert(place, generator.randrange(256))
                case 3:
                    changed[place] = ord(generator.choice("0123456789"))
        if bytes(changed) == content:
            continue
        path.write_bytes(changed)
        with pytest.raises((CertificateError, InputError), match=r"changed\.jsonl"):
            Certificate.open(path)


def test_a_certificate_that_is_cut_off_is_refused(samples: dict[Task, Issued], tmp_path: Path) -> None:
    content, path = samples[Task.KEYPOINTS].path.read_bytes(), tmp_path / "cut.jsonl"
    lines = content.splitlines(keepends=True)
    for kept in (content[:-1], *[b"".join(lines[:count]) for count in range(1, len(lines))]):
        path.write_bytes(kept)
        with pytest.raises(CertificateError):
            Certificate.open(path)
    for other in (b"", b"{}\n", b"\x00" * 50, b'{"kind":"statement"}\n'):
        path.write_bytes(other)
        with pytest.raises(InputError, match="something else"):
            Certificate.open(path)
    for order in ([1, 0], [0, 2, 1], [0, 1, 1]):
        path.write_bytes(b"".join([lines[place] for place in order] + lines[3:]))
        with pytest.raises((CertificateError, InputError)):
            Certificate.open(path)


def test_another_network_is_refused(samples: dict[Task, Issued]) -> None:
    given = samples[Task.KEYPOINTS]
    with pytest.raises(CertificateError, match="another weights"):
        check(given.path, CheckedNetwork(pipeline_of(Task.KEYPOINTS, seed=1)), given.data, USN)
    generator, other = random.Random(1), pipeline_of(Task.KEYPOINTS)
    for _ in range(100):
        flat = generator.choice(list(other.network.state_dict().values())).view(-1).view(torch.int32)
        place, bit = generator.randrange(len(flat)), 1 << generator.randrange(31)
        flat[place] ^= bit
        with pytest.raises(CertificateError, match="weights"):
            check(given.path, CheckedNetwork(other), given.data, USN)
        flat[place] ^= bit
    assert check(given.path, CheckedNetwork(other), given.data, USN).confirmed


def test_other_normalisation_and_another_task_are_refused(samples: dict[Task, Issued]) -> None:
    given = samples[Task.KEYPOINTS]
    pipeline = pipeline_of(Task.KEYPOINTS)
    pipeline.preprocessing = dataclasses.replace(pipeline.preprocessing, std=(0.9,))
    with pytest.raises(CertificateError, match="std"):
        check(given.path, CheckedNetwork(pipeline), given.data, USN)
    with pytest.raises(CertificateError, match="task"):
        check(given.path, samples[Task.CLASSIFICATION].network, given.data, USN)


def test_other_images_are_refused_and_named(samples: dict[Task, Issued]) -> None:
    given = samples[Task.KEYPOINTS]
    with pytest.raises(CertificateError, match="4 images, the data has 3"):
        check(given.path, given.network, Data(given.data.samples[:3], given.data.task, labelled=False), USN)
    for change in (
        lambda sample: sample._replace(image=sample.image + 2.0**-20 * (torch.arange(64).view(1, 8, 8) == 9)),
        lambda sample: sample._replace(name="other.png"),
        lambda sample: sample._replace(target=torch.ones(2, 3)),
    ):
        changed = list(given.data.samples)
        changed[2] = change(changed[2])
        record = check(given.path, given.network, Data(changed, given.data.task, labelled=False), USN)
        assert record.refused
        assert {finding.position for finding in record.findings if finding.outcome == Outcome.REFUSED} == {2}


def test_what_is_expected_is_demanded(samples: dict[Task, Issued]) -> None:
    given = samples[Task.KEYPOINTS]

    def demand(**expected: Any) -> None:
        check(given.path, given.network, given.data, USN, Expectations(**expected))

    demand(tau=0.06, reference="prediction", ranges=given.ranges[:2])
    for expected, what in (
        ({"tau": 0.3}, "claims tau 0.06, asked for is 0.3"),
        ({"reference": "label"}, "the label"),
        ({"ranges": [parse_range("brightness=0.06")]}, r"brightness=0\.06"),
        ({"ranges": [parse_range("brightness=0.05", clip=False)]}, r"brightness=0\.05"),
    ):
        with pytest.raises(CertificateError, match=what):
            demand(**expected)


Change = Callable[[list[dict[str, Any]]], None]


def first_certified(lines: list[dict[str, Any]], dimension: int = 1) -> dict[str, Any]:
    return next(
        proof
        for line in lines
        for proof in line.get("proofs", ())
        if proof["verdict"] == "certified" and len(proof["edges"]) == dimension
    )


def skip_a_piece(lines: list[dict[str, Any]]) -> None:
    first_certified(lines)["edges"][0][-1] *= 0.99


def skip_a_cell(lines: list[dict[str, Any]]) -> None:
    proof = first_certified(lines, 2)
    boxes = Partition(proof["edges"], proof.get("cells")).boxes()
    halves = (boxes.lower + boxes.upper)[:1, :1] / 2
    lower = torch.cat([boxes.lower, torch.cat([halves, boxes.lower[:1, 1:]], 1)])
    upper = torch.cat([boxes.upper, boxes.upper[:1]])
    upper[0, 1] -= 1e-9
    proof |= Partition.of(Boxes(lower, upper)).to_record()
    upper[0, 0] = float(halves)


def leave_the_range(lines: list[dict[str, Any]]) -> None:
    first_certified(lines)["edges"][0][-1] *= 1.01


def name_an_edge_that_is_not_there(lines: list[dict[str, Any]]) -> None:
    first_certified(lines)["cells"] = [[0, 99]]


def no_number_of_pieces(lines: list[dict[str, Any]]) -> None:
    first_certified(lines)["cells"] = []


def widen_a_range(lines: list[dict[str, Any]]) -> None:
    lines[0]["ranges"][0] |= {"label": "brightness=0.06", "lower": [-0.06], "upper": [0.06]}


def raise_a_margin(lines: list[dict[str, Any]]) -> None:
    for line in lines[1:-1]:
        for proof in line["proofs"]:
            proof["margin"] = 0.0599


def claim_what_is_false(lines: list[dict[str, Any]]) -> None:
    proof = next(proof for line in lines for proof in line.get("proofs", ()) if proof["verdict"] == "falsified")
    edges = [index / 100 for index in range(-40, 41)]
    proof |= {"verdict": "certified", "engine": "usn", "edges": [edges], "margin": 1e-3}
    del proof["witness"]


def claim_a_counterexample(lines: list[dict[str, Any]]) -> None:
    proof = first_certified(lines)
    proof |= {"verdict": "falsified", "witness": [0.01]}


def move_the_witness_out(lines: list[dict[str, Any]]) -> None:
    proof = next(proof for line in lines for proof in line.get("proofs", ()) if proof["verdict"] == "falsified")
    proof["witness"] = [0.9]


def move_the_reference(lines: list[dict[str, Any]]) -> None:
    lines[1]["reference"]["points"][0][0] += 0.01


def hide_a_keypoint(lines: list[dict[str, Any]]) -> None:
    lines[1]["reference"]["visible"][0] = False


def drop_the_reference(lines: list[dict[str, Any]]) -> None:
    lines[1]["reference"] = None


def call_it_misclassified(lines: list[dict[str, Any]]) -> None:
    first_certified(lines)["verdict"] = "misclassified"


@pytest.mark.parametrize(
    "change",
    [
        skip_a_piece,
        skip_a_cell,
        leave_the_range,
        name_an_edge_that_is_not_there,
        no_number_of_pieces,
        widen_a_range,
        raise_a_margin,
        claim_what_is_false,
        claim_a_counterexample,
        move_the_witness_out,
        move_the_reference,
        hide_a_keypoint,
        drop_the_reference,
        call_it_misclassified,
    ],
)
def test_a_forged_certificate_is_refused_though_its_digests_are_right(
    samples: dict[Task, Issued], tmp_path: Path, change: Change
) -> None:
    given = samples[Task.KEYPOINTS]
    forged = forge(given.path, tmp_path / "forged.jsonl", change)
    record = check(forged, given.network, given.data, USN)
    assert record.refused
    assert all(finding.reason for finding in record.findings if finding.outcome == Outcome.REFUSED)


def label_without_numbers(lines: list[dict[str, Any]]) -> None:
    lines[0]["ranges"][0]["label"] = "brightness=0.5"


def numbers_without_label(lines: list[dict[str, Any]]) -> None:
    lines[0]["ranges"][0]["lower"] = [-0.01]


def other_images_left_out(lines: list[dict[str, Any]]) -> None:
    del lines[2]


def fewer_images(lines: list[dict[str, Any]]) -> None:
    del lines[-2]
    lines[0]["images"] -= 1


def another_graph(lines: list[dict[str, Any]]) -> None:
    lines[0]["network"]["graph"] = "0" * 64


@pytest.mark.parametrize(
    "change", [label_without_numbers, numbers_without_label, other_images_left_out, fewer_images, another_graph]
)
def test_a_forged_statement_is_refused(samples: dict[Task, Issued], tmp_path: Path, change: Change) -> None:
    given = samples[Task.KEYPOINTS]
    with pytest.raises(CertificateError):
        check(forge(given.path, tmp_path / "forged.jsonl", change), given.network, given.data, USN)


@pytest.mark.parametrize("task", TASKS)
def test_a_smaller_tau_or_a_wider_range_is_never_confirmed_where_it_is_false(
    samples: dict[Task, Issued], tmp_path: Path, task: Task
) -> None:
    """What a forger may claim is confirmed only where certifying it anew says the same."""
    given = samples[task]
    for scale, pieces in itertools.product((1.5, 3.0, 8.0), (1, 40)):

        def change(lines: list[dict[str, Any]], ends: tuple[float, float], label: str, pieces: int) -> None:
            lines[0]["ranges"][0] |= {"label": label, "lower": [ends[0]], "upper": [ends[1]]}
            inner = [ends[0] + (ends[1] - ends[0]) * place / pieces for place in range(1, pieces)]
            for line in lines[1:-1]:
                line["proofs"][0] = {
                    "range": 0,
                    "verdict": "certified",
                    "engine": "usn",
                    "margin": 1e-9,
                    "edges": [[ends[0], *inner, ends[1]]],
                }

        region = parse_range(f"brightness={0.05 * scale:g}")
        ends = (region.lower[0], region.upper[0])
        forged = forge(
            given.path,
            tmp_path / "forged.jsonl",
            lambda lines, ends=ends, label=region.label, pieces=pieces: change(lines, ends, label, pieces),
        )
        record = check(forged, given.network, given.data, USN)
        honest = certify(given.pipeline, given.data, [region], dataclasses.replace(given.options, pieces=5000))
        for finding, query in zip(record.findings[:: len(given.ranges)], honest.queries, strict=True):
            assert finding.outcome != Outcome.CONFIRMED or query.verdict == Verdict.CERTIFIED


def test_an_engine_that_is_too_loose_leaves_unconfirmed(
    samples: dict[Task, Issued], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = samples[Task.KEYPOINTS]
    monkeypatch.setattr("usncli.certifying.reproof.MOST_PARTS", 0)
    record = check(given.path, given.network, given.data, USN)
    assert not record.confirmed
    assert not record.refused
    assert ("certified", Outcome.UNCONFIRMED) in outcomes(record)


def test_a_bound_file_stands_in_for_the_network_that_was_certified(samples: dict[Task, Issued], tmp_path: Path) -> None:
    given, path = samples[Task.KEYPOINTS], tmp_path / "bound.jsonl"
    path.write_bytes(given.path.read_bytes())
    digest = Certificate.open(path).end.sha256
    bind(path, "a" * 64, "model.onnx")
    bind(path, "a" * 64, "model.onnx")
    bind(path, "b" * 64, "other.onnx")
    certificate = Certificate.open(path)
    assert certificate.end.sha256 == digest
    assert [binding.name for binding in certificate.bindings] == ["model.onnx", "other.onnx"]
    renamed = pipeline_of(Task.KEYPOINTS)
    with torch.no_grad():
        next(renamed.parameters()).mul_(1 + 2.0**-22)
    record = check(path, CheckedNetwork(renamed, "a" * 64), given.data, USN)
    assert record.confirmed
    assert record.bound_to == "a" * 64
    with pytest.raises(CertificateError, match="bound to no such ONNX file"):
        check(path, CheckedNetwork(renamed, "c" * 64), given.data, USN)
    # A file that is bound and computes something else is proved anew, and so refused.
    other = CheckedNetwork(pipeline_of(Task.KEYPOINTS, seed=1), "a" * 64)
    assert check(path, other, given.data, USN).refused


def test_a_certificate_with_float32_arithmetic_is_proved_in_it(samples: dict[Task, Issued], tmp_path: Path) -> None:
    given, path = samples[Task.CLASSIFICATION], tmp_path / "float32.jsonl"
    options = CertifyOptions(arithmetic=Arithmetic.FLOAT32, pieces=300)
    record = certify(given.pipeline, given.data, given.ranges[:1], options)
    issue(path, given.pipeline, given.data, given.ranges[:1], record, options)
    assert Certificate.open(path).statement.arithmetic == "float32"
    assert check(path, given.network, given.data, USN).confirmed
    with pytest.raises(ConfigurationError, match="float32"):
        check(path, given.network, given.data, CheckOptions(engine=Engine.LIRPA))


def test_a_resumed_run_issues_the_same_certificate(samples: dict[Task, Issued], tmp_path: Path) -> None:
    given, journal = samples[Task.KEYPOINTS], tmp_path / "journal.jsonl"
    certify(given.pipeline, given.data, given.ranges, given.options, journal=journal)
    again = certify(given.pipeline, given.data, given.ranges, given.options, journal=journal)
    issue(tmp_path / "again.jsonl", given.pipeline, given.data, given.ranges, again, given.options)
    assert (tmp_path / "again.jsonl").read_bytes() == given.path.read_bytes()
