"""What the preflight of ``usn doctor`` predicts beside what certifying then takes: time and memory, in turn.

    python examples/benchmarks/preflight.py --data DIR --networks digits fly-cnn7

For each network of the examples: a pilot in a process of its own, then the certification in another, so that both meet
the same machine and each peak of resident memory is its own. Prints both and the ratio, by range and in all. Networks
are trained first, unless ``--cache`` has them; the fly's need ``--data``, a folder as examples/fly describes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from certify_cost import alone
from subjects import (
    SUBJECTS,
    Source,
    Subject,
    example_script,
    subject,
    train_on_aircraft,
    trained,
)
from torch import nn

from usncli import zoo
from usncli.certifying.certify import certify
from usncli.certifying.options import CertifyOptions
from usncli.demo.material import PREPROCESSING, WIDTH
from usncli.loading.batching import evenly_spaced, subset
from usncli.loading.data import open_data
from usncli.loading.preprocessing import Colour, Preprocessing
from usncli.perturbing import parse_range
from usncli.preflight.memory import peak_memory
from usncli.preflight.pilot import run_pilot
from usncli.preflight.prediction import Prediction, predict
from usncli.types import Task


@dataclass(frozen=True)
class Case:
    """A network and the ranges that it is certified against.

    Attributes:
        subject: makes it.
        ranges: as ``--perturb`` takes them.
    """

    subject: Callable[[Source], Subject]
    ranges: tuple[str, ...]


@dataclass(frozen=True)
class Settings:
    """How networks are certified.

    Attributes:
        source: where they come from.
        images: how many, spread over the data.
        limit: seconds a query.
        threads: of the CPU; None for all.
    """

    source: Source
    images: int
    limit: float
    threads: int | None


@dataclass(frozen=True)
class Measured:
    """What a certification took.

    Attributes:
        seconds: of the whole.
        by_range: seconds of the queries of each range.
        verdicts: count by name.
        memory: peak of the process's resident memory in bytes.
    """

    seconds: float
    by_range: Mapping[str, float]
    verdicts: Mapping[str, int]
    memory: int


def digits(source: Source) -> Subject:
    """The classifier of examples/digits."""
    folder, example = source.cache / "digits", example_script("digits/train_baseline.py")
    if not folder.exists():
        example_script("digits/make_digits.py").write(folder)

    def train(network: nn.Module, steps: int) -> None:
        example.train(network, *example.read(folder / "train"), max(1, steps // 45))

    network = trained("digits", lambda: zoo.classifier(classes=10, channels=1, size=8), train, source, 15 * 45)
    preprocessing = Preprocessing(8, 8, Colour.GREY, (example.MEAN,), (example.STD,))
    data = open_data(str(folder / "test"), preprocessing, Task.CLASSIFICATION)
    return subject("digits", network, data, preprocessing, 1.0, Task.CLASSIFICATION)


def demo(source: Source) -> Subject:
    """The CNN7 of usn demo."""
    train = partial(train_on_aircraft, task=Task.KEYPOINTS, images=source.images)
    network = trained("demo", lambda: zoo.cnn7(width=WIDTH), train, source, 750)
    return subject("demo", network, zoo.aircraft(100, 64, seed=1), PREPROCESSING, 2.0)


LINES = ("brightness=0.05", "contrast=0.1")
CASES: Mapping[str, Case] = {
    "digits": Case(digits, ("brightness=0.1", "contrast=0.2")),
    "demo": Case(demo, LINES),
    "aircraft-cnn7": Case(SUBJECTS["aircraft-cnn7"], LINES),
    "aircraft-heatmaps": Case(SUBJECTS["aircraft-heatmaps"], LINES),
    "fly-cnn7": Case(SUBJECTS["fly-cnn7"], (*LINES, "brightness=0.05,contrast=0.1")),
    "fly-resnet18": Case(SUBJECTS["fly-resnet18"], LINES),
}
"""The examples with the ranges of their usn.yaml; for the fly's CNN7 a joint box too, which pilots do not finish."""


def make(name: str, settings: Settings) -> tuple[Subject, CertifyOptions]:
    """Return a network with its images, and how it is certified."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    made = CASES[name].subject(settings.source)
    data = subset(made.data, evenly_spaced(len(made.data), min(len(made.data), settings.images)))
    return (
        Subject(made.name, made.network, made.pipeline, data, made.tau),
        CertifyOptions(tau=made.tau, seconds=settings.limit),
    )


def train(name: str, settings: Settings) -> None:
    """Train a network, unless the cache has it."""
    make(name, settings)


def foresee(name: str, settings: Settings) -> tuple[Prediction, float]:
    """Predict; return also what that took."""
    made, options = make(name, settings)
    ranges = [parse_range(text) for text in CASES[name].ranges]
    started = time.perf_counter()
    pilot = run_pilot(made.pipeline, made.data, ranges, options)
    prediction = predict(pilot, [region.label for region in ranges], len(made.data), options)
    return prediction, time.perf_counter() - started


def measure(name: str, settings: Settings) -> Measured:
    """Certify all images."""
    made, options = make(name, settings)
    ranges = [parse_range(text) for text in CASES[name].ranges]
    started = time.perf_counter()
    queries = certify(made.pipeline, made.data, ranges, options).queries
    seconds = time.perf_counter() - started
    spent = Counter[str]()
    for query in queries:
        spent[query.perturbation] += query.seconds
    return Measured(seconds, spent, Counter(query.verdict.value for query in queries), peak_memory() or 0)


def show(name: str, prediction: Prediction, pilot_seconds: float, measured: Measured) -> None:
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in measured.verdicts.items())
    print(f"\n{name}: {prediction.images} images, pilot {pilot_seconds:.0f} s; {verdicts}")
    lines = [(item.perturbation, item.total, measured.by_range[item.perturbation]) for item in prediction.ranges]
    for what, span, found in (*lines, ("in all", prediction.seconds, measured.seconds)):
        ratio = span.middle / max(found, 1e-9)
        print(
            f"  {what:30} predicted {span.middle:8.1f} s ({span.low:.1f} to {span.high:.1f}), measured {found:8.1f} s, "
            f"ratio {ratio:.2f}"
        )
    if prediction.memory is not None:
        low, middle, high = (value / 1e9 for value in prediction.memory)
        found = measured.memory / 1e9
        print(
            f"  {'memory':30} predicted {middle:8.2f} GB ({low:.2f} to {high:.2f}), measured {found:7.2f} GB, "
            f"ratio {middle / found:.2f}",
            flush=True,
        )


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--data", type=Path, help="the fly's images")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds a query")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-certify-speed")
    parser.add_argument("--out", type=Path, help="write every line as JSON")
    parser.add_argument("--threads", type=int)
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    asked = arguments(given)
    settings = Settings(Source(asked.data, asked.cache), asked.images, asked.limit, asked.threads)
    records = []
    for name in asked.networks:
        alone(train, name, settings)
        prediction, pilot_seconds = alone(foresee, name, settings)
        measured = alone(measure, name, settings)
        show(name, prediction, pilot_seconds, measured)
        records.append({"network": name, "predicted": asdict(prediction), "measured": asdict(measured)})
    if asked.out:
        asked.out.write_text("".join(json.dumps(record) + "\n" for record in records))


if __name__ == "__main__":
    main()
