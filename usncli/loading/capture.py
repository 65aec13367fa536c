"""Capture a network as a graph of standard layers: the form that every later stage works on.

`torch.export` runs the user's code once; what remains is data: layers under the user's own names, and functional ATen
calls between them. Such a network trains (batch norm is a real layer again), is cut layer by layer, is walked to bound
it, and is saved without pickle and without the user's code.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.emission import LiftedTensor
from usncli.loading.failing_line import failing_line
from usncli.loading.graph_passes import LiftedGraph, build_network
from usncli.loading.operations import LAYER, LIFTED
from usncli.loading.quiet import quietly

_TOLERANCE = 1e-4


def capture(module: nn.Module, example: Tensor) -> fx.GraphModule:
    """Capture a module in evaluation mode, for any batch size.

    Args:
        module: maps one ``(batch, channels, height, width)`` to one tensor; left as it was found.
        example: such an input, at the size the network will be used at; its own batch size does not matter.

    Returns:
        A `torch.fx.GraphModule` in evaluation mode, with its own copy of all tensors, on the module's device. Its
        ``call_module`` nodes are layers of `layer_types.LAYER_TYPES` under the user's names, its ``call_function``
        nodes permitted overloads (`operations.is_permitted`); ``meta["layer"]`` of a node names the user's layer.

    Raises:
        InputError: the module does not run on the example.
        UnsupportedOperationError: the network cannot be written as such a graph: data-dependent control flow, several
            inputs or outputs, an in-place change of a view, an operation outside the permitted ones.
    """
    parameter = next(module.parameters(), None)
    example = two_images(example if parameter is None else example.to(parameter.device))
    with _evaluating(module), torch.no_grad():
        expected = _run(module, example)
        program = _export(module, example)
    network = capture_program(program)
    _compare(network, example, expected)
    return network


def capture_program(program: ExportedProgram) -> fx.GraphModule:
    """Capture an exported program; see `capture` for what is returned and raised.

    A program exported in training mode is captured as its evaluation: batch norm uses its running statistics.
    """
    return build_network(_lift(program))


def two_images(example: Tensor) -> Tensor:
    """Return a batch of two, since export takes a batch of one for a constant.

    Raises:
        InputError: the example is no batch of images.
    """
    if example.dim() != 4 or example.shape[0] < 1:
        raise InputError(f"expected an example of shape (batch, channels, height, width), got {tuple(example.shape)}")
    return example[:1].repeat(2, 1, 1, 1) if example.shape[0] == 1 else example[:2].clone()


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def _run(module: nn.Module, example: Tensor) -> Tensor:
    try:
        output = module(example.clone())
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise InputError(
            f"the network does not run on images of shape {tuple(example.shape[1:])} ({first_line(error)}"
            f"{failing_line(error, module)}); check size and colour, and that it takes one tensor"
        ) from error
    tensors = _leaves(output)
    if len(tensors) != 1:
        raise UnsupportedOperationError(
            f"the network returns {len(tensors)} tensors ({type(output).__name__}); expected one: wrap it so that it "
            "returns only the prediction"
        )
    return tensors[0]


def _leaves(output: object) -> list[Tensor]:
    return [leaf for leaf in torch.utils._pytree.tree_leaves(output) if isinstance(leaf, Tensor)]


def _export(module: nn.Module, example: Tensor) -> ExportedProgram:
    try:
        with quietly("torch"):
            return torch.export.export(module, (example,), dynamic_shapes=({0: Dim("batch")},))
    except (RuntimeError, ValueError, TypeError) as error:
        raise UnsupportedOperationError(
            f"the network cannot be captured by torch.export for any batch size ({first_line(error)}"
            f"{failing_line(error, module)}); look for control flow that depends on the image (use torch.where), or a "
            "batch size written as a number (use x.shape[0] or -1)"
        ) from error


def _lift(program: ExportedProgram) -> LiftedGraph:
    """Copy a program's graph, with the user's tensors behind its placeholders."""
    graph = fx.Graph()
    output = graph.graph_copy(program.graph, {})
    graph.output(_single_output(output))
    state = {**dict(program.constants), **program.state_dict}
    lifted: dict[fx.Node, LiftedTensor] = {}
    inputs = []
    for node, specification in zip(list(graph.nodes), program.graph_signature.input_specs, strict=False):
        if specification.kind == InputKind.USER_INPUT:
            inputs.append(node)
            continue
        tensor = state.get(specification.target or "")
        if not isinstance(tensor, Tensor):
            raise UnsupportedOperationError(
                f"the network holds {specification.target or specification.kind.name}, which is not a tensor"
            )
        lifted[node] = LiftedTensor(str(specification.target), tensor)
        node.meta[LIFTED] = True
    for node in graph.nodes:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        node.meta[LAYER] = stack[-1][0] if stack and not stack[-1][0].startswith("_empty_nn_module_stack") else ""
    return LiftedGraph(graph, lifted, _single_input(inputs))


def _single_output(output: object) -> fx.Node:
    outputs = list(output) if isinstance(output, (tuple, list)) else [output]
    if len(outputs) != 1 or not isinstance(outputs[0], fx.Node):
        raise UnsupportedOperationError(
            f"the network returns {len(outputs)} values; expected one tensor: wrap it to return only the prediction"
        )
    return outputs[0]


def _single_input(inputs: list[fx.Node]) -> fx.Node:
    if len(inputs) != 1 or not isinstance(inputs[0].meta.get("val"), Tensor) or inputs[0].meta["val"].dim() != 4:
        raise UnsupportedOperationError(
            f"the network takes {len(inputs)} inputs; expected one tensor (batch, channels, height, width)"
        )
    return inputs[0]


def _compare(network: nn.Module, example: Tensor, expected: Tensor) -> None:
    with torch.no_grad():
        output = network(example)
    if output.shape != expected.shape or not torch.allclose(output, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        raise UnsupportedOperationError(
            "the captured network computes something else than the original; is there randomness in its forward?"
        )
