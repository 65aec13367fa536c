"""What a certificate holds, line by line: JSON Lines, each line one of the models below.

The first line is the `Statement`, then one `ImageLine` an image in the order of the data, then the `End`. Lines of kind
`Binding` may follow: they name files that the certificate was bound to later, and are not part of its digest. Numbers
are written so that they read back as the very same float64.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

FORMAT: Literal["usn-certificate"] = "usn-certificate"
VERSION: Literal[1] = 1
"""Version of the format; it grows when a field changes its meaning or goes."""
SHORT = 16
"""Hexadecimal digits of a line's own digest in the `End`."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256, hexadecimal")]


class Line(BaseModel):
    """Base of every line and its parts: nothing unknown, nothing infinite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Network(Line):
    """The network that was certified, between normalised image and raw outputs, and what stands around it."""

    graph: Digest = Field(description="of its operations in order, with their constants")
    weights: Digest = Field(description="of every tensor by name, shape and dtype, bit by bit")
    task: Literal["classification", "keypoints", "heatmaps"]
    height: int = Field(description="of the input, pixels")
    width: int = Field(description="of the input, pixels")
    colour: Literal["rgb", "grey"]
    mean: tuple[float, ...] = Field(description="normalisation (image - mean) / std, in the [0, 1] scale")
    std: tuple[float, ...] = Field(description="see mean")
    keypoint_units: Literal["pixel", "unit", "centred"] = Field(description="of raw keypoint outputs")


class Range(Line):
    """A perturbation and the closed box of its parameters theta."""

    label: str = Field(description="as --perturb takes it")
    parameters: tuple[str, ...] = Field(description="of theta, in order")
    lower: tuple[float, ...] = Field(description="lower ends, one a parameter")
    upper: tuple[float, ...] = Field(description="upper ends, one a parameter")
    pivot: Literal["zero", "mean"] | None = Field(
        description="what contrast leaves unchanged; null where there is none"
    )
    clip: bool = Field(description="whether perturbed images are clipped to [0, 1]")


class Statement(Line):
    """The first line: what is claimed, of which network, for which perturbations."""

    kind: Literal["statement"] = "statement"
    format: Literal["usn-certificate"] = FORMAT
    version: Literal[1] = VERSION
    claim: str = Field(description="what certified says and what it does not, in one sentence")
    network: Network
    images: int = Field(ge=1, description="number of images")
    ranges: tuple[Range, ...] = Field(min_length=1)
    tau: float = Field(
        gt=0, description="pixels that a keypoint, or the peak of a heatmap, may move; not used for classes"
    )
    reference: Literal["prediction", "label"] = Field(description="what predictions are compared with")
    arithmetic: Literal["real", "float32"] = Field(description="rounding model: what network the claim is about")
    slack: dict[str, float] = Field(
        description="by engine: how far above 0 a margin was proved, as a share of 1 + the largest absolute output"
    )
    versions: dict[str, str] = Field(description="of usncli, torch and auto_LiRPA that issued it")


class ClassReference(Line):
    """A class that must stay the highest."""

    label: int = Field(ge=0, description="index of the output")


class KeypointReference(Line):
    """Points that each stay within tau."""

    points: tuple[tuple[float, float], ...] = Field(description="x and y in pixels of the input, one a keypoint")
    visible: tuple[bool, ...] = Field(description="which keypoints count")


class HeatmapReference(Line):
    """Cells, of which the highest of each map is one."""

    near: Digest = Field(description="of the mask of allowed cells, (keypoints, height, width), one byte a cell")


Reference = ClassReference | KeypointReference | HeatmapReference


class Proof(Line):
    """What was found for one image and range."""

    range: int = Field(ge=0, description="position among the statement's ranges")
    verdict: Literal["certified", "falsified", "unknown", "misclassified", "error"]
    engine: str | None = Field(default=None, description="whose bounds proved it: usn, lirpa, or both joined by +")
    margin: float | None = Field(
        default=None, description="certified: a lower bound of the margin over the whole range"
    )
    witness: tuple[float, ...] | None = Field(default=None, description="falsified: theta at which the network fails")
    edges: tuple[tuple[float, ...], ...] | None = Field(
        default=None, description="certified: for each parameter all values at which a piece begins or ends"
    )
    cells: tuple[tuple[int, ...], ...] | None = Field(
        default=None,
        description="certified: for each piece, for each parameter, positions of its lower and upper edge; null for "
        "one piece a cell of the grid of edges",
    )


class ImageLine(Line):
    """One image."""

    kind: Literal["image"] = "image"
    index: int = Field(ge=0, description="position in the data")
    name: str
    sha256: Digest = Field(description="of its pixels as the network gets them, its label and its name")
    reference: Reference | None = Field(description="what the property compares with; null where there is none")
    proofs: tuple[Proof, ...] = Field(description="one a range, in the statement's order")


class End(Line):
    """The last line that the digest's lines belong to."""

    kind: Literal["end"] = "end"
    counts: dict[str, int] = Field(description="number of queries by verdict")
    lines: tuple[str, ...] = Field(description="first 16 digits of every earlier line's SHA-256")
    sha256: Digest = Field(description="of all earlier lines, newlines included: the certificate's name")


class Binding(Line):
    """A file that ships what was certified."""

    kind: Literal["onnx"] = "onnx"
    sha256: Digest = Field(description="of the ONNX file")
    name: str = Field(description="of the file when it was written")


AnyLine = Annotated[Statement | ImageLine | End | Binding, Field(discriminator="kind")]
LINE: TypeAdapter[Statement | ImageLine | End | Binding] = TypeAdapter(AnyLine)
"""Reads and describes any line."""
SCHEMA_NAME = "line.schema.json"
"""The schema of a line (JSON Schema 2020-12), which lies beside this module."""


def schema_text() -> str:
    """Return the schema of a line, as its file has it."""
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:usncli:schema:certificate:{VERSION}",
    }
    described = LINE.json_schema(mode="serialization")
    return json.dumps(head | {"title": "A line of a certificate of usn certify"} | described, indent=1) + "\n"


def encode(line: Line) -> bytes:
    """Return a line as it stands in the file; fields that say nothing are left out where they may."""
    values = line.model_dump(mode="json")
    if isinstance(line, ImageLine):
        values["proofs"] = [proof.model_dump(mode="json", exclude_none=True) for proof in line.proofs]
    return json.dumps(values, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


class Hasher:
    """The digests of a certificate's lines as they are written or read."""

    def __init__(self) -> None:
        self._all = hashlib.sha256()
        self.lines: list[str] = []

    def add(self, line: bytes) -> None:
        """Take in a line with its newline."""
        self._all.update(line)
        self.lines.append(hashlib.sha256(line).hexdigest()[:SHORT])

    @property
    def digest(self) -> str:
        """SHA-256 of all lines so far."""
        return self._all.hexdigest()


if __name__ == "__main__":
    Path(__file__).with_name(SCHEMA_NAME).write_text(schema_text(), encoding="utf-8")
