from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
import torch_pruning
from torch import Tensor, fx, nn
from torch.nn import functional

from usncli.errors import InputError, UnsupportedOperationError
from usncli.loading.capture import capture, capture_program
from usncli.loading.layer_types import LAYER_TYPES
from usncli.loading.operations import is_permitted, layer_name

NAMES = ("small", "residual", "mobile", "unet")
Captured = Callable[[str], fx.GraphModule]
aten = torch.ops.aten


def evaluate(network: nn.Module, images: Tensor) -> Tensor:
    network = copy.deepcopy(network).eval()
    with torch.no_grad():
        return network(images)


def layers(network: fx.GraphModule) -> dict[str, str]:
    return {
        str(node.target): type(network.get_submodule(str(node.target))).__name__
        for node in network.graph.nodes
        if node.op == "call_module"
    }


def calls(network: fx.GraphModule) -> list[str]:
    return [str(node.target) for node in network.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("name", NAMES)
def test_computes_what_the_original_computes_for_any_batch(
    name: str, captured: Captured, originals: dict[str, nn.Module], images: Tensor
) -> None:
    for batch in (images, images[:1]):
        torch.testing.assert_close(captured(name)(batch), evaluate(originals[name], batch), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_leaves_the_users_network_as_it_was(name: str, captured: Captured, originals: dict[str, nn.Module]) -> None:
    captured(name)
    first, *others = originals[name].children()
    assert originals[name].training
    assert not first.training
    assert all(other.training for other in others)


@pytest.mark.parametrize("name", NAMES)
def test_holds_nothing_but_known_layers_and_permitted_calls(name: str, captured: Captured) -> None:
    network = captured(name)
    assert not network.training
    assert set(layers(network).values()) <= set(LAYER_TYPES)
    assert all(is_permitted(node.target) for node in network.graph.nodes if node.op == "call_function")
    assert not any(call.startswith("aten.sym_size") for call in calls(network)), "a size of the batch was kept"


def test_layers_keep_the_users_names_and_kinds(captured: Captured) -> None:
    assert layers(captured("small")) == {
        "0": "Conv2d",
        "1": "BatchNorm2d",
        "4": "Dropout",
        "6": "Linear",
    }
    assert layers(captured("mobile"))["classifier.1"] == "Linear"
    assert layers(captured("mobile"))["prelu"] == "PReLU"
    assert layers(captured("unet"))["transposed"] == "ConvTranspose2d"


def test_flattening_states_no_size(captured: Captured) -> None:
    network = captured("residual")
    flattened = [node for node in network.graph.nodes if node.target == aten.flatten.using_ints]
    assert [node.args[1:] for node in flattened] == [(1, 3)]


def test_functional_calls_are_named_after_the_layer_that_makes_them(captured: Captured) -> None:
    names = {layer_name(node) for node in captured("residual").graph.nodes if node.op == "call_function"}
    assert "act (relu)" in names
    assert "forward (add.Tensor)" in names


def test_in_place_sums_and_activations_become_functional(captured: Captured) -> None:
    assert calls(captured("residual")).count("aten.relu.default") == 2
    assert not any(call.split(".")[1].endswith("_") for call in calls(captured("residual")))


def test_buffers_and_parameters_of_no_layer_keep_their_names_and_roles(captured: Captured) -> None:
    network = captured("mobile")
    assert "offset" in dict(network.named_buffers())
    assert "scale" in dict(network.named_parameters())


def test_trains_with_batch_norm_and_dropout_alive(captured: Captured, images: Tensor) -> None:
    network = copy.deepcopy(captured("small")).train()
    before = network.get_submodule("1").running_mean.clone()
    first, second = network(images), network(images)
    assert not torch.equal(first, second), "dropout does not drop"
    assert not torch.equal(network.get_submodule("1").running_mean, before)
    first.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    assert torch.equal(captured("small").get_submodule("1").running_mean, before), "a copy shares its statistics"


def test_shares_no_tensor_with_the_users_network(captured: Captured, originals: dict[str, nn.Module]) -> None:
    own = {tensor.data_ptr() for tensor in captured("residual").state_dict().values()}
    assert own.isdisjoint(tensor.data_ptr() for tensor in originals["residual"].state_dict().values())


@pytest.mark.parametrize(("name", "root"), [("small", "0"), ("residual", "stem"), ("unet", "down")])
def test_torch_pruning_finds_its_groups_and_the_cut_network_runs(
    name: str, root: str, captured: Captured, images: Tensor
) -> None:
    network = copy.deepcopy(captured(name))
    layer = network.get_submodule(root)
    graph = torch_pruning.DependencyGraph().build_dependency(network, images)
    group = graph.get_pruning_group(layer, torch_pruning.prune_conv_out_channels, idxs=[0, 2])
    channels = layer.out_channels
    group.prune()
    assert layer.out_channels == channels - 2
    assert network(images).shape == captured(name)(images).shape


def test_a_decomposed_silu_is_one_call_again(images: Tensor) -> None:
    network = capture(Forward(lambda features, _: torch.sigmoid(features) * features), images)
    assert calls(network) == ["aten.silu.default"]


def test_programs_are_captured_too(originals: dict[str, nn.Module], images: Tensor) -> None:
    network = copy.deepcopy(originals["residual"]).eval()
    program = torch.export.export(network, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    for version in (program, program.run_decompositions()):
        captured_again = capture_program(version)
        torch.testing.assert_close(captured_again(images[:1]), network(images[:1]), rtol=1e-6, atol=1e-6)
        assert layers(captured_again)["norm"] == "BatchNorm2d"


class Forward(nn.Module):
    """A convolution and then whatever a test says."""

    def __init__(self, after: Callable[[Tensor, nn.Module], object]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.shared = nn.Conv2d(4, 4, 1)
        self.register_buffer("table", torch.arange(4.0).view(4, 1, 1))
        self.after = after

    def forward(self, images: Tensor) -> object:
        return self.after(self.conv(images), self)


def channel_shuffle(features: Tensor, _: nn.Module) -> Tensor:
    batch, channels, height, width = features.shape
    return features.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, channels, height, width)


def attention(features: Tensor, _: nn.Module) -> Tensor:
    tokens = features.flatten(2).transpose(1, 2)
    heads = tokens.reshape(tokens.shape[0], tokens.shape[1], 2, 2).transpose(1, 2)
    mixed = functional.scaled_dot_product_attention(heads, heads, heads)
    return mixed.transpose(1, 2).reshape(tokens.shape)


def added_in_place_after_a_branch(features: Tensor, _: nn.Module) -> Tensor:
    branch = features * 2
    features += 1
    return branch + features


def without_gradient(features: Tensor, _: nn.Module) -> Tensor:
    with torch.no_grad():
        scale = features.mean((2, 3), keepdim=True)
    return features * scale


FORWARDS: dict[str, Callable[[Tensor, nn.Module], Tensor]] = {
    "channel shuffle": channel_shuffle,
    "attention": attention,
    "in place after a branch": added_in_place_after_a_branch,
    "shared layer": lambda features, module: module.shared(torch.relu(module.shared(features))),
    "weights used twice": lambda features, module: (
        functional.conv2d(features, module.shared.weight, stride=2).repeat(1, 1, 2, 2) + module.shared(features)
    ),
    "constants": lambda features, module: features * module.table.exp() + torch.linspace(0, 1, 16),
    "split": lambda features, _: torch.cat(features.chunk(2, dim=1)[::-1], dim=1),
    "padding and slices": lambda features, _: functional.pad(features, (1, 2, 3, 4))[..., 1:-1, :],
    "flat and back": lambda features, _: features.flatten(1).view(-1, 4, 16, 16),
    "batch of patches": lambda features, _: features.reshape(-1, 4, 16 * 16).mean(-1),
    "no dimension of size 1 left": lambda features, _: features.mean((2, 3), keepdim=True).squeeze(),
    "normalisations": lambda features, _: functional.instance_norm(functional.group_norm(features, 2)),
    "a part without gradient": without_gradient,
    "one tensor in a table": lambda features, _: {"out": features},
}


@pytest.mark.parametrize("name", FORWARDS)
def test_captures(name: str, images: Tensor) -> None:
    module = Forward(FORWARDS[name])
    network = capture(module, images)
    expected = evaluate(module, images)
    torch.testing.assert_close(
        network(images), expected["out"] if isinstance(expected, dict) else expected, rtol=1e-6, atol=1e-6
    )


def test_a_layer_called_twice_stays_one_layer(images: Tensor) -> None:
    network = capture(Forward(FORWARDS["shared layer"]), images)
    assert [node.target for node in network.graph.nodes if node.op == "call_module"] == ["conv", "shared", "shared"]


def test_a_channel_shuffle_states_no_number_of_channels(images: Tensor) -> None:
    network = capture(Forward(channel_shuffle), images)
    sizes = [node.args[2] for node in network.graph.nodes if node.target == aten.unflatten.int]
    assert sizes == [[2, -1]]


def change_a_part(features: Tensor, _: nn.Module) -> Tensor:
    features[:, 0].mul_(2)
    return features


def branch_on_the_image(features: Tensor, _: nn.Module) -> Tensor:
    return features if features.sum() > 0 else -features


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (change_a_part, "changes a part of a tensor that is used again in place"),
        (branch_on_the_image, "control flow that depends on the image"),
        (lambda features, _: (features, features + 1), "returns 2 tensors"),
        (lambda features, _: features + torch.rand_like(features), "rand"),
        (lambda features, _: features.reshape(2, -1), "batch"),
    ],
)
def test_refuses_in_one_line(after: Callable[[Tensor, nn.Module], object], message: str, images: Tensor) -> None:
    with pytest.raises(UnsupportedOperationError, match=message) as caught:
        capture(Forward(after), images[:2])
    assert "\n" not in str(caught.value)


def test_names_the_layer_of_an_operation_that_cannot_be_kept(images: Tensor) -> None:
    class Noise(nn.Module):
        def forward(self, features: Tensor) -> Tensor:
            return features + torch.rand_like(features)

    network = nn.Sequential(nn.Conv2d(3, 2, 1))
    network.add_module("noise", Noise())
    with pytest.raises(UnsupportedOperationError) as caught:
        capture(network, images)
    assert caught.value.layers == ("noise (rand_like)",)


def test_says_which_images_the_network_does_not_take(originals: dict[str, nn.Module], images: Tensor) -> None:
    with pytest.raises(InputError, match=r"does not run on images of shape \(1, 16, 16\).*channels") as caught:
        capture(originals["small"], images[:, :1])
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="expected an example of shape"):
        capture(originals["small"], images[0])
