"""The options of a certification, as its commands share them; see `groups` on annotations."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from usncli.settings.option import Option, SettingsGroup


class QuestionSettings(SettingsGroup):
    """What must hold, and how long a verifier may take to say so."""

    group: ClassVar[str] = "Certification"

    tau: Annotated[
        float, Option("How far a keypoint, or the peak of a heatmap, may move: pixels of the input."), Field(gt=0)
    ] = 2.0
    reference: Annotated[
        Literal["prediction", "label"],
        Option("What must hold: the clean prediction (stability) or the label (correct and stable)."),
    ] = "prediction"
    seconds: Annotated[float, Option("Time budget of an image and perturbation."), Field(gt=0)] = 60.0


class EngineSettings(SettingsGroup):
    """What bounds the network, and in what memory."""

    group: ClassVar[str] = "Bounds"

    engine: Annotated[
        Literal["auto", "usn", "lirpa"],
        Option("What bounds the network: usn's own engine, auto_LiRPA, or the one and then the other."),
    ] = "auto"
    bound_method: Annotated[
        Literal["forward+backward", "forward", "crown", "ibp", "crown-ibp"],
        Option("How auto_LiRPA bounds the network.", metavar="METHOD"),
    ] = "forward+backward"
    precision: Annotated[
        Literal["float64", "float32"],
        Option("Precision of the bounds where the engine is lirpa.", metavar="PRECISION"),
    ] = "float64"
    memory: Annotated[float, Option("Gigabytes that bounding may take at once."), Field(gt=0)] = 2.0


class CertificationSettings(EngineSettings, QuestionSettings):
    """What is certified, how hard, and what it may take."""

    group: ClassVar[str] = "Certification"

    pieces: Annotated[int, Option("Budget of pieces of an image and perturbation."), Field(ge=1)] = 100_000
    run_seconds: Annotated[
        float, Option("Time budget of the whole run; what is left then is unknown. 0 is none."), Field(ge=0)
    ] = 0.0
    max_range: Annotated[
        bool, Option("Look, within each range, for the largest that is certified and the smallest that is falsified.")
    ] = False
    second_opinion: Annotated[bool, Option("Have auto_LiRPA verify everything that is certified once more.")] = False
    arithmetic: Annotated[
        Literal["real", "float32"],
        Option("What certified is about: the network in exact arithmetic, or as executed in float32."),
    ] = "real"
    piece_batch: Annotated[int, Option("Most pieces bounded at once; 0 leaves it to the engine."), Field(ge=0)] = 0
    unstable_images: Annotated[
        int, Option("Images on which unstable ReLUs are counted; 0 counts none."), Field(ge=0)
    ] = 0
