"""Images beside their worst perturbed version, with what the network sees in each."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image
from torch import Tensor

from usncli.errors import InputError
from usncli.files import write_json_atomically
from usncli.reporting.figure import Figure
from usncli.reporting.table import printable

PICTURES_NAME = "pictures.json"
SCHEMA_VERSION = 1
Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Picture:
    """One image, clean and perturbed.

    Attributes:
        image: its name in the data set.
        perturbation: label of the range.
        verdict: of this image under that range.
        theta: parameters of the perturbed version, in words such as ``brightness -0.08``.
        clean: PNG, base64.
        perturbed: PNG of the same size, base64.
        width: pixels.
        height: pixels.
        reference: keypoints that must stay, x and y in pixels; empty for classification.
        moved: keypoints that it predicts on the perturbed one.
        tau: how far a keypoint may move, in pixels.
        reference_name: where the reference comes from, in a few words.
        answers: what it answers on the clean and on the perturbed image, in words; empty for keypoints.
    """

    image: str
    perturbation: str
    verdict: str
    theta: str
    clean: str
    perturbed: str
    width: int
    height: int
    reference: Points = ()
    moved: Points = ()
    tau: float | None = None
    reference_name: str = "predicted on the clean image"
    answers: tuple[str, str] | None = None

    @property
    def largest_move(self) -> float:
        """Largest distance of a keypoint from its reference, in x or in y, pixels; 0 without keypoints."""
        pairs = zip(self.reference, self.moved, strict=True)
        return max((max(abs(a - c), abs(b - d)) for (a, b), (c, d) in pairs), default=0.0)


def encode(image: Tensor) -> str:
    """Return an image ``(1 or 3, height, width)`` in [0, 1] as PNG in base64."""
    levels = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte()
    array = levels[0].numpy() if levels.shape[0] == 1 else levels.permute(1, 2, 0).contiguous().numpy()
    written = io.BytesIO()
    Image.fromarray(array).save(written, format="PNG", optimize=True)
    return base64.b64encode(written.getvalue()).decode("ascii")


def save_pictures(path: Path, pictures: Iterable[Picture]) -> None:
    """Write pictures as JSON, atomically."""
    write_json_atomically(
        path, {"schema_version": SCHEMA_VERSION, "pictures": [asdict(picture) for picture in pictures]}
    )


def read_pictures(path: Path) -> tuple[Picture, ...]:
    """Read what `save_pictures` wrote.

    Raises:
        InputError: the file is damaged or of another version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {content['schema_version']}")
        return tuple(_picture(values) for values in content["pictures"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected pictures that usn wrote, got a damaged file ({error})") from error


def _picture(values: dict[str, Any]) -> Picture:
    for name in ("clean", "perturbed"):
        base64.b64decode(values[name], validate=True)
    points = {name: tuple((float(x), float(y)) for x, y in values[name]) for name in ("reference", "moved")}
    answers = values["answers"]
    size = {name: int(values[name]) for name in ("width", "height")}
    return Picture(**values | points | size | {"answers": tuple(answers) if answers else None})


def picture_figure(picture: Picture) -> Figure:
    """Show an image clean and perturbed, side by side, with both keypoint sets on the perturbed one."""
    title = f"{picture.image}: {picture.verdict} at {picture.perturbation}"
    if picture.answers:
        words = f"{picture.answers[0]} when clean, {picture.answers[1]} at {picture.theta}"
    elif picture.reference:
        words = f"at {picture.theta} a keypoint is off by {picture.largest_move:.2f} px"
        words += f" (allowed: {picture.tau:g} px)" if picture.tau is not None else ""
    else:
        words = f"clean, and at {picture.theta}"
    clean = _panel(picture, picture.clean, _dots(picture.reference, picture))
    lines = _lines(picture) + _dots(picture.reference, picture) + _crosses(picture.moved, picture)
    perturbed = _panel(picture, picture.perturbed, lines)
    markup = Markup('<div class="pair"><div>{}<small>clean</small></div><div>{}<small>{}</small></div></div>').format(
        clean, perturbed, printable(picture.theta)
    ) + _legend(picture)
    return Figure(title, markup, f"The image beside its perturbed version; {words}.", words)


def _panel(picture: Picture, png: str, drawn: Markup) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" aria-hidden="true"><image href="data:image/png;base64,{}" width="{}" height="{}"'
        ' preserveAspectRatio="none" class="pixels"></image>{}</svg>'
    ).format(picture.width, picture.height, png, picture.width, picture.height, drawn)


def _unit(picture: Picture) -> float:
    """A hundredth of the larger side: marks look alike at any image size."""
    return max(picture.width, picture.height) / 100


def _dots(points: Points, picture: Picture) -> Markup:
    mark = Markup('<circle cx="{:.2f}" cy="{:.2f}" r="{:.2f}" class="reference" stroke-width="{:.2f}"></circle>')
    unit = _unit(picture)
    return Markup("").join(mark.format(x, y, 2.2 * unit, 1.1 * unit) for x, y in points)


def _crosses(points: Points, picture: Picture) -> Markup:
    mark = Markup(
        '<path d="M{:.2f} {:.2f}l{s:.2f} {s:.2f}m0 -{s:.2f}l-{s:.2f} {s:.2f}" class="moved"'
        ' stroke-width="{w:.2f}"></path>'
    )
    unit = _unit(picture)
    size = 3.4 * unit
    return Markup("").join(mark.format(x - size / 2, y - size / 2, s=size, w=1.1 * unit) for x, y in points)


def _lines(picture: Picture) -> Markup:
    mark = Markup('<path d="M{:.2f} {:.2f}L{:.2f} {:.2f}" class="moved" stroke-width="{:.2f}"></path>')
    unit = _unit(picture)
    pairs = zip(picture.reference, picture.moved, strict=True)
    return Markup("").join(mark.format(a, b, c, d, 0.8 * unit) for (a, b), (c, d) in pairs)


def _legend(picture: Picture) -> Markup:
    if not picture.reference:
        return Markup("")
    return Markup(
        '<p class="key"><b class="reference">&#9675;</b> {} &ensp; <b class="moved">&#10005;</b> {}</p>'
    ).format(printable(picture.reference_name), "predicted on the perturbed one")
