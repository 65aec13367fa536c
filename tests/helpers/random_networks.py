"""Small rewritten networks, drawn at random or of one operation, with pieces of theta to bound them over."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, fx

from usncli.bounding.rewriting.activation import EVALUATED, Function
from usncli.bounding.rewriting.builder import NetworkBuilder
from usncli.bounding.rewriting.linear_maps import (
    AlongAxes,
    Convolution,
    Linear,
    LinearMap,
    ScaleShift,
    TransposedConvolution,
)
from usncli.bounding.rewriting.linear_maps.convolutions import Geometry
from usncli.bounding.rewriting.rules.maxima import window_indices
from usncli.bounding.rewriting.vocabulary import Vocabulary
from usncli.perturbing import Lines

SHAPE = (2, 4, 5)
LARGEST = 6.0
"""Values are scaled down to this size as networks grow, so that relaxations stay of use."""


class Value(NamedTuple):
    """A node of a network under construction.

    Attributes:
        node: the node.
        examples: its value for a few images, ``(images, *shape)``.
    """

    node: fx.Node
    examples: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.examples.shape[1:])


class Sketch:
    """A network under construction, drawn from a seed."""

    def __init__(self, seed: int, shape: Sequence[int] = SHAPE) -> None:
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.builder = NetworkBuilder(Vocabulary.FULL)
        self.image = Value(self.builder.input, self.normal(6, *shape))

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def weights(self, *shape: int) -> Tensor:
        """Return weights, mostly such as float32 holds."""
        values = self.normal(*shape)
        return values.float().double() if self.random.random() < 0.8 else values

    def affine(self, value: Value, layer: LinearMap) -> Value:
        return Value(self.builder.affine(value.node, layer), layer(value.examples))

    def select(self, value: Value, function: Callable[[Tensor], Tensor]) -> Value:
        return Value(self.builder.select(value.node, value.shape, function), function(value.examples))

    def reshape(self, value: Value, *shape: int) -> Value:
        examples = value.examples.reshape(-1, *shape)
        return Value(self.builder.reshape(value.node, value.shape, examples.shape[1:]), examples)

    def activation(self, value: Value, function: Function, **settings: float | Tensor) -> Value:
        node = self.builder.activation(value.node, function, settings)
        return Value(node, EVALUATED[function](value.examples, **settings))

    def product(self, first: Value, second: Value) -> Value:
        return Value(self.builder.product(first.node, second.node), first.examples * second.examples)

    def maximum(self, value: Value, kernel: int, stride: int, padding: int, dilation: int = 1) -> Value:
        pooled = torch.max_pool2d(value.examples, kernel, stride, padding, dilation)
        sizes = zip(value.shape[-2:], pooled.shape[-2:], strict=True)
        indices = [window_indices(size, outputs, kernel, stride, padding, dilation) for size, outputs in sizes]
        return Value(self.builder.maximum_over_windows(value.node, indices, value.shape), pooled)

    def add(self, first: Value, second: Value) -> Value:
        return Value(self.builder.add(first.node, second.node), first.examples + second.examples)

    def subtract(self, first: Value, second: Value) -> Value:
        return Value(self.builder.subtract(first.node, second.node), first.examples - second.examples)

    def concatenate(self, parts: Sequence[Value], dimension: int) -> Value:
        node = self.builder.concatenate([part.node for part in parts], dimension)
        return Value(node, torch.cat([part.examples for part in parts], dimension))

    def tamed(self, value: Value) -> Value:
        """Scale down what has grown large."""
        largest = float(value.examples.abs().max())
        if largest <= LARGEST:
            return value
        return self.affine(value, ScaleShift(torch.tensor(2.0 ** -math.ceil(math.log2(largest / LARGEST))).double()))

    def dense(self, value: Value, outputs: int) -> Value:
        """Mix all values linearly into a few."""
        size = value.examples[0].numel()
        flat = self.reshape(value, size)
        weight, bias = self.weights(outputs, size) / math.sqrt(size), self.weights(outputs)
        return self.affine(flat, Linear(weight, bias if self.random.random() < 0.7 else None))

    def finish(self, value: Value) -> fx.GraphModule:
        return self.builder.finish(value.node, value.shape)


Grow = Callable[[Sketch, Value], Value]
"""Adds one operation, or the few that it takes to use it."""


def planes(sketch: Sketch, value: Value) -> Value:
    """Return the value with channels, height and width."""
    if len(value.shape) == 3:
        return value
    return sketch.reshape(sketch.dense(value, 24), 2, 3, 4)


def _bias(sketch: Sketch, channels: int) -> Tensor | None:
    return sketch.weights(channels) if sketch.random.random() < 0.7 else None


def _geometry(sketch: Sketch, groups: int) -> tuple[Geometry, tuple[int, int]]:
    draw = sketch.random
    kernel = (draw.choice((1, 2, 3)), draw.choice((1, 2, 3)))
    stride, padding = (draw.choice((1, 1, 2)), draw.choice((1, 2, 3))), (draw.choice((0, 1, 2)), draw.choice((1, 2)))
    return Geometry(stride, padding, (draw.choice((1, 2)), 1), groups), kernel


def convolve(sketch: Sketch, value: Value) -> Value:
    value = planes(sketch, value)
    channels = value.shape[0]
    groups = channels if sketch.random.random() < 0.3 else 1
    geometry, kernel = _geometry(sketch, groups)
    if min(geometry.outputs(value.shape[1:], kernel)) < 1:
        geometry, kernel = Geometry((1, 1), (1, 1), (1, 1), groups), (3, 3)
    count = groups * sketch.random.choice((1, 2)) if groups > 1 else sketch.random.choice((1, 2, 3))
    weight = sketch.weights(count, channels // groups, *kernel) / math.sqrt(channels // groups * kernel[0] * kernel[1])
    return sketch.affine(value, Convolution(weight, _bias(sketch, count), geometry, value.shape[1:]))


def convolve_transposed(sketch: Sketch, value: Value) -> Value:
    value = planes(sketch, value)
    channels, groups = value.shape[0], 1
    stride = sketch.random.choice((1, 2))
    geometry, kernel = Geometry((stride, 1), (1, 0), (1, 1), groups), (3, 2)
    weight = sketch.weights(channels, 2, *kernel) / 2
    output_padding = (stride - 1, 0)
    return sketch.affine(
        value, TransposedConvolution(weight, _bias(sketch, 2), geometry, value.shape[1:], output_padding)
    )


def linear(sketch: Sketch, value: Value) -> Value:
    """A linear layer on the last axis, of however many axes."""
    size, outputs = value.shape[-1], sketch.random.choice((2, 4, 5))
    weight = sketch.weights(outputs, size) / math.sqrt(size)
    return sketch.affine(value, Linear(weight, _bias(sketch, outputs), len(value.shape)))


def dense(sketch: Sketch, value: Value) -> Value:
    return sketch.dense(value, sketch.random.choice((3, 6, 9)))


def scale_shift(sketch: Sketch, value: Value) -> Value:
    """One number for all, one a channel, or one an element."""
    shape = sketch.random.choice(((), (value.shape[0], *[1] * (len(value.shape) - 1)), value.shape))
    shift = sketch.weights(*shape) if sketch.random.random() < 0.7 else None
    return sketch.affine(value, ScaleShift(sketch.weights(*shape), shift))


def average(sketch: Sketch, value: Value) -> Value:
    value = planes(sketch, value)
    height, width = value.shape[1:]
    rows, columns = torch.zeros(2, height).double(), sketch.weights(3, width)
    rows[0, : height // 2 + 1], rows[1, height // 2 :] = 1 / 3, 0.25
    columns *= torch.rand(3, width, generator=sketch.generator) < 0.7
    matrices = {-2: rows, -1: columns}
    doubt = {axis: 0.01 * torch.ones_like(matrix) for axis, matrix in matrices.items()}
    return sketch.affine(value, AlongAxes(matrices, 8, doubt if sketch.random.random() < 0.3 else None))


def rearrange(sketch: Sketch, value: Value) -> Value:
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda tensor: tensor.flip(-1),
        lambda tensor: torch.nn.functional.pad(tensor, (1, 0)),
        lambda tensor: torch.cat([tensor, tensor[..., :1]], dim=-1),
        lambda tensor: tensor.transpose(1, -1),
    ]
    if len(value.shape) == 3:
        functions.append(lambda tensor: tensor[..., 1:, :] if tensor.shape[-2] > 2 else tensor.roll(1, -1))
    return sketch.select(value, sketch.random.choice(functions))


def _settings(sketch: Sketch, function: Function, value: Value) -> dict[str, float | Tensor]:
    draw = sketch.random
    if function is Function.LEAKY_RELU:
        slopes = sketch.weights(value.shape[0], *[1] * (len(value.shape) - 1))
        return {"slope": slopes if draw.random() < 0.5 else draw.choice((0.01, 0.3, -0.5, 1.5, 0.0))}
    if function is Function.CLAMP:
        lowest, highest = draw.choice(((-1.0, 0.5), (0.0, 6.0), (-math.inf, 0.3), (-0.2, math.inf)))
        return {"lowest": lowest, "highest": highest}
    if function is Function.SOFTPLUS:
        return {"threshold": draw.choice((20.0, 2.0))}
    return {"alpha": draw.choice((0.0, 0.5, 1.0, 1.7))} if function is Function.ELU else {}


def activation(function: Function) -> Grow:
    def grow(sketch: Sketch, value: Value) -> Value:
        return sketch.activation(value, function, **_settings(sketch, function, value))

    return grow


def shift_of(sketch: Sketch, value: Value) -> Value:
    """Return another value of the same shape that depends on the given one."""
    return sketch.activation(scale_shift(sketch, value), Function.RELU)


def product(sketch: Sketch, value: Value) -> Value:
    parts = [value, shift_of(sketch, value)]
    sketch.random.shuffle(parts)
    return sketch.product(*parts)


def product_with_itself(sketch: Sketch, value: Value) -> Value:
    return sketch.product(value, value)


def gate(sketch: Sketch, value: Value) -> Value:
    """Squeeze and excitation: a product with one number a channel."""
    value = planes(sketch, value)
    channels, height, width = value.shape
    means = {-2: torch.full((1, height), 1 / height).double(), -1: torch.full((1, width), 1 / width).double()}
    squeezed = sketch.reshape(sketch.affine(value, AlongAxes(means, 8)), channels)
    squeezed = sketch.activation(sketch.dense(squeezed, channels), Function.SIGMOID)
    parts = [value, sketch.reshape(squeezed, channels, 1, 1)]
    sketch.random.shuffle(parts)
    return sketch.product(*parts)


def outer_product(sketch: Sketch, value: Value) -> Value:
    """A product in which either factor is broadcast along another axis."""
    value = planes(sketch, value)
    row = sketch.select(value, lambda tensor: tensor[:, :, :1])
    second = min(1, value.shape[-1] - 1)
    column = sketch.select(value, lambda tensor: tensor[..., second : second + 1])
    return sketch.product(row, column)


def maximum_over_windows(sketch: Sketch, value: Value) -> Value:
    value = planes(sketch, value)
    if min(value.shape[1:]) < 2:
        value = sketch.select(value, lambda tensor: torch.nn.functional.pad(tensor, (1, 1, 1, 1)))
    kernel = 3 if min(value.shape[1:]) > 2 and sketch.random.random() < 0.5 else 2
    return sketch.maximum(value, kernel, sketch.random.choice((1, 2, kernel)), kernel // 2)


def residual(sketch: Sketch, value: Value) -> Value:
    return sketch.add(value, shift_of(sketch, value))


def difference(sketch: Sketch, value: Value) -> Value:
    return sketch.subtract(shift_of(sketch, value), value)


def doubled(sketch: Sketch, value: Value) -> Value:
    return sketch.add(value, value)


def nothing(sketch: Sketch, value: Value) -> Value:
    """A value less itself."""
    return sketch.subtract(value, value)


def branches(sketch: Sketch, value: Value) -> Value:
    """Two branches of their own nonlinear functions that meet again."""
    first = sketch.activation(scale_shift(sketch, value), Function.RELU)
    second = sketch.activation(scale_shift(sketch, value), sketch.random.choice((Function.RELU, Function.SILU)))
    return sketch.subtract(scale_shift(sketch, first), scale_shift(sketch, second))


def downsampled(sketch: Sketch, value: Value) -> Value:
    """A residual block whose shortcut is computed after its main path, from the value before that."""
    main = sketch.activation(sketch.dense(value, 6), Function.RELU)
    main = sketch.dense(main, 5)
    return sketch.activation(sketch.add(main, sketch.dense(value, 5)), Function.RELU)


def concatenate(sketch: Sketch, value: Value) -> Value:
    parts = [value, shift_of(sketch, value)]
    sketch.random.shuffle(parts)
    return sketch.concatenate(parts, sketch.random.randint(1, len(value.shape)))


def concatenate_twice(sketch: Sketch, value: Value) -> Value:
    return sketch.concatenate([value, shift_of(sketch, value), value], 1)


OPERATIONS: Mapping[str, Grow] = {
    "convolution": convolve,
    "transposed convolution": convolve_transposed,
    "linear": linear,
    "dense": dense,
    "scale and shift": scale_shift,
    "average": average,
    "rearrange": rearrange,
    **{str(function): activation(function) for function in Function},
    "product": product,
    "product with itself": product_with_itself,
    "gate": gate,
    "outer product": outer_product,
    "maximum over windows": maximum_over_windows,
    "residual": residual,
    "difference": difference,
    "doubled": doubled,
    "nothing": nothing,
    "branches": branches,
    "downsampled": downsampled,
    "concatenate": concatenate,
    "concatenate twice": concatenate_twice,
}
"""Every operation of a rewritten network, and the ways in which they meet."""


def one_operation(name: str, seed: int = 0) -> fx.GraphModule:
    """Return a network with one operation in its middle, after and before linear layers and ReLUs."""
    sketch = Sketch(seed)
    value = sketch.tamed(OPERATIONS[name](sketch, convolve(sketch, sketch.image)))
    value = sketch.tamed(OPERATIONS[name](sketch, sketch.activation(value, Function.RELU)))
    return sketch.finish(sketch.dense(value, 4))


def random_network(seed: int, most: int = 8) -> fx.GraphModule:
    """Return a network of a few random operations on values drawn from all there are, the last ones above all."""
    sketch = Sketch(seed)
    values = [sketch.image]
    for _ in range(sketch.random.randint(2, most)):
        source = values[-1] if sketch.random.random() < 0.7 else sketch.random.choice(values)
        grow = OPERATIONS[sketch.random.choice(list(OPERATIONS))]
        if sketch.random.random() < 0.4:
            grow = sketch.random.choice((convolve, dense, activation(Function.RELU), branches, residual))
        value = sketch.tamed(grow(sketch, source))
        # A value that is met again only much later.
        while value.examples[0].numel() > 120:
            value = sketch.dense(value, 20)
        values.append(value)
    ends = [sketch.dense(value, 4) for value in values[-2:]] if sketch.random.random() < 0.5 else []
    return sketch.finish(sketch.concatenate(ends, 1) if len(ends) == 2 else sketch.dense(values[-1], 4))


def random_lines(
    seed: int,
    widths: Sequence[float],
    *,
    dimension: int = 1,
    errors: int = 0,
    slack: float = 0.0,
    tilt: float = 0.0,
    shape: Sequence[int] = SHAPE,
) -> Lines:
    """Return an image's lines over pieces.

    Args:
        seed: of the image and of its slopes.
        widths: of theta's directions and the errors', one a piece.
        dimension: theta's directions.
        errors: further directions.
        slack: room between the lines.
        tilt: how much their slopes differ; 0 makes them one.
        shape: of the image.
    """
    generator = torch.Generator().manual_seed(seed)
    scale = torch.tensor(widths, dtype=torch.float64)
    centre = torch.randn(1, *shape, generator=generator, dtype=torch.float64).expand(len(scale), *shape)
    slopes = torch.randn(1, dimension + errors, *shape, generator=generator, dtype=torch.float64)
    slopes = slopes * scale.reshape(-1, 1, 1, 1, 1)
    room = slack * torch.rand(centre.shape, generator=generator, dtype=torch.float64)
    if not tilt:
        return Lines(slopes, centre - room, slopes, centre + room)
    tilts = tilt * torch.rand(slopes.shape, generator=generator, dtype=torch.float64) * scale.reshape(-1, 1, 1, 1, 1)
    apart = room + tilts.abs().sum(dim=1)
    return Lines(slopes - tilts, centre - apart, slopes + tilts, centre + apart)
