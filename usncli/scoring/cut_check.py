"""Checks on a copy that cutting a group's channels equals zeroing its slices, before anything relies on it.

Structure alone cannot show it: a sum with the network's input, a softmax over channels or a reshape to a fixed size
look harmless in the dependency graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from usncli.scoring import problems
from usncli.scoring.coupling import ChannelSlices, Coupling
from usncli.scoring.problems import Problem
from usncli.scoring.tracing import TracedNetwork, is_depthwise, is_producer, run

TOLERANCE = 1e-4
"""Largest difference allowed between cut and zeroed, relative to the largest output, in float32."""


def find_unsafe(trace: Callable[[], TracedNetwork], couplings: Sequence[Coupling]) -> dict[str, Problem]:
    """Return the groups whose cut is not the same as zeroing, by name, with the reason.

    Args:
        trace: gives a fresh traced copy of the network, which is spent by a check.
        couplings: groups without a known problem.
    """
    unsafe: dict[str, Problem] = {}
    together = difference(trace(), couplings) if couplings else None
    if together is None:
        return unsafe
    for coupling in couplings:
        if problem := difference(trace(), [coupling]):
            unsafe[coupling.name] = problem
    rest = [coupling for coupling in couplings if coupling.name not in unsafe]
    if rest and (not unsafe or (together := difference(trace(), rest))):
        unsafe |= {coupling.name: together for coupling in rest}
    return unsafe


def difference(traced: TracedNetwork, couplings: Sequence[Coupling]) -> Problem | None:
    """Cut a random half of each group's channels from a traced copy; return what goes wrong, or None."""
    generator = torch.Generator().manual_seed(0)
    _randomise(traced.network, generator)
    images = torch.rand(traced.example.shape, generator=generator)
    chosen = [_choose(len(coupling.roots), generator) for coupling in couplings]
    for coupling, channels in zip(couplings, chosen, strict=True):
        zero_slices(traced.network, coupling.slices, channels)
    masked = run(traced, images)
    try:
        for coupling, channels in zip(couplings, chosen, strict=True):
            cut_channels(traced, coupling, channels)
        cut = run(traced, images)
    except (RuntimeError, ValueError, IndexError, AssertionError, TypeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        return problems.breaking(first_line)
    if any(before.shape != after.shape for before, after in zip(masked, cut, strict=True)):
        return problems.SHAPE
    scale = max(float(output.abs().max()) for output in masked)
    error_size = max(float((before - after).abs().max()) for before, after in zip(masked, cut, strict=True))
    if not error_size <= TOLERANCE * scale:
        return problems.unequal(error_size / scale)
    return None


def _choose(channels: int, generator: torch.Generator) -> list[int]:
    return sorted(torch.randperm(channels, generator=generator)[: channels // 2].tolist())


def zero_slices(network: nn.Module, slices: Sequence[ChannelSlices], channels: Sequence[int]) -> None:
    """Set every parameter slice of some channels to zero, in place."""
    with torch.no_grad():
        for member in slices:
            indices = [index for channel in channels for index in member.indices[channel]]
            module = network.get_submodule(member.module)
            for parameter, axis in _parameter_axes(module, member.side):
                parameter.index_fill_(axis, torch.tensor(indices, dtype=torch.long, device=parameter.device), 0.0)


def _parameter_axes(module: nn.Module, side: str) -> list[tuple[Tensor, int]]:
    swapped = isinstance(module, nn.modules.conv._ConvTransposeNd) and not is_depthwise(module)
    if side == "in":
        return [(module.get_parameter("weight"), 0 if swapped else 1)]
    axes = {"weight": 1 if swapped else 0, "bias": 0}
    return [(parameter, axes[name]) for name, parameter in module.named_parameters(recurse=False)]


def cut_channels(traced: TracedNetwork, coupling: Coupling, channels: Sequence[int]) -> None:
    """Remove some channels of a group from the traced copy with torch-pruning."""
    roots = sorted(root for channel in channels for root in coupling.roots[channel])
    if not roots:
        return
    root = traced.network.get_submodule(coupling.name)
    pruning_function = traced.graph.get_pruner_of_module(root).prune_out_channels
    traced.graph.get_pruning_group(root, pruning_function, roots).prune()


def _randomise(network: nn.Module, generator: torch.Generator) -> None:
    """Give every layer random weights of a sensible size, so that no error hides behind weights that are near zero."""
    with torch.no_grad():
        for module in network.modules():
            if is_producer(module):
                weight = module.get_parameter("weight")
                weight.copy_(torch.randn(weight.shape, generator=generator) * (2 / weight[0].numel()) ** 0.5)
            elif isinstance(module, nn.modules.batchnorm._NormBase):
                _randomise_norm(module, generator)
            if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
                bias.copy_(0.1 * torch.randn(bias.shape, generator=generator))


def _randomise_norm(module: nn.modules.batchnorm._NormBase, generator: torch.Generator) -> None:
    for name, offset, scale in (("weight", 0.5, 1.0), ("running_var", 0.5, 1.0), ("running_mean", -0.1, 0.2)):
        if isinstance(tensor := getattr(module, name, None), Tensor):
            tensor.copy_(offset + scale * torch.rand(tensor.shape, generator=generator))
