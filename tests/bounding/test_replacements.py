"""What is advised in the place of an unsupported operation is supported."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from usncli.bounding.rewriting.replacements import ELSEWHERE, REPLACEMENTS, Replacement, known_activations, replacement
from usncli.bounding.rewriting.rules import LAYER_RULES, RULES
from usncli.loading.layer_types import LAYER_TYPES
from usncli.loading.operations import COMPOSITES

_aten = torch.ops.aten


@pytest.mark.parametrize("item", REPLACEMENTS, ids=lambda item: sorted(item.operations)[0])
def test_what_is_advised_has_a_rule_and_what_it_replaces_has_none_of_every_form(item: Replacement) -> None:
    assert set(item.by) <= {*RULES, *LAYER_RULES}
    known = {name.partition(".")[0] for name in COMPOSITES} | set(LAYER_TYPES)
    assert item.operations & known
    assert not {kind.__name__ for kind in LAYER_RULES} & item.operations


@pytest.mark.parametrize("kind", [kind for kind in LAYER_TYPES.values() if kind not in LAYER_RULES])
def test_every_layer_without_a_rule_has_a_replacement(kind: type[nn.Module]) -> None:
    assert replacement(kind) != ELSEWHERE


def test_an_elementwise_function_is_replaced_by_one_that_is_known() -> None:
    assert replacement(_aten.sin.default).endswith(", ".join(known_activations()))
    assert {"relu", "silu", "gelu"} <= set(known_activations())
    assert replacement(_aten.cumsum.default) == ELSEWHERE
    assert "nn.Linear" in replacement(_aten.matmul.default)
