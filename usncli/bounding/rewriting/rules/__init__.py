"""The tables of rewriting rules: one function an operation; a new operation is one function, put into its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import fx

from usncli.bounding.rewriting.call import Call
from usncli.bounding.rewriting.rules.activations import ACTIVATION_RULES
from usncli.bounding.rewriting.rules.arithmetic import ARITHMETIC_RULES
from usncli.bounding.rewriting.rules.averages import AVERAGE_RULES
from usncli.bounding.rewriting.rules.layers import LAYER_RULES
from usncli.bounding.rewriting.rules.maxima import MAXIMUM_RULES
from usncli.bounding.rewriting.rules.rearranging import REARRANGING_RULES

RULES: Mapping[Any, Callable[[Call], fx.Node | list[fx.Node]]] = {
    **ACTIVATION_RULES,
    **ARITHMETIC_RULES,
    **AVERAGE_RULES,
    **MAXIMUM_RULES,
    **REARRANGING_RULES,
}
"""Rule of every overload that can be rewritten."""

__all__ = ["LAYER_RULES", "RULES"]
