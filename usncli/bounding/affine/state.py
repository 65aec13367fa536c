"""What a forward pass found out about every node."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from usncli.bounding.affine.enclosure import Enclosure
from usncli.bounding.affine.steps import Step, taken


@dataclass
class State:
    """What a forward pass found.

    Attributes:
        enclosures: of the nodes that were to be kept, by name.
        intervals: least and greatest values of nodes that activations read.
        refined: names of those whose interval is narrower than the enclosure's own.
        largest: at least the largest absolute value, ``(pieces or 1, *shape)``, where a rule knew it.
        steps: what each node is, by name; the image has none.
        magnitudes: largest absolute value ``(pieces,)`` of each node that is read several times.
        directions: of all enclosures together; one that has fewer has slope 0 along the last.
    """

    enclosures: dict[str, Enclosure]
    intervals: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    refined: set[str] = field(default_factory=set)
    largest: dict[str, Tensor] = field(default_factory=dict)
    steps: dict[str, Step] = field(default_factory=dict)
    magnitudes: dict[str, Tensor] = field(default_factory=dict)
    directions: int = 0

    def take(self, pieces: Tensor) -> State:
        """Return the state of some pieces."""
        return State(
            {name: item.take(pieces) for name, item in self.enclosures.items()},
            {name: (lower[pieces], upper[pieces]) for name, (lower, upper) in self.intervals.items()},
            set(self.refined),
            {name: taken(item, pieces) for name, item in self.largest.items()},
            {name: step.take(pieces) for name, step in self.steps.items()},
            {name: item[pieces] for name, item in self.magnitudes.items()},
            self.directions,
        )
