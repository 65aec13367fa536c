"""Settings state defaults, choices and limits before anything heavy loads; the stages state theirs: they agree."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from usncli.bounding.method import Arithmetic, Engine, Method
from usncli.certifying.options import DTYPES, CertifyOptions, Reference
from usncli.cli import certify, export, finetune_prune, score
from usncli.exporting.graph import NEWEST_OPSET, OLDEST_OPSET, ExportOptions
from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing
from usncli.loading.user_code import is_reference
from usncli.perturbing import Pivot
from usncli.perturbing.sampling import SamplingMethod
from usncli.pruning.options import (
    Best,
    Criterion,
    FinetuneOptions,
    Optimiser,
    Precision,
    Schedule,
    Target,
    WassersteinTarget,
)
from usncli.reporting.formats import FORMATS, GATE_FORMATS
from usncli.scoring.options import ScoreOptions
from usncli.settings import CertifySettings, ExportSettings, FinetunePruneSettings, ScoreSettings
from usncli.settings.option import bare_type
from usncli.settings.parsing import CALLABLE, FormatName, GateFormatName
from usncli.types import Task

REQUIRED = {"checkpoint": "model.pt", "data": "images", "perturb": "brightness=0.1"}


@pytest.mark.parametrize(
    ("settings", "options_of", "options"),
    [
        (ScoreSettings(**REQUIRED), score.options_of, ScoreOptions()),
        (FinetunePruneSettings(**REQUIRED), finetune_prune.options_of, FinetuneOptions()),
        (CertifySettings(**REQUIRED), certify.options_of, CertifyOptions()),
        (ExportSettings(checkpoint="model.pt", data="images"), export.options_of, ExportOptions()),
    ],
    ids=["score", "finetune-prune", "certify", "export"],
)
def test_defaults(settings: Any, options_of: Any, options: Any) -> None:
    assert options_of(settings) == options


@pytest.mark.parametrize(
    ("model", "name", "choices"),
    [
        (ScoreSettings, "task", Task),
        (ScoreSettings, "colour", Colour),
        (ScoreSettings, "keypoint_units", KeypointUnits),
        (ScoreSettings, "pivot", Pivot),
        (ScoreSettings, "method", SamplingMethod),
        (FinetunePruneSettings, "criterion", Criterion),
        (FinetunePruneSettings, "optimiser", Optimiser),
        (FinetunePruneSettings, "training_precision", Precision),
        (FinetunePruneSettings, "target", Target),
        (FinetunePruneSettings, "schedule", Schedule),
        (FinetunePruneSettings, "best", Best),
        (FinetunePruneSettings, "wasserstein_target", WassersteinTarget),
        (CertifySettings, "reference", Reference),
        (CertifySettings, "bound_method", Method),
        (CertifySettings, "engine", Engine),
        (CertifySettings, "arithmetic", Arithmetic),
        (CertifySettings, "precision", DTYPES),
    ],
)
def test_choices(model: Any, name: str, choices: Any) -> None:
    assert sorted(get_args(bare_type(model.model_fields[name]))) == sorted(str(choice) for choice in choices)


def test_preprocessing_defaults() -> None:
    fields, expected = ScoreSettings.model_fields, Preprocessing(8, 8)
    assert fields["colour"].default == expected.colour
    assert fields["keypoint_units"].default == expected.keypoint_units


def test_formats() -> None:
    assert sorted(get_args(GateFormatName)) == sorted(FORMATS)
    assert set(get_args(FormatName)) == set(FORMATS) - GATE_FORMATS


def test_opsets() -> None:
    limits = {type(item).__name__: item for item in ExportSettings.model_fields["opset"].metadata}
    assert (limits["Ge"].ge, limits["Le"].le) == (OLDEST_OPSET, NEWEST_OPSET)


@pytest.mark.parametrize("text", ["a:b", "a.b:c", "a.b:c.d", "a/b:c", "a", "c:\\x", "1a:b", "a:b:c", "a b:c"])
def test_what_is_code_and_what_is_a_path(text: str) -> None:
    assert (CALLABLE.fullmatch(text) is not None) == is_reference(text)
