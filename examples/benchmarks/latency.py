"""Latency before and after pruning, beside the multiply-adds that were cut.

    python examples/benchmarks/latency.py

Networks of the zoo, with random weights, on which no time depends; from every group the same share of channels is cut
out. Both networks are exported and run by onnxruntime on the CPU with one thread, in turn, in one process; times are
medians.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from usncli import zoo
from usncli.exporting import DenseNetwork, ExportOptions, LatencyRecord, measure_latency
from usncli.exporting.graph import to_onnx
from usncli.loading.capture import capture
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import Preprocessing
from usncli.pruning.masks import ChannelMasker
from usncli.pruning.surgery import cut
from usncli.scoring.groups import dependency_groups
from usncli.types import Task

NETWORKS: Mapping[str, Callable[[], nn.Module]] = {
    "cnn7": zoo.cnn7,
    "resnet18": partial(zoo.resnet18, width=0.5),
    "heatmaps": zoo.heatmap_network,
}
SIZE = 64
PREPROCESSING = Preprocessing(SIZE, SIZE, mean=(0.45,), std=(0.25,))


def dense_network(name: str) -> Pipeline:
    """Return a network as it is before pruning."""
    torch.manual_seed(0)
    task = Task.HEATMAPS if name == "heatmaps" else Task.KEYPOINTS
    return Pipeline(capture(NETWORKS[name]().eval(), torch.zeros(2, 3, SIZE, SIZE)), PREPROCESSING, task).eval()


def pruned(dense: Pipeline, share: float) -> Pipeline:
    """Return the network without a share of the channels of every group; ``dense`` has them set to 0."""
    example = torch.rand(1, 3, SIZE, SIZE)
    groups = dependency_groups(dense.network, example)
    masker = ChannelMasker(dense.network, groups)
    masker.extend({group.name: torch.arange(group.channels) < int(share * group.channels) for group in groups})
    return Pipeline(cut(dense.network, groups, masker.masks, example), dense.preprocessing, dense.task).eval()


def compared(name: str, share: float, runs: int) -> LatencyRecord:
    """Time a network before and after cutting."""
    dense, images = dense_network(name), torch.rand(16, 3, SIZE, SIZE)
    smaller = pruned(dense, share)
    content = to_onnx(smaller, images, ExportOptions()).SerializeToString()
    return measure_latency(smaller, content, DenseNetwork(dense), images, runs=runs)


def lines(name: str, share: float, record: LatencyRecord) -> list[str]:
    """Return rows of a Markdown table."""
    return [
        f"| {name} | {share:.0%} | {item.batch} | {1e3 * item.dense_seconds:.2f} | {1e3 * item.seconds:.2f} "
        f"| {item.ratio:.2f} | {record.multiply_add_ratio:.2f} |"
        for item in record.latencies
    ]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--shares", nargs="+", type=float, default=[0.25, 0.5], help="channels cut from every group")
    parser.add_argument("--runs", type=int, default=41)
    chosen = parser.parse_args(given)
    print("| network | cut | batch | before, ms | after, ms | times as fast | multiply-adds, times fewer |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in chosen.networks:
        for share in chosen.shares:
            print("\n".join(lines(name, share, compared(name, share, chosen.runs))), flush=True)


if __name__ == "__main__":
    main()
