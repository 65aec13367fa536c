"""examples/ci/gate.sh as a pipeline runs it: in a project's folder, with its usn.yaml and the installed command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from published_schemas import check_junit, check_sarif
from tiny_network import SIDE, light_or_dark, write_images
from torch import nn

from usncli.cli.main import main
from usncli.loading.capture import capture
from usncli.loading.network_file import save_network
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

CI = Path(__file__).parents[2] / "examples" / "ci"
IMAGES = [f"{name}/{index:02d}.png" for index, name in enumerate(("dark", "light") * 3)]
SETTINGS = {
    "checkpoint": "model.safetensors",
    "data": "images",
    "perturb": ["brightness=0.01"],
    "certify": {"reference": "label", "baseline": "usn-baseline.json"},
}


def write_network(path: Path, sign: float) -> None:
    """Write a classifier that is always right, or always wrong."""
    network = light_or_dark()
    linear = network[2]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.weight.mul_(sign)
    captured = capture(network, torch.zeros(2, 3, SIDE, SIDE))
    save_network(path, Pipeline(captured, Preprocessing(SIDE, SIDE, mean=(0.45,)), Task.CLASSIFICATION), {})


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose network was released: its baseline is committed."""
    folder = tmp_path_factory.mktemp("project")
    write_images(folder / "images")
    write_network(folder / "model.safetensors", 1.0)
    (folder / "usn.yaml").write_text(yaml.safe_dump(SETTINGS))
    command = folder / "bin" / "usn"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m usncli "$@"\n')
    command.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["certify", "--write-baseline", "usn-baseline.json", "--quiet"]) == 0
    shutil.rmtree(folder / "usn-runs")
    return folder


@pytest.fixture
def project(released: Path, tmp_path: Path) -> Path:
    """A checkout of it."""
    return Path(shutil.copytree(released, tmp_path / "checkout"))


def run(folder: Path, released: Path, words: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("USN_", "GITHUB_"))}
    environment["PATH"] = f"{released / 'bin'}:{environment['PATH']}"
    return subprocess.run(words, cwd=folder, env=environment | variables, capture_output=True, text=True)


def gate(project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(project, project, ["bash", str(CI / "gate.sh")], **variables)


@pytest.mark.slow
def test_a_good_network_passes(project: Path) -> None:
    done = gate(project)
    assert done.returncode == 0, done.stderr
    assert "passed: drop, brightness=0.01: 6 of 6 were certified in the baseline; 0 lost" in done.stdout
    assert done.stdout.endswith("robustness: the gate passed\n")
    assert len(check_junit((project / "usn.xml").read_text()).findall(".//testcase")) == len(IMAGES)
    assert (project / "usn.html").read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_a_worse_network_fails_and_what_was_lost_is_named_everywhere(project: Path) -> None:
    write_network(project / "model.safetensors", -1.0)
    done = gate(project)
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("failed: drop, ")]
    assert "6 lost, 0 undecided now" in line
    assert sorted(line.partition("; lost: ")[2].split(", ")) == sorted(IMAGES)
    assert done.stderr.endswith("robustness: too little is certified; usn.html shows the counterexamples\n")
    failures = check_junit((project / "usn.xml").read_text()).findall(".//testcase[failure]")
    assert sorted(str(case.get("name")) for case in failures) == sorted(IMAGES)
    assert all(name in (project / "usn.html").read_text() for name in IMAGES)

    steps = yaml.safe_load((CI / "github-actions.yml").read_text())["jobs"]["certify"]["steps"]
    (words,) = [step["run"] for step in steps if step.get("name") == "The gate"]
    variables = {"GITHUB_STEP_SUMMARY": "summary.md", "USN_QUIET": "true"}
    step = run(project, project, ["bash", "-e", "-c", f"{words} --format sarif=usn.sarif"], **variables)
    assert step.returncode == 1, step.stderr
    annotations = [line for line in step.stdout.splitlines() if line.startswith("::error file=")]
    assert sorted(line.split("::")[2].partition(":")[0] for line in annotations) == sorted(IMAGES)
    summary = (project / "summary.md").read_text().replace("\\", "")
    assert all(name in summary for name in IMAGES)
    assert len(check_sarif((project / "usn.sarif").read_text())["runs"][0]["results"]) == len(IMAGES)


@pytest.mark.slow
def test_too_little_time_is_inconclusive(project: Path) -> None:
    done = gate(project, USN_SECONDS="1e-9")
    assert done.returncode == 4, done.stderr
    assert "6 undecided now" in done.stdout
    assert "robustness: undecided, which is no pass" in done.stderr
    assert (project / "usn.xml").exists()


@pytest.mark.slow
def test_nothing_to_certify_and_a_damaged_baseline_are_answered_before_any_work(project: Path) -> None:
    (project / "empty").mkdir()
    nothing = gate(project, USN_DATA="empty")
    assert nothing.returncode == 5
    assert nothing.stderr.splitlines() == [
        "error: data empty: expected images, found an empty folder; nothing was certified",
        "robustness: there was no image to certify",
    ]
    baseline = json.loads((project / "usn-baseline.json").read_text())
    (project / "usn-baseline.json").write_text(json.dumps(baseline)[:-20])
    damaged = gate(project)
    assert damaged.returncode == 2
    first, last = damaged.stderr.splitlines()
    assert first.startswith("error: baseline ")
    assert "usn-baseline.json: expected a baseline that usn wrote" in first
    assert last == "robustness: usn could not work, see its message above"
    assert not (project / "usn-runs").exists()
