"""Settings of the images that a network takes, from what is given or was found out."""

from __future__ import annotations

from usncli.drafting.entries import Entry, State
from usncli.drafting.question import Question
from usncli.errors import InputError
from usncli.loading.preprocessing import Colour, Preprocessing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def channels_of_colour(colour: Colour) -> int:
    """Return the channels of images: 3 or 1."""
    return Preprocessing(1, 1, colour).channels


def colour_entry(question: Question, channels: int | None, what: str) -> Entry:
    """Return the colour of the images, as it is given or follows from their channels.

    Args:
        question: what is given.
        channels: that the network takes; None where nothing tells.
        what: what takes them, in words.

    Raises:
        InputError: a number of channels that no image has.
    """
    if given := question.given("colour"):
        return given[0]
    if channels is None:
        return Entry("colour", str(Colour.RGB), "the default; CHECK, nothing tells how many channels the network takes")
    for colour in Colour:
        if channels == channels_of_colour(colour):
            return Entry("colour", str(colour), f"{what} takes {channels} channel{'s' if channels > 1 else ''}")
    raise InputError(
        f"{question.source.path}: {what} takes {channels} channels; expected 3 (rgb) or 1 (grey): other images are not "
        "supported"
    )


def normalisation_entries(question: Question, tried: str = "") -> tuple[Entry, ...]:
    """Return the normalisation as it is given; no checkpoint of another tool's tells it.

    Args:
        question: what is given.
        tried: what trying ImageNet's has shown.
    """
    why = "CHECK: no checkpoint tells what training subtracted; without mean and std, images stay in [0, 1]"
    return question.given("mean", "std") or (
        Entry("mean", list(IMAGENET_MEAN), f"{why}: {tried}" if tried else why, State.OFFERED),
        Entry("std", list(IMAGENET_STD), "and divided by; ImageNet's numbers are shown", State.OFFERED),
    )
