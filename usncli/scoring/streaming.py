"""Runs a pipeline over images and their perturbed versions and sums up the statistics of chosen layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from usncli.errors import InputError
from usncli.loading.batching import batches
from usncli.loading.pipeline import Pipeline
from usncli.perturbing.ranges import PerturbationRange
from usncli.perturbing.sampling import SamplingMethod, ThetaSample, sample_theta, theta_count
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.scoring.accumulation import BLOCKS, ActivationSums
from usncli.scoring.activations import reading_activations
from usncli.scoring.layer_reducer import LayerReducer
from usncli.scoring.options import ScoreOptions
from usncli.scoring.reduction import theta_weights
from usncli.scoring.workspace import Workspace, chunk_size
from usncli.types import ImageData

HALVES_EVERY = 4
"""Two halves of the thetas are compared on every so many batches, beginning with the first: it doubles their cost."""


class ThetaBatch(NamedTuple):
    """Thetas for each image of a batch.

    Attributes:
        theta: ``(images, 1 + samples, dimension)``, float64; the identity first, so that every image is seen clean too.
            One row serves all images where they share their thetas.
        sample: weights and variance factor, the same for every image.
    """

    theta: Tensor
    sample: ThetaSample


def draw_thetas(perturbation_range: PerturbationRange, options: ScoreOptions, first: int, count: int) -> ThetaBatch:
    """Choose the thetas of consecutive images; those of an image are a pure function of the seed and its number.

    Args:
        perturbation_range: the box.
        options: method, samples and seed.
        first: number of the first image.
        count: number of images.
    """
    if options.method == SamplingMethod.QUADRATURE:
        sample = sample_theta(perturbation_range, options.method, options.samples, torch.Generator())
        theta = sample.theta.unsqueeze(0)
    else:
        samples = [
            sample_theta(perturbation_range, options.method, options.samples, _generator(options.seed, image))
            for image in range(first, first + count)
        ]
        sample, theta = samples[0], torch.stack([drawn.theta for drawn in samples])
    identity = theta.new_tensor(perturbation_range.perturbation.identity).expand(len(theta), 1, -1)
    return ThetaBatch(torch.cat([identity, theta], dim=1), sample)


def _generator(seed: int, image: int) -> torch.Generator:
    entropy = np.random.SeedSequence([seed, image]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(entropy))


def perturbed_batch(
    perturbation_range: PerturbationRange, images: Tensor, theta: Tensor, workspace: Workspace
) -> Tensor:
    """Return every image at each of its thetas, ``(images * (1 + samples), channels, height, width)``.

    Args:
        perturbation_range: whose perturbation is applied.
        images: ``(images, channels, height, width)`` in [0, 1].
        theta: ``(images or 1, 1 + samples, dimension)``; at the identity an image comes out as it is.
        workspace: holds the result until it is used for the next batch.
    """
    perturbation, theta = perturbation_range.perturbation, theta.expand(len(images), -1, -1)
    result = workspace.take("images", images, images.shape[0], theta.shape[1], *images.shape[1:])
    step = max(1, chunk_size(images.device) // 4 // max(1, result[0].numel()))
    for first in range(0, images.shape[0], step):
        perturbed = perturbation.expand(images[first : first + step], theta[first : first + step])
        result[first : first + step] = perturbed.view_as(result[first : first + step])
    return result.flatten(0, 1)


@dataclass(frozen=True)
class ActivationScan:
    """Sums up the statistics of some layers over any number of images.

    Attributes:
        pipeline: what is scored; its mode is restored.
        layers: names of modules of ``pipeline.network``.
        perturbation_range: box of the perturbation.
        options: sampling and batch size.
    """

    pipeline: Pipeline
    layers: Sequence[str]
    perturbation_range: PerturbationRange
    options: ScoreOptions

    def gather(
        self, data: ImageData, count: int, progress: ProgressCallback = silent, *, blocks: int = BLOCKS
    ) -> ActivationSums:
        """Return the sums of all layers over the first ``count`` images.

        One batch of images with all their thetas is run at a time, and each layer is reduced as soon as it has run.

        Args:
            data: images.
            count: how many of them, the first ones.
            progress: told after every batch.
            blocks: most blocks of images whose sums are kept apart.

        Raises:
            InputError: an activation is not finite.
        """
        device = self.pipeline.mean.device
        sums, workspace = ActivationSums(min(count, blocks)), Workspace()
        with torch.no_grad(), evaluating(self.pipeline), full_float32(device):
            first = 0
            for batch in batches(data, self.options.batch_size, order=range(count)):
                sums.add(self._reduce(batch.images.to(device), first, workspace), first)
                first += batch.images.shape[0]
                progress(ProgressUpdate("scoring", first, count))
        if bad := sums.not_finite():
            raise InputError(
                f"layer {bad[0]}: expected finite activations, got NaN or infinity on the images scored; "
                "check the weights and the normalisation"
            )
        return sums

    def _reduce(self, images: Tensor, first: int, workspace: Workspace) -> list[tuple[str, Tensor]]:
        count = images.shape[0]
        theta, sample = draw_thetas(self.perturbation_range, self.options, first, count)
        samples = theta.shape[1] - 1
        halves = self.options.method != SamplingMethod.QUADRATURE and samples >= 4
        halves = halves and first // self.options.batch_size % HALVES_EVERY == 0
        weights = theta_weights(sample, halves=halves, like=images)
        reducer = LayerReducer(count, weights, workspace)
        with reading_activations(self.pipeline.network, self.layers, reducer.read):
            self.pipeline(perturbed_batch(self.perturbation_range, images, theta, workspace))
        return reducer.results()


def thetas_an_image(perturbation_range: PerturbationRange, options: ScoreOptions) -> int:
    """Return how many perturbed versions of an image are scored."""
    return theta_count(perturbation_range.dimension, options.method, options.samples)


@contextmanager
def evaluating(pipeline: Pipeline) -> Iterator[None]:
    """Switch a pipeline to evaluation mode and every module back to its own mode afterwards."""
    modes = [(module, module.training) for module in pipeline.modules()]
    pipeline.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def full_float32(device: torch.device) -> Iterator[None]:
    """Keep a GPU from rounding factors to TF32's 10 bits, which would drown small shifts of activations."""
    if device.type != "cuda":
        yield
        return
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
