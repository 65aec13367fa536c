"""Figures of a training for TensorBoard."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from usncli.errors import ConfigurationError

FOLDER = "tensorboard"
"""Name of the logs' folder in a run's folder."""

ScalarLog = Callable[[Mapping[str, float]], None]
"""Takes figures, the number of steps finished among them as ``step``."""


def require_tensorboard() -> None:
    """Check that logs can be written.

    Raises:
        ConfigurationError: TensorBoard is not installed.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise ConfigurationError(
            "tensorboard: expected the package tensorboard, found none; run: pip install 'usncli[tensorboard]'"
        )


@contextmanager
def scalar_log(folder: Path, step: int) -> Iterator[ScalarLog]:
    """Yield what writes each figure as the scalar ``training/NAME``.

    Args:
        folder: of the logs; earlier ones stay.
        step: steps finished; what was logged of later ones is void.
    """
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=step + 1) as writer:

        def log(figures: Mapping[str, float]) -> None:
            for name in figures.keys() - {"step"}:
                writer.add_scalar(f"training/{name}", figures[name], int(figures["step"]))

        yield log
