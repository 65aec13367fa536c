"""auto_LiRPA as its own examples show it, for the perturbations and networks of `certify_speed`.

The network's input is theta itself: a layer that perturbs one image stands before the network, which is rewritten by
`usncli.bounding.rewriting` into affine maps and ReLUs and then written in `torch.nn`'s layers. Three things are done
for it, without which release 0.3 does not run at all: batch norm is folded; an overlapping max pool is written as
convolutions and ReLUs; a transposed convolution gets the forward rule that it lacks. All other rules, the reader of
traced graphs and the precision (float32) are its own.
"""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.onnx import symbolic_helper

from usncli.bounding.lirpa.parts import BoundedModule, LinearBound, operators
from usncli.bounding.rewriting import Vocabulary, rewrite
from usncli.bounding.rewriting.linear_maps import (
    Convolution,
    Linear,
    LinearMap,
    Reshape,
    TransposedConvolution,
)
from usncli.bounding.rows import Rows
from usncli.loading.capture import capture
from usncli.perturbing import Boxes, PerturbationRange
from usncli.perturbing.affine import AffinePerturbation

METHOD = "forward+backward"


class MaximumByConvolutions(nn.Module):
    """The max pool of values that are not negative, as convolutions, sums and ReLUs.

    With x_k the input shifted to the k-th place of a window, the maximum of the first k is
    ``m_k = x_k + relu(m_(k-1) - x_k)``, and ``m_(k-1) - x_k = (x_(k-1) - x_k) + relu(m_(k-2) - x_(k-1))``: no value is
    subtracted from another, which some of auto_LiRPA's backward rules refuse. Padding with 0 changes no maximum.

    Args:
        channels: of the input.
        pool: what it stands for; square windows.
    """

    def __init__(self, channels: int, pool: nn.MaxPool2d) -> None:
        super().__init__()
        size = int(pool.kernel_size)
        places = torch.eye(size * size).view(-1, 1, 1, size, size) * torch.eye(channels).view(
            1, channels, channels, 1, 1
        )
        steps = [*(before - after for before, after in pairwise(places)), places[-1]]
        self.shifts = nn.ModuleList()
        for weight in steps:
            layer = nn.Conv2d(channels, channels, size, int(pool.stride), int(pool.padding), bias=False)
            layer.weight = nn.Parameter(weight.clone(), requires_grad=False)
            self.shifts.append(layer)

    def forward(self, values: Tensor) -> Tensor:
        """Map ``(batch, channels, height, width)`` to the maxima."""
        rest = functional.relu(self.shifts[0](values))
        for layer in self.shifts[1:-1]:
            rest = functional.relu(layer(values) + rest)
        result: Tensor = self.shifts[-1](values) + rest
        return result


def in_plain_layers(network: nn.Module, example: Tensor) -> nn.Module:
    """Return a network of `torch.nn` layers that computes the same, flattened; what auto_LiRPA can read.

    Args:
        network: of `usncli.zoo`; left alone.
        example: ``(1, channels, height, width)``.
    """
    network = copy.deepcopy(network).eval()
    for name, pool in [item for item in network.named_modules() if isinstance(item[1], nn.MaxPool2d)]:
        channels = _channels_before(network, pool, example)
        network.set_submodule(name, MaximumByConvolutions(channels, pool))
    rewritten = rewrite(capture(network, example), example, torch.float32, Vocabulary.RELU)
    shapes = _shapes(rewritten, example)
    for node in rewritten.graph.nodes:
        layer = rewritten.get_submodule(str(node.target)) if node.op == "call_module" else None
        if isinstance(layer, LinearMap):
            source = node.all_input_nodes[0]
            rewritten.set_submodule(str(node.target), _plain(layer, shapes[source], shapes[node]))
    return rewritten


def _channels_before(network: nn.Module, pool: nn.Module, example: Tensor) -> int:
    channels: list[int] = []
    handle = pool.register_forward_pre_hook(lambda layer, inputs: channels.append(int(inputs[0].shape[1])))
    with torch.no_grad():
        network(example)
    handle.remove()
    return channels[0]


def _shapes(network: fx.GraphModule, example: Tensor) -> dict[fx.Node, torch.Size]:
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(example)
    return {node: value.shape[1:] for node, value in interpreter.env.items() if isinstance(value, Tensor)}


def _plain(layer: LinearMap, before: torch.Size, after: torch.Size) -> nn.Module:
    """Return a layer of `torch.nn` for an affine map; a small one without a layer of its own becomes a matrix."""
    result: nn.Module
    if isinstance(layer, Reshape):
        return layer
    if isinstance(layer, Convolution | TransposedConvolution):
        shape = layer.geometry
        kind = nn.Conv2d if isinstance(layer, Convolution) else nn.ConvTranspose2d
        result = kind(
            before[0], after[0], layer.weight.shape[2:], shape.stride, shape.padding, groups=shape.groups, bias=True
        )
        weight = layer.weight
    elif isinstance(layer, Linear):
        result, weight = nn.Linear(before[0], after[0]), layer.weight
    else:
        unit = torch.eye(before.numel()).view(-1, *before)
        return nn.Sequential(
            nn.Flatten(), _linear(layer.linear(unit).flatten(1).T, layer.shift), Reshape((after.numel(),), after)
        )
    bias = torch.zeros(after[0]) if layer.shift is None else layer.shift.flatten()
    result.weight = nn.Parameter(weight, requires_grad=False)
    result.bias = nn.Parameter(bias, requires_grad=False)
    return result


def _linear(weight: Tensor, shift: Tensor | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(torch.zeros(len(weight)) if shift is None else shift.flatten(), requires_grad=False)
    return layer


class PerturbedNetwork(nn.Module):
    """From theta to raw outputs for one image: linear, ReLU, reshape, 1x1 convolution, network.

    Clipping is ``relu(z) - relu(z - 1)``: the linear layer gives z and z - 1, the convolution takes the difference and
    normalises. Without clipping there is one copy and no ReLU.

    Args:
        network: in plain layers.
        image: ``(channels, height, width)``.
        region: the perturbation.
        mean, std: of the normalisation, ``(1, channels, 1, 1)``.
    """

    def __init__(self, network: nn.Module, image: Tensor, region: PerturbationRange, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        perturbation = region.perturbation
        assert isinstance(perturbation, AffinePerturbation), perturbation
        given = perturbation.affine(image)
        slopes = torch.stack([direction.expand_as(image).flatten() for direction in given.directions], dim=1)
        offset, channels = given.offset.flatten(), len(image)
        copies = 2 if perturbation.clip else 1
        self.perturb = _linear(slopes.repeat(copies, 1), torch.cat([offset, offset - 1][:copies]))
        self.clip = nn.ReLU() if perturbation.clip else nn.Identity()
        self.arrange = Reshape((len(offset),), (copies * channels, *image.shape[1:]))
        self.normalise = nn.Conv2d(copies * channels, channels, 1)
        scale = torch.diag(1 / std.flatten())
        weight = torch.cat([scale, -scale][:copies], dim=1)[:, :, None, None]
        self.normalise.weight = nn.Parameter(weight, requires_grad=False)
        self.normalise.bias = nn.Parameter(-(mean / std).flatten(), requires_grad=False)
        self.network = network

    def forward(self, theta: Tensor) -> Tensor:
        """Map ``(batch, dimension)`` to ``(batch, outputs)``."""
        result: Tensor = self.network(self.normalise(self.arrange(self.clip(self.perturb(theta)))))
        return result


class TransposedConvolutionRule(operators.BoundConvTranspose):  # type: ignore[misc]
    """auto_LiRPA's transposed convolution, and the forward rule that it lacks."""

    def bound_forward(self, dim_in: int, *x: Any) -> Any:
        """Carry two lines as auto_LiRPA's rule for convolutions does."""
        weight, bias = x[1].lb, x[2].lb if self.has_bias else None
        lines = x[0]

        def apply(values: Tensor, kernel: Tensor, shift: Tensor | None = None) -> Tensor:
            return functional.conv_transpose2d(values, kernel, shift, self.stride)

        def slopes(values: Tensor, kernel: Tensor) -> Tensor:
            flat = apply(values.flatten(0, 1), kernel)
            return flat.view(*values.shape[:2], *flat.shape[1:])

        middle, far = slopes((lines.lw + lines.uw) / 2, weight), slopes((lines.uw - lines.lw) / 2, weight.abs())
        centre, spread = apply((lines.lb + lines.ub) / 2, weight, bias), apply((lines.ub - lines.lb) / 2, weight.abs())
        return LinearBound(middle - far, centre - spread, middle + far, centre + spread)


class StockModule(BoundedModule):  # type: ignore[misc]
    """auto_LiRPA's module, under a torch whose ``named_parameters`` has one argument more."""

    def _named_members(self, *args: Any, **kwargs: Any) -> Any:
        return nn.Module._named_members(self, *args, **kwargs)


class StockBounds:
    """Lower bounds of a property's rows over pieces of theta.

    Args:
        network: from theta to raw outputs.
        dimension: of theta.

    Attributes:
        largest: values of the network's largest layer.
    """

    def __init__(self, network: nn.Module, dimension: int) -> None:
        with _reader_works(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rules = {"onnx::ConvTranspose": TransposedConvolutionRule}
            self._module = StockModule(network.eval(), torch.zeros(1, dimension), custom_ops=rules)
        package = importlib.import_module("auto_LiRPA")
        self._tensor, self._perturbation = package.BoundedTensor, package.PerturbationLpNorm
        sizes: list[int] = []
        hooks = [
            layer.register_forward_hook(lambda *given: sizes.append(given[2].numel())) for layer in network.modules()
        ]
        self._outputs = int(network(torch.zeros(1, dimension)).shape[1])
        for hook in hooks:
            hook.remove()
        self.largest = max(sizes)

    def lower(self, boxes: Boxes, rows: Rows) -> Tensor:
        """Bound all rows over pieces, ``(pieces, rows)``.

        Args:
            boxes: the pieces.
            rows: on raw outputs.
        """
        low, high = boxes.lower.float(), boxes.upper.float()
        region = self._perturbation(norm=float("inf"), x_L=low, x_U=high)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            bounds, _ = self._module.compute_bounds(
                x=(self._tensor((low + high) / 2, region),),
                C=rows.dense(self._outputs).float(),
                method=METHOD,
                bound_upper=False,
            )
        result: Tensor = bounds + rows.bias.float()
        return result


@contextmanager
def _reader_works() -> Iterator[None]:
    """Lend auto_LiRPA's reader of traced graphs what it finds in a torch of its own time."""
    reader: Any = importlib.import_module("auto_LiRPA.parse_graph")
    node: Any = torch._C.Node
    before = reader._set_opset_version
    reader._set_opset_version = lambda version: None
    node.__getitem__ = symbolic_helper._node_get
    try:
        yield
    finally:
        reader._set_opset_version = before
        del node.__getitem__
