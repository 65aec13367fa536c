"""Rewrites a captured network, exactly, into the few operations that bound engines know."""

from __future__ import annotations

import copy
import operator
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, fx, nn
from torch._ops import OpOverload

from usncli.bounding.rewriting.builder import NetworkBuilder
from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.folding import fold_scales
from usncli.bounding.rewriting.replacements import replacement
from usncli.bounding.rewriting.rules import LAYER_RULES, RULES
from usncli.bounding.rewriting.vocabulary import CannotRewriteError, Vocabulary
from usncli.errors import UnsupportedOperationError
from usncli.loading.operations import bind, layer_name

_aten = torch.ops.aten
_OF_SHAPE = {
    _aten.sym_size.int,
    _aten.zeros_like.default,
    _aten.ones_like.default,
    _aten.full_like.default,
    _aten.new_zeros.default,
    _aten.new_ones.default,
    _aten.new_full.default,
}
"""What depends on an image's shape alone is a constant."""


class UnsupportedOperation(NamedTuple):
    """An operation that cannot be bounded.

    Attributes:
        layer: the user's name of the layer.
        operation: layer class or overload.
        reason: why.
        remedy: what to change in the network.
    """

    layer: str
    operation: str
    reason: str
    remedy: str


def unsupported_operations(
    network: fx.GraphModule, example: Tensor, vocabulary: Vocabulary = Vocabulary.FULL
) -> tuple[UnsupportedOperation, ...]:
    """Name every operation of a captured network that cannot be bounded; nothing is bounded yet.

    Args:
        network: a captured network.
        example: an image ``(1 or more, channels, height, width)`` at the network's size.
        vocabulary: what the bound engine knows.
    """
    return _Rewriter(network, example, vocabulary).run()[1]


def rewrite(
    network: fx.GraphModule,
    example: Tensor,
    dtype: torch.dtype = torch.float64,
    vocabulary: Vocabulary = Vocabulary.RELU,
) -> fx.GraphModule:
    """Rewrite a captured network for bounding; the original is left alone.

    Args:
        network: a captured network, in evaluation mode.
        example: an image ``(1 or more, channels, height, width)`` at the network's size.
        dtype: of the rewritten network's constants.
        vocabulary: what the bound engine knows.

    Returns:
        A network of `builder`'s operations that computes the same function, flattened to ``(batch, outputs)``, on the
        network's device; ``meta["layer"]`` of each node names the user's layer whose work, or a part of it, it does.

    Raises:
        UnsupportedOperationError: some operations cannot be bounded; all are named.
    """
    rewritten, unsupported = _Rewriter(network, example, vocabulary).run()
    if unsupported or rewritten is None:
        named = "; ".join(f"{item.layer}: {item.operation} ({item.reason})" for item in unsupported)
        raise UnsupportedOperationError(
            f"these operations cannot be bounded: {named}; usn doctor says what to do about each",
            [item.layer for item in unsupported],
        )
    fold_scales(rewritten)
    parameter = next(network.parameters(), None)
    return rewritten.to(None if parameter is None else parameter.device, dtype)


class _Rewriter:
    """Walks a captured network once, with the concrete values of an example beside it for shapes and constants."""

    def __init__(self, network: fx.GraphModule, example: Tensor, vocabulary: Vocabulary) -> None:
        self._network = copy.deepcopy(network).to("cpu", torch.float64).eval()
        self._builder = NetworkBuilder(vocabulary)
        images = torch.cat([example[:1], 1 - example[:1]]).to("cpu", torch.float64)
        self._examples = _values(self._network, images)
        # A network's constants are exact if single precision computes the same.
        single = _values(copy.deepcopy(network).to("cpu", torch.float32).eval(), images.float())
        self._in_single = {node.name: value for node, value in single.items()}
        self._new: dict[fx.Node, Any] = {}
        self._moving: set[fx.Node] = set()
        self._unsupported: list[UnsupportedOperation] = []

    def run(self) -> tuple[fx.GraphModule | None, tuple[UnsupportedOperation, ...]]:
        output = None
        for node in self._network.graph.nodes:
            if node.op == "output":
                source = cast(fx.Node, node.args[0])
                output = self._value(source)
                break
            self._builder.start_layer(layer_name(node))
            self._new[node] = self._rewrite(node)
        if self._unsupported or not isinstance(output, fx.Node):
            return None, tuple(self._unsupported)
        return self._builder.finish(output, self._examples[source].shape[1:]), ()

    def _rewrite(self, node: fx.Node) -> Any:
        if node.op == "placeholder":
            self._moving.add(node)
            return self._builder.input
        if node.target in _OF_SHAPE or not self._moving.intersection(node.all_input_nodes):
            return self._examples[node]
        self._moving.add(node)
        if node.target is operator.getitem:
            parts: Any = self._value(node.args[0])
            # After an operation that could not be rewritten a node stands in, so that the walk goes on.
            return parts[cast(int, node.args[1])] if isinstance(parts, list) else parts
        try:
            return self._apply_rule(node)
        except CannotRewriteError as error:
            name = type(self._layer(node)).__name__ if node.op == "call_module" else str(node.target)
            name = name.removeprefix("aten.").removesuffix(".default")
            self._unsupported.append(UnsupportedOperation(layer_name(node), name, str(error), error.remedy))
            return self._builder.input

    def _apply_rule(self, node: fx.Node) -> Any:
        if node.op == "call_module":
            layer = self._layer(node)
            rule: Any = LAYER_RULES.get(type(layer))
            arguments: dict[str, Any] = {"input": node.args[0]}
        else:
            layer = None
            rule = RULES.get(node.target)
            arguments = bind(node) if isinstance(node.target, OpOverload) else {}
        if rule is None:
            operation = node.target if layer is None else type(layer)
            raise CannotRewriteError("no exact rule", replacement(operation))
        for source in node.all_input_nodes:
            self._expect_exact(source)
        values = {name: self._value(value) for name, value in arguments.items()}
        examples = {name: self._example(value) for name, value in arguments.items()}
        return rule(Call(self._builder, values, examples, self._examples[node], layer))

    def _expect_exact(self, source: fx.Node) -> None:
        """Make sure that a tensor that the network computes from its parameters alone is not rounded on the way."""
        if source in self._moving or source.op != "call_function":
            return
        value, single = self._examples[source], self._in_single[source.name]
        if isinstance(value, Tensor) and not torch.equal(value.double(), single.double()):
            raise CannotRewriteError(f"{source.name}, a constant that is computed with rounding", "make it a buffer")

    def _layer(self, node: fx.Node) -> nn.Module:
        return self._network.get_submodule(str(node.target))

    def _value(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: self._new[node])

    def _example(self, argument: Any) -> Any:
        return fx.node.map_arg(argument, lambda node: self._examples[node])


def _values(network: fx.GraphModule, images: Tensor) -> dict[fx.Node, Any]:
    """Return the value of every node for a batch of images."""
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(images)
    return interpreter.env
