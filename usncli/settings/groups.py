"""The options that several commands share, stated once.

Annotations are not postponed here: pydantic would compile each of them again for every command that has the option,
which alone took longer than ``usn --help`` may.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from usncli.settings.certification import QuestionSettings
from usncli.settings.option import Option, SettingsGroup
from usncli.settings.parsing import File, Formats, GateFormats, Location, Numbers, Pairs, Ranges, Shares, Size, Texts

CHECKPOINT = Option(
    "The network: weights (.pt, .pth, .safetensors), a torch.export program (.pt2), ONNX (.onnx), or what usn wrote.",
    metavar="CHECKPOINT",
    positional=True,
)
DATA = Option(
    "The images: a folder with COCO keypoint JSON, a folder a class, a .npz file, or "
    "PACKAGE.MODULE:CALLABLE returning a torch Dataset.",
    metavar="DATA",
)
RANGE_EXAMPLES = ("brightness=0.1", "contrast=0.2", "gamma=0.2")
PERTURB = Option(
    "Range in the [0, 1] image scale: brightness=0.1, contrast=0.8:1.2, both in one box joined by a comma, or "
    "gamma=0.2; repeat for more.",
    metavar="RANGE",
    completions=RANGE_EXAMPLES,
)


class CheckpointSettings(SettingsGroup):
    """Which network, and how far its file is trusted."""

    group: ClassVar[str] = "Checkpoint"

    checkpoint: Annotated[File, CHECKPOINT]
    arch: Annotated[
        str | None,
        Option("What builds the network that bare weights belong to.", metavar="PACKAGE.MODULE:FACTORY"),
    ] = None
    arch_arg: Annotated[Pairs, Option("Argument of the factory; repeat for more.", metavar="KEY=VALUE")] = Field(
        default_factory=dict
    )
    trust_pickle: Annotated[
        bool,
        Option(
            "Load a pickled module although that runs code from the file. Only for files that you made.",
            identifies_run=False,
        ),
    ] = False
    trusted_sha256: Annotated[
        str | None,
        Option("Load a pickled module if its SHA-256 is this one.", metavar="HEX", expected="64 hexadecimal digits"),
        Field(pattern=r"^[0-9a-fA-F]{64}$"),
    ] = None
    strict: Annotated[bool, Option("Refuse weights with missing or unexpected keys.")] = True


class DataSettings(SettingsGroup):
    """Which images."""

    group: ClassVar[str] = "Data"

    data: Annotated[Location, DATA]


class ImageSettings(SettingsGroup):
    """How images become the network's input, and what it predicts."""

    group: ClassVar[str] = "Data"

    task: Annotated[
        Literal["classification", "keypoints", "heatmaps"] | None, Option("What the network predicts.", metavar="TASK")
    ] = None
    size: Annotated[
        Size | None, Option("The network's input size in pixels: 64, or width by height: 64x48.", metavar="SIZE")
    ] = None
    colour: Annotated[Literal["rgb", "grey"], Option("Colour space of the network's input.")] = "rgb"
    mean: Annotated[
        Numbers,
        Option(
            "Normalisation (image - mean) / std in the [0, 1] scale: mean.",
            metavar="NUMBER[,...]",
            expected="one number, or one a channel",
        ),
    ] = ()
    std: Annotated[
        Numbers,
        Option(
            "Normalisation (image - mean) / std in the [0, 1] scale: std.",
            metavar="NUMBER[,...]",
            expected="one number, or one a channel",
        ),
    ] = ()
    keypoint_units: Annotated[
        Literal["pixel", "unit", "centred"],
        Option("Units of raw keypoint outputs: pixels, [0, 1] or [-1, 1] across the input."),
    ] = "centred"
    annotations: Annotated[
        File | None,
        Option("COCO keypoint JSON of a folder of images that does not hold it.", metavar="FILE"),
    ] = None
    crop_margin: Annotated[
        float | None,
        Option("Crop each annotated object, its box widened by this share of its longer side. COCO data only."),
        Field(ge=0, le=10),
    ] = None
    class_name: Annotated[
        Texts,
        Option("Class in the order of the outputs, where sorted folder names are not it; repeat.", metavar="NAME"),
    ] = ()
    limit: Annotated[
        int | None, Option("Use at most this many images, evenly spread over the data.", metavar="N"), Field(ge=1)
    ] = None


class InputSettings(ImageSettings, DataSettings, CheckpointSettings):
    """A network and images for it."""


class AnyCheckpointSettings(CheckpointSettings):
    """Which network, if any."""

    group: ClassVar[str] = "Checkpoint"

    checkpoint: Annotated[File | None, CHECKPOINT] = None  # type: ignore[assignment]


class AnyDataSettings(DataSettings):
    """Which images, if any."""

    group: ClassVar[str] = "Data"

    data: Annotated[Location | None, DATA] = None  # type: ignore[assignment]


class PerturbationSettings(SettingsGroup):
    """What may happen to an image."""

    group: ClassVar[str] = "Perturbation"

    perturb: Annotated[Ranges, PERTURB]
    pivot: Annotated[
        Literal["zero", "mean"], Option("Grey value that contrast leaves unchanged: 0, or each image's mean.")
    ] = "zero"
    clip: Annotated[bool, Option("Clip perturbed images to [0, 1].")] = True


class AnyPerturbationSettings(PerturbationSettings):
    """What may happen to an image, if anything."""

    group: ClassVar[str] = "Perturbation"

    perturb: Annotated[Ranges, PERTURB] = ()


class QuerySettings(AnyPerturbationSettings, QuestionSettings):
    """Queries that are written for other verifiers; without a folder for them, none are."""

    group: ClassVar[str] = "Other verifiers"

    vnnlib: Annotated[
        File | None,
        Option(
            "Also write the queries that usn certify answers there: ONNX of theta, VNN-LIB, instances.csv.",
            metavar="FOLDER",
        ),
    ] = None
    vnnlib_version: Annotated[
        Literal["1.0", "2.0"], Option("Version of VNN-LIB: 1.0, which most verifiers read, or 2.0.")
    ] = "1.0"


class OutputSettings(SettingsGroup):
    """What is shown on the way."""

    group: ClassVar[str] = "Output"

    quiet: Annotated[bool, Option("Show no progress.", short="-q", identifies_run=False)] = False
    verbose: Annotated[bool, Option("Show more, and tracebacks.", short="-v", identifies_run=False)] = False


class DeviceSettings(OutputSettings):
    """Where work is done."""

    group: ClassVar[str] = "Run"

    device: Annotated[
        str,
        Option(
            "auto (a GPU where there is one), cpu, cuda, cuda:1 ...",
            metavar="DEVICE",
            completions=("auto", "cpu", "cuda"),
        ),
    ] = "auto"


class RunSettings(DeviceSettings):
    """Where a run is kept and how it runs."""

    group: ClassVar[str] = "Run"

    out: Annotated[
        File | None,
        Option(
            "Run folder. By default one under usn-runs/, named so that the same command finds it again.",
            metavar="FOLDER",
            identifies_run=False,
        ),
    ] = None
    seed: Annotated[int, Option("Seed of every random draw.", metavar="N"), Field(ge=0, lt=2**31)] = 0


class FormatSettings(SettingsGroup):
    """Copies of the results for machines and people."""

    group: ClassVar[str] = "Output"

    format: Annotated[
        Formats,
        Option(
            "Also write the results to a file as json, markdown or html; repeat for more.",
            metavar="FORMAT=FILE",
            identifies_run=False,
        ),
    ] = Field(default_factory=dict)


class GateSettings(SettingsGroup):
    """What must hold for a release to pass."""

    group: ClassVar[str] = "Gate"

    min_certified: Annotated[
        Shares,
        Option(
            "Least share of images that must be certified, for each perturbation; brightness=0.9 for one, "
            "brightness=0.1=0.9 for one range; repeat for more.",
            metavar="[PERTURBATION=]SHARE",
            identifies_run=False,
            expected="a share from 0 to 1, or PERTURBATION=SHARE",
        ),
    ] = Field(default_factory=dict)
    min_certified_overall: Annotated[
        float | None,
        Option("Least share of all images and perturbations together that must be certified.", identifies_run=False),
        Field(ge=0, le=1),
    ] = None
    max_unknown: Annotated[
        float | None,
        Option("Largest share of images that may stay undecided, for each perturbation.", identifies_run=False),
        Field(ge=0, le=1),
    ] = None
    baseline: Annotated[
        File | None,
        Option("Baseline that this run is held against, with waivers.", metavar="FILE", identifies_run=False),
    ] = None
    max_drop: Annotated[
        float | None,
        Option("Loss of certified share against the baseline that is let through; else none.", identifies_run=False),
        Field(ge=0, le=1),
    ] = None
    drop_significance: Annotated[
        float,
        Option("Largest p-value (McNemar's exact test) with which a larger loss fails.", identifies_run=False),
        Field(gt=0, lt=1),
    ] = 0.05
    write_baseline: Annotated[
        File | None,
        Option("Write this run as a baseline; waivers that the file holds stay.", metavar="FILE", identifies_run=False),
    ] = None

    @property
    def makes_baseline(self) -> bool:
        """Whether the baseline that this run would be held against is yet to be written, by this very run."""
        if self.baseline is None or self.write_baseline is None or self.baseline.exists():
            return False
        return self.baseline.resolve() == self.write_baseline.resolve()


class GateFormatSettings(SettingsGroup):
    """Copies of the results of a gate, for CI systems too."""

    group: ClassVar[str] = "Output"

    format: Annotated[
        GateFormats,
        Option(
            "Also write the results to a file as json, junit, sarif, github, markdown or html; repeat for more. "
            "github=- prints the annotations, for GitHub Actions.",
            metavar="FORMAT=FILE",
            identifies_run=False,
        ),
    ] = Field(default_factory=dict)


DEFAULT_RUNS = Path("usn-runs")
"""Folder of the run folders that are not named by ``--out``."""
