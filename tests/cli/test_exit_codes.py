"""Every exit code but 3 by a command that ends with it; 3 by an error that should not be."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_network import CLASSES

from usncli.cli.exit_codes import ExitCode, exit_code_of
from usncli.errors import (
    ConfigurationError,
    InputError,
    InterruptedRunError,
    NothingToCertifyError,
    ParityError,
    UnsupportedOperationError,
    UsnError,
)

NARROW = ("--perturb", "brightness=0.001")


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsnError("x"), 2),
        (InputError("x"), 2),
        (ConfigurationError("x"), 2),
        (UnsupportedOperationError("x"), 2),
        (NothingToCertifyError("x"), 5),
        (ParityError("x"), 1),
        (InterruptedRunError("x"), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 3),
    ],
)
def test_each_kind_of_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code_of(error) == code


def test_the_codes_are_those_of_the_contract() -> None:
    assert sorted(ExitCode) == [0, 1, 2, 3, 4, 5, 130]


def test_0_a_gate_that_passes(usn, place) -> None:
    outcome = usn("certify", place.network, "--data", place.images, *NARROW, "--min-certified", "1", "--out", "run")
    assert outcome.code == 0, outcome.err
    assert "passed: certified rate, brightness=0.001: 6 of 6 certified (100.0%)" in outcome.out
    assert "gate passed: 1 of 1 checks passed" in outcome.out
    assert manifest(Path("run"))["status"] == "complete"


def test_1_a_gate_that_fails(usn, place, tmp_path: Path) -> None:
    """Labels turned around: what was right is wrong at the identity."""
    first, second = CLASSES
    for name, other in ((first, second), (second, first)):
        folder = tmp_path / "turned" / name
        folder.parent.mkdir(exist_ok=True)
        folder.symlink_to(place.images / other, target_is_directory=True)
    words = ("certify", place.network, *NARROW, "--reference", "label", "--min-certified", "0.9")
    codes = [usn(*words, "--data", data).code for data in (place.images, tmp_path / "turned")]
    assert 1 in codes
    assert set(codes) <= {0, 1}


def test_1_an_export_that_differs(usn, place, monkeypatch: pytest.MonkeyPatch) -> None:
    from usncli.exporting import parity

    monkeypatch.setattr(parity, "largest_difference", lambda *_: 1.0)
    outcome = usn("export", place.network, "--data", place.images, "--onnx", "model.onnx")
    assert outcome.code == 1
    assert "no file was written" in outcome.error_lines[0]
    assert list(Path().iterdir()) == []


def test_4_a_gate_that_cannot_decide(usn, place) -> None:
    words = ("--perturb", "brightness=0.02", "--seconds", "1e-9", "--min-certified", "1")
    outcome = usn("certify", place.network, "--data", place.images, *words)
    assert outcome.code == 4, outcome.out
    assert "inconclusive: certified rate, brightness=0.02: 0 of 6 certified" in outcome.out
    assert "gate inconclusive" in outcome.out


def test_5_nothing_to_certify(usn, place, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = usn("certify", place.network, "--data", tmp_path / "empty", *NARROW)
    assert outcome.code == 5
    assert "nothing was certified" in outcome.error_lines[0]


def test_130_and_the_same_command_goes_on(usn, place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted after two queries: they are in the journal, and only the others are answered then."""
    running = importlib.import_module("usncli.certifying.query").RunningQuery
    answered: list[str] = []
    real, most = running.close, 2

    def closed(query, ended):
        if len(answered) == most:
            raise KeyboardInterrupt
        answered.append(query.query.sample.name)
        return real(query, ended)

    words = ("certify", place.network, "--data", place.images, *NARROW, "--out", "run")
    monkeypatch.setattr(running, "close", closed)
    outcome = usn(*words)
    assert outcome.code == 130
    assert "the same command goes on" in outcome.error_lines[0]
    assert manifest(Path("run"))["status"] == "interrupted"
    assert not Path("run/record.json").exists()

    answered.clear()
    most = 6
    outcome = usn(*words)
    assert outcome.code == 0
    assert "going on with an unfinished run" in outcome.err
    assert len(answered) == 4
    assert [entry["status"] for entry in manifest(Path("run"))["sessions"]] == ["interrupted", "complete"]
    assert json.loads(Path("run/record.json").read_text())["total"] == 6


def test_3_an_error_that_should_not_be(usn, place, monkeypatch: pytest.MonkeyPatch) -> None:
    from usncli import api

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(api, "score", broken)
    words = ("score", place.network, "--data", place.images, *NARROW, "--out", "run")
    outcome = usn(*words)
    assert outcome.code == 3
    assert outcome.error_lines == [
        "error: internal error: ZeroDivisionError: a mistake; this is a mistake of usn's own; run again with -v for "
        "the traceback"
    ]
    assert "Traceback" not in outcome.err
    assert manifest(Path("run"))["status"] == "failed"
    assert "Traceback (most recent call last)" in usn(*words, "-v").err


INTERRUPTED_IMPORT = """
import importlib.abc, os, signal, sys

class CtrlC(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            try:
                os.kill(os.getpid(), {signal})
            except KeyboardInterrupt:
                pass  # as compiled code does at times

sys.meta_path.insert(0, CtrlC())
from usncli.cli.main import main
sys.exit(main({words!r}))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("module", ["pydantic", "torch"])
def test_130_at_once_while_modules_are_loaded(place, tmp_path: Path, name: str, module: str) -> None:
    """Compiled modules swallow Ctrl-C now and then, or abort the process with a message of their own."""
    words = ["certify", str(place.network), "--data", str(place.images), *NARROW]
    code = INTERRUPTED_IMPORT.format(module=module, words=words, signal=int(getattr(signal, name)))
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr == "error: interrupted; the same command goes on from what is saved\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that takes no output")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_2_where_the_output_cannot_be_written(unbuffered: str) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "usncli", "--help"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, env=environment, text=True)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.splitlines()[0].startswith("error: the output could not be written (No space left")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM")
def test_130_by_sigterm_in_a_process_of_its_own(place, tmp_path: Path) -> None:
    """Training that would take hours, stopped as a container is; its progress is saved."""
    words = ["finetune-prune", str(place.network), "--data", str(place.images), "--perturb", "brightness=0.05"]
    words += ["--steps", "1000000", "--batch-size", "2", "--checkpoint-steps", "5", "--out", "run"]
    code = f"import sys; from usncli.cli.main import main; sys.exit(main({words!r}))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("USN_")}
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "training.pt").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "error: interrupted" in err
    assert manifest(tmp_path / "run")["status"] == "interrupted"
    assert (tmp_path / "run" / "training.pt").exists()
