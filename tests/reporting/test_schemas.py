"""The shipped schemas: every record fits its own, and no field goes in or out unseen."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from report_samples import RECORDS as REPORTED
from report_samples import certify_record, finetune_record, gate_of, score_record

from usncli.bounding.method import Arithmetic, Engine
from usncli.certificates.record import CheckRecord, Finding, Outcome
from usncli.certifying.options import Reference
from usncli.certifying.verdicts import Verdict
from usncli.errors import InputError
from usncli.gating import GateResult
from usncli.perturbing.sampling import SamplingMethod
from usncli.pruning.options import Best, Criterion, Optimiser, Precision, Schedule, Target, WassersteinTarget
from usncli.reporting.schemas import NAMES, schema_of
from usncli.runs.manifest import RunStatus
from usncli.scoring.record import SCHEMA_VERSION
from usncli.scoring.stability import SampleLimit

Path = tuple[str | int, ...]


def check_record() -> dict[str, Any]:
    """Return what checking a certificate found."""
    found = Finding("a.png", 0, "brightness=0.1", "certified", Outcome.REFUSED, "a gap")
    return CheckRecord("c.jsonl", "0" * 64, "certified: ...", None, "usn", (found,), 3, 0.5).to_record()


RECORDS = REPORTED | {"check": check_record}


def sample(kind: str) -> dict[str, Any]:
    """Return a record as a command writes it."""
    if kind != "score":
        return RECORDS[kind]()
    overlaps = {"overlap_thetas": {"jaccard": 0.3, "share": 0.5}, "limited_by": "thetas"}
    parts = [{name: value for name, value in score_record().items() if name != "kind"}]
    return {"kind": "score", "schema_version": SCHEMA_VERSION, "scores": [*parts, parts[0] | overlaps]}


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(schema_of(name), format_checker=Draft202012Validator.FORMAT_CHECKER)


def objects(value: Any, path: Path = ()) -> Iterator[Path]:
    """Go through all objects in a record."""
    if isinstance(value, dict):
        yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from objects(part, (*path, key))


def at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


OPEN = {"metadata", "unstable_relus", "unstable", "importances", "ramps", "history", "evaluations"}
"""Objects whose names are those of layers, losses, ranges or whatever else a user has."""

CASES = [(kind, path) for kind in RECORDS for path in objects(sample(kind)) if not OPEN.intersection(map(str, path))]


@pytest.mark.parametrize("name", NAMES)
def test_schemas_are_valid_and_named_by_their_version(name: str) -> None:
    schema = schema_of(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:usncli:schema:{name}:{schema['properties']['schema_version']['const']}"


def test_there_are_no_other_schemas() -> None:
    found = {path.name.removesuffix(".json") for path in files("usncli.reporting.schemas").iterdir()}
    assert {name for name in found if not name.startswith("__")} == set(NAMES)
    assert set(NAMES) - {"manifest"} == set(RECORDS)
    with pytest.raises(InputError, match="unknown kind 'certificate'; did you mean 'certify'"):
        schema_of("certificate")


@pytest.mark.parametrize("kind", RECORDS)
def test_records_fit(kind: str) -> None:
    validator(kind).validate(sample(kind))


def test_records_without_data_fit() -> None:
    validator("finetune-prune").validate(finetune_record(error_after=None))
    validator("certify").validate(certify_record(()))


@pytest.mark.parametrize(("kind", "path"), CASES, ids=[f"{kind}-{'.'.join(map(str, path))}" for kind, path in CASES])
def test_no_field_comes_or_goes_unseen(kind: str, path: Path) -> None:
    checker, record = validator(kind), sample(kind)
    more = copy.deepcopy(record)
    at(more, path)["a new field"] = 1
    assert not checker.is_valid(more)
    for name in at(record, path):
        less = copy.deepcopy(record)
        del at(less, path)[name]
        assert not checker.is_valid(less), name


ENUMS = {
    ("score", "limited_by"): SampleLimit,
    ("score", "method"): SamplingMethod,
    ("certify", "verdict"): Verdict,
    ("certify", "reference"): Reference,
    ("certify", "arithmetic"): Arithmetic,
    ("certify", "engine"): Engine,
    ("finetune-prune", "target"): Target,
    ("finetune-prune", "criterion"): Criterion,
    ("finetune-prune", "optimiser"): Optimiser,
    ("finetune-prune", "precision"): Precision,
    ("finetune-prune", "wasserstein_target"): WassersteinTarget,
    ("finetune-prune", "schedule"): Schedule,
    ("finetune-prune", "choice"): Best,
    ("check", "outcome"): Outcome,
    ("check", "verdict"): Verdict,
    ("manifest", "status"): RunStatus,
}


@pytest.mark.parametrize(("name", "field"), ENUMS)
def test_choices_are_those_of_the_code(name: str, field: str) -> None:
    schema = schema_of(name)
    parts = [at(schema, path) for path in objects(schema)]
    (found,) = {
        tuple(part[field]["enum"]) for part in parts if isinstance(part.get(field), dict) and "enum" in part[field]
    }
    assert set(found) - {None} == set(ENUMS[name, field])
    if (name, field) == ("certify", "verdict"):
        assert set(schema["properties"]["counts"]["properties"]) == set(Verdict)


def test_what_the_gate_said_fits_and_nothing_else_does() -> None:
    record = certify_record()
    gate = gate_of(record, 0.5)
    assert gate is not None
    judged = record | {"gate": gate.to_record()}
    validator("certify").validate(judged)
    for path in objects(judged["gate"], ("gate",)):
        for name in at(judged, path):
            less = copy.deepcopy(judged)
            del at(less, path)[name]
            assert not validator("certify").is_valid(less), (path, name)
        more = copy.deepcopy(judged)
        at(more, path)["stranger"] = 1
        assert not validator("certify").is_valid(more), path
    assert {result.value for result in GateResult} == set(schema_of("certify")["$defs"]["gate_result"]["enum"])
