"""One pipeline made ready for bounding: rewritten once, for all images and ranges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from usncli.certifying.bounds.engine import BoundEngine, Work
from usncli.certifying.bounds.method import Method
from usncli.certifying.bounds.rows import Rows
from usncli.certifying.branch_and_bound import Bounds
from usncli.certifying.properties import Property
from usncli.certifying.rewriting import rewrite
from usncli.errors import UnsupportedOperationError
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import Boxes, Lines, PerturbationRange
from usncli.perturbing.lines import normalised

_OVERSHOOT = 1e-6


@dataclass(frozen=True)
class BoundingProblem:
    """A network as it is bounded, and how its raw outputs become predictions.

    Attributes:
        engine: bounds the raw outputs.
        network: the rewritten network, from normalised images to raw flattened outputs.
        pipeline: what ships.
        factor, shift: predictions are ``factor * raw + shift``, elementwise; ``(outputs,)``.
        output_shape: shape of one image's prediction.
    """

    engine: BoundEngine
    network: fx.GraphModule
    pipeline: Pipeline
    factor: Tensor
    shift: Tensor
    output_shape: torch.Size

    def image(self, image: Tensor, region: PerturbationRange, claim: Property, threshold: float) -> ImageProblem:
        """Return the problem of one image ``(channels, height, width)`` and one range."""
        return ImageProblem(self, image.unsqueeze(0).to(self.factor), region, claim, threshold)

    def predictions(self, raw: Tensor) -> Tensor:
        """Return predictions in the form of the pipeline's task from raw outputs ``(batch, outputs)``."""
        return (self.factor * raw + self.shift).reshape(-1, *self.output_shape)

    def normalised(self, images: Lines) -> Lines:
        """Return lines of the network's input from lines of the image in [0, 1]."""
        mean, std = self.pipeline.mean.to(self.factor), self.pipeline.std.to(self.factor)
        return normalised(images, mean, std)


@dataclass(frozen=True)
class ImageProblem:
    """One image, one range, one property, ready for branch and bound.

    Attributes:
        problem: the network.
        image: ``(1, channels, height, width)`` in the engine's precision.
        region: the perturbation and its range.
        claim: the property.
        threshold: a row counts as proved above this.
    """

    problem: BoundingProblem
    image: Tensor
    region: PerturbationRange
    claim: Property
    threshold: float

    @property
    def row_count(self) -> int:
        """Number of specification rows."""
        lower, upper = self.region.corners()
        return int(self._centres(Boxes(lower.unsqueeze(0), upper.unsqueeze(0)))[1].bias.shape[1])

    def lines(self, boxes: Boxes) -> Lines:
        """Return lines of the network's normalised input over pieces of theta."""
        perturbation = self.region.perturbation
        boxes = Boxes(boxes.lower.to(self.image.device), boxes.upper.to(self.image.device))
        images = perturbation.enclosure(self.image, boxes)
        return self.problem.normalised(images)

    def bound(self, boxes: Boxes, wanted: Tensor) -> Bounds:
        """Bound the wanted rows over pieces; see `usncli.certifying.branch_and_bound.Bound`.

        Raises:
            ArithmeticError: a bound is above a value that the row takes: the engine is wrong and proves nothing.
        """
        predictions, rows = self._centres(boxes)
        centre = rows.values(predictions.flatten(1))
        raw_rows = rows.scaled(self.problem.factor, self.problem.shift)
        lower = self.problem.engine.lower_bounds(
            Work(self.lines(boxes), raw_rows, wanted.to(centre.device), centre, centre.new_full((len(centre),), self.threshold))
        ).lower
        overshoot = lower > centre + _OVERSHOOT * (1 + centre.abs()) + self.threshold
        if bool((overshoot & torch.isfinite(lower)).any()):
            raise ArithmeticError("a lower bound lies above a value inside its piece; the bound engine is unsound here")
        return Bounds(lower, self.claim.margins(predictions))

    def clean_prediction(self) -> Tensor:
        """Return what the rewritten network predicts for the image as it is, in the form of the pipeline's task."""
        return self._predictions(self.image)

    def _centres(self, boxes: Boxes) -> tuple[Tensor, Rows]:
        """Return predictions at the centres of pieces, and the rows that they ask for."""
        theta = boxes.centres().to(self.image)
        predictions = self._predictions(self.region.perturbation.expand(self.image, theta))
        return predictions, self.claim.rows(predictions)

    def _predictions(self, images: Tensor) -> Tensor:
        mean, std = self.problem.pipeline.mean.to(images), self.problem.pipeline.std.to(images)
        with torch.no_grad():
            return self.problem.predictions(self.problem.network((images - mean) / std))


def make_problem(pipeline: Pipeline, method: Method, dtype: torch.dtype) -> BoundingProblem:
    """Rewrite a pipeline's network and build the engine.

    Raises:
        UnsupportedOperationError: the network is not a captured one, or holds operations that cannot be bounded.
        UsnError: auto_LiRPA is missing.
    """
    # Only here, since it imports auto_LiRPA.
    from usncli.certifying.bounds.lirpa.engine import LirpaEngine

    network = pipeline.network
    if not isinstance(network, fx.GraphModule):
        raise UnsupportedOperationError(
            f"expected a captured network, got {type(network).__name__}; pass it through usncli.loading.capture first"
        )
    device = pipeline.mean.device
    example = torch.full((1, *pipeline.preprocessing.input_shape), 0.5, device=device)
    rewritten = rewrite(network, example, dtype)
    with torch.no_grad():
        raw = network(example.to(pipeline.mean))
        shift = pipeline.decode(torch.zeros_like(raw, dtype=torch.float64))
        factor = pipeline.decode(torch.ones_like(raw, dtype=torch.float64)) - shift
    return BoundingProblem(
        LirpaEngine(rewritten, example.to(dtype), method),
        rewritten,
        pipeline,
        factor.flatten().to(dtype),
        shift.flatten().to(dtype),
        factor.shape[1:],
    )
