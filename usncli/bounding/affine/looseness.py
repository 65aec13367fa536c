"""Where the looseness of bounds comes from: what relaxing each value of each activation adds to it."""

from __future__ import annotations

from torch import Tensor

from usncli.bounding.affine import backward
from usncli.bounding.affine.batch import Batch
from usncli.bounding.affine.plan import nonlinear_nodes


def looseness_by_activation(batch: Batch, coefficients: Tensor) -> dict[str, Tensor]:
    """Carry rows of the output back to the image, and note what they meet on the way.

    The value of an activation errs by at most its step's radius from the line that stands for it, and a row whose
    coefficient there is a by |a| times as much. Summed over all activations, that is how far the row's bound lies from
    what the row may reach, but for the image's own error and for rounding.

    Args:
        batch: pieces that have been through a forward pass.
        coefficients: ``(pieces, rows, outputs)``, of the outputs as they are.

    Returns:
        By name of the activation's node ``(pieces, *shape)``: |a| times the radius, summed over the rows; 0 where the
        activation is a line over the whole piece.
    """
    nodes = batch.plan.nodes
    activations = {node.name for node in nonlinear_nodes(batch.bounder.network)}
    carried, found = backward.start(nodes[-1], coefficients, batch.cells), {}
    for name in reversed(nodes[1:]):
        pending, radius = carried.pending.get(name), batch.state.steps[name].radius
        if name in activations and pending is not None and radius is not None:
            found[name] = (pending.abs() * radius.unsqueeze(1)).sum(dim=1)
        batch.carry_through(carried, name)
    return found
