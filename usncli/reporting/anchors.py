"""Where on a page an image of a run is."""

from __future__ import annotations

from collections.abc import Mapping

from usncli.reporting.finished_run import FinishedRun


def image_anchor(number: int, index: int) -> str:
    """Return the name of the place of an image.

    Args:
        number: of the run on its page.
        index: the image's position in the data.
    """
    return f"run-{number}-image-{index}"


def anchors_by_name(run: FinishedRun, number: int) -> Mapping[str, str]:
    """Return the place of each image of a certification, by the image's name; the first one of several of a name."""
    found: dict[str, str] = {}
    for query in run.record["queries"]:
        found.setdefault(query["image"], image_anchor(number, query["index"]))
    return found
