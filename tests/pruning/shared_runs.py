"""What each of two processes runs for test_processes.py."""

import signal

import torch

from tests.pruning.tiny import Dots, make_pipeline
from usncli.errors import ConfigurationError
from usncli.perturbing import parse_range
from usncli.pruning.finetune import finetune_prune
from usncli.pruning.fitting import fit
from usncli.pruning.launching import joined_processes
from usncli.pruning.options import (
    Criterion,
    FinetuneOptions,
    LossOptions,
    MaskOptions,
    Optimiser,
    OptimiserOptions,
    Target,
)

RANGES = [parse_range("brightness=0.1"), parse_range("contrast=0.2")]
FIT = OptimiserOptions(steps=6, batch_size=15, learning_rate=3e-3, optimiser=Optimiser.SGD)  # 8 images, and 7
STOP = 9


def make_options(ratio=0.3):
    return FinetuneOptions(
        ratio=ratio,
        target=Target.CHANNELS,
        criterion=Criterion.USN,
        optimiser=OptimiserOptions(steps=20, batch_size=16, learning_rate=1e-2, optimiser=Optimiser.SGD),
        losses=LossOptions(0.1, 0.1, 0.1, 0.0),
        masks=MaskOptions(rescore=4, scoring_images=16),
    )


def interrupted_pipeline():
    """A pipeline whose training sends Ctrl-C to its own process."""
    pipeline, calls = make_pipeline(), []

    def count(module, inputs, output):
        calls.extend([None] * module.training)
        if module.training and len(calls) == STOP:
            signal.raise_signal(signal.SIGINT)

    pipeline.network.last.register_forward_hook(count)
    return pipeline


def work(folder):
    """Train whole, interrupted and refused runs in a folder."""
    with joined_processes("cpu") as processes:
        try_all(folder, processes)


def try_all(folder, processes):
    record = finetune_prune(make_pipeline(), Dots(), RANGES, make_options(), folder / "whole", processes=processes)
    assert record.path.exists()
    again = finetune_prune(make_pipeline(), Dots(), RANGES, make_options(), folder / "whole", processes=processes)
    assert again.history == record.history or not processes.first

    fitted = make_pipeline(seed=processes.rank)  # the first one's weights count
    fit(fitted, Dots(), FIT, processes=processes)
    torch.save(fitted.network.state_dict(), folder / f"fitted-{processes.rank}.pt")

    pipeline = make_pipeline() if processes.first else interrupted_pipeline()
    try:
        finetune_prune(pipeline, Dots(), RANGES, make_options(), folder / "cut", processes=processes)
    except KeyboardInterrupt:
        (folder / f"interrupted-{processes.rank}").touch()
    try:
        finetune_prune(make_pipeline(), Dots(), RANGES, make_options(0.4), folder / "cut", processes=processes)
    except ConfigurationError:
        (folder / f"refused-{processes.rank}").touch()
