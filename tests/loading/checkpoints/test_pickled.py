from __future__ import annotations

import argparse
import os
import pickle
import subprocess
import sys
from pathlib import Path

import loading_networks
import numpy as np
import pytest
import torch
from torch import Tensor

from usncli.errors import InputError
from usncli.files import sha256_of_file
from usncli.loading.checkpoint import CheckpointSource, load_checkpoint
from usncli.loading.checkpoints.kinds import CheckpointKind
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task

PREPROCESSING = Preprocessing(16, 16)


class Attack:
    """Unpickling this makes a file: what a hostile checkpoint would do."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.made),)


def load(path: Path, *, trust_pickle: bool = False, trusted_sha256: str | None = None) -> object:
    source = CheckpointSource(path, trust_pickle=trust_pickle, trusted_sha256=trusted_sha256)
    return load_checkpoint(source, PREPROCESSING, Task.CLASSIFICATION)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".safetensors", ".pt2"])
def test_a_hostile_file_runs_nothing_whatever_its_name(zipped: bool, suffix: str, tmp_path: Path) -> None:
    path, made = tmp_path / f"model{suffix}", tmp_path / "made"
    torch.save({"state_dict": Attack(made)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match="loading it runs code from the file"):
        load(path)
    path.write_bytes(pickle.dumps(Attack(made), protocol=2))
    with pytest.raises(InputError, match="loading it runs code from the file"):
        load(path)
    assert not made.exists()


def test_a_pickled_module_is_refused_with_the_reason_and_what_to_type(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(loading_networks.small(), path)
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "a pickled module",
        "runs code",
        "--trust-pickle",
        f"trusted_sha256: {sha256_of_file(path)}",
        "--arch",
    ):
        assert part in message


def test_a_trusted_module_loads(images: Tensor, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    network = loading_networks.small().eval()
    torch.save({"epoch": 3, "model": network.half()}, path)
    with torch.no_grad():
        expected = network.float()(images)
    by_hash = {"trusted_sha256": sha256_of_file(path).upper()}
    for trust in ({"trust_pickle": True}, by_hash):
        loaded = load(path, **trust)
        assert loaded.kind == CheckpointKind.PICKLED_MODULE
        torch.testing.assert_close(loaded.pipeline.network(images), expected)
    with pytest.raises(InputError, match="runs code"):
        load(path, trusted_sha256="0" * 64)


def test_a_module_of_the_script_that_saved_it_says_what_to_do(tmp_path: Path) -> None:
    script = f"import torch\nclass Net(torch.nn.Linear): pass\ntorch.save(Net(2, 2), {str(tmp_path / 'model.pt')!r})\n"
    (tmp_path / "train.py").write_text(script)
    subprocess.run([sys.executable, tmp_path / "train.py"], check=True)
    with pytest.raises(
        InputError, match=r"save torch\.save\(model\.state_dict\(\), \.\.\.\), and give --arch SCRIPT:CLASS"
    ):
        load(tmp_path / "model.pt", trust_pickle=True)


@pytest.mark.parametrize("extra", [argparse.Namespace(lr=0.1), np.float64(0.5), Path("runs")])
def test_weights_beside_other_objects_say_which(extra: object, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"state_dict": loading_networks.small().state_dict(), "extra": extra}, path)
    with pytest.raises(InputError, match=r"argparse\.Namespace|numpy|pathlib") as caught:
        load(path)
    assert "torch.save(model.state_dict(), ...)" in str(caught.value)


def test_not_finite_weights_in_a_trusted_module(tmp_path: Path) -> None:
    network = loading_networks.small()
    with torch.no_grad():
        network[6].bias[0] = float("nan")
    torch.save(network, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"6\.bias holds 1 of 4 values that are NaN or infinite"):
        load(tmp_path / "model.pt", trust_pickle=True)
