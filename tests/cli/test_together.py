"""``usn finetune-prune`` in two processes: one run folder, one voice."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from two_processes import run_two

from usncli.cli.exit_codes import ExitCode
from usncli.cli.main import main


def work(folder: Path, words: list[str]) -> None:
    """Run a command, and write down what it said and how it ended."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(words)
    (folder / f"process-{os.environ['RANK']}.json").write_text(json.dumps([code, said.getvalue()]))


def answers(folder: Path, words: list[str]) -> list[Any]:
    """Return the exit code and the words of the first process, and check that the second ends well and says nothing."""
    run_two(work, folder, words)
    spoken, silent = (json.loads((folder / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert silent == [ExitCode.DONE, ""]
    return spoken


@pytest.mark.slow
def test_two_processes_keep_one_folder_and_one_of_them_speaks(place: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["finetune-prune", place.network, "--data", place.images, "--steps", 4, "--batch-size", 4, "--out", run]
    words = [str(word) for word in [*words, "--device", "cpu", "--perturb", "brightness=0.1"]]
    spoken = [answers(tmp_path, asked) for asked in (words, words, [*words, "--seed", "1"])]
    assert [code for code, _ in spoken] == [ExitCode.DONE, ExitCode.DONE, ExitCode.USAGE]
    for (_, said), phrase in zip(spoken, ("training: 4 steps", "this run is finished", "another run"), strict=True):
        assert phrase in said
    assert all("Channels cut" in said for _, said in spoken[:2])
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["status"], len(manifest["sessions"])) == ("complete", 1)
    assert (run / "pruned.safetensors").exists()
