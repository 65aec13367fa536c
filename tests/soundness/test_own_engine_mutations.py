"""Breaking any rule of our own engine is noticed: the check of containment fails for each of these mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from containment import EVERYTHING, Setting, violations
from random_networks import Sketch, one_operation, random_lines
from torch import Tensor, fx

from usncli.bounding.affine import backward, cells, enclosure, forward, steps
from usncli.bounding.affine.backward import Found, Pass
from usncli.bounding.affine.cells import Cells
from usncli.bounding.affine.enclosure import Enclosure
from usncli.bounding.affine.rules import elementwise, maxima, table
from usncli.bounding.affine.rules import operation as rules_operation
from usncli.bounding.affine.rules.operation import Operation, Result
from usncli.bounding.affine.steps import Step
from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.combining import Product
from usncli.bounding.rewriting.linear_maps import AlongAxes, LinearMap, ScaleShift, Selection, Weighted
from usncli.bounding.rewriting.linear_maps.linear_map import Norms
from usncli.perturbing import Lines

Patch = pytest.MonkeyPatch
Rule = Callable[[Operation], Result]
WIDE = Setting(0, (0.05, 1.0), 2, 1, 1e-2, 0.05)
ZERO = Setting(0, (0.0,))
APART = replace(WIDE, working=torch.float64, symbols=True, effort=replace(EVERYTHING, symbols=3000))


def scaled_error(rule: Rule, factor: float) -> Rule:
    """Return a rule that states only a share of what its relaxation loses."""

    def mutated(operation: Operation) -> Result:
        result = rule(operation)
        error, charged = result.error, result.step.radius
        assert error is not None
        assert charged is not None
        return result._replace(error=error * factor, step=replace(result.step, radius=charged * factor))  # type: ignore[type-var]

    return mutated


def relu_radius_halved(patch: Patch) -> None:
    patch.setattr(elementwise, "relu", scaled_error(elementwise.relu, 0.5))


def smooth_radius_halved(patch: Patch) -> None:
    original = elementwise.relax
    patch.setattr(elementwise, "relax", lambda *given: original(*given)._replace(radius=original(*given).radius / 2))


def product_error_dropped(patch: Patch) -> None:
    patch.setattr(table, "LAYER_RULES", {**table.LAYER_RULES, Product: scaled_error(elementwise.product, 0.0)})


def rivals_ignored(patch: Patch) -> None:
    def nowhere_above(
        operation: Operation, entry: tuple[Tensor, ...], leader: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        return -torch.ones_like(entry[0]), -torch.ones_like(entry[0])

    patch.setattr(maxima, "_difference", nowhere_above)


def signed_radii(patch: Patch) -> None:
    for layer in (Weighted, ScaleShift):
        patch.setattr(layer, "absolute", lambda self, radii: self.linear(radii))


def averages_lose_their_radii(patch: Patch) -> None:
    patch.setattr(AlongAxes, "absolute", lambda self, radii: 0.5 * self.linear(radii))


def cells_without_other_directions(patch: Patch) -> None:
    original = Cells.intervals

    def intervals(self: Cells, given: Enclosure) -> tuple[Tensor, Tensor]:
        return original(self, given._replace(slopes=given.slopes[:, : self.centres.shape[1]]))

    patch.setattr(Cells, "intervals", intervals)


def cells_half_as_wide(patch: Patch) -> None:
    original = cells.make_cells
    patch.setattr("containment.cells_of", lambda number: original(number, torch.device("cpu"))._replace(half=1 / 32))


def errors_weighed_half(patch: Patch) -> None:
    original = backward._weighted
    patch.setattr(backward, "_weighted", lambda sizes, radius: None if radius is None else original(sizes, radius) / 2)


def difference_carried_back_as_a_sum(patch: Patch) -> None:
    patch.setattr(steps.SignedSumStep, "back", lambda self, coefficients: (coefficients, coefficients))


def second_reader_forgets_the_first(patch: Patch) -> None:
    def advance(rows: Pass, node: str, step: Step, magnitudes: Mapping[str, Tensor]) -> None:
        before = dict(rows.pending)
        original(rows, node, step, magnitudes)
        for source in step.sources:
            if source in before and source in rows.pending:
                rows.pending[source] = rows.pending[source] - before[source]

    original = backward.advance
    patch.setattr(backward, "advance", advance)


def twins_swapped(patch: Patch) -> None:
    original = backward.concretized

    def concretized(rows: Pass, enclosures: Mapping[str, Enclosure]) -> Found:
        found = original(rows, enclosures)
        return found._replace(upper=found.lower)

    patch.setattr(backward, "concretized", concretized)


def errors_share_directions(patch: Patch) -> None:
    original = forward.with_symbols
    patch.setattr(
        forward,
        "with_symbols",
        lambda given, own, directions, most: original(given, own, given.slopes.shape[1], most),
    )


def lines_taken_as_parallel(patch: Patch) -> None:
    original = enclosure.from_lines

    def from_lines(lines: Lines, working: torch.dtype) -> Enclosure:
        return original(Lines(lines.lower_slope, lines.lower, lines.lower_slope, lines.upper), working)

    patch.setattr("containment.from_lines", from_lines)


def padding_read_as_the_first_value(patch: Patch) -> None:
    """A selection's transpose that returns what padding has to the first input."""
    original = Selection.transposed

    def transposed(self: Selection, cotangents: Tensor) -> Tensor:
        result = original(self, cotangents).clone()
        result.view(len(result), -1)[:, 0] += cotangents.flatten(1).sum(dim=1) - result.flatten(1).sum(dim=1)
        return result

    patch.setattr(Selection, "transposed", transposed)


def rounding_of_slopes_ignored(patch: Patch) -> None:
    patch.setattr("usncli.bounding.affine.rules.affine.gamma", lambda *_: 0.0)


def maps_make_no_error_longer(patch: Patch) -> None:
    original = LinearMap.norms

    def norms(self: LinearMap, shape: torch.Size, device: torch.device) -> Norms:
        return original(self, shape, device)._replace(whole=0.0)

    patch.setattr(LinearMap, "norms", norms)


def rows_half_as_long(patch: Patch) -> None:
    original = LinearMap.norms

    def norms(self: LinearMap, shape: torch.Size, device: torch.device) -> Norms:
        found = original(self, shape, device)
        return found._replace(rows=found.rows / 4)

    patch.setattr(LinearMap, "norms", norms)


def relaxing_makes_no_error_longer(patch: Patch) -> None:
    patch.setattr(forward, "length_of", lambda values: values.new_zeros(len(values), dtype=torch.float64))


def a_broadcast_error_is_met_once(patch: Patch) -> None:
    def length(operation: Operation, slopes: tuple[Tensor, ...], shapes: tuple[torch.Size, ...]) -> Tensor:
        largest = [slope.abs().flatten(1).amax(dim=1).double() for slope in slopes]
        return sum(given.error_length() * most for given, most in zip(operation.inputs, largest, strict=True))  # type: ignore[return-value]

    patch.setattr(rules_operation, "_length", length)


def padded(seed: int) -> fx.GraphModule:
    sketch = Sketch(seed)
    value = sketch.select(sketch.image, lambda tensor: torch.nn.functional.pad(tensor, (1, 0)))
    return sketch.finish(sketch.dense(sketch.activation(value, Function.SIGMOID), 4))


def two_independent_values(seed: int) -> fx.GraphModule:
    """The difference of the ReLUs of two pixels about 0, whose errors have nothing to do with one another."""
    sketch = Sketch(seed)
    centre = random_lines(seed, APART.widths).lower[0].flatten()
    parts = []
    for pixel in (3, 17):
        value = sketch.reshape(sketch.image, len(centre))
        value = sketch.select(value, lambda tensor, pixel=pixel: tensor[:, pixel : pixel + 1])
        value = sketch.affine(value, ScaleShift(torch.ones(1).double(), -centre[pixel : pixel + 1]))
        parts.append(sketch.activation(value, Function.RELU))
    return sketch.finish(sketch.subtract(*parts))


def gated_by_a_pixel(seed: int) -> fx.GraphModule:
    """The image times the ReLU of one pixel about 0: one error that all the image's values meet."""
    sketch = Sketch(seed)
    centre = random_lines(seed, WIDE.widths).lower[0].flatten()
    value = sketch.select(sketch.reshape(sketch.image, len(centre)), lambda tensor: tensor[:, 3:4])
    value = sketch.affine(value, ScaleShift(torch.ones(1).double(), -centre[3:4]))
    gate = sketch.reshape(sketch.activation(value, Function.RELU), 1, 1, 1)
    return sketch.finish(sketch.dense(sketch.product(sketch.image, gate), 4))


def two_layers(seed: int) -> fx.GraphModule:
    """Two layers with ReLUs, so that an error meets a map."""
    sketch = Sketch(seed)
    value = sketch.activation(sketch.dense(sketch.image, 12), Function.RELU)
    return sketch.finish(sketch.dense(sketch.activation(sketch.dense(value, 12), Function.RELU), 4))


NETWORKS: Mapping[str, Callable[[int], fx.GraphModule]] = {
    "padded": padded,
    "apart": two_independent_values,
    "two layers": two_layers,
    "gated by a pixel": gated_by_a_pixel,
}

MISTAKES: Mapping[str, tuple[Callable[[Patch], None], str, Setting]] = {
    "relu's radius halved": (relu_radius_halved, "relu", WIDE),
    "smooth radius halved": (smooth_radius_halved, "silu", WIDE),
    "product's error dropped": (product_error_dropped, "product", WIDE),
    "rivals ignored": (rivals_ignored, "maximum over windows", WIDE),
    "|L| replaced by L": (signed_radii, "convolution", WIDE),
    "averages lose their radii": (averages_lose_their_radii, "average", WIDE),
    "cells without other directions": (cells_without_other_directions, "dense", WIDE),
    "cells half as wide": (cells_half_as_wide, "dense", WIDE),
    "errors weighed half": (errors_weighed_half, "silu", WIDE),
    "a difference carried back as a sum": (difference_carried_back_as_a_sum, "difference", WIDE),
    "the second reader forgets the first": (second_reader_forgets_the_first, "residual", WIDE),
    "twins swapped": (twins_swapped, "dense", WIDE),
    "errors share directions": (errors_share_directions, "apart", APART),
    "lines taken as parallel": (lines_taken_as_parallel, "dense", WIDE),
    "padding read as the first value": (padding_read_as_the_first_value, "padded", ZERO),
    "maps make no error longer": (maps_make_no_error_longer, "two layers", WIDE),
    "rows half as long": (rows_half_as_long, "two layers", WIDE),
    "relaxing makes no error longer": (relaxing_makes_no_error_longer, "two layers", WIDE),
    "a broadcast error is met once": (a_broadcast_error_is_met_once, "gated by a pixel", WIDE),
    "rounding of slopes ignored": (rounding_of_slopes_ignored, "dense", replace(ZERO, widths=(1e-3,))),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_noticed(name: str, monkeypatch: Patch) -> None:
    mistake, operation, setting = MISTAKES[name]
    network = NETWORKS[operation](0) if operation in NETWORKS else one_operation(operation)
    assert violations(network, setting, 60, targets=0) == {}
    mistake(monkeypatch)
    assert violations(network, setting, 60, targets=0) != {}
