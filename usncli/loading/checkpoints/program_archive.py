"""Reading the archive that `torch.export.save` writes, without running anything from it.

`torch.export.load` unpickles sample inputs and payloads without restriction, evaluates expressions and guards given as
text, resolves names to any attribute of torch, and loads compiled libraries. So the archive is read here: JSON as data,
tensors as raw numbers or through the restricted unpickler, and everything else is left alone.
"""

from __future__ import annotations

import io
import json
import math
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from usncli.errors import InputError

SCHEMA_MAJOR = 8
DTYPES: Mapping[int, torch.dtype] = {
    1: torch.uint8,
    2: torch.int8,
    3: torch.int16,
    4: torch.int32,
    5: torch.int64,
    6: torch.float16,
    7: torch.float32,
    8: torch.float64,
    12: torch.bool,
    13: torch.bfloat16,
}
"""Numbers of element types in an archive's JSON."""

_TENSOR_FILE = "tensor_"


class ProgramArchive(NamedTuple):
    """What an archive holds, as data.

    Attributes:
        program: the program's JSON: graph and signature.
        tensors: parameters, buffers and constants by their names.
    """

    program: Mapping[str, Any]
    tensors: dict[str, Tensor]


def read_program_archive(path: Path) -> ProgramArchive:
    """Read an archive, today's format or that of torch 2.7 and before.

    Raises:
        InputError: the archive is damaged, of another version, or holds objects that are no tensors.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            records = _Records(archive)
            found = _read_current(records) if records.has("models/model.json") else _read_old(records)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (zipfile.BadZipFile, OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: a damaged torch.export program ({type(error).__name__}: {error})") from error
    version = found.program.get("schema_version", {}).get("major")
    if version != SCHEMA_MAJOR:
        raise InputError(f"{path}: its program has schema {version}, expected {SCHEMA_MAJOR}; export it again")
    return found


class _Records:
    """The files of an archive by their path below its single folder."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise InputError("the archive holds a file twice")
        roots = {name.partition("/")[0] for name in names}
        self._root = f"{roots.pop()}/" if len(roots) == 1 else ""

    def has(self, name: str) -> bool:
        return self._root + name in self._archive.namelist()

    def read(self, name: str) -> bytes:
        return self._archive.read(self._root + name)

    def json(self, name: str) -> Any:
        return json.loads(self.read(name))


def _read_current(records: _Records) -> ProgramArchive:
    tensors = {**_read_tensors(records, "weights"), **_read_tensors(records, "constants")}
    return ProgramArchive(records.json("models/model.json"), tensors)


def _read_old(records: _Records) -> ProgramArchive:
    tensors = {}
    for part in ("serialized_state_dict.pt", "serialized_constants.pt"):
        if not records.has(part):
            raise InputError("no program named 'model' in the archive; export a single network with torch.export.save")
        tensors.update(_unpickle(part, records.read(part)))
    return ProgramArchive(records.json("serialized_exported_program.json"), tensors)


def _read_tensors(records: _Records, folder: str) -> dict[str, Tensor]:
    old = f"data/{folder}/model.pt"
    if records.has(old):
        return _unpickle(old, records.read(old))
    entries = records.json(f"data/{folder}/model_{folder}_config.json")["config"]
    return {name: _read_tensor(records, folder, name, entry) for name, entry in entries.items()}


def _read_tensor(records: _Records, folder: str, name: str, entry: Mapping[str, Any]) -> Tensor:
    file = str(entry["path_name"])
    if folder == "constants" and not file.startswith(_TENSOR_FILE):
        raise InputError(f"it holds the object {name}, which is no tensor; export the network without it")
    content = records.read(f"data/{folder}/{file}")
    if entry["use_pickle"]:
        return _unpickle(file, content)["tensor"]
    meta = entry["tensor_meta"]
    dtype = DTYPES[meta["dtype"]]
    sizes = [int(size["as_int"]) for size in meta["sizes"]]
    strides = [int(stride["as_int"]) for stride in meta["strides"]]
    if not content and math.prod(sizes) == 0:
        return torch.zeros(sizes, dtype=dtype)
    flat = torch.frombuffer(bytearray(content), dtype=dtype)
    return flat.as_strided(sizes, strides, int(meta["storage_offset"]["as_int"])).clone()


def _unpickle(name: str, content: bytes) -> dict[str, Tensor]:
    """Read pickled tensors with the unpickler that knows tensors alone."""
    if not content:
        return {}
    try:
        value = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError) as error:
        raise InputError(
            f"its part {name} holds pickled objects that are no tensors, which run code when loaded; export the "
            "network again with this torch"
        ) from error
    tensors = value if isinstance(value, dict) else {"tensor": value}
    if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"its part {name} holds more than tensors; export the network again with this torch")
    return {str(key): tensor.detach() for key, tensor in tensors.items()}
