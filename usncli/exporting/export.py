"""Export a pipeline to an ONNX file, or leave everything as it was."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from usncli.certificates.issue import bind
from usncli.errors import ConfigurationError, InputError
from usncli.exporting.binding import METADATA_KEY, open_for, perturbed_too, require_margins
from usncli.exporting.float16 import store_as_float16
from usncli.exporting.graph import ExportOptions, output_name, to_onnx
from usncli.exporting.metadata import attach, describe
from usncli.exporting.parity import compare, largest_difference, require_parity
from usncli.exporting.record import ExportRecord
from usncli.exporting.runtime import run_onnx
from usncli.files import sha256_of_file, write_atomically
from usncli.loading.pipeline import Pipeline


def export(
    pipeline: Pipeline,
    path: Path,
    images: Tensor,
    options: ExportOptions | None = None,
    *,
    provenance: Mapping[str, str] | None = None,
    bind_to: Path | None = None,
) -> ExportRecord:
    """Write a pipeline as one ONNX file that onnxruntime was seen to run as PyTorch does.

    The graph is float32, in eval mode, with a dynamic batch, an input ``images`` and one output (`graph.output_name`).
    It is checked by onnx, then run on the images at batch 1 and as one batch, against the pipeline in its own dtype.
    The file appears only when all that passed; a file already there stays as it was otherwise. Where weights are to be
    rounded to float16, that happens after the comparison, and the record says how far outputs move.

    Args:
        pipeline: what is scored, certified and shipped; left as it is, on any device, in any mode.
        path: the file to write.
        images: real images, ``(batch, channels, height, width)`` in [0, 1], at the network's input size.
        options: what goes in; by default everything, in opset 18.
        provenance: what else the file's metadata says, see `metadata.describe`.
        bind_to: the certificate of this pipeline; each of the two files gets the other's hash.

    Raises:
        InputError: the images have another shape than the network takes; they or the network's outputs are not
            finite; the path is a folder.
        UnsupportedOperationError: the network has no ONNX form (see `graph.to_onnx`).
        ParityError: onnxruntime computes something else than PyTorch, beyond the tolerance or a certified margin.
        CertificateError: the certificate was changed, or is another pipeline's.
    """
    started = time.perf_counter()
    options = options or ExportOptions()
    _check(pipeline, path, images)
    provenance, certificate = dict(provenance or {}), None
    if bind_to is not None:
        if not options.include_preprocessing:
            raise ConfigurationError("bind: expected the preprocessing in the graph, as it was certified; put it in")
        if options.float16:
            raise ConfigurationError(
                "bind: float16 is another network than was certified; certify its ONNX file itself"
            )
        certificate = open_for(bind_to, pipeline)
        provenance[METADATA_KEY] = certificate.end.sha256
        images = perturbed_too(images, certificate)
    described = describe(pipeline, options, provenance)
    inputs, expected = _reference(pipeline, images, options)
    model = to_onnx(pipeline, inputs, options)
    attach(model, described)
    content = model.SerializeToString(deterministic=True)
    comparisons = compare(content, inputs.float(), expected)
    require_parity(comparisons, options.tolerance)
    if certificate is not None:
        require_margins(certificate, comparisons)
    change = None
    if options.float16:
        store_as_float16(model)
        onnx.checker.check_model(model, full_check=True)
        content = model.SerializeToString(deterministic=True)
        change = largest_difference(run_onnx(content, inputs.float()), expected)
    write_atomically(path, lambda temporary: _write(temporary, content))
    sha256 = sha256_of_file(path)
    if certificate is not None:
        bind(certificate.path, sha256, path.name)
    return ExportRecord(
        path=str(path),
        sha256=sha256,
        file_bytes=len(content),
        parameters=count_parameters(model),
        opset=options.opset,
        preprocessing_included=options.include_preprocessing,
        input_shape=tuple(images.shape[1:]),
        output_name=output_name(pipeline.task, options.include_preprocessing),
        output_shape=tuple(expected.shape[1:]),
        comparisons=comparisons,
        tolerance=options.tolerance,
        metadata=described,
        seconds=time.perf_counter() - started,
        float16_change=change,
    )


def count_parameters(model: onnx.ModelProto) -> int:
    """Return the number of floating-point values stored in a graph."""
    return sum(
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_type in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    )


def _check(pipeline: Pipeline, path: Path, images: Tensor) -> None:
    expected = pipeline.preprocessing.input_shape
    if images.dim() != 4 or images.shape[0] < 1 or tuple(images.shape[1:]) != expected:
        raise InputError(f"images: expected shape (batch, {', '.join(map(str, expected))}), got {tuple(images.shape)}")
    if not images.isfinite().all():
        raise InputError("images: expected finite numbers in [0, 1], got NaN or infinity; check the data")
    if path.is_dir():
        raise InputError(f"{path}: expected the name of a file to write, got a folder; add a name such as model.onnx")


def _reference(pipeline: Pipeline, images: Tensor, options: ExportOptions) -> tuple[Tensor, Tensor]:
    """What the exported graph is given, and what PyTorch makes of it, in the pipeline's own dtype on the CPU."""
    reference = copy.deepcopy(pipeline).cpu().eval()
    inputs = images.detach().cpu().to(reference.mean.dtype)
    module: nn.Module = reference
    if not options.include_preprocessing:
        inputs = (inputs - reference.mean) / reference.std
        module = reference.network
    with torch.no_grad():
        expected = module(inputs)
    if not expected.isfinite().all():
        raise InputError("network: expected finite outputs on the images, got NaN or infinity; check its weights")
    return inputs, expected


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
