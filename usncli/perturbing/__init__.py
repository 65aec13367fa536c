"""Semantic perturbations, the boxes of their parameters, and how to sample them."""

from usncli.perturbing.boxes import Boxes
from usncli.perturbing.lines import Lines
from usncli.perturbing.perturbation import AffineImage, Perturbation
from usncli.perturbing.photometric import Brightness, BrightnessContrast, Contrast, Pivot
from usncli.perturbing.ranges import PerturbationRange, parse_range

__all__ = [
    "AffineImage",
    "Boxes",
    "Brightness",
    "BrightnessContrast",
    "Contrast",
    "Lines",
    "Perturbation",
    "PerturbationRange",
    "Pivot",
    "parse_range",
]
