"""From a file to a captured network, in steps: looked at, loaded as a module where it is one, captured.

`usncli.loading.checkpoint` goes through all of them; who does not know the images of a network yet stops between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from usncli.errors import InputError, UnsupportedOperationError
from usncli.files import sha256_of_file
from usncli.loading.capture import capture
from usncli.loading.checkpoints.architecture import build_architecture
from usncli.loading.checkpoints.exported_program import input_sizes, load_exported_program
from usncli.loading.checkpoints.kinds import CheckpointKind, Container, container_of
from usncli.loading.checkpoints.pickled import read_pickle
from usncli.loading.checkpoints.settings_in_file import StoredSettings, settings_in_onnx
from usncli.loading.checkpoints.weights import check_finite, load_weights, require_architecture
from usncli.loading.network_file import METADATA_KEY, read_safetensors, safetensors_metadata


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
class OpenedCheckpoint:
    """A checkpoint that was looked at but not loaded.

    Attributes:
        source: the file and how far it is trusted.
        container: how the file is written.
        sha256: hexadecimal hash of the file.
        own: whether it is a network file of usn's.
        stored: what an ONNX file that usn exported states; None for other files.
    """

    source: CheckpointSource
    container: Container
    sha256: str
    own: bool = False
    stored: StoredSettings | None = None

    @property
    def trusted(self) -> bool:
        """Whether code from the file may run."""
        pinned = self.source.trusted_sha256
        return self.source.trust_pickle or (pinned is not None and pinned.lower() == self.sha256)


class LoadedModule(NamedTuple):
    """A network of the user's own code with the weights of a checkpoint, on the CPU.

    Attributes:
        module: in the mode that its factory, or its file, left it in.
        kind: what the file was.
        notes: what was unwrapped, converted or passed over on the way, one line each.
    """

    module: nn.Module
    kind: CheckpointKind
    notes: tuple[str, ...] = ()


class CapturedCheckpoint(NamedTuple):
    """A captured network (see `usncli.loading.capture`); kind and notes as in `LoadedModule`."""

    network: fx.GraphModule
    kind: CheckpointKind
    notes: tuple[str, ...] = ()


def open_checkpoint(source: CheckpointSource) -> OpenedCheckpoint:
    """Look at a checkpoint: how it is written, and what it states of itself.

    Raises:
        InputError: the file is missing, damaged or no checkpoint.
    """
    container = container_of(source.path)
    sha256 = sha256_of_file(source.path)
    if container == Container.SAFETENSORS:
        return OpenedCheckpoint(source, container, sha256, own=METADATA_KEY in safetensors_metadata(source.path))
    if container == Container.ONNX:
        from usncli.loading.checkpoints.onnx_network import read_metadata

        return OpenedCheckpoint(
            source, container, sha256, stored=settings_in_onnx(source.path, read_metadata(source.path))
        )
    return OpenedCheckpoint(source, container, sha256)


def stated_input_sizes(opened: OpenedCheckpoint) -> tuple[int | None, int | None, int | None]:
    """Return channels, height and width of the images that a graph takes; None where it takes any.

    Args:
        opened: an exported program or an ONNX file.

    Raises:
        InputError: the file is damaged, or does not take images.
        UnsupportedOperationError: the network holds an operation that cannot be captured.
    """
    path = opened.source.path
    if opened.container == Container.ONNX:
        from usncli.loading.checkpoints import onnx_network

        sizes = onnx_network.input_sizes(path)
    else:
        sizes = input_sizes(path)
    if len(sizes) != 3:
        shape = " x ".join(["batch", *("any" if size is None else str(size) for size in sizes)])
        raise InputError(f"{path}: takes {shape}; expected images, batch x channels x height x width")
    channels, height, width = sizes
    return channels, height, width


def read_content(opened: OpenedCheckpoint) -> Any:
    """Return what a pickle or safetensors file holds: tensors by name, possibly wrapped; or a module, if it is trusted.

    Raises:
        UntrustedFileError: loading the file would run code from it.
        InputError: the file is damaged.
    """
    if opened.container == Container.SAFETENSORS:
        return read_safetensors(opened.source.path)[0]
    return read_pickle(opened.source.path, opened.sha256, trusted=opened.trusted).content


def load_module(opened: OpenedCheckpoint) -> LoadedModule:
    """Load weights into the architecture that they belong to, or a pickled module that is trusted.

    Args:
        opened: a pickle or safetensors file.

    Raises:
        UntrustedFileError: loading the file would run code from it.
        InputError: the file is damaged, or its weights do not fit the architecture.
        ConfigurationError: no architecture is named, or it cannot be built.
    """
    source, content = opened.source, read_content(opened)
    if isinstance(content, nn.Module):
        module = content.float().cpu()
        check_finite(source.path, module.state_dict())
        return LoadedModule(module, CheckpointKind.PICKLED_MODULE)
    module = build_architecture(require_architecture(source.path, source.arch), source.arch_arguments)
    notes = load_weights(source.path, content, module, strict=source.strict)
    is_pickle = opened.container == Container.PICKLE
    return LoadedModule(module.cpu(), CheckpointKind.WEIGHTS if is_pickle else CheckpointKind.SAFETENSORS, notes)


def capture_checkpoint(opened: OpenedCheckpoint, input_shape: tuple[int, int, int]) -> CapturedCheckpoint:
    """Capture the network of a checkpoint, whatever it predicts.

    Args:
        opened: any checkpoint but a network file of usn's, which is captured already.
        input_shape: ``(channels, height, width)`` of the images that it will see.

    Raises:
        InputError: as `load_module`; or a program or ONNX network that takes images of another shape.
        ConfigurationError: as `load_module`.
        UnsupportedOperationError: the network cannot be captured.
    """
    path = opened.source.path
    example = torch.rand((2, *input_shape), generator=torch.Generator().manual_seed(0))
    if opened.container == Container.EXPORTED_PROGRAM:
        network, notes = load_exported_program(path, example)
        return CapturedCheckpoint(network, CheckpointKind.EXPORTED_PROGRAM, notes)
    if opened.container == Container.ONNX:
        from usncli.loading.checkpoints.onnx_network import load_onnx  # onnx and onnxruntime are slow to import

        network, notes = load_onnx(path, example)
        return CapturedCheckpoint(network, CheckpointKind.ONNX, notes)
    loaded = load_module(opened)
    return CapturedCheckpoint(_capture(path, loaded.module, example), loaded.kind, loaded.notes)


def _capture(path: Path, module: nn.Module, example: Tensor) -> fx.GraphModule:
    """Capture, naming the file in errors."""
    try:
        return capture(module, example)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except UnsupportedOperationError as error:
        raise UnsupportedOperationError(f"{path}: {error}", error.layers) from error
