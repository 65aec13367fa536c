from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from usncli.errors import InputError
from usncli.loading.checkpoints.kinds import Container, container_of


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04 and then nothing", "truncated or damaged"),
        (b"\x89HDF\r\n\x1a\n", "HDF5.*convert the network to ONNX"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "HTML"),
        (b'{"weights": 1}', "JSON"),
        (b"\x1c\x00\x00\x00TFL3", "TensorFlow Lite"),
        (b"hello, I am a text", "not recognised; expected weights"),
    ],
)
def test_says_what_a_file_is_that_holds_no_network(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        container_of(path)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such checkpoint"):
        container_of(tmp_path / "model.pt")
    with pytest.raises(InputError, match="got a folder"):
        container_of(tmp_path)


def test_torchscript_and_other_archives_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("model/data.pkl", "model/constants.pkl", "model/code/__torch__.py"):
            archive.writestr(name, "")
    with pytest.raises(InputError, match=r"TorchScript.*torch\.export"):
        container_of(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", "")
    with pytest.raises(InputError, match="without a network"):
        container_of(path)


def test_content_decides_not_the_ending(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    torch.save(nn.Linear(2, 2).state_dict(), path)
    assert container_of(path) == Container.PICKLE
