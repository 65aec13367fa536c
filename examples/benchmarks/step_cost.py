"""Time and memory of a training step with all losses on, against a plain training step on as many images.

    python examples/benchmarks/step_cost.py --threads 2

A step with the stability losses runs every image and its m perturbed versions, so that a plain step on m + 1 times as
many images is the least that it can cost. Steps of both kinds are taken in turn, in one process; times are medians. On
a GPU, memory is what torch had allocated at most; on a CPU, by how much each kind of step raises the peak of a process
of its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from usncli import zoo
from usncli.loading.capture import capture
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.perturbing import parse_range
from usncli.pruning.fitting import task_step_loss
from usncli.pruning.options import LossOptions, OptimiserOptions
from usncli.pruning.stability import StabilityLoss
from usncli.pruning.training import StepLoss, make_optimiser
from usncli.pruning.wasserstein import Separation
from usncli.scoring.groups import dependency_groups
from usncli.types import Batch, Task

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "cnn7": zoo.cnn7,
    "resnet18": partial(zoo.resnet18, width=0.25),
    "heatmaps": zoo.heatmap_network,
}
KINDS = ("plain", "all losses")
PREPROCESSING = Preprocessing(64, 64, mean=(0.45,), std=(0.25,))
RANGES = tuple(parse_range(text) for text in ("brightness=0.1", "contrast=0.2"))


def make_step(name: str, kind: str, images: int, samples: int, device: str) -> Callable[[int], None]:
    """Return a function of the step's number that takes one step."""
    torch.manual_seed(0)
    task = Task.HEATMAPS if name == "heatmaps" else Task.KEYPOINTS
    network = capture(NETWORKS[name](), torch.zeros(2, 3, 64, 64)).to(device).to(memory_format=torch.channels_last)
    pipeline = Pipeline(network, PREPROCESSING, task).to(device)
    groups = dependency_groups(network, torch.zeros(2, 3, 64, 64, device=device))
    options = LossOptions(1.0, 1.0, 1.0, 1.0, 1.0, samples=samples)
    separation = Separation(tuple(group.channels for group in groups), 0.2)
    stability = StabilityLoss(pipeline, groups, RANGES, options, separation, 0, 1000)
    count = images if kind == "all losses" else images * (samples + 1)
    keypoints = torch.cat([torch.rand(count, 8, 2) * 64, torch.ones(count, 8, 1)], dim=2)
    batch = Batch(torch.rand(count, 3, 64, 64).to(device), keypoints.to(device), ("",) * count)
    optimiser = make_optimiser(network.parameters(), OptimiserOptions())

    def loss(number: int) -> StepLoss:
        return stability(batch, number) if kind == "all losses" else task_step_loss(pipeline, batch)

    def step(number: int) -> None:
        network.train()
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss(number).total)
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()

    return step


def seconds(steps: Mapping[str, Callable[[int], None]], repeats: int, device: str) -> dict[str, float]:
    """Return the median time of each kind of step, taken in turn: of the processor where there is no GPU."""
    clock = time.perf_counter if device == "cuda" else time.process_time
    found: dict[str, list[float]] = {kind: [] for kind in steps}
    for number in range(repeats + 2):
        for kind, step in steps.items():
            started = clock()
            step(number)
            if device == "cuda":
                torch.cuda.synchronize()
            found[kind].append(clock() - started)
    return {kind: statistics.median(times[2:]) for kind, times in found.items()}


def peak(name: str, kind: str, images: int, samples: int, device: str) -> float:
    """Return by how many bytes three steps raise the peak of memory, in a process of its own."""
    step = make_step(name, kind, images, samples, device)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
    else:
        # One step on few images, so that what is loaded on first use does not count.
        make_step(name, kind, 2, samples, device)(0)
        before = highest()
    for number in range(3):
        step(number)
    if device == "cuda":
        return float(torch.cuda.max_memory_allocated() - before)
    return highest() - before


def highest() -> float:
    """Return the most memory that this process has held, in bytes.

    Not by ``getrusage``, whose figure begins with that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def peaks(name: str, images: int, samples: int, device: str) -> dict[str, float]:
    """Return `peak` of each kind."""
    found = {}
    for kind in KINDS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found[kind] = pool.apply(peak, (name, kind, images, samples, device))
    return found


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--images", type=int, default=32, help="images a step")
    parser.add_argument("--samples", type=int, default=2, help="m: perturbed versions of each")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int)
    chosen = parser.parse_args(given)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    for name in chosen.networks:
        setting = (chosen.images, chosen.samples, chosen.device)
        times = seconds({kind: make_step(name, kind, *setting) for kind in KINDS}, chosen.repeats, chosen.device)
        memory = peaks(name, *setting)
        print(f"\n{name}, {chosen.images} images, m = {chosen.samples}, {chosen.device}")
        for kind in KINDS:
            print(f"  {kind:11s} {1000 * times[kind]:8.1f} ms {memory[kind] / 1e6:8.0f} MB")
        plain, losses = KINDS
        print(f"  time ratio {times[losses] / times[plain]:.2f}, memory ratio {memory[losses] / memory[plain]:.2f}")


if __name__ == "__main__":
    main()
