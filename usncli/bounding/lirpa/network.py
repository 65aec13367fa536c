"""A rewritten network as auto_LiRPA's graph of bound rules.

auto_LiRPA reads networks by TorchScript traces and an ONNX pass of a torch of 2022. A rewritten network says all that
is needed itself, so its graph is handed over directly: fewer parts that age, and nothing of torch to patch.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from torch import Tensor, fx, nn
from torch.nn import functional

from usncli.bounding.lirpa.parts import BoundedModule, operators
from usncli.bounding.lirpa.perturbation import LinesPerturbation
from usncli.bounding.lirpa.rules import (
    BoundAffine,
    BoundConcatenation,
    BoundConvolution,
    BoundDifference,
    BoundLinearLayer,
    BoundReluLines,
    BoundSum,
    SymbolBook,
)
from usncli.bounding.rewriting.activation import Activation, Function
from usncli.bounding.rewriting.builder import ADD, CONCATENATE, SUBTRACT
from usncli.bounding.rewriting.linear_maps import Convolution, Linear, LinearMap, Weighted
from usncli.loading.operations import module_of
from usncli.perturbing import Lines


class _GraphParts(NamedTuple):
    operations: list[Any]
    inputs: list[Any]


class LirpaNetwork(BoundedModule):  # type: ignore[misc]
    """auto_LiRPA's module for a rewritten network; one serves every image and piece.

    Args:
        network: from `usncli.bounding.rewriting.rewrite`.
        example: ``(1, channels, height, width)``, of the network's dtype and device.
    """

    root: list[Any]
    root_name: list[str]
    final_name: str

    def __init__(self, network: fx.GraphModule, example: Tensor) -> None:
        book = SymbolBook()
        options = {
            "conv_mode": "matrix",
            "relu": "same-slope",
            "sparse_intermediate_bounds": True,
            "symbols": book,
        }
        super().__init__(network, example, bound_opts=options, device=example.device)
        self._dtype = example.dtype
        self._book = book

    def _convert_nodes(self, model: fx.GraphModule, global_input: Any) -> Any:
        """Build the nodes from the rewritten graph, in place of auto_LiRPA's reader of traces."""
        parts = _GraphParts([], [])
        nodes: dict[fx.Node, Any] = {}
        output = None
        for node in model.graph.nodes:
            if node.op == "placeholder":
                nodes[node] = _register(
                    operators.BoundInput("images", global_input[0], None, 0), "images", parts.inputs
                )
            elif node.op == "output":
                output = nodes[node.args[0]]
            else:
                nodes[node] = self._operation(model, node, nodes, parts)
        return parts.operations, parts.inputs, [output], None

    def _operation(self, model: fx.GraphModule, node: fx.Node, nodes: dict[fx.Node, Any], parts: _GraphParts) -> Any:
        inputs = [nodes[source] for source in node.all_input_nodes]
        attributes: dict[str, Any] = {"device": self.device}
        layer = module_of(model, node)
        if isinstance(layer, LinearMap):
            operation = self._affine(layer, inputs, node.name, parts)
        elif isinstance(layer, Activation):
            assert layer.function is Function.RELU, layer
            operation = BoundReluLines(attributes, inputs, 0, self.bound_opts)
        elif node.target in (ADD, SUBTRACT):
            kind = BoundSum if node.target is ADD else BoundDifference
            terms = [nodes[cast(fx.Node, source)] for source in node.args]
            operation = kind(attributes, terms, 0, self.bound_opts)
        else:
            assert node.target is CONCATENATE, node.target
            attributes["axis"] = node.args[1]
            listed = [nodes[source] for source in cast(list[fx.Node], node.args[0])]
            operation = BoundConcatenation(attributes, listed, 0, self.bound_opts)
        return _register(operation, node.name, parts.operations)

    def _affine(self, layer: LinearMap, inputs: list[Any], name: str, parts: _GraphParts) -> Any:
        """Use auto_LiRPA's own rules where they know the layer; they keep to what few weights of it matter."""
        attributes = _attributes(layer) if isinstance(layer, Weighted) else None
        if attributes is None:
            return BoundAffine(layer, inputs, self.bound_opts, self.device)
        assert isinstance(layer, Weighted), layer
        bias = None if layer.shift is None else layer.shift.flatten()
        for key, tensor in (("weight", layer.weight), ("bias", bias)):
            if tensor is not None:
                parameter = operators.BoundParams(f"{name}.{key}", nn.Parameter(tensor, requires_grad=False))
                inputs.append(_register(parameter, f"{name}_{key}", parts.inputs))
        kind = BoundLinearLayer if isinstance(layer, Linear) else BoundConvolution
        return kind({"device": self.device, **attributes}, inputs, 0, self.bound_opts)

    @property
    def image_name(self) -> str:
        """Name of the node that holds the image."""
        return "images"

    def place(self, images: Lines, symbols: int = 0) -> None:
        """Set the image to lines over pieces; forget all earlier bounds.

        Args:
            images: lines of the network's input.
            symbols: most errors of ReLU relaxations that a forward pass keeps apart, as directions of their own.
        """
        self._clear_and_set_new(None)
        self._book.start(images.lower_slope.shape[1], symbols)
        node = self[self.image_name]
        node.value = images.lower
        node.perturbation = LinesPerturbation(images)
        self._mark_perturbed_nodes()

    def backward_to(
        self, roots: dict[str, Lines], relu_bounds: dict[str, tuple[Tensor, Tensor]], specification: Tensor
    ) -> Tensor:
        """Carry a specification from the outputs back to nodes whose lines are known, and take the least value.

        Call it after bounds were computed; they stay as they were.

        Args:
            roots: nodes that separate the outputs from the image, with their lines over the pieces.
            relu_bounds: bounds of ReLU inputs over the same pieces, by the input's name.
            specification: ``(pieces, rows, outputs)``.

        Returns:
            Lower bounds ``(pieces, rows)``.
        """
        slopes: list[Tensor] = []
        before = self.root, self.root_name, self.final_name
        kept = {name: (self[name].lower, self[name].upper) for name in relu_bounds}
        perturbations = {name: getattr(self[name], "perturbation", None) for name in roots}
        try:
            for name, (lower, upper) in relu_bounds.items():
                self[name].lower, self[name].upper = lower, upper
            for name, lines in roots.items():
                node = self[name]
                node.perturbation, node.center, node.aux = LinesPerturbation(lines, slopes), None, None
            self.root = [self[name] for name in roots]
            self.root_name = [*self.root_name, *roots]
            # Under another name than the network's last node, auto_LiRPA drops coefficients that it has used.
            final, self.final_name = self.final_node(), ""
            least, _ = self.backward_general(C=specification, node=final, bound_lower=True, bound_upper=False)
        finally:
            self.root, self.root_name, self.final_name = before
            for name, (lower, upper) in kept.items():
                self[name].lower, self[name].upper = lower, upper
            for name, perturbation in perturbations.items():
                self[name].perturbation = perturbation
        directions = max(slope.shape[2] for slope in slopes)
        together = sum(functional.pad(slope, (0, directions - slope.shape[2])) for slope in slopes)
        result: Tensor = least - cast(Tensor, together).abs().sum(dim=2)
        return result

    def forward_general(
        self,
        C: Any = None,  # noqa: N803
        node: Any = None,
        concretize: bool = False,
        offset: int = 0,
    ) -> tuple[Tensor, Tensor] | None:
        """Carry lines to a node, in place of auto_LiRPA's forward pass, whose number of directions is fixed.

        A specification is ignored: the outputs' own lines are what is wanted, and stay on the last node.
        """
        if not hasattr(node, "linear"):
            for source in node.inputs:
                if not hasattr(source, "linear"):
                    self.forward_general(node=source)
            node.linear = node.bound_forward(self.dim_in, *[source.linear for source in node.inputs])
        if not concretize:
            return None
        linear = node.linear
        linear.lower = linear.lb - linear.lw.abs().sum(dim=1)
        linear.upper = linear.ub + linear.uw.abs().sum(dim=1)
        node.lower, node.upper = linear.lower, linear.upper
        return node.lower, node.upper

    def _named_members(self, *args: Any, **kwargs: Any) -> Any:
        """Use torch's own, since auto_LiRPA's override does not know its newer arguments."""
        return nn.Module._named_members(self, *args, **kwargs)

    def get_sparse_C(self, *args: Any, **kwargs: Any) -> Any:  # noqa: N802
        """Give the coefficient matrices that auto_LiRPA makes in single precision the network's own."""
        coefficients, *rest = super().get_sparse_C(*args, **kwargs)
        return (coefficients.to(self._dtype) if isinstance(coefficients, Tensor) else coefficients, *rest)

    def check_IBP_first_linear(self, node: Any) -> bool:  # noqa: N802
        """Never bound the first layer from a box around the image: its pixels move together."""
        return False


def _attributes(layer: Weighted) -> dict[str, Any] | None:
    """Return what auto_LiRPA's rule for the layer needs to know; None if it has none."""
    if isinstance(layer, Linear):
        return {"transB": 1} if layer.input_axes == 1 else None
    if not isinstance(layer, Convolution) or layer.weight.dim() != 4:
        return None
    geometry = layer.geometry
    if geometry.dilation[0] != geometry.dilation[1]:
        return None
    return {
        "pads": [*geometry.padding, *geometry.padding],
        "strides": list(geometry.stride),
        "dilations": list(geometry.dilation),
        "group": geometry.groups,
    }


def _register(node: Any, name: str, collection: list[Any]) -> Any:
    node.name = name
    node.input_name = [source.name for source in node.inputs]
    collection.append(node)
    return node
