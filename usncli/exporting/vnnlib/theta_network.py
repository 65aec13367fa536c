"""ONNX from a perturbation's parameters to the predictions for one image: perturbed, clipped and normalised inside."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from usncli.errors import ConfigurationError
from usncli.exporting.graph import EXPORTER_OPSET, GraphEnds, translate
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import AffinePerturbation, Perturbation

THETA_NAME = "theta"
OUTPUT_NAME = "predictions"


@dataclass(frozen=True)
class ThetaNetwork:
    """The graph of all images under perturbations of one dimension; they differ in one linear layer.

    An affine perturbation is a linear layer from theta to pixels: its weight holds the directions, its bias the image
    at theta = 0. The network is traced once, and each image puts in its own.

    Attributes:
        model: with some image in it; input ``theta``, ``(1, dimension)``, output ``predictions``, ``(1, outputs)``.
        weight: name of the stored tensor of directions, ``(pixels, dimension)``.
        bias: name of the stored tensor of the image, ``(pixels,)``.
    """

    model: onnx.ModelProto
    weight: str
    bias: str

    def of(self, image: Tensor, perturbation: AffinePerturbation) -> onnx.ModelProto:
        """Return the graph of one image.

        Directions are rounded to float32 once, where they are differences: contrast about the mean.

        Args:
            image: ``(channels, height, width)`` in [0, 1].
            perturbation: of the dimension, and clipped or not, as the network was traced.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        weight, bias = _linear_layer(image, perturbation)
        stored = {tensor.name: tensor for tensor in model.graph.initializer}
        for name, values in ((self.weight, weight), (self.bias, bias)):
            stored[name].CopyFrom(numpy_helper.from_array(values.numpy(), name))
        return model


def theta_network(pipeline: Pipeline, dimension: int, clip: bool, opset: int = EXPORTER_OPSET) -> ThetaNetwork:
    """Trace a pipeline behind the linear layer of a perturbation.

    Clipping is ``1 - relu(1 - relu(x))``, since few verifiers read Clip; it is no other function.

    Args:
        pipeline: float32, on the CPU, in evaluation mode; left as it is.
        dimension: number of the perturbation's parameters.
        clip: whether perturbed images are clipped to [0, 1].
        opset: version of ONNX's operator set.

    Raises:
        UnsupportedOperationError: see `usncli.exporting.graph.to_onnx`.
    """
    module = _Perturbed(pipeline, dimension, clip).eval()
    ends = GraphEnds(THETA_NAME, OUTPUT_NAME, dynamic_batch=False)
    model = translate(module, torch.zeros(1, dimension), ends, opset)
    first = next(node for node in model.graph.node if THETA_NAME in node.input)
    assert first.op_type == "Gemm", f"expected the linear layer as a Gemm, got {first.op_type}"
    return ThetaNetwork(model, first.input[1], first.input[2])


def require_affine(perturbation: Perturbation) -> AffinePerturbation:
    """Return the perturbation if it is affine in theta before it is clipped.

    Raises:
        ConfigurationError: it is not.
    """
    if not isinstance(perturbation, AffinePerturbation):
        raise ConfigurationError(
            f"vnnlib: expected brightness or contrast, got {', '.join(perturbation.parameters)}: powers of theta are "
            "not among the operators that verifiers of VNN-COMP share; leave that range out"
        )
    return perturbation


class _Perturbed(nn.Module):
    """A pipeline behind the linear layer of a perturbation."""

    def __init__(self, pipeline: Pipeline, dimension: int, clip: bool) -> None:
        super().__init__()
        self.shape = pipeline.preprocessing.input_shape
        self.image = nn.Linear(dimension, math.prod(self.shape))
        self.pipeline = pipeline
        self.clip = clip

    def forward(self, theta: Tensor) -> Tensor:
        pixels = self.image(theta)
        if self.clip:
            pixels = 1 - torch.relu(1 - torch.relu(pixels))
        predictions: Tensor = self.pipeline(pixels.reshape(-1, *self.shape))
        return predictions.flatten(1)


def _linear_layer(image: Tensor, perturbation: AffinePerturbation) -> tuple[Tensor, Tensor]:
    """Return weight ``(pixels, dimension)`` and bias ``(pixels,)``, float32."""
    form = perturbation.affine(image.detach().cpu().float().unsqueeze(0))
    directions = [direction.expand_as(form.offset).flatten() for direction in form.directions]
    return torch.stack(directions, dim=1), form.offset.flatten().contiguous()
