"""Commands run in this process, on a checkpoint that is captured once."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from tiny_network import SIDE, seeded, write_images

from usncli.cli.main import main
from usncli.loading.capture import capture
from usncli.loading.network_file import save_network
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task


class Outcome(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def error_lines(self) -> list[str]:
        return [line for line in self.err.splitlines() if line.startswith("error: ")]


class Place(NamedTuple):
    """A network that usn wrote, plain weights of the same, and images."""

    network: Path
    weights: Path
    images: Path


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    preprocessing = Preprocessing(SIDE, SIDE, mean=(0.4,), std=(0.25,))
    network = seeded()
    torch.save(network.state_dict(), folder / "weights.pt")
    captured = capture(network, torch.zeros(2, 3, SIDE, SIDE))
    save_network(folder / "model.safetensors", Pipeline(captured, preprocessing, Task.CLASSIFICATION), {})
    write_images(folder / "images")
    return Place(folder / "model.safetensors", folder / "weights.pt", folder / "images")


@pytest.fixture
def usn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run ``usn`` with these words, in an empty working directory, without the caller's USN_ variables."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    for name in [name for name in os.environ if name.startswith("USN_")]:
        monkeypatch.delenv(name)

    def run(*words: object) -> Outcome:
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run
