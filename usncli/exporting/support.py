"""Which operations of a captured network have no ONNX form, by layer, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from usncli.errors import UnsupportedOperationError
from usncli.exporting.graph import EXPORTER_OPSET, ExportOptions, reason_of, to_onnx
from usncli.loading.operations import layer_name, module_of
from usncli.loading.pipeline import Pipeline
from usncli.loading.quiet import quietly

NETWORK = "the network"
"""Stands for the layer of what fails only as a whole."""


class Unexportable(NamedTuple):
    """An operation that cannot be exported.

    Attributes:
        layer: the user's name of the layer, or `NETWORK`.
        reason: why.
    """

    layer: str
    reason: str


def unexportable_operations(pipeline: Pipeline, options: ExportOptions | None = None) -> tuple[Unexportable, ...]:
    """Name what keeps a pipeline from being exported, by trying; every operation is tried alone where the whole fails.

    Args:
        pipeline: whose ``network`` is a captured one; left as it is.
        options: what would be exported.
    """
    images = torch.zeros(2, *pipeline.preprocessing.input_shape)
    try:
        to_onnx(pipeline, images, options or ExportOptions())
    except UnsupportedOperationError as error:
        alone = tuple(_failing_alone(pipeline.network, images)) if isinstance(pipeline.network, fx.GraphModule) else ()
        return alone or (Unexportable(NETWORK, str(error)),)
    return ()


def _failing_alone(network: fx.GraphModule, images: Tensor) -> Iterator[Unexportable]:
    """Export every operation as a network of its own; operations of one kind are tried once."""
    parameter = next(network.parameters(), images)
    interpreter = fx.Interpreter(network, garbage_collect_values=False)
    with torch.no_grad():
        interpreter.run(images.to(parameter))
    reasons: dict[Any, str | None] = {}
    for node in network.graph.nodes:
        if node.op not in ("call_function", "call_module"):
            continue
        layer = module_of(network, node)
        kind = node.target if layer is None else type(layer)
        if kind not in reasons:
            reasons[kind] = _reason_alone(network, node, interpreter.env)
        if (reason := reasons[kind]) is not None:
            yield Unexportable(layer_name(node), reason)


def _reason_alone(network: fx.GraphModule, node: fx.Node, values: dict[fx.Node, Any]) -> str | None:
    """Return why one operation cannot be exported, or None; tensors that it reads become inputs."""
    graph, read = fx.Graph(), dict[fx.Node, fx.Node]()

    def argument(source: fx.Node) -> Any:
        if not isinstance(values[source], Tensor):
            return values[source]
        return read.get(source) or read.setdefault(source, graph.placeholder(source.name))

    arguments, named = fx.node.map_arg(node.args, argument), fx.node.map_arg(node.kwargs, argument)
    if not read:
        return None  # a constant, or a part of what another operation returned
    graph.output(graph.create_node(node.op, node.target, arguments, named))
    module = fx.GraphModule(network, graph).eval()
    try:
        with quietly("torch"), torch.no_grad():
            inputs = tuple(values[source] for source in read)
            # Traced here: given a module, the exporter would trace it anew in three ways before it gave up.
            traced = torch.export.export(module, inputs)
            torch.onnx.export(traced, dynamo=True, opset_version=EXPORTER_OPSET, verbose=False)
    except RuntimeError as error:  # torch's tracing and conversion errors share no narrower root
        return reason_of(error).partition(". Failure message")[0]
    return None
