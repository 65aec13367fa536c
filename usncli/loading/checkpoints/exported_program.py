"""A `torch.export` program as a captured network, loaded without running code from the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, fx

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.checkpoints.program_archive import read_program_archive
from usncli.loading.checkpoints.program_graph import program_to_graph
from usncli.loading.checkpoints.weights import check_finite
from usncli.loading.fake_values import propagate
from usncli.loading.graph_passes import build_network

_TOLERANCE = 1e-4


def load_exported_program(path: Path, example: Tensor) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """Capture what `torch.export.save` wrote.

    Args:
        path: a ``.pt2`` file.
        example: two images of the size that the network will be used at, ``(2, channels, height, width)``.

    Returns:
        The captured network, and what was done to it, one line each.

    Raises:
        InputError: a damaged file, one that needs code to load, or a program for images of another size.
        UnsupportedOperationError: an operation that cannot be captured, or a batch size that cannot be freed.
    """
    archive = read_program_archive(path)
    check_finite(path, archive.tensors)
    with _naming(path):
        source, shape = program_to_graph(archive)
        _check_shape(shape, example)
        any_batch = shape[0] == -1
        tensors = {node: item.tensor for node, item in source.lifted.items()}
        propagated = (example.shape[0] if any_batch else shape[0], *example.shape[1:])
        propagate(source.graph, tensors, source.images, propagated, any_batch=any_batch)
        network = build_network(source)
    if any_batch:
        return network, ()
    _check_batches(path, network, example, shape[0])
    return network, (f"was exported for a batch of {shape[0]}; captured for any batch",)


def input_sizes(path: Path) -> tuple[int | None, ...]:
    """Return the shape of the images that a program takes, without the batch; None where any size goes.

    Raises:
        InputError: a damaged file, or one that needs code to load.
        UnsupportedOperationError: an operation that cannot be captured.
    """
    archive = read_program_archive(path)
    with _naming(path):
        return tuple(None if size == -1 else size for size in program_to_graph(archive)[1][1:])


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors begin with the file's name."""
    try:
        yield
    except UnsupportedOperationError as error:
        raise UnsupportedOperationError(f"{path}: {error}", error.layers) from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_shape(shape: tuple[int, ...], example: Tensor) -> None:
    expected = tuple(example.shape[1:])
    if len(shape) != 4 or any(size not in (-1, wanted) for size, wanted in zip(shape[1:], expected, strict=True)):
        sizes = "x".join("any" if size == -1 else str(size) for size in shape[1:])
        wanted = "x".join(map(str, expected))
        raise InputError(
            f"the program takes images of {sizes} (channels x height x width), the settings say {wanted}; set --size "
            "and --colour"
        )


def _check_batches(path: Path, network: fx.GraphModule, example: Tensor, batch: int) -> None:
    """Check that a freed batch computes every image on its own."""
    with torch.no_grad():
        together = network(example)
        apart = torch.cat([network(image[None]) for image in example])
    if together.shape != apart.shape or not torch.allclose(together, apart, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise UnsupportedOperationError(
            f"{path}: the program was exported for a batch of {batch} and mixes images in it; export it with a dynamic "
            "batch (dynamic_shapes={0: torch.export.Dim('batch')})"
        )
