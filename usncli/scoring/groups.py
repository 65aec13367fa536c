"""Dependency groups: which channels of which layers can only be cut together.

The coupling comes from torch-pruning's dependency graph (Fang et al. 2023, "DepGraph", arXiv 2301.12900). What it
cannot map safely is reported as unprunable with the reason, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor, nn

from usncli.errors import ConfigurationError, suggestion
from usncli.scoring.coupling import Coupling, couple
from usncli.scoring.cut_check import find_unsafe
from usncli.scoring.problems import Problem
from usncli.scoring.tracing import trace

Indices = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class GroupMember:
    """A layer whose parameters hold some of a group's channels.

    Attributes:
        module: name of the layer.
        side: ``out`` for the axis of what the layer makes (weight and bias of a convolution or linear layer, everything
            of a batch norm, of a PReLU with one weight a channel and of a depthwise convolution); ``in`` for the axis
            of what it consumes (the weight only). In PyTorch ``out`` is axis 0 of the weight and ``in`` axis 1; the
            reverse in a transposed convolution that is not depthwise.
        indices: for every channel of the group, the indices along that axis of the parameters; several after a flatten,
            none where the layer does not see that channel. A grouped convolution counts its inputs within one group,
            as axis 1 of its weight does.
    """

    module: str
    side: str
    indices: Indices


@dataclass(frozen=True)
class ScoredLayer:
    """A module whose output holds a group's activations z_j: before the activation function, after batch norm.

    Attributes:
        module: name of the batch norm if that is all that the convolution or linear layer feeds, else of that layer.
        indices: for every channel of the group, the channels of the module's output that are z_j.
    """

    module: str
    indices: Indices


@dataclass(frozen=True)
class DependencyGroup:
    """Channels j = 0..channels-1, each a set of parameter slices that can only be cut together.

    Zeroing every slice of a channel, ``out`` and ``in``, changes the network's outputs exactly as cutting them out.

    Attributes:
        name: the first layer, in network order, that makes these channels.
        channels: number of channels that can be cut.
        scored: where the channels' activations are read; one a layer that makes them.
        members: every layer that holds parameters of these channels, in network order.
    """

    name: str
    channels: int
    scored: tuple[ScoredLayer, ...]
    members: tuple[GroupMember, ...]


@dataclass(frozen=True)
class UnprunableGroup:
    """Channels that stay, and why.

    Attributes:
        name: the first layer that makes them.
        layers: every layer concerned.
        reason: a few words.
    """

    name: str
    layers: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class GroupAnalysis:
    """All channels of a network, split into those that can be cut and those that cannot.

    Attributes:
        groups: prunable groups, in network order.
        unprunable: the others, in network order.
        remedies: what to change in the network so that an unprunable group can be cut, by its name; a group that is
            left whole on purpose has none.
    """

    groups: tuple[DependencyGroup, ...]
    unprunable: tuple[UnprunableGroup, ...]
    remedies: Mapping[str, str] = field(default_factory=dict)


def dependency_groups(network: nn.Module, example: Tensor, exclude: Sequence[str] = ()) -> tuple[DependencyGroup, ...]:
    """Return the prunable groups of a network, in network order; see `analyse_groups`."""
    return analyse_groups(network, example, exclude).groups


def analyse_groups(network: nn.Module, example: Tensor, exclude: Sequence[str] = ()) -> GroupAnalysis:
    """Find the groups of coupled channels of a network, which is left as it was.

    Channels of the network's outputs are never prunable. Every other group is checked once on a copy with random
    weights: a random half of its channels is cut by torch-pruning, and the outputs must be those of zeroed slices.

    Args:
        network: the network without its preprocessing; a captured network or any module that autograd can trace.
        example: an input of the network, ``(batch, channels, height, width)``; one or two images are enough.
        exclude: names of layers or of modules that hold layers, or patterns such as ``encoder.*`` (as of ``fnmatch``);
            their groups are left alone.

    Raises:
        ConfigurationError: a name or pattern fits no module of the network.
    """
    _check_names(network, exclude)
    couplings = couple(trace(network, example))
    problems = {coupling.name: _problem(coupling, exclude) for coupling in couplings}
    problems |= find_unsafe(
        lambda: trace(network, example), [coupling for coupling in couplings if not problems[coupling.name]]
    )
    found = [(coupling, problem) for coupling in couplings if (problem := problems[coupling.name])]
    return GroupAnalysis(
        tuple(_group(coupling) for coupling in couplings if not problems[coupling.name]),
        tuple(UnprunableGroup(coupling.name, coupling.layers, problem.reason) for coupling, problem in found),
        {coupling.name: problem.remedy for coupling, problem in found if problem.remedy},
    )


def _check_names(network: nn.Module, exclude: Sequence[str]) -> None:
    names = [name for name, _ in network.named_modules() if name]
    for pattern in exclude:
        if not any(_covers(pattern, name) for name in names):
            raise ConfigurationError(f"exclude: the network has no layer {pattern!r}{suggestion(pattern, names)}")


def _covers(pattern: str, layer: str) -> bool:
    return fnmatchcase(layer, pattern) or layer.startswith(f"{pattern}.")


def _problem(coupling: Coupling, exclude: Sequence[str]) -> Problem | None:
    for layer in coupling.layers:
        for pattern in exclude:
            if _covers(pattern, layer):
                return Problem(f"excluded by name ({pattern})")
    return coupling.problem


def _group(coupling: Coupling) -> DependencyGroup:
    members = tuple(GroupMember(slices.module, slices.side, slices.indices) for slices in coupling.slices)
    scored = tuple(ScoredLayer(slices.module, slices.indices) for slices in coupling.outputs)
    return DependencyGroup(coupling.name, len(coupling.roots), scored, members)
