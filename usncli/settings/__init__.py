"""Settings: one source of truth for every option, resolved from flags, environment, usn.yaml and defaults."""

from usncli.settings.commands import (
    COMMANDS,
    CertifySettings,
    CheckSettings,
    CommandSettings,
    DemoSettings,
    DoctorSettings,
    ExportSettings,
    FinetunePruneSettings,
    InitSettings,
    ReportSettings,
    ScoreSettings,
)
from usncli.settings.option import NamedOption, Option, named_options
from usncli.settings.origin import Given, Origin, Resolved, Source
from usncli.settings.resolve import Sources, check, collect, refuse_wrong_values, resolve

__all__ = [
    "COMMANDS",
    "CertifySettings",
    "CheckSettings",
    "CommandSettings",
    "DemoSettings",
    "DoctorSettings",
    "ExportSettings",
    "FinetunePruneSettings",
    "Given",
    "InitSettings",
    "NamedOption",
    "Option",
    "Origin",
    "ReportSettings",
    "Resolved",
    "ScoreSettings",
    "Source",
    "Sources",
    "check",
    "collect",
    "named_options",
    "refuse_wrong_values",
    "resolve",
]
