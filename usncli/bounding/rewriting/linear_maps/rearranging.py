"""Maps that only move values: nothing is rounded, and the coefficients are 0 and 1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from usncli.bounding.rewriting.linear_maps.linear_map import LinearMap

_NOTHING = -1


class Reshape(LinearMap):
    """The same values in the same order.

    Args:
        before, after: shapes without the batch.
    """

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__(0)
        self._before, self._after = tuple(before), tuple(after)

    def linear(self, values: Tensor) -> Tensor:
        """Return the values in the new shape."""
        return values.reshape(-1, *self._after)

    def absolute(self, radii: Tensor) -> Tensor:
        """Return the radii in the new shape."""
        return self.linear(radii)

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return the cotangents in the old shape."""
        return cotangents.reshape(-1, *self._before)


class Selection(LinearMap):
    """Every output is one of the inputs, or 0: slices, permutations, copies, padding of any kind, repetition.

    Args:
        index: of the output's shape without its batch; the position of the input in the flattened input, -1 for 0.
        input_shape: without the batch.
    """

    def __init__(self, index: Tensor, input_shape: Sequence[int]) -> None:
        size = torch.Size(input_shape).numel()
        readers = _readers(index.flatten(), size)
        super().__init__(0, back_terms=0 if len(readers) == 1 else len(readers))
        self._input_shape, self._output_shape = tuple(input_shape), index.shape
        # As many readers at once as fit into the size of the output.
        at_once = max(1, index.numel() // max(1, size))
        self._sources = _Places(index.flatten())
        self._readers = nn.ModuleList(_Places(part) for part in torch.split(readers, at_once))

    def linear(self, values: Tensor) -> Tensor:
        """Return the selected values."""
        taken: Tensor = self._sources(values.flatten(1))
        return taken.reshape(-1, *self._output_shape)

    def absolute(self, radii: Tensor) -> Tensor:
        """Return the selected radii."""
        return self.linear(radii)

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return, for each input, the sum over the outputs that read it; in one order on every device."""
        flat = cotangents.reshape(-1, self._output_shape.numel())
        result = flat.new_zeros(())
        for places in self._readers:
            result = result + places(flat).sum(dim=1)
        return result.reshape(-1, *self._input_shape)


class _Places(nn.Module):
    """Positions in a flat tensor, -1 for a 0.

    Args:
        index: of any shape.
    """

    index: Tensor
    empty: Tensor | None

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.shape = index.shape
        empty = index == _NOTHING
        self.register_buffer("index", index.clamp(min=0).flatten())
        self.register_buffer("empty", empty.flatten() if bool(empty.any()) else None)

    def forward(self, values: Tensor) -> Tensor:
        """Return the values ``(batch, n)`` at the positions, ``(batch, *shape)``."""
        taken = values.index_select(1, self.index)
        if self.empty is not None:
            taken = taken.masked_fill_(self.empty, 0.0)
        return taken.reshape(-1, *self.shape)


def _readers(index: Tensor, inputs: int) -> Tensor:
    """Return the outputs that read each input, ``(most readers, inputs)``, filled up with -1."""
    outputs = (index != _NOTHING).nonzero().squeeze(1)
    # Stable, so that the outputs of one input stay in order.
    sources, order = index[outputs].sort(stable=True)
    counts = torch.bincount(sources, minlength=inputs)
    rank = torch.arange(len(sources), device=index.device) - (counts.cumsum(0) - counts)[sources]
    readers = index.new_full((max(1, int(counts.max())), inputs), _NOTHING)
    readers[rank, sources] = outputs[order]
    return readers
