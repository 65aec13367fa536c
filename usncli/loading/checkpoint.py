"""Any checkpoint that a user has, as the pipeline that every later stage works on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from usncli.errors import InputError, UnsupportedOperationError
from usncli.files import sha256_of_file
from usncli.loading.capture import capture
from usncli.loading.checkpoints.architecture import build_architecture
from usncli.loading.checkpoints.exported_program import load_exported_program
from usncli.loading.checkpoints.kinds import CheckpointKind, Container, container_of
from usncli.loading.checkpoints.pickled import read_pickle
from usncli.loading.checkpoints.settings_in_file import StoredSettings, reconcile, settings_in_onnx
from usncli.loading.checkpoints.weights import check_finite, load_weights, require_architecture
from usncli.loading.network_file import METADATA_KEY, load_network, read_safetensors
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.types import Task


@dataclass(frozen=True)
class CheckpointSource:
    """Where a checkpoint is, and how far it is trusted.

    Attributes:
        path: the file.
        arch: ``package.module:factory`` that builds the network of bare weights; may lie in the working directory.
        arch_arguments: keyword arguments of the factory; texts that are Python literals are read as such.
        trust_pickle: load a pickled module although that runs code from the file.
        trusted_sha256: load a pickled module if its SHA-256 is this one, hexadecimal.
        strict: whether missing and unexpected names of weights are errors; shapes that differ always are.
    """

    path: Path
    arch: str | None = None
    arch_arguments: Mapping[str, Any] = field(default_factory=dict)
    trust_pickle: bool = False
    trusted_sha256: str | None = None
    strict: bool = True


@dataclass(frozen=True)
class LoadedCheckpoint:
    """A network ready for every stage.

    Attributes:
        pipeline: its ``network`` is a captured network (see `capture`), in evaluation mode, on the CPU.
        sha256: hexadecimal hash of the file.
        kind: what the file was.
        notes: what was unwrapped, converted or passed over on the way, one line each.
        record: what usn wrote about how the network came to be; empty for other files.
    """

    pipeline: Pipeline
    sha256: str
    kind: CheckpointKind
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)


class _Network(NamedTuple):
    """A captured network and where it came from."""

    network: fx.GraphModule
    kind: CheckpointKind
    notes: tuple[str, ...] = ()


def load_checkpoint(
    source: CheckpointSource, preprocessing: Preprocessing | None, task: Task | None
) -> LoadedCheckpoint:
    """Load a checkpoint of any supported kind; only pickled modules that are trusted run code from the file.

    Args:
        source: the file and how far it is trusted.
        preprocessing: size, colour and normalisation; None only for a file that usn wrote or exported, which states its
            own.
        task: what the network predicts; None only for a file that usn wrote or exported.

    Raises:
        InputError: the file is missing, damaged, not trusted, or does not fit what was said of it.
        ConfigurationError: a setting that this kind of file needs is missing or wrong.
        UnsupportedOperationError: the network cannot be captured.
    """
    container = container_of(source.path)
    sha256 = sha256_of_file(source.path)
    tensors: Mapping[str, Tensor] = {}
    stored: StoredSettings | None = None
    if container == Container.SAFETENSORS:
        tensors, metadata = read_safetensors(source.path)
        if METADATA_KEY in metadata:
            return _load_own(source.path, sha256, preprocessing, task)
    elif container == Container.ONNX:
        from usncli.loading.checkpoints.onnx_network import read_metadata

        stored = settings_in_onnx(source.path, read_metadata(source.path))
    reconcile(source.path, stored, preprocessing, task)
    if stored is not None:
        preprocessing, task = stored.preprocessing, stored.task
    assert preprocessing is not None
    assert task is not None
    example = torch.rand((2, *preprocessing.input_shape), generator=torch.Generator().manual_seed(0))
    if container == Container.SAFETENSORS:
        loaded = _load_into_architecture(source, tensors, example, CheckpointKind.SAFETENSORS)
    else:
        loaded = _READERS[container](source, sha256, example)
    pipeline = Pipeline(loaded.network, preprocessing, task).eval()
    _probe(source.path, pipeline)
    return LoadedCheckpoint(pipeline, sha256, loaded.kind, loaded.notes)


def _load_own(path: Path, sha256: str, preprocessing: Preprocessing | None, task: Task | None) -> LoadedCheckpoint:
    saved = load_network(path)
    check_finite(path, saved.pipeline.network.state_dict())
    stored = saved.pipeline.preprocessing
    reconcile(path, StoredSettings(stored, saved.pipeline.task, stored), preprocessing, task)
    return LoadedCheckpoint(saved.pipeline, sha256, CheckpointKind.USN, (), saved.record)


def _load_pickle(source: CheckpointSource, sha256: str, example: Tensor) -> _Network:
    pinned = source.trusted_sha256 is not None and source.trusted_sha256.lower() == sha256
    file = read_pickle(source.path, sha256, trusted=source.trust_pickle or pinned)
    if isinstance(file.content, nn.Module):
        module = file.content.float()
        check_finite(source.path, module.state_dict())
        return _Network(_capture(source.path, module, example), CheckpointKind.PICKLED_MODULE)
    return _load_into_architecture(source, file.content, example, CheckpointKind.WEIGHTS)


def _load_into_architecture(
    source: CheckpointSource, content: object, example: Tensor, kind: CheckpointKind
) -> _Network:
    arch = require_architecture(source.path, source.arch)
    module = build_architecture(arch, source.arch_arguments)
    notes = load_weights(source.path, content, module, strict=source.strict)
    return _Network(_capture(source.path, module, example), kind, notes)


def _load_program(source: CheckpointSource, sha256: str, example: Tensor) -> _Network:
    network, notes = load_exported_program(source.path, example)
    return _Network(network, CheckpointKind.EXPORTED_PROGRAM, notes)


def _load_onnx(source: CheckpointSource, sha256: str, example: Tensor) -> _Network:
    from usncli.loading.checkpoints.onnx_network import load_onnx  # onnx and onnxruntime are slow to import

    network, notes = load_onnx(source.path, example)
    return _Network(network, CheckpointKind.ONNX, notes)


_READERS: Mapping[Container, Callable[[CheckpointSource, str, Tensor], _Network]] = {
    Container.PICKLE: _load_pickle,
    Container.EXPORTED_PROGRAM: _load_program,
    Container.ONNX: _load_onnx,
}


def _capture(path: Path, module: nn.Module, example: Tensor) -> fx.GraphModule:
    """Capture on the CPU, naming the file in errors."""
    try:
        return capture(module.cpu(), example)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except UnsupportedOperationError as error:
        raise UnsupportedOperationError(f"{path}: {error}", error.layers) from error


def _probe(path: Path, pipeline: Pipeline) -> None:
    """Run once on a grey image: the task must fit the outputs, and they must be numbers."""
    image = torch.full((1, *pipeline.preprocessing.input_shape), 0.5)
    try:
        with torch.no_grad():
            output = pipeline(image)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if not bool(torch.isfinite(output).all()):
        raise InputError(f"{path}: the network returns NaN or infinity for a grey image; check --mean and --std")
