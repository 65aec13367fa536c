"""What each kind of record says: one module a command."""

from usncli.reporting.kinds.registry import KINDS, view_of
from usncli.reporting.kinds.view import KindView

__all__ = ["KINDS", "KindView", "view_of"]
