"""Why channels cannot be cut, each with what would let them be."""

from __future__ import annotations

from typing import NamedTuple


class Problem(NamedTuple):
    """Why a group cannot be cut.

    Attributes:
        reason: a few words.
        remedy: what to change in the network so that it can; empty where nothing is wrong with it.
    """

    reason: str
    remedy: str = ""


OUTPUTS = Problem("its channels are the network's outputs")
PARAMETER = Problem(
    "its channels meet a bare parameter, whose channel axis is not known",
    "put the parameter into a layer, such as the bias of a convolution or the weight of nn.BatchNorm2d",
)
TORN = Problem(
    "the groups of a grouped convolution take their channels from different layers",
    "use a convolution of one group, or a depthwise one",
)
ONE_WAY = Problem(
    "its coupling with another group is not mapped in both directions",
    "use a layer twice only where all its inputs have the same channels",
)
SHAPE = Problem(
    "cutting its channels changes the shape of the network's outputs", "end the network with a layer that has weights"
)
_UNMIXED = "use nn.BatchNorm2d, which keeps channels apart"


def without_spare_channels(groups: int) -> Problem:
    """Return the problem of a grouped convolution that has one channel in each group."""
    reason = f"a convolution of {groups} groups has no channel to spare in each group"
    return Problem(reason, "use fewer groups, with several channels each")


def mixing(layer: str) -> Problem:
    """Return the problem of a layer of that class between the channels."""
    return Problem(f"{layer} mixes its channels", _UNMIXED)


def beyond(layer: str) -> Problem:
    """Return the problem of channels that torch-pruning loses track of before a layer of that class."""
    reason = f"torch-pruning maps its channels beyond those of {layer}"
    return Problem(reason, "move reshapes and concatenations away from between the two layers")


def breaking(error: str) -> Problem:
    """Return the problem of a network that does not run with fewer channels."""
    reason = f"the network does not run once channels are cut ({error})"
    return Problem(reason, "take numbers of channels from tensors, x.shape[1] or -1, instead of writing them down")


def unequal(share: float) -> Problem:
    """Return the problem of a cut that changes outputs by this share more than zeroing does."""
    reason = f"cutting its channels is not the same as zeroing them (outputs differ by {share:.1e})"
    return Problem(reason, "keep softmax, means, maxima and products over channels away from it")
