"""The settings of each command: shared groups plus its own options.

Defaults agree with the options of the stage that a command calls (a test keeps that true); constraints are stated
here too, so that a mistake is answered before anything heavy is loaded. Annotations are not postponed, see `groups`.
"""

from typing import Annotated, ClassVar, Literal, TypeVar

from pydantic import Field

from usncli.settings.certification import CertificationSettings, EngineSettings
from usncli.settings.groups import (
    DEFAULT_RUNS,
    RANGE_EXAMPLES,
    AnyCheckpointSettings,
    AnyDataSettings,
    AnyPerturbationSettings,
    CheckpointSettings,
    DataSettings,
    DeviceSettings,
    FormatSettings,
    GateFormatSettings,
    GateSettings,
    ImageSettings,
    InputSettings,
    OutputSettings,
    PerturbationSettings,
    QuerySettings,
    RunSettings,
)
from usncli.settings.option import Option, SettingsGroup
from usncli.settings.parsing import File, Files, Location, NumberPair, Ramps, Ranges, Texts


class CommandSettings(SettingsGroup):
    """Base of a command's settings.

    Attributes:
        command: the command's name, which is also its section in usn.yaml.
        searches_file: whether the nearest usn.yaml is looked for; one that is named is read by every command.
        sections: sections of other commands that speak to this one too, where its own is silent.
    """

    command: ClassVar[str]
    searches_file: ClassVar[bool] = True
    sections: ClassVar[tuple[str, ...]] = ()


CommandType = TypeVar("CommandType", bound=CommandSettings)


class InitSettings(CommandSettings, OutputSettings, ImageSettings, CheckpointSettings):
    """Settings of ``usn init``."""

    command: ClassVar[str] = "init"
    group: ClassVar[str] = "Data"
    searches_file: ClassVar[bool] = False  # one in a folder above is about another checkpoint

    data: Annotated[
        Location | None,
        Option("Images to look at, in the forms that every command takes; the file names them.", metavar="DATA"),
    ] = None


class ScoreSettings(CommandSettings, FormatSettings, RunSettings, PerturbationSettings, InputSettings):
    """Settings of ``usn score``."""

    command: ClassVar[str] = "score"
    group: ClassVar[str] = "Scoring"

    ratio: Annotated[float, Option("Share of channels whose cut is shown."), Field(ge=0, lt=1)] = 0.2
    method: Annotated[
        Literal["monte-carlo", "quadrature", "sobol"], Option("How perturbations are sampled.", metavar="METHOD")
    ] = "quadrature"
    samples: Annotated[int, Option("Perturbations an image."), Field(ge=2)] = 8
    unbiased_weight: Annotated[float, Option("Weight of the mean shift in the instability."), Field(ge=0)] = 1.0
    smooth_weight: Annotated[float, Option("Weight of the variance in the instability."), Field(ge=0)] = 1.0
    floor: Annotated[float, Option("Least share of a group's channels that stays."), Field(gt=0, le=1)] = 0.1
    exclude: Annotated[
        Texts, Option("Layer, or pattern such as encoder.*, that is left whole; repeat for more.", metavar="LAYER")
    ] = ()
    batch_size: Annotated[int, Option("Images at once."), Field(ge=1)] = 32


class FinetunePruneSettings(CommandSettings, FormatSettings, RunSettings, PerturbationSettings, InputSettings):
    """Settings of ``usn finetune-prune``."""

    command: ClassVar[str] = "finetune-prune"
    group: ClassVar[str] = "Pruning"

    validation: Annotated[
        Location | None, Option("Images that the error is measured on, in the forms of --data.", metavar="DATA")
    ] = None
    ratio: Annotated[float, Option("Share that is cut, of the target."), Field(ge=0, lt=1)] = 0.45
    target: Annotated[
        Literal["channels", "parameters", "multiply-adds", "unstable-relus"],
        Option("What the ratio is a share of.", metavar="TARGET"),
    ] = "multiply-adds"
    criterion: Annotated[
        Literal["usn", "random", "magnitude", "taylor", "batch-norm", "relu-stability", "looseness", "none"],
        Option("How channels are ranked; none cuts nothing.", metavar="CRITERION"),
    ] = "taylor"
    exclude: Annotated[
        Texts, Option("Layer, or pattern such as encoder.*, that is left whole; repeat for more.", metavar="LAYER")
    ] = ()
    floor: Annotated[float, Option("Least share of a group's channels that stays."), Field(gt=0, le=1)] = 0.5
    ramp: Annotated[
        NumberPair,
        Option(
            "Parts of the run between which the pruned share grows to the ratio.",
            metavar="START,END",
            expected="two parts of the run, 0 <= start < end <= 1",
        ),
    ] = (0.05, 0.5)
    schedule: Annotated[
        Literal["cubic", "linear", "one-shot"],
        Option("How it grows; one-shot cuts all where the ramp starts.", metavar="SCHEDULE"),
    ] = "cubic"
    rescore: Annotated[int, Option("Steps between two scorings."), Field(ge=1)] = 20
    scoring_images: Annotated[int, Option("Images that a scoring looks at."), Field(ge=1)] = 128
    scoring_samples: Annotated[int, Option("Perturbations of a scoring, a dimension."), Field(ge=2)] = 5
    score_momentum: Annotated[
        float, Option("Share of the running mean of scores that a new scoring leaves."), Field(ge=0, lt=1)
    ] = 0.0
    epochs: Annotated[float, Option("Passes over the training images."), Field(gt=0)] = 20.0
    steps: Annotated[int | None, Option("Steps in all, instead of epochs."), Field(ge=1)] = None
    batch_size: Annotated[int, Option("Images a step."), Field(ge=2)] = 32
    learning_rate: Annotated[float, Option("Largest learning rate."), Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Option("Decay of the weights."), Field(ge=0)] = 1e-4
    optimiser: Annotated[Literal["adamw", "sgd"], Option("How weights move.")] = "adamw"
    training_precision: Annotated[
        Literal["float32", "bfloat16", "float16"],
        Option("Precision of the layers in a training step; float16 on CUDA GPUs only.", metavar="PRECISION"),
    ] = "float32"
    lambda_unbiased: Annotated[
        float, Option("Loss weight of the mean shift of activations under perturbation."), Field(ge=0)
    ] = 30.0
    lambda_smooth: Annotated[
        float, Option("Loss weight of the variance of activations under perturbation."), Field(ge=0)
    ] = 30.0
    lambda_wasserstein: Annotated[
        float, Option("Loss weight of the distance of importances from two clear clusters."), Field(ge=0)
    ] = 0.0
    lambda_consistency: Annotated[
        float, Option("Loss weight of the movement of predictions under perturbation."), Field(ge=0)
    ] = 5.0
    wasserstein_target: Annotated[
        Literal["two-point", "concentrated"],
        Option("What importances are pulled towards: over all channels, or in few groups.", metavar="TARGET"),
    ] = "two-point"
    wasserstein_limit: Annotated[
        float,
        Option("Largest share of the task's gradient that the Wasserstein loss pulls with; 0: any."),
        Field(ge=0),
    ] = 0.0
    lambda_perturbed: Annotated[float, Option("Loss weight of the task's loss on perturbed images."), Field(ge=0)] = 0.0
    rotation: Annotated[
        float, Option("Turn training images at random by up to this angle.", metavar="DEGREES"), Field(ge=0, le=180)
    ] = 0.0
    scale: Annotated[
        float, Option("Enlarge or shrink them by up to this share.", metavar="SHARE"), Field(ge=0, lt=1)
    ] = 0.0
    shift: Annotated[
        float, Option("Move them by up to this share of their larger side.", metavar="SHARE"), Field(ge=0, lt=1)
    ] = 0.0
    loss_samples: Annotated[int, Option("Perturbations a step for these losses."), Field(ge=2)] = 2
    loss_ramp: Annotated[
        Ramps,
        Option(
            "Parts of the run between which the weight of a loss grows from 0; repeat for more.",
            metavar="LOSS=START,END",
            expected="a loss and two parts of the run, 0 <= start <= end <= 1, for example smooth=0,0.3",
        ),
    ] = Field(default_factory=dict)
    best: Annotated[
        Literal["last", "error", "certified"],
        Option("Which network of the run is kept: the last, or the best on --validation.", metavar="WHICH"),
    ] = "last"
    evaluate_every: Annotated[
        float, Option("Part of the run between two evaluations for --best."), Field(gt=0, le=1)
    ] = 0.05
    patience: Annotated[
        int, Option("Evaluations in a row without a gain that end the run; 0 never does."), Field(ge=0)
    ] = 0
    evaluate_images: Annotated[int, Option("Validation images certified by an evaluation."), Field(ge=1)] = 16
    evaluate_seconds: Annotated[float, Option("Time budget of each of them and perturbation."), Field(gt=0)] = 2.0
    evaluate_tau: Annotated[
        float, Option("How far a keypoint, or the peak of a heatmap, may move there: pixels."), Field(gt=0)
    ] = 2.0
    checkpoint_seconds: Annotated[
        float, Option("At most this long between two saved states.", identifies_run=False), Field(gt=0)
    ] = 120.0
    checkpoint_steps: Annotated[
        int | None, Option("Save a state also after this many steps.", identifies_run=False), Field(ge=1)
    ] = None
    tensorboard: Annotated[
        bool, Option("Also log the training for TensorBoard, in the run folder.", identifies_run=False)
    ] = False


class CertifySettings(
    CommandSettings,
    CertificationSettings,
    GateFormatSettings,
    GateSettings,
    RunSettings,
    PerturbationSettings,
    InputSettings,
):
    """Settings of ``usn certify``."""

    command: ClassVar[str] = "certify"
    group: ClassVar[str] = "Certification"

    certificate: Annotated[
        File | None,
        Option(
            "Also write the run's certificate here, for usn check; it always lies in the run folder.",
            metavar="FILE",
            identifies_run=False,
        ),
    ] = None


class ExportSettings(CommandSettings, FormatSettings, RunSettings, QuerySettings, InputSettings):
    """Settings of ``usn export``."""

    command: ClassVar[str] = "export"
    group: ClassVar[str] = "Export"

    onnx: Annotated[
        File | None, Option("The ONNX file to write. By default it lies in the run folder.", metavar="FILE")
    ] = None
    opset: Annotated[int, Option("ONNX operator set."), Field(ge=14, le=25)] = 18
    preprocessing: Annotated[
        bool, Option("Put normalisation and output units into the graph, so that it takes images in [0, 1].")
    ] = True
    tolerance: Annotated[
        float, Option("Largest difference between PyTorch and onnxruntime that is accepted."), Field(ge=0)
    ] = 1e-3
    bind: Annotated[
        File | None,
        Option(
            "Certificate of this network: the ONNX file gets its hash, and it gets that of the ONNX file.",
            metavar="CERTIFICATE",
        ),
    ] = None
    float16: Annotated[
        bool, Option("Round weights to float16: a smaller file, and another network, to be certified anew.")
    ] = False
    dense: Annotated[
        File | None,
        Option("The network before pruning, to time both by onnxruntime in one run.", metavar="CHECKPOINT"),
    ] = None
    card: Annotated[File | None, Option("Also write a model card there, in Markdown.", metavar="FILE")] = None
    certified: Annotated[
        File | None, Option("Run folder of usn certify whose results the model card states.", metavar="FOLDER")
    ] = None


class CheckSettings(
    CommandSettings,
    DeviceSettings,
    EngineSettings,
    AnyPerturbationSettings,
    ImageSettings,
    DataSettings,
    CheckpointSettings,
):
    """Settings of ``usn check``."""

    command: ClassVar[str] = "check"
    group: ClassVar[str] = "Check"

    certificate: Annotated[
        File, Option("The certificate, as usn certify wrote it.", metavar="CERTIFICATE", positional=True)
    ]
    checkpoint: Annotated[
        File,
        Option(
            "The network that the certificate is held against: the checkpoint that was certified, or the ONNX file "
            "that the certificate is bound to.",
            metavar="CHECKPOINT",
            flag="model",
        ),
    ]
    perturb: Annotated[
        Ranges,
        Option(
            "Range that the certificate must claim; repeat for more. Without any, its own are checked.",
            metavar="RANGE",
            completions=RANGE_EXAMPLES,
        ),
    ] = ()
    tau: Annotated[float | None, Option("Tau that the certificate must claim: pixels."), Field(gt=0)] = None
    reference: Annotated[
        Literal["prediction", "label"] | None, Option("Reference that it must claim.", metavar="REFERENCE")
    ] = None
    samples: Annotated[
        int,
        Option("Also run the ONNX file in onnxruntime, at so many random thetas of each certified query."),
        Field(ge=0),
    ] = 0
    record: Annotated[File | None, Option("Also write what was found here, as JSON.", metavar="FILE")] = None


class DemoSettings(CommandSettings, RunSettings):
    """Settings of ``usn demo``."""

    command: ClassVar[str] = "demo"
    group: ClassVar[str] = "Run"

    out: Annotated[
        File, Option("Folder of everything that the demo makes.", metavar="FOLDER", identifies_run=False)
    ] = DEFAULT_RUNS / "demo"


class ReportSettings(CommandSettings, OutputSettings):
    """Settings of ``usn report``."""

    command: ClassVar[str] = "report"
    group: ClassVar[str] = "Report"

    runs: Annotated[Files, Option("Folders of finished runs.", metavar="RUN...", positional=True)]
    page: Annotated[
        File | None, Option("The HTML file to write; by default report.html in the first run's folder.")
    ] = None


class DoctorSettings(
    CommandSettings,
    CertificationSettings,
    DeviceSettings,
    AnyPerturbationSettings,
    ImageSettings,
    AnyDataSettings,
    AnyCheckpointSettings,
):
    """Settings of ``usn doctor``: what ``usn certify`` would be given, where any of it is."""

    command: ClassVar[str] = "doctor"
    group: ClassVar[str] = "Certification"
    sections: ClassVar[tuple[str, ...]] = ("certify",)


COMMANDS: dict[str, type[CommandSettings]] = {
    model.command: model
    for model in (
        InitSettings,
        ScoreSettings,
        FinetunePruneSettings,
        CertifySettings,
        ExportSettings,
        CheckSettings,
        DemoSettings,
        ReportSettings,
        DoctorSettings,
    )
}
"""Every command that has settings, by name."""
