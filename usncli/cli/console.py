"""Where a command prints: results to stdout, everything else to stderr."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

AS_IT_IS: dict[str, Any] = {"soft_wrap": True, "markup": False, "highlight": False, "emoji": False}
"""How rich prints a text without changing any of it."""


def _console(stderr: bool) -> Console:
    from rich.console import Console  # help needs none

    return Console(stderr=stderr)


@dataclass(frozen=True)
class Consoles:
    """The two streams. Colour only where a stream is a terminal and NO_COLOR is not set.

    Attributes:
        out: stdout, for results.
        err: stderr, for progress and messages.
        quiet: whether messages that are no errors are kept back.
        verbose: whether more is said.
    """

    out: Console = field(default_factory=lambda: _console(stderr=False))
    err: Console = field(default_factory=lambda: _console(stderr=True))
    quiet: bool = False
    verbose: bool = False

    def show(self, result: RenderableType) -> None:
        """Print a result."""
        self.out.print(result)

    def line(self, text: str) -> None:
        """Print one line of result, never wrapped or coloured, so that it can be copied and searched."""
        self.out.print(text, **AS_IT_IS)

    def say(self, message: str) -> None:
        """Print a message, unless asked to be quiet."""
        if not self.quiet:
            self.err.print(message, **AS_IT_IS)

    def trace(self, text: str) -> None:
        """Print many lines as they are, quiet or not."""
        self.err.print(text, **AS_IT_IS)

    def error(self, message: str) -> None:
        """Print what went wrong: one line."""
        line = " ".join(message.split())
        self.err.print(f"error: {line}", style="bold red", **AS_IT_IS)
