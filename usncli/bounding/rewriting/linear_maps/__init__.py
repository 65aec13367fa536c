"""Affine maps: the layers of a rewritten network that a bound engine carries lines through without loss."""

from usncli.bounding.rewriting.linear_maps.averages import AlongAxes
from usncli.bounding.rewriting.linear_maps.convolutions import Convolution, TransposedConvolution
from usncli.bounding.rewriting.linear_maps.linear_map import LinearMap
from usncli.bounding.rewriting.linear_maps.rearranging import Reshape, Selection
from usncli.bounding.rewriting.linear_maps.scale_shift import ScaleShift
from usncli.bounding.rewriting.linear_maps.weighted import Linear, Weighted

__all__ = [
    "AlongAxes",
    "Convolution",
    "Linear",
    "LinearMap",
    "Reshape",
    "ScaleShift",
    "Selection",
    "TransposedConvolution",
    "Weighted",
]
