"""Bound rules that stand beside auto_LiRPA's or in their place: any affine map; ReLU and convolution made lean.

Where a lower and an upper line have one slope they share one tensor, and the rules here do the work for it once, where
auto_LiRPA's own do it twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from usncli.bounding.lirpa.parts import LinearBound, operators
from usncli.bounding.rewriting.linear_maps import LinearMap

Map = Callable[[Tensor], Tensor]


def _lines_through(linear: Map, absolute: Map, shift: Tensor | None, x: Any) -> Any:
    """Carry two lines through the affine map L x + s.

    L's positive part takes the lower line to the lower one, its negative part the upper line; that is L m - |L| r with
    m the mean of the lines and r half their difference. A slope's r may have either sign.
    """

    def a_direction(function: Map, slopes: Tensor) -> Tensor:
        flat = function(slopes.flatten(0, 1))
        return flat.reshape(*slopes.shape[:2], *flat.shape[1:])

    if x.lw is x.uw:
        lower_slope = upper_slope = a_direction(linear, x.lw)
    else:
        middle = a_direction(linear, (x.lw + x.uw) / 2)
        radius = a_direction(absolute, (x.uw - x.lw) / 2)
        lower_slope, upper_slope = middle - radius, middle + radius
    centre = linear(x.lb if x.lb is x.ub else (x.lb + x.ub) / 2)
    centre = centre if shift is None else centre + shift
    if x.lb is x.ub:
        return LinearBound(lower_slope, centre, upper_slope, centre)
    spread = absolute((x.ub - x.lb) / 2)
    return LinearBound(lower_slope, centre - spread, upper_slope, centre + spread)


class BoundAffine(operators.Bound):  # type: ignore[misc]
    """Any `LinearMap`. Its one input is the map's; there are no parameter nodes."""

    def __init__(self, layer: LinearMap, inputs: list[Any], options: dict[str, Any], device: torch.device) -> None:
        super().__init__({"device": device}, inputs, 0, options)
        # Held in a tuple so that auto_LiRPA, which reads a module's children as graph nodes, does not see it.
        self._held = (layer,)

    @property
    def layer(self) -> LinearMap:
        """The map."""
        return self._held[0]

    def forward(self, x: Tensor) -> Tensor:
        """Compute the map."""
        result: Tensor = self.layer(x)
        return result

    def interval_propagate(self, *v: Any) -> tuple[Tensor, Tensor]:
        """Carry a box: the middle by the map, the radius by its absolute."""
        lower, upper = v[0]
        centre, radius = self.layer((lower + upper) / 2), self.layer.absolute((upper - lower) / 2)
        return centre - radius, centre + radius

    def bound_forward(self, dim_in: int, x: Any) -> Any:
        """Carry two lines."""
        return _lines_through(self.layer.linear, self.layer.absolute, self.layer.shift, x)

    def bound_backward(self, last_lA: Any, last_uA: Any, x: Any) -> Any:  # noqa: N803
        """Carry coefficients ``(rows, pieces, *output)`` back by the map's transpose."""
        (lower, lower_bias), (upper, upper_bias) = self._back(last_lA), self._back(last_uA)
        return [(lower, upper)], lower_bias, upper_bias

    def _back(self, coefficients: Any) -> tuple[Tensor | None, Tensor | float]:
        if coefficients is None:
            return None, 0
        assert isinstance(coefficients, Tensor), type(coefficients)
        rows = coefficients.shape[:2]
        before = self.layer.transposed(coefficients.flatten(0, 1))
        shift = self.layer.shift
        bias = 0.0 if shift is None else (coefficients * shift).reshape(*rows, -1).sum(dim=2)
        return before.reshape(*rows, *before.shape[1:]), bias


class BoundConvolution(operators.BoundConv):  # type: ignore[misc]
    """auto_LiRPA's convolution, whose forward rule does shared slopes once."""

    def bound_forward(self, dim_in: int, *x: Any) -> Any:
        """Carry two lines."""
        weight, bias = x[1].lb, x[2].lb if self.has_bias else None
        absolute = weight.abs()

        def apply(kernel: Tensor) -> Map:
            return lambda values: functional.conv2d(
                values, kernel, None, self.stride, self.padding, self.dilation, self.groups
            )

        shift = None if bias is None else bias.view(-1, 1, 1)
        return _lines_through(apply(weight), apply(absolute), shift, x[0])


class BoundLinearLayer(operators.BoundLinear):  # type: ignore[misc]
    """auto_LiRPA's linear layer, whose forward rule does shared slopes once."""

    def bound_forward(self, dim_in: int, x: Any, w: Any = None, b: Any = None, C: Any = None) -> Any:  # noqa: N803
        """Carry two lines."""
        if C is not None or self.transA or not self.transB or self.alpha != 1.0 or self.beta != 1.0:
            return super().bound_forward(dim_in, x, w, b, C)
        weight = w.lower
        absolute = weight.abs()
        shift = None if b is None else b.lower
        return _lines_through(
            lambda values: functional.linear(values, weight),
            lambda values: functional.linear(values, absolute),
            shift,
            x,
        )


class BoundSum(operators.BoundAdd):  # type: ignore[misc]
    """auto_LiRPA's sum, keeping shared slopes shared."""

    def bound_forward(self, dim_in: int, x: Any, y: Any) -> Any:
        """Carry two lines."""
        shared = x.lw is x.uw and y.lw is y.uw
        lower_slope = torch.add(*with_directions(x.lw, y.lw))
        upper_slope = lower_slope if shared else torch.add(*with_directions(x.uw, y.uw))
        return LinearBound(lower_slope, x.lb + y.lb, upper_slope, x.ub + y.ub)


class BoundDifference(operators.BoundSub):  # type: ignore[misc]
    """auto_LiRPA's difference, keeping shared slopes shared."""

    def bound_forward(self, dim_in: int, x: Any, y: Any) -> Any:
        """Carry two lines."""
        shared = x.lw is x.uw and y.lw is y.uw
        lower_slope = torch.sub(*with_directions(x.lw, y.uw))
        upper_slope = lower_slope if shared else torch.sub(*with_directions(x.uw, y.lw))
        return LinearBound(lower_slope, x.lb - y.ub, upper_slope, x.ub - y.lb)


class BoundConcatenation(operators.BoundConcat):  # type: ignore[misc]
    """auto_LiRPA's concatenation, keeping shared slopes shared."""

    def bound_forward(self, dim_in: int, *x: Any) -> Any:
        """Carry two lines."""
        axis = self.make_axis_non_negative(self.axis)
        lower_slope = torch.cat(with_directions(*[item.lw for item in x]), dim=axis + 1)
        shared = all(item.lw is item.uw for item in x)
        upper_slope = lower_slope if shared else torch.cat(with_directions(*[item.uw for item in x]), dim=axis + 1)
        lower, upper = (torch.cat([getattr(item, name) for item in x], dim=axis) for name in ("lb", "ub"))
        return LinearBound(lower_slope, lower, upper_slope, upper)


class SymbolBook:
    """Directions of lines beyond theta's own: one each for the largest errors of ReLU relaxations.

    Over a piece relu(x) is k x + b / 2 give or take b / 2, for some k and b. Kept as a direction e in [-1, 1] of its
    own, with coefficient b / 2, that error passes later layers like theta does and cancels where it meets itself;
    added to the distance between the lines it would grow by |W| in every layer. Numbering is common to all nodes:
    a node that lacks the last directions has coefficients 0 there.
    """

    def __init__(self) -> None:
        self._directions = 0
        self.room = 0

    def start(self, directions: int, symbols: int) -> None:
        """Begin a forward pass over pieces of so many parameters, with room for so many errors."""
        self._directions, self.room = directions, symbols

    def relaxed(self, x: Any, slope: Tensor, intercept: Tensor) -> Any:
        """Return lines of relu(x), the largest errors of each piece as new directions.

        Args:
            x: lines of x with shared slopes.
            slope: k, of x's shape.
            intercept: b, of x's shape; 0 where the ReLU does not cross zero.
        """
        half = intercept / 2
        flat = half.reshape(len(half), -1)
        # A bound that is not a number counts as an error too, so that it is never dropped.
        count = min(self.room, int((flat != 0).sum(dim=1).max()))
        old = functional.pad(slope.unsqueeze(1) * x.lw, _leading_pad(x.lw, self._directions - x.lw.shape[1]))
        if not count:
            return LinearBound(old, slope * x.lb, old, slope * x.ub + intercept)
        errors, where = flat.topk(count, dim=1)
        new = flat.new_zeros(len(flat), count, flat.shape[1]).scatter_(2, where.unsqueeze(2), errors.unsqueeze(2))
        kept = torch.zeros_like(flat).scatter_(1, where, errors).view_as(half)
        slopes = torch.cat([old, new.view(len(flat), count, *half.shape[1:])], dim=1)
        self._directions += count
        self.room -= count
        return LinearBound(slopes, slope * x.lb + kept, slopes, slope * x.ub + intercept - kept)


def _leading_pad(slopes: Tensor, missing: int) -> list[int]:
    return [0, 0] * (slopes.dim() - 2) + [0, missing]


def with_directions(*slopes: Tensor) -> list[Tensor]:
    """Return slopes ``(pieces, directions, ...)`` padded with zeros to the same number of directions."""
    most = max(slope.shape[1] for slope in slopes)
    return [functional.pad(slope, _leading_pad(slope, most - slope.shape[1])) for slope in slopes]


class BoundReluLines(operators.BoundRelu):  # type: ignore[misc]
    """auto_LiRPA's ReLU, whose relaxation is exact at any width and whose forward rule does shared slopes once."""

    @staticmethod
    def _relu_upper_bound(lb: Tensor, ub: Tensor) -> tuple[Tensor, Tensor]:
        """Return slope and intercept of the chord of ReLU over [lb, ub]: 1 and 0 where active, 0 and 0 where not."""
        crosses = (lb < 0) & (ub > 0)
        chord = ub / torch.where(crosses, ub - lb, torch.ones_like(ub))
        zero, one = torch.zeros_like(lb), torch.ones_like(lb)
        # An interval that is not a number is neither active nor dead: it stays so, and nothing is proved by it.
        settled = torch.where(lb >= 0, one, torch.where(ub <= 0, zero, ub - lb))
        slope = torch.where(crosses, chord, settled)
        return slope, torch.where(crosses, -slope * lb, zero)

    def bound_forward(self, dim_in: int, x: Any) -> Any:
        """Carry two lines: the chord above; below, the chord's own slope, or 0 or 1 whichever cuts less."""
        slope, intercept = self._relu_upper_bound(x.lower, x.upper)
        if self.relu_options == "same-slope":
            lower_slope = slope
        else:
            lower_slope = torch.where((x.lower < 0) & (x.upper > 0), (x.upper > -x.lower).to(slope), slope)
        book: SymbolBook = self.options["symbols"]
        if book.room and lower_slope is slope and x.lw is x.uw:
            return book.relaxed(x, slope, intercept)
        lw = lower_slope.unsqueeze(1) * x.lw
        shared = lower_slope is slope and x.lw is x.uw
        uw = lw if shared else slope.unsqueeze(1) * x.uw
        return LinearBound(lw, lower_slope * x.lb, uw, slope * x.ub + intercept)
