"""``usn check`` as it is typed: a certificate from certify to the ONNX file that ships, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator
from tiny_network import SIDE, seeded, write_images

from usncli.certificates.lines import schema_text
from usncli.reporting.schemas import schema_of

Usn = Callable[..., Any]
NETWORK = ("--arch", "tiny_network:build", "--size", SIDE, "--task", "classification")


@pytest.fixture
def certified(usn: Usn) -> str:
    """A folder with weights, images and a certificate."""
    write_images(Path("images"))
    torch.save(seeded().state_dict(), "model.pt")
    done = usn(
        *("certify", "model.pt", *NETWORK, "--data", "images", "--perturb", "brightness=0.01"),
        *("--out", "run", "--certificate", "release.jsonl", "-q"),
    )
    assert done.code == 0, done.err
    assert Path("release.jsonl").read_bytes() == Path("run/certificate.jsonl").read_bytes()
    return "release.jsonl"


def test_from_certify_over_export_to_check(usn: Usn, certified: str) -> None:
    check = ("check", certified, "--data", "images", "--engine", "usn")
    done = usn(*check, "--model", "model.pt", *NETWORK, "--perturb", "brightness=0.01", "--record", "found.json")
    assert done.code == 0, done.err
    assert "confirmed: " in done.out
    record = json.loads(Path("found.json").read_text())
    assert record["confirmed"]
    Draft202012Validator(schema_of("check")).validate(record)

    export = ("export", "model.pt", *NETWORK, "--data", "images", "-q")
    assert usn(*export, "--onnx", "free.onnx", "--out", "free").code == 0
    free = usn(*check, "--model", "free.onnx")
    assert free.code == 1
    assert "bound to no such ONNX file" in free.err

    done = usn(*export, "--onnx", "bound.onnx", "--out", "bound", "--bind", certified)
    assert done.code == 0, done.err
    done = usn(*check, "--model", "bound.onnx", "--samples", 5)
    assert done.code == 0, done.err
    assert "for the ONNX file that it is bound to" in done.out
    queries = Path(certified).read_text().count('"verdict":"certified"')
    assert f"in onnxruntime: {7 * queries} perturbed images" in done.out
    without = usn(*check, "--model", "model.pt", *NETWORK, "--samples", 5)
    assert without.code == 2
    assert "samples: expected an ONNX file to run" in without.err

    demanded = usn(*check, "--model", "bound.onnx", "--perturb", "brightness=0.02")
    assert demanded.code == 1
    assert "brightness=0.02 with these settings is not among its ranges" in demanded.err


def test_lines_agree_with_the_shipped_schema(certified: str) -> None:
    validator = Draft202012Validator(json.loads(schema_text()))
    for line in Path(certified).read_text().splitlines():
        validator.validate(json.loads(line))


def test_what_is_refused_and_with_which_code(usn: Usn, certified: str) -> None:
    check = ("--model", "model.pt", *NETWORK, "--data", "images", "--engine", "usn", "-q")
    content = Path(certified).read_text()
    Path("changed.jsonl").write_text(content.replace('"lower":[-0.01]', '"lower":[-0.02]'))
    changed = usn("check", "changed.jsonl", *check)
    assert (changed.code, changed.err.count("\n")) == (1, 1)
    assert "line 1: this line was changed" in changed.err
    Path("other.jsonl").write_text("{}\n")
    assert usn("check", "other.jsonl", *check).code == 2
    missing = usn("check", "missing.jsonl", *check)
    assert missing.code == 2
    assert "missing.jsonl" in missing.err
    images = sorted(Path("images").rglob("*.png"))
    images[0].write_bytes(images[1].read_bytes())
    other = usn("check", certified, *check)
    assert other.code == 1
    assert "refused: " in other.out
    assert "the image or its label is another" in other.out


def test_an_engine_that_cannot_prove_it_is_inconclusive(
    usn: Usn, certified: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("usncli.certifying.reproof.MOST_PARTS", 0)
    done = usn("check", certified, "--model", "model.pt", *NETWORK, "--data", "images", "--engine", "usn")
    assert done.code == 4
    assert "not confirmed" in done.out


def test_a_certificate_of_another_network_cannot_be_bound(usn: Usn, certified: str) -> None:
    torch.save(seeded(channels=7).state_dict(), "other.pt")
    done = usn(
        *("export", "other.pt", *NETWORK, "--arch-arg", "channels=7", "--data", "images"),
        *("--onnx", "other.onnx", "--bind", certified, "-q"),
    )
    assert done.code == 1
    assert "expected the certificate of this network" in done.err
    assert not Path("other.onnx").exists()
