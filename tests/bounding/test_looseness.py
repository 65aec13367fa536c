"""What relaxing activations adds to bounds, and whose channels it is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from containment import EVERYTHING
from random_networks import SHAPE, Sketch, random_lines
from torch import nn

from usncli import zoo
from usncli.bounding.affine import backward
from usncli.bounding.affine.batch import Batch
from usncli.bounding.affine.enclosure import from_lines
from usncli.bounding.affine.engine import AffineEngine
from usncli.bounding.affine.plan import nonlinear_nodes
from usncli.bounding.rewriting import Vocabulary, rewrite
from usncli.bounding.rewriting.activation import Function
from usncli.bounding.rewriting.linear_maps import Linear
from usncli.bounding.rewriting.origins import layers_read
from usncli.loading.capture import capture
from usncli.perturbing import Lines
from usncli.scoring.channel_index import scored_layers
from usncli.scoring.groups import dependency_groups

EXAMPLE = torch.zeros(1, *SHAPE).double()


def test_by_hand() -> None:
    """3 relu(x) of x in [-1, 1] errs by 3 times a quarter; of x in [1, 3], or of one that stands still, by nothing."""
    sketch = Sketch(0)
    value = sketch.activation(sketch.image, Function.RELU)
    weight = torch.zeros(2, 40).double()
    weight[0, :3], weight[1, :3] = 3.0, torch.tensor([0.0, 1.0, -2.0])
    flat = sketch.builder.reshape(value.node, SHAPE, (40,))
    network = sketch.builder.finish(sketch.builder.affine(flat, Linear(weight, torch.zeros(2).double())), (2,))
    centre, slope = torch.zeros(1, 40).double(), torch.zeros(1, 1, 40).double()
    centre[0, :3], slope[0, 0, :3] = torch.tensor([0.0, 2.0, -0.5]), torch.tensor([1.0, 1.0, 1.0])
    lines = Lines(slope.view(1, 1, *SHAPE), centre.view(1, *SHAPE), slope.view(1, 1, *SHAPE), centre.view(1, *SHAPE))
    engine = AffineEngine(network, EXAMPLE, effort=EVERYTHING)
    found = [engine.looseness(lines, torch.tensor([[row]])) for row in (0, 1)]
    (first,), (second,) = ([values.flatten().double() for values in part.values()] for part in found)
    # x in [-1.5, 0.5]: relu lies between slope x with slope 1/4, and 3/8 above that.
    expected = torch.tensor([0.75, 0.0, 3 * 0.1875])
    assert torch.allclose(first[:3], expected.double(), rtol=1e-4)
    assert torch.allclose(second[:3], torch.tensor([0.0, 0.0, 2 * 0.1875]).double(), rtol=1e-4)
    assert bool((first[3:] == 0).all())


@pytest.mark.parametrize("function", [Function.SIGMOID, Function.TANH, Function.SILU])
def test_it_adds_up_to_how_far_a_bound_is_from_a_line(function: Function) -> None:
    sketch = Sketch(3)
    value = sketch.activation(sketch.dense(sketch.image, 12), function)
    network = sketch.finish(sketch.dense(sketch.activation(sketch.dense(value, 9), function), 4))
    lines, engine = random_lines(3, (1.0, 0.6)), AffineEngine(network, EXAMPLE, effort=EVERYTHING)
    outputs = torch.tensor([[1], [3]])
    found = engine.looseness(lines, outputs)
    batch = Batch(engine._bounder, from_lines(lines, torch.float32), lines.lower_slope.shape[1])
    rows = torch.nn.functional.one_hot(outputs, 4).float()
    carried = backward.start(batch.plan.nodes[-1], rows, batch.cells)
    batch.carry(carried, len(batch.plan.nodes), 1)
    total = sum(values.double().flatten(1).sum(dim=1) for values in found.values())
    assert isinstance(total, torch.Tensor)
    assert len(found) == 2
    assert bool((total > 0).all())
    # The rest is rounding.
    assert bool((total <= carried.error.squeeze(1)).all())
    assert torch.allclose(total, carried.error.squeeze(1), rtol=0.02)


@pytest.mark.parametrize("make", [zoo.cnn7, zoo.resnet18, zoo.heatmap_network])
def test_every_scored_layer_is_found_behind_an_activation(make: Callable[..., nn.Module]) -> None:
    network = capture(make(width=0.125).eval(), torch.zeros(1, 3, 64, 64))
    rewritten = rewrite(network, torch.zeros(1, 3, 64, 64).double(), torch.float64, Vocabulary.FULL)
    scored = set(scored_layers(dependency_groups(network, torch.zeros(2, 3, 64, 64))))
    read = [set(layers_read(rewritten, node)) for node in nonlinear_nodes(rewritten)]
    assert scored == scored & set.union(*read)
    assert all(names & scored for names in read)
