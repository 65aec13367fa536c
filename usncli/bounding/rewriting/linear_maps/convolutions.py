"""Convolutions and transposed convolutions of one, two or three dimensions and any geometry, padded with zeros."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor
from torch.nn import functional

from usncli.bounding.rewriting.linear_maps.norms import convolution_norm
from usncli.bounding.rewriting.linear_maps.weighted import Weighted

_CONVOLVE: Mapping[int, Callable[..., Tensor]] = {
    1: functional.conv1d,
    2: functional.conv2d,
    3: functional.conv3d,
}
_CONVOLVE_TRANSPOSED: Mapping[int, Callable[..., Tensor]] = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


@dataclass(frozen=True)
class Geometry:
    """How a kernel moves; one number an axis.

    Attributes:
        stride, padding, dilation: as of ``torch.nn.Conv2d``; padding is with zeros, on both sides alike.
        groups: of channels.
    """

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def shifts(self, kernel: Sequence[int]) -> int:
        """Return the most kernel positions that reach one value of the larger grid, which the stride runs over."""
        return prod(
            max(Counter(position * dilation % stride for position in range(size)).values())
            for size, stride, dilation in zip(kernel, self.stride, self.dilation, strict=True)
        )

    def outputs(self, inputs: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
        """Return the sizes of a convolution's result."""
        geometry = zip(inputs, kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in geometry)

    def spread_outputs(self, inputs: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
        """Return the sizes of a transposed convolution's result without output padding."""
        geometry = zip(inputs, kernel, self.stride, self.padding, self.dilation, strict=True)
        return tuple((size - 1) * s - 2 * p + d * (k - 1) + 1 for size, k, s, p, d in geometry)


class Convolution(Weighted):
    """A convolution.

    Args:
        weight: ``(channels, input channels / groups, *kernel)``.
        bias: ``(channels,)``; None is 0.
        geometry: see `Geometry`.
        input_sizes: the spatial sizes of its input.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, geometry: Geometry, input_sizes: Sequence[int]) -> None:
        channels, kernel = weight.shape[0], weight.shape[2:]
        back = channels // geometry.groups * geometry.shifts(kernel)
        super().__init__(weight, bias, channels, weight[0].numel(), back)
        self.geometry = geometry
        self._input_sizes = tuple(input_sizes)
        reached = geometry.spread_outputs(geometry.outputs(input_sizes, kernel), kernel)
        # Values at the far end that no window reaches, less than a stride of them.
        self._unread = tuple(size - least for size, least in zip(input_sizes, reached, strict=True))

    def apply_weight(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return the convolution."""
        shape = self.geometry
        convolve = _CONVOLVE[weight.dim() - 2]
        return convolve(values, weight, None, shape.stride, shape.padding, shape.dilation, shape.groups)

    def by_channel(self, numbers: Tensor) -> Tensor:
        """Return the numbers along the weight's first axis."""
        return numbers.reshape(-1, *[1] * (self.weight.dim() - 1))

    def row_norms(self) -> Tensor:
        """Return the norms of the kernels, one an output channel; at the border rows are shorter."""
        return self.weight.double().flatten(1).square().sum(dim=1).sqrt().reshape(self.channel_shape)

    def spectral_norm(self) -> float:
        """Return at least the norm of the convolution."""
        shape = self.geometry
        return convolution_norm(self.weight, self._input_sizes, shape.stride, shape.dilation, shape.groups)

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return the transposed convolution, as large as the input."""
        shape, weight = self.geometry, self.form("weight", cotangents)
        convolve = _CONVOLVE_TRANSPOSED[weight.dim() - 2]
        return convolve(
            cotangents, weight, None, shape.stride, shape.padding, self._unread, shape.groups, shape.dilation
        )


class TransposedConvolution(Weighted):
    """A transposed convolution.

    Args:
        weight: ``(input channels, channels / groups, *kernel)``.
        bias: ``(channels,)``; None is 0.
        geometry: of the convolution that it is the transpose of.
        input_sizes: the spatial sizes of its input.
        output_padding: values that the result is longer by, one an axis.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        geometry: Geometry,
        input_sizes: Sequence[int],
        output_padding: Sequence[int],
    ) -> None:
        kernel = weight.shape[2:]
        summands = weight.shape[0] // geometry.groups * geometry.shifts(kernel)
        super().__init__(weight, bias, weight.shape[1] * geometry.groups, summands, weight[0].numel())
        self.geometry = geometry
        self.output_padding = tuple(output_padding)
        self._input_sizes = tuple(input_sizes)

    def apply_weight(self, values: Tensor, weight: Tensor) -> Tensor:
        """Return the transposed convolution."""
        shape = self.geometry
        convolve = _CONVOLVE_TRANSPOSED[weight.dim() - 2]
        return convolve(
            values, weight, None, shape.stride, shape.padding, self.output_padding, shape.groups, shape.dilation
        )

    def by_channel(self, numbers: Tensor) -> Tensor:
        """Return the numbers along the weight's second axis, which holds one group's channels, for each group."""
        groups, inputs = self.geometry.groups, self.weight.shape[0]
        of_group = numbers.reshape(groups, 1, -1).expand(-1, inputs // groups, -1)
        return of_group.reshape(inputs, -1, *[1] * (self.weight.dim() - 2))

    def spectral_norm(self) -> float:
        """Return at least the norm of the convolution that this is the transpose of."""
        shape = self.geometry
        spread = shape.spread_outputs(self._input_sizes, self.weight.shape[2:])
        sizes = [size + more for size, more in zip(spread, self.output_padding, strict=True)]
        return convolution_norm(self.weight, sizes, shape.stride, shape.dilation, shape.groups)

    def transposed(self, cotangents: Tensor) -> Tensor:
        """Return the convolution."""
        shape, weight = self.geometry, self.form("weight", cotangents)
        convolve = _CONVOLVE[weight.dim() - 2]
        result = convolve(cotangents, weight, None, shape.stride, shape.padding, shape.dilation, shape.groups)
        # Output padding of a stride or more, which dilation permits, has room for windows that no input stands for.
        for axis, size in enumerate(self._input_sizes):
            result = result.narrow(axis + 2, 0, size)
        return result
