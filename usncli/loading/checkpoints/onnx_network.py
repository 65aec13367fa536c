"""An ONNX file as a captured network, checked against onnxruntime: what is certified is what ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from torch import Tensor, fx

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.checkpoints.weights import check_finite
from usncli.loading.fake_values import propagate
from usncli.loading.graph_passes import build_network
from usncli.loading.onnx_reading.reader import read_onnx_graph

_TOLERANCE = 1e-3
_FLOAT = onnx.TensorProto.FLOAT


def load_onnx(path: Path, example: Tensor) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """Capture an ONNX network of one image input and one output.

    Args:
        path: an ``.onnx`` file; tensors that it keeps in files beside it are read too.
        example: two images of the size that the network will be used at, ``(2, channels, height, width)``.

    Returns:
        The captured network, and what was done to it, one line each.

    Raises:
        InputError: a damaged file, or inputs other than one image of this size.
        UnsupportedOperationError: an operator that cannot be captured, or a result unlike onnxruntime's.
    """
    model = _read(path)
    try:
        batch = _check_interface(model, example)
        source = read_onnx_graph(model, tuple(example.shape[1:]), batch)
        tensors = {node: item.tensor for node, item in source.lifted.items()}
        check_finite(path, {item.name: item.tensor for item in source.lifted.values()})
        propagate(source.graph, tensors, source.images, tuple(example.shape), any_batch=True)
        network = build_network(source)
    except UnsupportedOperationError as error:
        raise UnsupportedOperationError(f"{path}: {error}", error.layers) from error
    except InputError as error:
        raise _named(path, error) from error
    except (RuntimeError, ValueError, TypeError, LookupError) as error:
        raise InputError(
            f"{path}: an ONNX graph that does not hold together ({type(error).__name__}: {error})"
        ) from error
    difference = _difference_to_onnxruntime(path, network, example, batch)
    notes = (f"agrees with onnxruntime to {difference:.1e}",)
    return network, notes if batch is None else (f"was written for a batch of {batch}; captured for any batch", *notes)


def input_sizes(path: Path) -> tuple[int | None, ...]:
    """Return the shape of the images that an ONNX network takes, without the batch; None where any size goes.

    Raises:
        InputError: a damaged file, or more than one input or output.
    """
    try:
        return tuple(_sizes(_image_input(_read(path))))[1:]
    except InputError as error:
        raise _named(path, error) from error


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of an ONNX file.

    Raises:
        InputError: a damaged file.
    """
    return {item.key: item.value for item in _read(path).metadata_props}


def _read(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        line = next(iter(str(error).splitlines()), "")
        raise InputError(f"{path}: not a whole ONNX file ({line[:160]}); export it again") from error
    return model


def _named(path: Path, error: InputError) -> InputError:
    """Return an error that begins with the file's name."""
    return InputError(str(error) if str(error).startswith(str(path)) else f"{path}: {error}")


def _check_interface(model: onnx.ModelProto, example: Tensor) -> int | None:
    """Check that the network maps one image to one tensor; return its batch size if that is fixed."""
    images = _image_input(model)
    sizes = _sizes(images)
    expected = tuple(example.shape[1:])
    fits = len(sizes) == 4 and all(size in (None, want) for size, want in zip(sizes[1:], expected, strict=True))
    if not fits or images.type.tensor_type.elem_type != _FLOAT:
        found = "x".join("any" if size is None else str(size) for size in sizes[1:])
        kind = onnx.TensorProto.DataType.Name(images.type.tensor_type.elem_type).lower()
        raise InputError(
            f"the ONNX network takes {kind} images of {found}, the settings say float images of "
            f"{'x'.join(map(str, expected))} (channels x height x width); set --size and --colour"
        )
    return sizes[0]


def _image_input(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    stored = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in stored]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise InputError(
            f"the ONNX network has {len(inputs)} inputs and {len(model.graph.output)} outputs; expected one image and "
            "one prediction"
        )
    images: onnx.ValueInfoProto = inputs[0]
    return images


def _sizes(images: onnx.ValueInfoProto) -> list[int | None]:
    """Return the sizes that an input states; 0 counts as not stated."""
    return [item.dim_value or None for item in images.type.tensor_type.shape.dim]


def _difference_to_onnxruntime(path: Path, network: fx.GraphModule, example: Tensor, batch: int | None) -> float:
    """Return the largest difference to onnxruntime, relative to the largest output.

    Raises:
        UnsupportedOperationError: it is above the tolerance.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        images = example if batch is None else example[:1].repeat(batch, 1, 1, 1)
        (output,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path}: onnxruntime does not run it ({str(error)[:160]})") from error
    with torch.no_grad():
        captured = network(images).numpy()
    if captured.shape != output.shape:
        raise UnsupportedOperationError(f"{path}: captured with outputs {captured.shape}, onnxruntime's {output.shape}")
    difference = float(np.abs(captured - output).max() / max(float(np.abs(output).max()), 1e-6))
    if not difference <= _TOLERANCE:
        raise UnsupportedOperationError(
            f"{path}: the captured network differs from onnxruntime by {difference:.1e} of its largest output (at most "
            f"{_TOLERANCE:.0e} allowed); give the network as a torch.export program"
        )
    return difference
