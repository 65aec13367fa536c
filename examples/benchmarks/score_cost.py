"""Prints what scoring costs beside the bare forward passes that it needs: the same images at the same thetas.

Bare passes and scoring alternate within one process, so that whatever else the machine does meets both alike; a ratio
is the median over neighbouring pairs. The ratio of processor time is the steadier one on a machine that others use.
Scoring's time includes making the perturbed images and all sums; not included are tracing the groups, which happens
once, and the few milliseconds in which sums become scores.

    python examples/benchmarks/score_cost.py --threads 1
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from usncli import zoo
from usncli.devices import choose_device
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.perturbing import parse_range
from usncli.scoring.channel_index import scored_layers
from usncli.scoring.groups import dependency_groups
from usncli.scoring.options import ScoreOptions
from usncli.scoring.streaming import ActivationScan, draw_thetas, full_float32, perturbed_batch
from usncli.scoring.workspace import Workspace
from usncli.types import Sample, Task

SIZE = 64
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "cnn7": lambda: zoo.cnn7(size=SIZE),
    "resnet18 width 0.25": lambda: zoo.resnet18(width=0.25),
}


class HeldImages:
    """Images in memory as a data set, so that reading them costs nothing."""

    task = Task.KEYPOINTS
    label_names = ()
    labelled = False

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        return Sample(self.images[index], torch.zeros(0, 3), str(index))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--method", default="quadrature")
    parser.add_argument("--perturb", default="brightness=0.1")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


class Times(NamedTuple):
    """Seconds of one run: by the clock, and of the processor (all threads)."""

    clock: float
    processor: float


def timed(work: Callable[[], object], device: torch.device) -> Times:
    """Return how long work takes."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return Times(time.perf_counter() - clock, time.process_time() - processor)


def measure(name: str, settings: argparse.Namespace, device: torch.device) -> None:
    torch.manual_seed(0)
    pipeline = Pipeline(NETWORKS[name](), Preprocessing(SIZE, SIZE), Task.KEYPOINTS).to(device).eval()
    data = HeldImages(torch.rand(settings.images, 3, SIZE, SIZE))
    options = ScoreOptions(samples=settings.samples, method=settings.method, batch_size=settings.batch_size)
    box = parse_range(settings.perturb)
    groups = dependency_groups(pipeline.network, torch.rand(2, 3, SIZE, SIZE))
    scan = ActivationScan(pipeline, scored_layers(groups), box, options)
    batches = []
    for first in range(0, settings.images, settings.batch_size):
        images = data.images[first : first + settings.batch_size].to(device)
        theta = draw_thetas(box, options, first, len(images)).theta
        batches.append(perturbed_batch(box, images, theta, Workspace()))

    def bare() -> None:
        with torch.no_grad(), full_float32(device):
            for batch in batches:
                pipeline(batch)

    def score() -> None:
        scan.gather(data, settings.images)

    bare(), score()
    pairs = [(timed(bare, device), timed(score, device)) for _ in range(settings.repeats)]
    passes = sum(len(batch) for batch in batches)
    bare_median, score_median = (statistics.median(run.clock for run in runs) for runs in zip(*pairs, strict=True))
    print(f"{name}: {settings.images} images, {passes} forward passes, {settings.method}, {device}")
    print(f"  bare forward {bare_median * 1e3:.1f} ms, scoring {score_median * 1e3:.1f} ms")
    print(f"  ratio {statistics.median(second.clock / first.clock for first, second in pairs):.3f}")
    if device.type == "cpu":
        processor = statistics.median(second.processor / first.processor for first, second in pairs)
        print(f"  ratio {processor:.3f} of processor time")
    if device.type == "cuda":
        print(f"  peak GPU memory {torch.cuda.max_memory_allocated(device) / 2**20:.0f} MiB")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB of the process so far")


def main() -> None:
    settings = arguments()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    for name in NETWORKS:
        measure(name, settings, choose_device(settings.device))


if __name__ == "__main__":
    main()
