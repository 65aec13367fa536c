"""How far instability, its ranking and the cut set depend on the number of thetas and on the number of images.

    python examples/study/sample_size.py                # embedded data, seven minutes on one thread, 3 GB
    python examples/study/sample_size.py --data DIR     # the fly and the mouse too
    python examples/study/sample_size.py --tables       # docs/sample-size.md and its plot, from the records

Thetas: the first `THETA_IMAGES` training images, each method and number of thetas against quadrature with
`EXACT_SAMPLES` nodes on the same images. Images: random subsets against all of up to `MOST_IMAGES` training images
with `ALL_SAMPLES` nodes each. A finished part is a JSON file under ``records-sample-size/`` and is not done again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from sample_tables import write_sample_size
from scipy.stats import spearmanr
from subjects import SUBJECTS, first
from torch import Tensor

from usncli.files import write_atomically
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import parse_range
from usncli.perturbing.ranges import PerturbationRange
from usncli.scoring.accumulation import ActivationSums
from usncli.scoring.channel_index import index_channels, scored_layers
from usncli.scoring.estimates import Estimates
from usncli.scoring.groups import DependencyGroup, dependency_groups
from usncli.scoring.options import ScoreOptions
from usncli.scoring.selection import overlap
from usncli.scoring.streaming import ActivationScan
from usncli.types import ImageData

HERE = Path(__file__).parent
EMBEDDED, OTHERS = "aircraft-cnn7", ("fly-cnn7", "mouse-cnn7")
METHODS = ("quadrature", "sobol", "monte-carlo")
SAMPLES = (2, 3, 4, 6, 8, 12, 16, 32, 64)
MORE_DRAWS = (128, 256)
"""Further numbers of thetas, for Monte Carlo alone."""
REPEATED = 16
"""Up to so many thetas, draws are repeated with `SEEDS`."""
SEEDS = (0, 1, 2)
THETA_IMAGES, EXACT_SAMPLES = 64, 256
MOST_IMAGES, ALL_SAMPLES = 600, 16
SUBSETS, SMALLEST_SUBSET = 20, 4
IMAGE_CHOICES = (("quadrature", 8), ("quadrature", 2), ("monte-carlo", 8))


@dataclass(frozen=True)
class Row:
    """How one estimate compares with the reference.

    Attributes:
        method: how theta was sampled.
        samples: thetas an image.
        images: number of images.
        seed: of the draws of theta, or of the choice of the images.
        error: median over channels of the instability's relative error.
        rank: Spearman's correlation of the instabilities.
        share: of the cut set that the reference cuts too.
        image_halves: share that the cut sets of two halves of the images have in common; none below 4 images.
        theta_halves: the same of two halves of the thetas; none where they are not compared.
    """

    method: str
    samples: int
    images: int
    seed: int
    error: float
    rank: float
    share: float
    image_halves: float | None
    theta_halves: float | None


@dataclass(frozen=True)
class Scorer:
    """Scores one network on one range, keeping the sums of every image apart."""

    pipeline: Pipeline
    data: ImageData
    perturbation_range: PerturbationRange

    @cached_property
    def groups(self) -> Sequence[DependencyGroup]:
        """The prunable groups."""
        return dependency_groups(self.pipeline.network, torch.zeros(2, *self.pipeline.preprocessing.input_shape))

    def estimates(self, options: ScoreOptions, images: int) -> Estimates:
        """Return what the first so many images give."""
        scan = ActivationScan(self.pipeline, scored_layers(self.groups), self.perturbation_range, options)
        sums = scan.gather(self.data, images, blocks=images)
        index = index_channels(self.groups, [(part.layer, part.channels) for part in sums.columns])
        return Estimates(self.groups, index, sums, options)


def on_images(estimates: Estimates, images: Tensor) -> Estimates:
    """Return what some of the images give; halves of thetas are left out."""
    sums = ActivationSums(len(images), estimates.sums.columns)
    assert estimates.sums.sums is not None
    sums.counts, sums.sums = estimates.sums.counts[images], estimates.sums.sums[images]
    return replace(estimates, sums=sums)


def compare(found: Estimates, reference: Estimates, seed: int) -> Row:
    """Return how an estimate, with every image a block, compares with the reference."""
    values, exact = (estimates.instability(estimates.terms()) for estimates in (found, reference))
    alive = values.isfinite() & exact.isfinite()
    images = found.sums.blocks
    by_images, by_thetas = found.overlap_images(images), found.overlap_thetas()
    return Row(
        found.options.method,
        found.options.samples,
        images,
        seed,
        error=float(((values - exact).abs() / exact)[alive].quantile(0.5)),
        rank=float(spearmanr(values[alive], exact[alive]).statistic),
        share=overlap(found.cut(values), reference.cut(exact)).share,
        image_halves=by_images.share if by_images else None,
        theta_halves=by_thetas.share if by_thetas else None,
    )


def rows_of_thetas(scorer: Scorer) -> Iterator[Row]:
    """Compare methods and numbers of thetas on the same images."""
    images = min(THETA_IMAGES, len(scorer.data))
    reference = scorer.estimates(ScoreOptions(samples=EXACT_SAMPLES), images)
    for method in METHODS:
        for samples in (*SAMPLES, *(MORE_DRAWS if method == "monte-carlo" else ())):
            for seed in SEEDS if samples <= REPEATED and method != "quadrature" else SEEDS[:1]:
                options = ScoreOptions(samples=samples, method=method, seed=seed)
                yield compare(scorer.estimates(options, images), reference, seed)


def rows_of_images(scorer: Scorer) -> Iterator[Row]:
    """Compare random subsets of the images, of at most half of them, with all."""
    images = min(MOST_IMAGES, len(scorer.data))
    reference = scorer.estimates(ScoreOptions(samples=ALL_SAMPLES), images)
    generator = torch.Generator().manual_seed(0)
    for method, samples in IMAGE_CHOICES:
        whole = scorer.estimates(ScoreOptions(samples=samples, method=method), images)
        size = SMALLEST_SUBSET
        while size <= images // 2:
            for subset in range(SUBSETS):
                chosen = torch.randperm(images, generator=generator)[:size]
                yield compare(on_images(whole, chosen), reference, subset)
            size *= 2
        yield compare(on_images(whole, torch.arange(images)), reference, 0)


PARTS = {"thetas": rows_of_thetas, "images": rows_of_images}


def carry_out(name: str, data: Path | None, cache: Path, records: Path) -> None:
    """Write every record of a subject that is not there yet."""
    subject = SUBJECTS[name]
    for label in subject.trained_ranges:
        for part, rows in PARTS.items():
            path = records / f"{name}-{label.split('=')[0]}-{part}.json"
            if path.exists():
                continue
            train = subject.data(data)[0]
            scorer = Scorer(subject.base(train, cache), first(train, MOST_IMAGES), parse_range(label))
            started = time.monotonic()
            found = list(rows(scorer))
            write_record(path, {"subject": name, "range": label, "part": part}, found)
            print(f"{path.name}: {len(found)} rows in {time.monotonic() - started:.0f} s", flush=True)


def write_record(path: Path, head: Mapping[str, str], rows: Sequence[Row]) -> None:
    """Write a record, one row a line."""
    lines = ",\n".join(json.dumps({key: rounded(value) for key, value in asdict(row).items()}) for row in rows)
    text = f'{json.dumps(head)[:-1]}, "rows": [\n{lines}\n]}}\n'
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: temporary.write_text(text))


def rounded(value: object) -> object:
    """Return a number to five digits, anything else as it is."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder that holds fly/ and mouse/")
    parser.add_argument("--subjects", nargs="+", choices=[EMBEDDED, *OTHERS])
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "usn-study")
    parser.add_argument("--records", type=Path, default=HERE / "records-sample-size")
    parser.add_argument("--tables", action="store_true", help="only write docs/sample-size.md from the records")
    return parser.parse_args()


def main() -> None:
    chosen = arguments()
    torch.set_num_threads(1)
    if not chosen.tables:
        for name in chosen.subjects or (EMBEDDED, *(OTHERS if chosen.data else ())):
            carry_out(name, chosen.data, chosen.cache, chosen.records)
    write_sample_size(chosen.records)


if __name__ == "__main__":
    main()
