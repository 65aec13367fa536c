"""Every image of a certification: thumbnail, verdicts, the largest range that is proved, and counterexamples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from usncli.certifying.verdicts import Verdict
from usncli.reporting.anchors import image_anchor
from usncli.reporting.document import Section
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.gate_section import lost_images, waived_images
from usncli.reporting.image_data import data_address
from usncli.reporting.kinds.queries import WORST_FIRST, Query, cost_words, outcome_words, reach_words, theta_words
from usncli.reporting.picture_pair import pair_markup, pair_words
from usncli.reporting.pictures import Picture, fitting
from usncli.reporting.templating import fill

OPEN_PICTURES = 6
"""Pictures that are shown without being asked for; the others are folded."""
THUMBNAIL_SHARE = 0.6
"""Part of the room for images that thumbnails may take."""

TITLES: Mapping[Verdict, str] = {
    Verdict.ERROR: "Crashed",
    Verdict.MISCLASSIFIED: "Wrong without any perturbation",
    Verdict.FALSIFIED: "Falsified",
    Verdict.UNKNOWN: "Unknown",
    Verdict.CERTIFIED: "Certified under every range",
}
"""Heading of the images whose worst verdict is this."""


class QueryLine(NamedTuple):
    """One perturbation of an image: verdict, range, what else came out, margin and cost."""

    verdict: str
    perturbation: str
    outcome: tuple[str, ...]
    cost: str


class Pair(NamedTuple):
    """A picture in a row: what it shows, the images, and whether it is unfolded."""

    words: str
    markup: Markup
    unfolded: bool


class ImageRow(NamedTuple):
    """One image; ``marks`` are words that stand beside its name."""

    anchor: str
    name: str
    thumbnail: str | None
    marks: tuple[str, ...]
    queries: tuple[QueryLine, ...]
    pairs: tuple[Pair, ...]


class ImageGroup(NamedTuple):
    """The images of one worst verdict, the worst margin first."""

    title: str
    verdict: str
    rows: tuple[ImageRow, ...]


class Shown(NamedTuple):
    """What there is room for.

    Attributes:
        thumbnails: by position in the data.
        pictures: in the order of the run.
    """

    thumbnails: Mapping[int, str]
    pictures: tuple[Picture, ...]


def images_section(run: FinishedRun, number: int, room: int) -> Section:
    """Return every image of a certification, the worst first.

    Args:
        run: a certification.
        number: of the run on its page.
        room: characters that thumbnails and pictures may take.
    """
    shown = choose_images(run, room)
    groups = image_groups(run, number, shown)
    return Section(f"Every image: {run.name}", _text(run, shown), blocks=(fill("images.html.j2", groups=groups),))


def choose_images(run: FinishedRun, room: int) -> Shown:
    """Return the thumbnails and pictures that there is room for, in the order in which the run keeps them."""
    thumbnails = fitting(run.thumbnails.items(), lambda item: len(item[1]), THUMBNAIL_SHARE * room)
    left = room - sum(len(encoded) for _, encoded in thumbnails)
    return Shown(dict(thumbnails), fitting(run.pictures, lambda picture: picture.size, left))


def image_groups(run: FinishedRun, number: int, shown: Shown) -> tuple[ImageGroup, ...]:
    """Return the images by their worst verdict; within a group what is newly lost first, then by the least margin."""
    by_index: dict[int, list[Query]] = {}
    for query in run.record["queries"]:
        by_index.setdefault(query["index"], []).append(query)
    lost, waived = {item.name for item in lost_images(run)}, waived_images(run.gate)
    pairs = _pairs(shown.pictures)
    groups: dict[Verdict, list[tuple[Sequence[Query], ImageRow]]] = {}
    for index, queries in by_index.items():
        name = str(queries[0]["image"])
        marks = [("newly lost", name in lost), ("waived", name in waived)]
        row = ImageRow(
            image_anchor(number, index),
            name,
            data_address(shown.thumbnails[index]) if index in shown.thumbnails else None,
            tuple(word for word, holds in marks if holds),
            tuple(map(query_line, queries)),
            tuple(pairs.pop(key) for query in queries if (key := (name, str(query["perturbation"]))) in pairs),
        )
        groups.setdefault(_worst(queries), []).append((queries, row))
    return tuple(
        ImageGroup(TITLES[verdict], verdict.value, tuple(row for _, row in sorted(groups[verdict], key=_order)))
        for verdict in WORST_FIRST
        if verdict in groups
    )


def query_line(query: Query) -> QueryLine:
    """Put one query in words."""
    told = [outcome_words(query)] if query["verdict"] != Verdict.CERTIFIED else []
    reach = reach_words(query)
    outcome = (*told, *([reach] if reach else []))
    return QueryLine(query["verdict"], query["perturbation"], outcome, cost_words(query))


def counterexample_of(query: Query) -> tuple[str, str] | None:
    """Return image and theta of a counterexample, which several ranges may share; None where there is none."""
    if query["verdict"] != Verdict.FALSIFIED or query["witness"] is None:
        return None
    return str(query["image"]), theta_words(query["perturbation"], query["witness"])


def _pairs(pictures: Iterable[Picture]) -> dict[tuple[str, str], Pair]:
    return {
        (picture.image, picture.perturbation): Pair(
            f"{_KINDS.get(picture.verdict, 'The least margin met')}: {pair_words(picture)}",
            pair_markup(picture),
            place < OPEN_PICTURES,
        )
        for place, picture in enumerate(pictures)
    }


_KINDS = {Verdict.FALSIFIED.value: "Counterexample"}


def _worst(queries: Sequence[Query]) -> Verdict:
    return min((Verdict(query["verdict"]) for query in queries), key=WORST_FIRST.index)


def _order(item: tuple[Sequence[Query], ImageRow]) -> tuple[bool, float]:
    queries, row = item
    margins = [query["margin"] for query in queries if query["margin"] is not None]
    return "newly lost" not in row.marks, min(margins, default=0.0)


def _text(run: FinishedRun, shown: Shown) -> tuple[str, ...]:
    queries = run.record["queries"]
    images = len({query["index"] for query in queries})
    failing = len({counterexample for query in queries if (counterexample := counterexample_of(query))})
    pictured = len({(picture.image, picture.theta) for picture in shown.pictures if picture.verdict in _KINDS})
    told = [f"{images:,} images by their worst verdict, the worst first."]
    if failing:
        told.append(f"Counterexamples pictured: {pictured:,} of {failing:,}.")
        if pictured < failing:
            told.append(f"Not shown: {failing - pictured:,}; their rows say at which parameters they fail.")
    if len(shown.thumbnails) < images:
        told.append(f"Without a thumbnail: {images - len(shown.thumbnails):,}.")
    return (" ".join(told),)
