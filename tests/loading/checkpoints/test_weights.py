from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from usncli.errors import ConfigurationError, InputError
from usncli.loading.checkpoints.architecture import build_architecture
from usncli.loading.checkpoints.unwrap import find_weights
from usncli.loading.checkpoints.weights import load_weights, require_architecture

PATH = Path("weights.pt")


def module() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def weights(value: float = 2.0, prefix: str = "") -> dict[str, Tensor]:
    return {f"{prefix}{name}": torch.full_like(tensor, value) for name, tensor in module().state_dict().items()}


@pytest.mark.parametrize(
    ("content", "notes"),
    [
        (weights(), ()),
        ({"state_dict": weights(), "epoch": 3}, ("took the weights under 'state_dict'",)),
        ({"model": {"state_dict": weights()}}, ("took the weights under 'model.state_dict'",)),
        (weights(prefix="module."), ("removed the prefix 'module.' from every name",)),
        (
            {"net": weights(prefix="_orig_mod.module.")},
            (
                "took the weights under 'net'",
                "removed the prefix '_orig_mod.' from every name",
                "removed the prefix 'module.' from every name",
            ),
        ),
        (
            {"model": weights(1.0), "ema": weights()},
            ("took the running average (EMA) of the weights under 'ema'",),
        ),
        (
            {"state_dict": weights(1.0), "ema": {"decay": 0.9, "shadow": weights()}},
            ("took the running average (EMA) of the weights under 'ema.shadow'",),
        ),
        (
            {"model": weights(), "ema": {"0.weight": torch.ones(4, 3, 3, 3)}},
            ("took the weights under 'model'",),
        ),
        (
            {"n_averaged": torch.tensor(3), **weights(prefix="module.")},
            ("left out 'n_averaged', a counter of the averaging", "removed the prefix 'module.' from every name"),
        ),
    ],
)
def test_finds_the_networks_own_weights_and_says_how(content: dict[str, Any], notes: tuple[str, ...]) -> None:
    target = module()
    assert load_weights(PATH, content, target, strict=True) == notes
    assert all(bool((parameter == 2).all()) for parameter in target.parameters())


def test_keeps_a_prefix_that_is_the_architectures_own() -> None:
    content = {"model.weight": torch.ones(2)}
    found = find_weights(content, frozenset({"model.weight"}))
    assert found is not None
    assert set(found.tensors) == {"model.weight"}


def without(*names: str) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights().items() if name not in names}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without("0.weight", "1.bias"), r"2 missing \(0.weight, 1.bias\)"),
        ({**weights(), "head.weight": torch.ones(1)}, r"1 unexpected \(head.weight\)"),
        ({**weights(), "epoch": 3}, r"1 unexpected \(epoch\)"),
        ({f"layer{index}": torch.ones(1) for index in range(9)}, "7 missing|6 missing.*layer3 and 5 more"),
        ({**weights(), "0.weight": torch.ones(4, 1, 3, 3)}, "0.weight is 4x1x3x3, the architecture's 4x3x3x3"),
        ({**weights(), "0.bias": torch.tensor([1.0, float("nan"), float("inf"), 0])}, "0.bias holds 2 of 4 values"),
        (
            {"epoch": 3, "state_dict": {}},
            r"expected tensors by name, got a table without tensors \(epoch, state_dict\)",
        ),
        ([torch.ones(3)], "expected tensors by name, got a list"),
        (torch.ones(3), "expected tensors by name, got a Tensor"),
    ],
)
def test_says_in_one_line_what_does_not_fit(content: Any, message: str) -> None:
    target = module()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(InputError, match=message) as caught:
        load_weights(PATH, content, target, strict=True)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_passes_over_names_without_strict_but_never_shapes() -> None:
    content = {**without("1.weight"), "head.weight": torch.ones(1)}
    (note,) = load_weights(PATH, content, module(), strict=False)
    assert note == "names that do not fit were passed over: 1 missing (1.weight), 1 unexpected (head.weight)"
    with pytest.raises(InputError, match="shapes differ"):
        load_weights(PATH, {**weights(), "0.weight": torch.ones(1)}, module(), strict=False)
    with pytest.raises(InputError, match="do not fit"):
        load_weights(PATH, {"other": torch.ones(1)}, module(), strict=False)


def test_a_prefix_that_only_the_networks_own_names_carry() -> None:
    content = {"state_dict": {**weights(prefix="model."), "loss.weight": torch.ones(1)}}
    with pytest.raises(InputError, match=r"7: 1 unexpected \(loss\.weight\)"):
        load_weights(PATH, content, module(), strict=True)
    notes = load_weights(PATH, content, module(), strict=False)
    assert notes[1] == "removed the prefix 'model.' from 7 of 8 names"


def test_sparse_tensors_are_refused() -> None:
    content = {**weights(), "0.bias": torch.ones(4).to_sparse()}
    with pytest.raises(InputError, match=r"sparse or quantised tensors \(0\.bias\); save dense"):
        load_weights(PATH, content, module(), strict=True)


def test_half_precision_is_converted_and_counters_may_be_missing() -> None:
    content = {name: tensor.half() for name, tensor in without("1.num_batches_tracked").items()}
    target = module()
    assert load_weights(PATH, content, target, strict=True) == ("converted weights from float16 to float32",)
    assert target[0].weight.dtype == torch.float32


def test_bare_weights_ask_for_their_architecture() -> None:
    with pytest.raises(ConfigurationError, match=r"--arch torchvision\.models:resnet18 --arch-arg num_classes=10"):
        require_architecture(PATH, None)


@pytest.mark.parametrize(
    ("arch", "arguments", "message"),
    [
        ("resnet18", {}, "expected package.module:callable"),
        ("no_such_package.module:network", {}, "no module 'no_such_package'"),
        ("torchvision.models:resnet19", {}, "no 'resnet19' there; did you mean 'resnet1"),
        ("torch.nn:Linear", {"in_features": "2", "out": "3"}, "called with in_features=2, out=3.*--arch-arg"),
        ("torch:zeros", {"size": "(1,)"}, "expected a factory of a torch.nn.Module, got a Tensor"),
    ],
)
def test_says_what_is_wrong_with_an_architecture(arch: str, arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        build_architecture(arch, arguments)
