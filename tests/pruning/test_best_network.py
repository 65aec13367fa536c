import pytest
import torch
from torch import nn

from usncli.pruning.best_network import BestNetwork, Evaluation


def run(ranks, due, patience=0, steps=10, network=None, best=None, first=1):
    """Train by adding 1 to a weight; its value is the number of steps finished."""
    network = nn.Linear(1, 1, bias=False) if network is None else network
    found = iter(ranks)

    def evaluate():
        rank = next(found)
        return Evaluation(rank, {"quality": rank[0]})

    best = best or BestNetwork(network, evaluate, due, patience)
    best.evaluate = evaluate
    for step in range(first, steps + 1):
        nn.init.constant_(network.weight, step)
        best.after_whole_step(step)
        if best.ended:
            break
    return network, best, step


def test_the_best_comes_back_and_of_equal_ones_the_first():
    network, best, last = run([(0.5,), (0.7,), (0.7,), (0.6,)], due=(4, 6, 8, 10))
    assert (best.step, last) == (6, 10)
    assert network.weight.item() == 10
    best.load()
    assert network.weight.item() == 6
    assert best.evaluations == [
        {"step": 4, "quality": 0.5},
        {"step": 6, "quality": 0.7},
        {"step": 8, "quality": 0.7},
        {"step": 10, "quality": 0.6},
    ]


def test_ties_go_by_the_next_number():
    assert run([(0.5, -3.0), (0.5, -2.0), (0.4, -1.0)], due=(8, 9, 10))[1].step == 9


@pytest.mark.parametrize(("patience", "last"), [(0, 10), (1, 6), (2, 10), (3, 10)])
def test_patience_counts_evaluations_in_a_row(patience, last):
    ranks = [(0.5,), (0.4,), (0.6,), (0.6,), (0.5,)]
    assert run(ranks, due=(5, 6, 7, 9, 10), patience=patience)[2] == last


def test_without_evaluations_the_last_network_stays():
    network, best, _ = run([], due=())
    best.load()
    assert network.weight.item() == 10
    assert (best.step, best.ended, best.evaluations) == (None, False, [])


def test_a_run_goes_on_from_its_state(tmp_path):
    network, expected, _ = run([(0.5,), (0.7,), (0.6,), (0.6,)], due=(2, 4, 6, 8), patience=2)
    _, first, _ = run([(0.5,), (0.7,), (0.6,)], due=(2, 4, 6, 8), patience=2, steps=7)
    torch.save(first.state(), tmp_path / "state.pt")
    network = nn.Linear(1, 1, bias=False)
    second = BestNetwork(network, first.evaluate, (2, 4, 6, 8), 2)
    second.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    _, second, last = run([(0.6,)], due=(), network=network, best=second, first=8)
    assert (last, second.ended, second.step) == (8, True, 4)
    assert second.evaluations == expected.evaluations
    second.load()
    assert network.weight.item() == 4
