"""One pipeline made ready for bounding: rewritten once, for all images and ranges."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from usncli.bounding.engine import BoundEngine
from usncli.bounding.method import Arithmetic, Engine
from usncli.certifying.engines import ChosenEngine, Engines
from usncli.certifying.options import DTYPES, CertifyOptions
from usncli.certifying.properties import KeypointProperty, Property
from usncli.errors import UnsupportedOperationError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import Boxes, Lines, PerturbationRange
from usncli.perturbing.lines import apart, normalised

REWRITING_TOLERANCE = 1e-3
"""Largest difference of the rewritten network from the shipped one, as a share of 1 + the largest absolute output."""


@dataclass(frozen=True)
class BoundingProblem:
    """A network as it is bounded, and how its raw outputs become predictions.

    Attributes:
        engines: bound the raw outputs.
        network: the rewritten network, from normalised images to raw flattened outputs.
        pipeline: what ships.
        factor, shift: predictions are ``factor * raw + shift``, elementwise; ``(outputs,)``.
        output_shape: shape of one image's prediction.
        executed: unit roundoff of the execution that verdicts are about; 0 for exact arithmetic.
    """

    engines: Engines
    network: fx.GraphModule
    pipeline: Pipeline
    factor: Tensor
    shift: Tensor
    output_shape: torch.Size
    executed: float = 0.0

    @property
    def engine(self) -> BoundEngine:
        """The engine that every query meets first."""
        return self.engines.first.engine

    def image(self, image: Tensor, region: PerturbationRange, claim: Property, size: float) -> ImageProblem:
        """Return the problem of one image ``(channels, height, width)`` and one range; see `ImageProblem`."""
        return ImageProblem(self, image.unsqueeze(0).to(self.factor), region, claim, size)

    def predict(self, images: Tensor) -> Tensor:
        """Return what the rewritten network predicts, in the form of the pipeline's task.

        Args:
            images: ``(batch, channels, height, width)`` in [0, 1].
        """
        # No verdict rests on these values, and float64 would take several times as long.
        images = images.float()
        mean, std = self.pipeline.mean.to(images), self.pipeline.std.to(images)
        with torch.no_grad():
            raw = self.network((images - mean) / std).to(self.factor)
        predictions: Tensor = (self.factor * raw + self.shift).reshape(-1, *self.output_shape)
        return predictions

    def normalised(self, images: Lines) -> Lines:
        """Return lines of the network's input from lines of the image in [0, 1]."""
        mean, std = self.pipeline.mean.to(self.factor), self.pipeline.std.to(self.factor)
        return normalised(images, mean, std)


@dataclass(frozen=True)
class ImageProblem:
    """One image, one range, one property, ready for branch and bound.

    Attributes:
        problem: the network.
        image: ``(1, channels, height, width)`` in the engines' precision.
        region: the perturbation and its range.
        claim: the property.
        size: 1 + the largest absolute reference output, which slacks are shares of.
        number: its own among all of this process.
    """

    problem: BoundingProblem
    image: Tensor
    region: PerturbationRange
    claim: Property
    size: float
    number: int = field(default_factory=itertools.count().__next__)

    def threshold(self, chosen: ChosenEngine) -> float:
        """Return what a row must be proved to exceed by an engine."""
        # An output in pixels is executed as (raw + 1) size / 2, or the like: three roundings of at most these sizes.
        decoded = 16 * self.problem.executed * (self.size + float(self.problem.shift.abs().max()) + self._tau())
        return chosen.slack * self.size + decoded

    def _tau(self) -> float:
        return self.claim.tau if isinstance(self.claim, KeypointProperty) else 0.0

    def clean_prediction(self) -> Tensor:
        """Return what the rewritten network predicts for the image as it is, in the form of the pipeline's task."""
        return self.problem.predict(self.image)

    def centres(self, boxes: Boxes) -> Tensor:
        """Return the perturbed images ``(pieces, channels, height, width)`` at the centres of pieces."""
        return self.region.perturbation.expand(self.image, boxes.centres().to(self.image))

    def lines(self, boxes: Boxes) -> Lines:
        """Return lines of the network's normalised input over pieces of theta."""
        boxes = Boxes(boxes.lower.to(self.image.device), boxes.upper.to(self.image.device))
        images = self.region.perturbation.enclosure(self.image, boxes)
        lines = self.problem.normalised(images)
        return apart(lines, self._executed_input(images)) if self.problem.executed else lines

    def _executed_input(self, images: Lines) -> Tensor:
        """Return by how much the executed network's input may miss the exact one, ``(pieces, *image)``.

        Perturbing may miss a pixel by `Perturbation.units`. Subtracting the mean and dividing, or scaling and shifting
        by rounded numbers, rounds four times or less, of at most ``|pixel| + |mean|``.
        """
        pipeline, region = self.problem.pipeline, self.region
        mean, std = pipeline.mean.to(self.image), pipeline.std.to(self.image)
        sizes = torch.maximum(images.maximum().abs(), images.minimum().abs()) + mean.abs()
        units = region.perturbation.units(region.lower, region.upper)
        return self.problem.executed * (1 + 2.0**-10) * (units + 4 * sizes) / std


def make_problem(pipeline: Pipeline, options: CertifyOptions) -> BoundingProblem:
    """Rewrite a pipeline's network and build the engines.

    Raises:
        UnsupportedOperationError: the network is not a captured one, or holds operations that cannot be bounded.
        UsnError: auto_LiRPA is asked for and missing.
    """
    network = pipeline.network
    if not isinstance(network, fx.GraphModule):
        raise UnsupportedOperationError(
            f"expected a captured network, got {type(network).__name__}; pass it through usncli.loading.capture first"
        )
    # Our own engine keeps centres in float64 always.
    dtype = DTYPES[options.dtype] if options.engine == Engine.LIRPA else torch.float64
    device = pipeline.mean.device
    example = torch.full((1, *pipeline.preprocessing.input_shape), 0.5, device=device)
    engines = Engines(network, example.to(dtype), options)
    with torch.no_grad():
        raw = network(example.to(pipeline.mean))
        shift = pipeline.decode(torch.zeros_like(raw, dtype=torch.float64))
        factor = pipeline.decode(torch.ones_like(raw, dtype=torch.float64)) - shift
    return BoundingProblem(
        engines,
        engines.network,
        pipeline,
        factor.flatten().to(dtype),
        shift.flatten().to(dtype),
        factor.shape[1:],
        torch.finfo(torch.float32).eps / 2 if options.arithmetic == Arithmetic.FLOAT32 else 0.0,
    )


def checked_rows(problem: ImageProblem, shipped: Tensor) -> int:
    """Return the number of rows, having made sure that the network that is bounded is the network that ships.

    Raises:
        ArithmeticError: the two differ on the clean image by more than float32's rounding explains.
    """
    bounded, shipped = problem.clean_prediction(), shipped.to(problem.image)
    tolerance = REWRITING_TOLERANCE * (1 + float(shipped.abs().max()))
    if not torch.allclose(bounded, shipped, rtol=0, atol=tolerance):
        difference = float((bounded - shipped).abs().max())
        raise ArithmeticError(f"the rewritten network differs from the shipped one by {difference:.3g} on this image")
    return int(problem.claim.rows(bounded).bias.shape[1])
