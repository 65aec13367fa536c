"""Two processes train as one does; they are started once, see shared_runs.py."""

import sys

import pytest
import torch
from two_processes import run_two

from tests.pruning.shared_runs import FIT, RANGES, STOP, make_options, work
from tests.pruning.tiny import Dots, make_pipeline
from usncli.errors import ConfigurationError
from usncli.loading.network_file import load_network
from usncli.pruning.batch_share import BatchShare
from usncli.pruning.finetune import PROGRESS_FILE, finetune_prune
from usncli.pruning.fitting import fit
from usncli.pruning.launching import joined_processes, process_count
from usncli.pruning.processes import Processes
from usncli.pruning.record import FinetuneRecord


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    run_two(work, folder)
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return finetune_prune(make_pipeline(), Dots(), RANGES, make_options(), tmp_path_factory.mktemp("alone"))


def assert_same_run(first: FinetuneRecord, second: FinetuneRecord):
    assert first.cut == second.cut
    assert len(first.history) == len(second.history)
    for ours, theirs in zip(first.history, second.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-5)
    ours, theirs = (load_network(record.path).pipeline.network.state_dict() for record in (first, second))
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_two_processes_end_where_one_does(alone, shared):
    record = finetune_prune(make_pipeline(), Dots(), RANGES, make_options(), shared / "whole")  # reads it back
    assert sum(len(group.removed) for group in record.cut) == 4
    assert_same_run(record, alone)


@pytest.mark.slow
def test_uneven_shares_and_other_first_weights_end_where_one_process_does(shared):
    pipeline = make_pipeline()
    fit(pipeline, Dots(), FIT)
    first, second = (torch.load(shared / f"fitted-{rank}.pt") for rank in (0, 1))
    torch.testing.assert_close(first, dict(pipeline.network.state_dict()), rtol=1e-4, atol=1e-5)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
def test_an_interrupt_in_one_process_stops_both_and_one_process_goes_on(alone, shared):
    assert all((shared / f"interrupted-{rank}").exists() for rank in (0, 1))
    assert torch.load(shared / "cut" / PROGRESS_FILE, weights_only=True)["step"] == STOP
    assert all((shared / f"refused-{rank}").exists() for rank in (0, 1))
    resumed = finetune_prune(make_pipeline(), Dots(), RANGES, make_options(), shared / "cut")
    assert_same_run(resumed, alone)


class Second(Processes):
    rank, count = 1, 3


def test_shares_are_a_partition_of_the_batch():
    share = BatchShare(8, Second())
    assert share.counts == (3, 3, 2)
    assert share.own(torch.arange(8)).tolist() == [3, 4, 5]
    with pytest.raises(ConfigurationError, match=r"batch_size: expected at least 3 images, one a process, got 2"):
        BatchShare(2, Second())


def test_alone_nothing_is_copied():
    batch = torch.rand(4, 2)
    assert BatchShare().own(batch) is batch
    assert BatchShare().whole(batch) is batch


LAUNCHED = {"WORLD_SIZE": "2", "LOCAL_RANK": "0", "RANK": "0"}


def test_launchers_are_known_by_what_they_set():
    assert process_count(LAUNCHED) == 2
    assert process_count({"WORLD_SIZE": "2"}) == 1
    assert process_count({}) == 1


def test_what_several_processes_need_is_said(monkeypatch):
    with pytest.raises(ConfigurationError, match=r"device: expected auto, cpu or cuda for 2 processes.*'cuda:1'"):
        joined_processes("cuda:1", LAUNCHED).__enter__()
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(ConfigurationError, match=r"run: pip install 'usncli\[distributed\]'"):
        joined_processes("cpu", LAUNCHED).__enter__()
    with joined_processes("cpu", {}) as processes:
        assert (processes.count, processes.first) == (1, True)
