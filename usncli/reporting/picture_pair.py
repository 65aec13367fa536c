"""An image beside its perturbed version, with both sets of keypoints drawn."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from usncli.reporting.image_data import data_address
from usncli.reporting.pictures import Picture
from usncli.reporting.table import printable


def pair_words(picture: Picture) -> str:
    """Say what a pair shows beyond the images."""
    if picture.answers:
        return f"{picture.answers[0]} when clean, {picture.answers[1]} at {picture.theta}"
    if not picture.reference:
        return f"clean, and at {picture.theta}"
    words = f"at {picture.theta} a keypoint is off by {picture.largest_move:.4g} px"
    return words + (f" (allowed: {picture.tau:g} px)" if picture.tau is not None else "")


def pair_markup(picture: Picture) -> Markup:
    """Return the two images side by side: the reference keypoints on both, those that moved on the perturbed one."""
    rings = _path(picture, "reference", _rings(picture))
    clean = _panel(picture, picture.clean, rings, "clean")
    perturbed = _panel(picture, picture.perturbed, rings + _path(picture, "moved", _crosses(picture)), picture.theta)
    return Markup('<div class="pair">{}{}</div>{}').format(clean, perturbed, _legend(picture))


def _panel(picture: Picture, encoded: str, drawn: Markup, caption: str) -> Markup:
    width, height = picture.width, picture.height
    return Markup(
        '<div><svg viewBox="0 0 {w} {h}" role="img" aria-label="{name}, {caption}"><image href="{address}" width="{w}"'
        ' height="{h}" preserveAspectRatio="none"{pixels}></image>{drawn}</svg><small>{caption}</small></div>'
    ).format(
        w=width,
        h=height,
        name=printable(picture.image),
        caption=printable(caption),
        address=data_address(encoded),
        pixels=Markup(' class="pixels"') if max(width, height) <= _PIXELS_SEEN else "",
        drawn=drawn,
    )


_PIXELS_SEEN = 128
"""Images up to this side are shown with sharp pixels."""


def _unit(picture: Picture) -> float:
    """A hundredth of the larger side: marks look alike at any image size."""
    return max(picture.width, picture.height) / 100


def _path(picture: Picture, name: str, steps: Iterable[str]) -> Markup:
    """Draw steps as one path twice, the first a dark rim, so that it is seen on any image."""
    joined, wide = "".join(steps), _unit(picture)
    drawn = "".join(
        Markup('<path class="{}" stroke-width="{}" d="{}"/>').format(part, _number(width), joined)
        for part, width in (("rim", 2.2 * wide), (name, 1.1 * wide))
    )
    return Markup(drawn) if joined else Markup("")


def _rings(picture: Picture) -> Iterable[str]:
    radius = 2.2 * _unit(picture)
    r, across = _number(radius), _number(2 * radius)
    for x, y in picture.reference:
        yield f"M{_number(x - radius)} {_number(y)}a{r} {r} 0 1 0 {across} 0a{r} {r} 0 1 0-{across} 0"


def _crosses(picture: Picture) -> Iterable[str]:
    """Return crosses where keypoints moved to, each with a line from where it should be."""
    side = 3.4 * _unit(picture)
    s = _number(side)
    for (a, b), (c, d) in zip(picture.reference, picture.moved, strict=True):
        yield f"M{_number(a)} {_number(b)}L{_number(c)} {_number(d)}"
        yield f"m-{_number(side / 2)}-{_number(side / 2)}l{s} {s}m0-{s}l-{s} {s}"


def _number(value: float) -> str:
    return f"{value:.4g}"


def _legend(picture: Picture) -> Markup:
    if not picture.reference:
        return Markup("")
    return Markup(
        '<p class="key"><span><b class="reference">&#9675;</b> {}</span>'
        ' <span><b class="moved">&#10005;</b> {}</span></p>'
    ).format(printable(picture.reference_name), "predicted on the perturbed one")
