"""The processes that train one network together, and what they tell each other.

Each holds the whole network. What they must agree on is the first one's, or is computed by each from the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from usncli.errors import UsnError

T = TypeVar("T")


class Processes:
    """This process alone, which has nobody to tell anything: every method gives back what it got.

    Attributes:
        device: where this process trains.
        rank: number of this process, from 0.
        count: number of all.
    """

    rank = 0
    count = 1

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and shows progress."""
        return self.rank == 0

    def gather(self, part: Tensor) -> Tensor:
        """Return every process's tensor, ``(count, *part.shape)``; all must be of one shape.

        The gradient of each part is the sum of the gradients that all processes have for it.
        """
        return part.unsqueeze(0)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place."""

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by the first process's, in place."""

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set in any process."""
        return flag

    def from_first(self, make: Callable[[], T]) -> T:
        """Return what the first process makes; the others wait for it.

        Raises:
            UsnError: in every process, the error that it raised.
        """
        return make()


class GroupProcesses(Processes):
    """The processes of torch's default process group.

    Args:
        device: where this process trains, of a kind that the group's backend carries.
    """

    def __init__(self, device: torch.device | str) -> None:
        super().__init__(device)
        self.rank, self.count = distributed.get_rank(), distributed.get_world_size()

    def gather(self, part: Tensor) -> Tensor:
        """Gather by one collective call, and one more for the gradient."""
        gathered: Tensor = _Gathered.apply(part, self.rank, self.count)
        return gathered

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Average all tensors, of one dtype, by one collective call."""
        joined = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(joined)
        parts = torch.split(joined / self.count, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Send every tensor of the first process, also such as do not lie on the device."""
        for tensor in tensors:
            sent = tensor.detach().to(self.device).contiguous()
            distributed.broadcast(sent, 0)
            tensor.detach().copy_(sent)

    def any(self, flag: bool) -> bool:
        """Ask all processes."""
        asked = torch.tensor(int(flag), device=self.device)
        distributed.all_reduce(asked, distributed.ReduceOp.MAX)
        return bool(asked)

    def from_first(self, make: Callable[[], T]) -> T:
        """Send what the first process made or raised, pickled."""
        made: list[Any] = [None, None]
        if self.first:
            try:
                made[0] = make()
            except UsnError as error:
                made[1] = error
        distributed.broadcast_object_list(made, 0, device=self.device)
        if made[1] is not None:
            raise made[1]
        result: T = made[0]
        return result


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, part: Tensor, rank: int, count: int) -> Tensor:
        ctx.rank = rank
        gathered = part.new_empty(count, *part.shape)
        distributed.all_gather_into_tensor(gathered.flatten(0, 1), part.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[ctx.rank], None, None
