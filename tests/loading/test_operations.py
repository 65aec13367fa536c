from __future__ import annotations

import pytest
import torch

from usncli.loading.operations import COMPOSITES, find_convertible, find_overload, is_op, is_permitted

aten = torch.ops.aten


def test_every_composite_exists_and_is_permitted() -> None:
    assert [name for name in COMPOSITES if find_overload(name) is None] == []


@pytest.mark.parametrize("target", [aten.relu.default, aten.add.Tensor, aten.conv2d.default, aten.hardswish.default])
def test_permits_what_only_computes(target: torch._ops.OpOverload) -> None:
    assert is_permitted(target)


@pytest.mark.parametrize(
    "target",
    [
        aten.relu_.default,
        aten.add.out,
        aten.from_file.default,
        aten.rand_like.default,
        aten.bernoulli.default,
        aten.empty.memory_format,
        aten.as_strided.default,
        aten.item.default,
        torch.ops.prims.add.default,
        torch.relu,
        print,
        "relu.default",
    ],
)
def test_refuses_writing_reading_randomness_raw_memory_and_other_code(target: object) -> None:
    assert not is_permitted(target)


@pytest.mark.parametrize(
    "name",
    ["relu_.default", "from_file.default", "relu", "", "relu.__call__", "__class__.default", "relu.default.__class__"],
)
def test_finds_no_overload_of_another_name(name: str) -> None:
    assert find_overload(name) is None


def test_converts_in_place_forms_of_permitted_overloads_alone() -> None:
    assert find_convertible("relu_.default") is aten.relu_.default
    assert find_convertible("dropout.default") is aten.dropout.default
    assert find_convertible("set_.source_Storage") is None
    assert find_convertible("resize_.default") is None
    assert find_convertible("from_file.default") is None


def test_is_op_compares_the_overload() -> None:
    graph = torch.fx.Graph()
    images = graph.placeholder("images")
    node = graph.call_function(aten.relu.default, (images,))
    assert is_op(node, aten.silu.default, aten.relu.default)
    assert not is_op(node, aten.silu.default)
    assert not is_op(images, aten.relu.default)
    assert not is_op(None, aten.relu.default)
