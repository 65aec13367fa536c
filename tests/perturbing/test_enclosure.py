"""Lines enclose the perturbed image: sampled densely, and at single points in exact arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import NamedTuple

import pytest
import torch
from perturbing_cases import AFFINE, EVERY, halves, pieces, unclipped
from torch import Tensor

from usncli.perturbing import (
    AffinePerturbation,
    Boxes,
    Brightness,
    BrightnessContrast,
    Contrast,
    Gamma,
    Lines,
    Perturbation,
    Pivot,
)
from usncli.perturbing.photometric import pivot_value

SAMPLES = 10_000
BOTH = [*EVERY, *(unclipped(perturbation) for perturbation in AFFINE)]


def picture(values: int = 256, seed: int = 0) -> Tensor:
    """An image of few or many grey values, 0 and 1 among them, ``(1, 3, 4, 4)``, in float64."""
    levels = torch.randint(values, (1, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    image = (levels.float() / (values - 1)).double()
    image[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    return image


def parameters_of(boxes: Boxes, theta: Tensor) -> Tensor:
    """Return t of thetas ``(pieces, samples, dimension)``; 0 where a piece has no width."""
    radii = boxes.radii().unsqueeze(1)
    return torch.where(radii > 0, (theta - boxes.centres().unsqueeze(1)) / radii, torch.zeros_like(theta))


def sampled(boxes: Boxes, count: int) -> Tensor:
    """Return thetas ``(pieces, count, dimension)``, corners first."""
    generator = torch.Generator().manual_seed(1)
    weights = torch.rand(count, boxes.lower.shape[1], dtype=torch.float64, generator=generator)
    weights[0], weights[1] = 0.0, 1.0
    return torch.lerp(boxes.lower.unsqueeze(1), boxes.upper.unsqueeze(1), weights)


def worst_excess(perturbation: Perturbation, image: Tensor, boxes: Boxes, lines: Lines, count: int) -> float:
    """Return by how much the worst pixel at the worst sampled theta leaves its lines; 0 or below is inside.

    A shared error must be one number for all pixels at a theta: gamma's is 2 t^2 - 1; one that clipping causes is read
    off the pixel with the most of it.
    """
    worst = -math.inf
    dimension = perturbation.dimension
    for piece in range(len(boxes.lower)):
        own = Boxes(boxes.lower[piece : piece + 1], boxes.upper[piece : piece + 1])
        theta = sampled(own, count)
        t = parameters_of(own, theta)[0]
        exact = perturbation.expand(image, theta[0]).flatten(1)
        slopes = lines.lower_slope[piece].flatten(1)
        lower, upper = lines.lower[piece].flatten(), lines.upper[piece].flatten()
        rest = exact - t @ slopes[:dimension]
        for direction in slopes[dimension:]:
            if isinstance(perturbation, Gamma):
                error = 2 * t**2 - 1
            else:
                pixel = int(direction.abs().argmax())
                middle = (lower + upper)[pixel] / 2
                error = ((rest[:, pixel : pixel + 1] - middle) / direction[pixel].clamp(min=1e-300)).clamp(-1, 1)
                error = error * bool(direction.any())
            rest = rest - error * direction
        worst = max(worst, float((lower - rest).max()), float((rest - upper).max()))
    return worst


@pytest.mark.parametrize("perturbation", BOTH, ids=str)
@pytest.mark.parametrize("values", [3, 256])
def test_sampled_images_lie_within_the_lines(perturbation: Perturbation, values: int) -> None:
    image, boxes = picture(values), pieces(perturbation)
    lines = perturbation.enclosure(image, boxes)
    assert lines.lower_slope is lines.upper_slope
    assert worst_excess(perturbation, image, boxes, lines, SAMPLES) <= 2e-14


@pytest.mark.parametrize("perturbation", BOTH, ids=str)
def test_lines_in_float32_hold_those_in_float64(perturbation: Perturbation) -> None:
    image, boxes = picture(), pieces(perturbation)
    lines = perturbation.enclosure(image.float(), boxes)
    assert {part.dtype for part in lines} == {torch.float32}
    wide = Lines(*[part.double() for part in lines])
    assert worst_excess(perturbation, image, boxes, wide, 1000) <= 0
    precise = perturbation.enclosure(image, boxes)
    looseness = (wide.upper - wide.lower) - (precise.upper - precise.lower)
    assert float(looseness.max()) <= 2e-6 * float(1 + precise.lower_slope.abs().max())


@pytest.mark.parametrize("perturbation", BOTH, ids=str)
def test_a_piece_of_zero_width_is_the_image_itself(perturbation: Perturbation) -> None:
    image = picture()
    for theta in (torch.tensor([perturbation.identity]), pieces(perturbation).lower[1:2]):
        theta = theta.double()
        exact = perturbation(image, theta)
        lines = perturbation.enclosure(image, Boxes(theta, theta))
        assert float(lines.lower_slope.abs().max()) <= 1e-13
        for bound in (lines.minimum(), lines.maximum()):
            torch.testing.assert_close(bound, exact, rtol=0, atol=3e-13)


def distance(lines: Lines, dimension: int) -> Tensor:
    """Distance of the lines of each pixel with all errors counted as its own."""
    return lines.upper - lines.lower + 2 * lines.lower_slope[:, dimension:].abs().sum(dim=1)


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
@pytest.mark.parametrize("values", [3, 256])
def test_halving_never_loosens(perturbation: Perturbation, values: int) -> None:
    image, boxes = picture(values), pieces(perturbation)
    whole = distance(perturbation.enclosure(image, boxes), perturbation.dimension)
    for axis in range(perturbation.dimension):
        parts = distance(perturbation.enclosure(image, halves(boxes, axis)), perturbation.dimension)
        assert bool((parts <= whole.repeat(2, 1, 1, 1) + 1e-13).all())


@pytest.mark.parametrize("perturbation", EVERY, ids=str)
def test_an_image_a_piece_is_each_image_by_itself(perturbation: Perturbation) -> None:
    boxes = pieces(perturbation)
    batch = torch.cat([picture(4 + 100 * (seed % 2), seed) for seed in range(len(boxes.lower))])
    together = perturbation.enclosure(batch, boxes)
    for piece, image in enumerate(batch.split(1)):
        alone = perturbation.enclosure(image, Boxes(boxes.lower[piece : piece + 1], boxes.upper[piece : piece + 1]))
        assert torch.equal(alone.lower[0], together.lower[piece])
        assert torch.equal(alone.upper[0], together.upper[piece])
        directions = alone.lower_slope.shape[1]
        assert torch.equal(alone.lower_slope[0], together.lower_slope[piece, :directions])
        assert not bool(together.lower_slope[piece, directions:].any())


@pytest.mark.parametrize("perturbation", AFFINE, ids=str)
def test_without_clipping_only_rounding_parts_the_lines(perturbation: Perturbation) -> None:
    lines = unclipped(perturbation).enclosure(picture(), pieces(perturbation))
    gap = lines.upper - lines.lower
    assert 0 < float(gap.max()) <= 1e-12


def exact_pixels(perturbation: Perturbation, image: Tensor, theta: tuple[Fraction, ...]) -> Iterator[Fraction]:
    """Every pixel's value in exact arithmetic; for gamma to 60 digits."""
    pivot = Fraction(float(pivot_value(image, getattr(perturbation, "pivot", Pivot.ZERO)).item()))
    for number in image.flatten().tolist():
        x = Fraction(number)
        if isinstance(perturbation, Brightness):
            value = x + theta[0]
        elif isinstance(perturbation, Contrast):
            value = pivot + theta[0] * (x - pivot)
        elif isinstance(perturbation, BrightnessContrast):
            value = pivot + theta[1] * (x - pivot) + theta[0]
        else:
            value = power(x, theta[0])
        yield min(max(value, Fraction(0)), Fraction(1)) if perturbation.clip else value


def power(x: Fraction, g: Fraction) -> Fraction:
    if not x:
        return x
    with localcontext() as context:
        context.prec = 60
        base, exponent = (Decimal(part.numerator) / Decimal(part.denominator) for part in (x, g))
        return Fraction((exponent * base.ln()).exp())


class Exact(NamedTuple):
    """One theta of one piece, and every pixel's value there."""

    piece: int
    t: list[Fraction]
    pixels: list[Fraction]


def exactly(perturbation: Perturbation, image: Tensor, boxes: Boxes) -> Iterator[Exact]:
    """Evaluate at both ends of each piece and at its centre."""
    for piece in range(len(boxes.lower)):
        own = Boxes(boxes.lower[piece : piece + 1], boxes.upper[piece : piece + 1])
        centres, radii = ([Fraction(number) for number in part[0].tolist()] for part in (own.centres(), own.radii()))
        for values in {tuple(theta[0].tolist()) for theta in (own.lower, own.centres(), own.upper)}:
            theta = [Fraction(value) for value in values]
            t = [(value - c) / r if r else Fraction(0) for value, c, r in zip(theta, centres, radii, strict=True)]
            assert all(abs(number) <= 1 for number in t)
            yield Exact(piece, t, list(exact_pixels(perturbation, image.double(), tuple(theta))))


def violations(perturbation: Perturbation, image: Tensor, boxes: Boxes, narrowed: Fraction) -> int:
    """Count pixels outside their lines, the lines first brought closer by a share of their distance.

    Gamma's shared error is 2 t^2 - 1; those that clipping causes are given to each pixel.
    """
    lines, count = perturbation.enclosure(image, boxes), 0
    for piece, own, pixels in exactly(perturbation, image, boxes):
        t = [*own, 2 * own[0] ** 2 - 1] if isinstance(perturbation, Gamma) else own
        columns = lines.lower_slope[piece].flatten(1).T.tolist()
        ends = zip(lines.lower[piece].flatten().tolist(), lines.upper[piece].flatten().tolist(), strict=True)
        for value, slopes, (lower, upper) in zip(pixels, columns, ends, strict=True):
            exact = [Fraction(slope) for slope in slopes]
            rest = value - sum((slope * number for slope, number in zip(exact, t, strict=False)), Fraction(0))
            spare = sum((abs(slope) for slope in exact[len(t) :]), Fraction(0))
            give = (Fraction(upper) - Fraction(lower)) / 2 * narrowed - spare
            count += not Fraction(lower) + give <= rest <= Fraction(upper) - give
    return count


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("perturbation", BOTH, ids=str)
def test_lines_hold_in_exact_arithmetic(perturbation: Perturbation, dtype: torch.dtype) -> None:
    """No tolerance: a line that ignored its own rounding would fail, as the next test shows."""
    assert violations(perturbation, picture().to(dtype), pieces(perturbation), Fraction(0)) == 0
    assert violations(perturbation, mid_greys(dtype), narrow(perturbation), Fraction(0)) == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("perturbation", [Brightness(), Contrast(clip=False, pivot=Pivot.MEAN), Gamma()], ids=str)
def test_lines_without_their_widening_would_not_hold(perturbation: Perturbation, dtype: torch.dtype) -> None:
    """Away from kinks nothing but rounding lies between the lines of narrow pieces."""
    assert violations(perturbation, mid_greys(dtype), narrow(perturbation), Fraction(1)) > 10


def test_lines_hold_where_products_underflow() -> None:
    boxes = Boxes(*torch.tensor([[[0.0]], [[3e-310]]], dtype=torch.float64))
    assert violations(Contrast(clip=False), mid_greys(torch.float64), boxes, Fraction(0)) == 0


def mid_greys(dtype: torch.dtype) -> Tensor:
    """An image that no small perturbation clips."""
    return (0.25 + torch.rand(1, 3, 2, 2, dtype=dtype, generator=torch.Generator().manual_seed(5)) / 2).to(dtype)


def narrow(perturbation: Perturbation) -> Boxes:
    lower = torch.tensor([perturbation.identity], dtype=torch.float64) + torch.tensor([[0.0123], [0.0246], [0.037]])
    return Boxes(lower, lower + torch.tensor([[0.0], [1e-9], [1e-6]]))


@pytest.mark.parametrize("perturbation", AFFINE, ids=str)
def test_the_same_function_in_float32_as_enclosed(perturbation: AffinePerturbation) -> None:
    """The pivot that the lines know is the one that ships: rounding of one pixel, not of a mean, lies between."""
    image, boxes = picture().float(), pieces(perturbation)
    theta = boxes.centres()[1:2]
    lines = perturbation.enclosure(image.double(), Boxes(theta, theta))
    shipped = perturbation(image, theta).double()
    assert bool((shipped >= lines.lower - 3e-7).all())
    assert bool((shipped <= lines.upper + 3e-7).all())
