"""What a file is, told from its content: a file's ending may lie."""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path

from usncli.errors import InputError

_HEAD = 4096
_FOREIGN = (
    (b"\x89HDF", "HDF5 (Keras)", "convert the network to ONNX"),
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with git lfs pull"),
    (b"<", "HTML or XML", "download the file again"),
    (b"{", "JSON", "give the file that holds the weights"),
    (b"\x93NUMPY", "a numpy array", "give the file that holds the network"),
)


class CheckpointKind(StrEnum):
    """Where a network came from."""

    WEIGHTS = "weights"
    SAFETENSORS = "safetensors"
    EXPORTED_PROGRAM = "exported program"
    ONNX = "onnx"
    USN = "usn"
    PICKLED_MODULE = "pickled module"


class Container(StrEnum):
    """How a file is written: what its first bytes and its table of contents show, before anything is loaded."""

    PICKLE = "pickle"
    SAFETENSORS = "safetensors"
    EXPORTED_PROGRAM = "exported program"
    ONNX = "onnx"


def container_of(path: Path) -> Container:
    """Tell from a file's content how it is written.

    Raises:
        InputError: no such file, an empty or damaged one, or one that holds no network.
    """
    head = _read_head(path)
    if head.startswith(b"PK"):
        return _zip_container(path)
    if head.startswith(b"\x80") and head[1:2] <= b"\x05":
        return Container.PICKLE
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 1 << 32:
        return Container.SAFETENSORS
    if head[4:8] == b"TFL3":
        raise InputError(f"{path}: expected a checkpoint, got TensorFlow Lite; convert the network to ONNX")
    for magic, what, advice in _FOREIGN:
        if head.lstrip().startswith(magic):
            raise InputError(f"{path}: expected a checkpoint, got {what}; {advice}")
    if head.startswith(b"\x08") or path.suffix.lower() == ".onnx":
        return Container.ONNX
    raise InputError(
        f"{path}: not recognised; expected weights (.pt, .pth, .safetensors), a torch.export program (.pt2), "
        "ONNX (.onnx) or a network written by usn"
    )


def _read_head(path: Path) -> bytes:
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint; check the path")
    if path.is_dir():
        raise InputError(f"{path}: expected a checkpoint file, got a folder; name the file in it")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not head:
        raise InputError(f"{path}: the file is empty; download or save it again")
    return head


def _zip_container(path: Path) -> Container:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"{path}: the file is truncated or damaged ({error}); download or save it again") from error
    parts = {name.partition("/")[2] for name in names}
    if "serialized_exported_program.json" in names or any(part.startswith("models/") for part in parts):
        return Container.EXPORTED_PROGRAM
    if "constants.pkl" in parts or any(part.startswith("code/") for part in parts):
        raise InputError(
            f"{path}: a TorchScript archive, which usn cannot capture; export the network with torch.export "
            "(.pt2) or to ONNX, or give its weights with --arch"
        )
    if "data.pkl" in parts:
        return Container.PICKLE
    if any(part.startswith("data/aotinductor/") for part in parts):
        raise InputError(f"{path}: a compiled package without a program; give what torch.export.save wrote")
    raise InputError(f"{path}: a zip archive without a network; expected what torch.save or torch.export.save wrote")
