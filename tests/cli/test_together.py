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


def work(folder: Path, commands: list[list[str]]) -> None:
    """Run commands, one after the other, and write down what each said and how it ended."""
    outcomes = []
    for words in commands:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(words)
        outcomes.append([code, said.getvalue()])
    (folder / f"process-{os.environ['RANK']}.json").write_text(json.dumps(outcomes))


@pytest.mark.slow
def test_two_processes_keep_one_folder_and_one_of_them_speaks(place: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["finetune-prune", place.network, "--data", place.images, "--steps", 4, "--batch-size", 4, "--out", run]
    words = [str(word) for word in [*words, "--device", "cpu", "--perturb", "brightness=0.1"]]
    run_two(work, tmp_path, [words, words, [*words, "--seed", "1"]])
    spoken, silent = (json.loads((tmp_path / f"process-{rank}.json").read_text()) for rank in (0, 1))
    assert silent == [[ExitCode.DONE, ""]] * 3
    assert [code for code, _ in spoken] == [ExitCode.DONE, ExitCode.DONE, ExitCode.USAGE]
    for (_, said), phrase in zip(spoken, ("training: 4 steps", "this run is finished", "another run"), strict=True):
        assert phrase in said
    assert all("Channels cut" in said for _, said in spoken[:2])
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["status"], len(manifest["sessions"])) == ("complete", 1)
    assert (run / "pruned.safetensors").exists()
