"""``usn finetune-prune`` under torchrun: one run folder, one voice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Place


def torchrun(place: Place, *words: object, directory: Path) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "usncli", "finetune-prune", place.network, "--data", place.images, *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("USN_")}
    return subprocess.run(
        [*launcher, *map(str, command)],
        cwd=directory,
        env=environment | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.slow
def test_two_processes_keep_one_folder_and_print_once(place: Place, tmp_path: Path) -> None:
    words = ["--perturb", "brightness=0.1", "--steps", "4", "--batch-size", "4", "--device", "cpu", "--out", "run"]
    done = torchrun(place, *words, directory=tmp_path)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert (manifest["status"], len(manifest["sessions"])) == ("complete", 1)
    assert (tmp_path / "run" / "pruned.safetensors").exists()
    assert done.stderr.count("results and manifest are here") == 1
    assert done.stderr.count("training: 4 steps") == 1
    assert done.stdout.count("pruned.safetensors") <= 1
