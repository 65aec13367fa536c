"""``usn finetune-prune`` in two processes: one run folder, one voice."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from two_processes import run_two

from usncli.cli.exit_codes import ExitCode
from usncli.cli.main import main


def work(folder: Path, words: tuple[str, ...]) -> None:
    """Run a command and write down what it said and how it ended."""
    said = folder / f"said-{os.environ['RANK']}"
    with said.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        code = main(words)
    (folder / f"code-{os.environ['RANK']}").write_text(str(code))


def outcomes(folder: Path, *words: object) -> list[tuple[int, str]]:
    """Return exit code and words of both processes."""
    run_two(work, folder, tuple(map(str, words)))
    return [(int((folder / f"code-{rank}").read_text()), (folder / f"said-{rank}").read_text()) for rank in (0, 1)]


@pytest.mark.slow
def test_two_processes_keep_one_folder_and_one_of_them_speaks(place: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["finetune-prune", place.network, "--data", place.images, "--steps", 4, "--batch-size", 4, "--out", run]
    words += ["--device", "cpu", "--perturb", "brightness=0.1"]
    first, second = outcomes(tmp_path, *words)
    assert first[0] == second[0] == ExitCode.DONE
    assert "training: 4 steps" in first[1]
    assert "Channels cut" in first[1]
    assert second[1] == ""
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["status"], len(manifest["sessions"])) == ("complete", 1)
    assert (run / "pruned.safetensors").exists()

    first, second = outcomes(tmp_path, *words)
    assert "this run is finished" in first[1]
    assert second == (ExitCode.DONE, "")

    first, second = outcomes(tmp_path, *words, "--seed", 1)
    assert first[0] == ExitCode.USAGE
    assert "holds another run" in first[1]
    assert second == (ExitCode.DONE, "")
