"""Semantic perturbations, the boxes of their parameters, how to sample them, and lines that enclose their images."""

from usncli.perturbing.affine import AffineImage, AffinePerturbation
from usncli.perturbing.boxes import Boxes
from usncli.perturbing.gamma import Gamma
from usncli.perturbing.lines import Lines
from usncli.perturbing.perturbation import Perturbation
from usncli.perturbing.photometric import Brightness, BrightnessContrast, Contrast, Pivot
from usncli.perturbing.ranges import PerturbationRange, parse_range

__all__ = [
    "AffineImage",
    "AffinePerturbation",
    "Boxes",
    "Brightness",
    "BrightnessContrast",
    "Contrast",
    "Gamma",
    "Lines",
    "Perturbation",
    "PerturbationRange",
    "Pivot",
    "parse_range",
]
