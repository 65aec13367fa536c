"""Run an ONNX file by onnxruntime: one place that knows providers, threads and how to keep it quiet."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as states
from torch import Tensor

from usncli.errors import ConfigurationError, InputError
from usncli.loading.quiet import quietly

_ERRORS_ONLY = 3
_UNREADABLE = (
    states.Fail,
    states.InvalidArgument,
    states.InvalidGraph,
    states.InvalidProtobuf,
    states.NoSuchFile,
    states.NotImplemented,
    states.RuntimeException,
)


class Provider(StrEnum):
    """Where onnxruntime computes, by onnxruntime's own names."""

    CPU = "CPUExecutionProvider"
    CUDA = "CUDAExecutionProvider"


def usable_providers() -> tuple[Provider, ...]:
    """Return the providers worth trying on this machine; the CPU is always the first.

    onnxruntime lists CUDA wherever it was built with it, GPU or not, and complains when it is then asked for it. So
    CUDA is named only where PyTorch sees a GPU too. It may still fail to load, which `session` reports.
    """
    built_in = onnxruntime.get_available_providers()
    if Provider.CUDA in built_in and torch.cuda.is_available():
        return (Provider.CPU, Provider.CUDA)
    return (Provider.CPU,)


def session(
    source: Path | bytes, *, provider: Provider = Provider.CPU, threads: int = 1
) -> onnxruntime.InferenceSession:
    """Open an ONNX network for deterministic inference.

    Args:
        source: the file, or a serialised model.
        provider: where to compute; CUDA falls back to nothing: it loads or this raises.
        threads: threads on the CPU; 1 gives the same bits every time, 0 leaves the number to onnxruntime.

    Raises:
        InputError: the file is missing or is no ONNX network that onnxruntime can run.
        ConfigurationError: the provider does not load on this machine.
    """
    name = str(source) if isinstance(source, Path) else "ONNX network"
    if isinstance(source, Path) and not source.is_file():
        raise InputError(f"{name}: expected an ONNX file, found none; check the path")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    options.use_deterministic_compute = True
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = threads
    content = str(source) if isinstance(source, Path) else source
    try:
        with quietly("onnxruntime"):
            opened = onnxruntime.InferenceSession(content, options, providers=_provider_settings(provider))
    except _UNREADABLE as error:
        raise InputError(f"{name}: expected a network that onnxruntime can run, got: {_first_line(error)}") from error
    if provider not in opened.get_providers():
        raise ConfigurationError(
            f"onnxruntime: {provider} did not load on this machine; install the CUDA libraries its release asks for, "
            "or use the CPU"
        )
    return opened


def run_onnx(
    source: Path | bytes | onnxruntime.InferenceSession, images: Tensor, *, provider: Provider = Provider.CPU
) -> Tensor:
    """Run a network of one input and one output.

    Args:
        source: the file, a serialised model, or an open `session` (then ``provider`` is not looked at).
        images: ``(batch, channels, height, width)`` in the units that the file's metadata states.
        provider: where to compute.

    Returns:
        The first output, float32, on the CPU; first dimension ``batch``.

    Raises:
        InputError: as `session`; or the images do not have the shape that the network asks for.
        ConfigurationError: as `session`.
    """
    opened = source if isinstance(source, onnxruntime.InferenceSession) else session(source, provider=provider)
    inputs = opened.get_inputs()
    try:
        outputs: list[Any] = opened.run(None, {inputs[0].name: images.detach().float().cpu().numpy()})
    except _UNREADABLE as error:
        raise InputError(
            f"images: expected shape {tuple(inputs[0].shape)}, got {tuple(images.shape)}: {_first_line(error)}"
        ) from error
    return torch.from_numpy(outputs[0])


def _provider_settings(provider: Provider) -> list[Any]:
    if provider == Provider.CUDA:
        # TensorFloat-32 keeps 10 bits of the mantissa: far outside any tolerance that means "the same network".
        return [(str(Provider.CUDA), {"use_tf32": "0"}), str(Provider.CPU)]
    return [str(Provider.CPU)]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
