"""Rules for averages, sums and smooth resizing: sums along axes, whose matrices are read off from their values.

An operation that treats axes one after the other has the matrix M_1 (x) M_2 .... On the product of the j-th unit vector
along one axis and ones along the others it gives the j-th column of that axis's matrix, times the row sums of the
others. So each matrix is read off at one place of the other axes, and the product is divided by the value at ones. The
result is compared with the operation before it is used.

Resizing computes its coefficients from coordinates, in whatever precision it is executed in. Where those are not exact
a coefficient differs by up to `COORDINATES` roundings of the largest coordinate, and may be other than 0 at an input
beside those that it should see. To cover that by a number of roundings of the coefficient, the absolute matrix is
raised by `DOUBT` there, and the number raised accordingly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil
from typing import Any

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.linear_maps import AlongAxes
from usncli.bounding.rewriting.rules.rearranging import separated
from usncli.bounding.rewriting.vocabulary import APART, CannotRewriteError

_aten = torch.ops.aten
READ_OFF = 8
"""Roundings of a coefficient that is read off: of values, of their product, of its quotient."""
COORDINATES = 8
"""Roundings of a coordinate, relative to the input's size: of its scale, a product or quotient, two sums; and some."""
DOUBT = 2.0**-7
"""What the absolute coefficients of inexact resizing are raised by."""

Function = Callable[[Tensor], Tensor]


def _average(call: Call, *, overload: Any, axes: int) -> fx.Node:
    """Average over windows of the last axes."""
    source, function = separated(call, overload)
    matrices = _matrices(function, call.shape(source), range(-axes, 0))
    return _checked(call, source, function, AlongAxes(matrices, READ_OFF))


def _resize(call: Call, *, overload: Any, axes: int) -> fx.Node:
    """Resize the last axes linearly."""
    source, function = separated(call, overload)
    matrices = _matrices(function, call.shape(source), range(-axes, 0))
    single = _matrices(function, call.shape(source), range(-axes, 0), torch.float32)
    if all(torch.equal(matrix, single[axis].double()) for axis, matrix in matrices.items()):
        return _checked(call, source, function, AlongAxes(matrices, READ_OFF))
    doubt = {axis: DOUBT * _within_one(matrix != 0).double() for axis, matrix in matrices.items()}
    terms = READ_OFF + sum(ceil(COORDINATES * matrix.shape[1] / DOUBT) for matrix in matrices.values())
    return _checked(call, source, function, AlongAxes(matrices, terms, doubt))


def _reduce(call: Call, *, overload: Any) -> fx.Node:
    """Take the mean or the sum along some axes."""
    rank = len(call.shape())
    given = call.arguments["dim"]
    axes = sorted({int(axis) % rank for axis in (range(rank) if given is None else given)})
    if not axes or axes[0] == 0:
        raise CannotRewriteError("it mixes the images of a batch", APART)

    def function(values: Tensor) -> Tensor:
        result: Tensor = overload(values, axes, True)
        return result

    matrices = _matrices(function, call.shape(), [axis - rank for axis in axes])
    kept = _checked(call, "self", function, AlongAxes(matrices, READ_OFF))
    return call.builder.reshape(kept, function(call.examples["self"]).shape[1:], call.result.shape[1:])


def _matrices(
    function: Function, shape: Sequence[int], axes: Sequence[int], dtype: torch.dtype = torch.float64
) -> dict[int, Tensor]:
    """Read off the matrix along each axis, counted from the end; their product is the operation's."""
    ones = torch.ones([shape[axis] if axis in axes else 1 for axis in range(-len(shape), 0)], dtype=dtype)
    whole = function(ones)
    place = {axis: whole.shape[axis] // 2 for axis in axes}
    matrices = {}
    for axis in axes:
        size = shape[axis]
        # The batch runs over unit vectors along the axis.
        units = torch.eye(size, dtype=dtype).reshape(size, *[1] * (len(shape) + axis - 1), size, *[1] * (-1 - axis))
        values = function(ones * units)
        for other in axes:
            if other != axis:
                values = values.narrow(other, place[other], 1)
        matrices[axis] = values.reshape(size, -1).T.contiguous()
    at_place = whole
    for axis in axes:
        at_place = at_place.narrow(axis, place[axis], 1)
    matrices[axes[0]] /= float(at_place) ** (len(axes) - 1)
    return matrices


def _checked(call: Call, source: str, function: Function, layer: AlongAxes) -> fx.Node:
    """Add a map that was read off, once it was compared with the operation.

    Raises:
        CannotRewriteError: the operation is no product of maps along axes.
    """
    example = call.examples[source]
    expected = function(example)
    if not torch.allclose(layer(example), expected, rtol=1e-9, atol=1e-9 * max(1.0, float(expected.abs().max()))):
        raise CannotRewriteError(
            "it is no product of maps along its axes", "average with nn.AvgPool2d or nn.AdaptiveAvgPool2d"
        )
    return call.builder.affine(call.node(source), layer)


def _within_one(support: Tensor) -> Tensor:
    """Return which columns are in a row's support or beside it."""
    wide = support.clone()
    wide[:, 1:] |= support[:, :-1]
    wide[:, :-1] |= support[:, 1:]
    return wide


_AVERAGES = {
    _aten.avg_pool1d.default: 1,
    _aten.avg_pool2d.default: 2,
    _aten.avg_pool3d.default: 3,
    _aten.adaptive_avg_pool1d.default: 1,
    _aten.adaptive_avg_pool2d.default: 2,
    _aten._adaptive_avg_pool2d.default: 2,
    _aten.adaptive_avg_pool3d.default: 3,
}
_RESIZES = {
    _aten.upsample_linear1d.vec: 1,
    _aten.upsample_bilinear2d.vec: 2,
    _aten.upsample_bilinear2d.default: 2,
}

AVERAGE_RULES: Mapping[Any, Callable[[Call], fx.Node]] = {
    **{overload: partial(_average, overload=overload, axes=axes) for overload, axes in _AVERAGES.items()},
    **{overload: partial(_resize, overload=overload, axes=axes) for overload, axes in _RESIZES.items()},
    **{overload: partial(_reduce, overload=overload) for overload in (_aten.mean.dim, _aten.sum.dim_IntList)},
}
"""Rule of every average, sum and smooth resizing that can be rewritten, by overload."""
