"""How much faster a pruned network runs: two ONNX networks timed by turns in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor

from usncli.errors import InputError
from usncli.exporting.graph import ExportOptions, to_onnx
from usncli.exporting.runtime import run_onnx, session
from usncli.loading.pipeline import Pipeline
from usncli.pruning.complexity import Complexity, measure_complexity

BATCHES = (1, 16)
RUNS = 41
WARM_UP = 3


@dataclass(frozen=True)
class Latency:
    """Two networks at one batch size.

    Attributes:
        batch: images at once.
        dense_seconds: median time of a batch by the network before pruning.
        seconds: likewise by the exported network.
    """

    batch: int
    dense_seconds: float
    seconds: float

    @property
    def ratio(self) -> float:
        """How many times as long the network before pruning takes."""
        return self.dense_seconds / self.seconds


@dataclass(frozen=True)
class LatencyRecord:
    """Latency before and after pruning, beside what was cut.

    Attributes:
        dense: file of the network before pruning; empty where there is none.
        dense_sha256: of that file.
        dense_complexity: its parameters and multiply-adds.
        complexity: those of the exported network.
        threads: of onnxruntime, on the CPU.
        runs: timed runs of each network and batch size, taken in turn; times are their medians.
        latencies: one a batch size.
    """

    dense: str
    dense_sha256: str
    dense_complexity: Complexity
    complexity: Complexity
    threads: int
    runs: int
    latencies: tuple[Latency, ...]

    @property
    def multiply_add_ratio(self) -> float:
        """How many times the multiply-adds the network before pruning takes."""
        return self.dense_complexity.multiply_adds / max(1, self.complexity.multiply_adds)

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values, with the ratios."""
        return {
            "dense": self.dense,
            "dense_sha256": self.dense_sha256,
            "dense_parameters": self.dense_complexity.parameters,
            "parameters": self.complexity.parameters,
            "dense_multiply_adds": self.dense_complexity.multiply_adds,
            "multiply_adds": self.complexity.multiply_adds,
            "multiply_add_ratio": self.multiply_add_ratio,
            "threads": self.threads,
            "runs": self.runs,
            "latencies": [{**asdict(item), "ratio": item.ratio} for item in self.latencies],
        }


@dataclass(frozen=True)
class DenseNetwork:
    """The network before pruning.

    Attributes:
        pipeline: the network, with the task and input size of the exported one.
        path: its file; empty where there is none.
        sha256: of that file.
    """

    pipeline: Pipeline
    path: str = ""
    sha256: str = ""


def measure_latency(
    pipeline: Pipeline,
    content: bytes,
    dense: DenseNetwork,
    images: Tensor,
    options: ExportOptions | None = None,
    *,
    runs: int = RUNS,
) -> LatencyRecord:
    """Time an exported network against the one before pruning, written as ONNX with the same options.

    onnxruntime on the CPU with one thread; both networks in turn, so that whatever else the machine does meets both.

    Args:
        pipeline: what was exported.
        content: the exported ONNX network, serialised.
        dense: what it is compared with.
        images: real images, ``(batch, channels, height, width)`` in [0, 1]; repeated where a batch needs more.
        options: that the network was exported with.
        runs: timed runs of each network and batch size, at least 1.

    Raises:
        InputError: the networks take images of different sizes.
        UnsupportedOperationError: the dense network has no ONNX form.
    """
    options = options or ExportOptions()
    expected, found = pipeline.preprocessing.input_shape, dense.pipeline.preprocessing.input_shape
    if expected != found:
        raise InputError(f"dense: expected a network of images of shape {expected}, got one of {found}")
    model = to_onnx(dense.pipeline, images, options)
    sessions = (session(_serialised(model)), session(content))
    latencies = [_time(sessions, _repeated(images, batch), runs) for batch in BATCHES]
    return LatencyRecord(
        dense=dense.path,
        dense_sha256=dense.sha256,
        dense_complexity=measure_complexity(dense.pipeline),
        complexity=measure_complexity(pipeline),
        threads=1,
        runs=runs,
        latencies=tuple(latencies),
    )


def _time(sessions: Sequence[onnxruntime.InferenceSession], images: Tensor, runs: int) -> Latency:
    """Return the median times of two networks, dense first, on one batch."""
    times: tuple[list[float], list[float]] = ([], [])
    for run in range(-WARM_UP, runs):
        for opened, taken in zip(sessions, times, strict=True):
            started = time.perf_counter()
            run_onnx(opened, images)
            if run >= 0:
                taken.append(time.perf_counter() - started)
    dense, exported = (statistics.median(taken) for taken in times)
    return Latency(len(images), dense, exported)


def _repeated(images: Tensor, batch: int) -> Tensor:
    indices = torch.arange(batch) % len(images)
    return images.detach().cpu()[indices].float().contiguous()


def _serialised(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))
