"""Flags over environment over usn.yaml over defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from usncli.errors import ConfigurationError
from usncli.settings.commands import COMMANDS, CommandSettings, CommandType
from usncli.settings.configuration_file import find_configuration_file, read_configuration_file
from usncli.settings.environment import CONFIG_VARIABLE, environment_given
from usncli.settings.messages import explain, is_missing
from usncli.settings.option import named_options
from usncli.settings.origin import Given, Origin, Resolved, Source


@dataclass(frozen=True)
class Sources:
    """Everything that settings are resolved from.

    Attributes:
        flags: what the command line gave, by field name; None or absent where it gave nothing.
        environment: the environment's variables.
        directory: where the search for usn.yaml begins.
        config: the file given by ``--config``, instead of a search.
    """

    flags: Mapping[str, Any]
    environment: Mapping[str, str]
    directory: Path
    config: Path | None = None


def resolve(settings_type: type[CommandType], sources: Sources) -> Resolved[CommandType]:
    """Return a command's settings, checked, each with its origin.

    Raises:
        ConfigurationError: a key or variable is unknown, a value lacks, has the wrong type or is out of range.
    """
    given, config = collect(settings_type, sources)
    settings = check(settings_type, given)
    origins = {
        name: given[name].origin if name in given else Origin(Source.DEFAULT) for name in settings_type.model_fields
    }
    return Resolved(settings, origins, config)


def collect(settings_type: type[CommandSettings], sources: Sources) -> tuple[dict[str, Given], Path | None]:
    """Return the winning value of each option that some source gives, unchecked, and the usn.yaml that was read.

    Raises:
        ConfigurationError: a key or variable is unknown, or usn.yaml cannot be read.
    """
    options = named_options(settings_type)
    known = {command: list(model.model_fields) for command, model in COMMANDS.items()}
    given: dict[str, Given] = {}
    config = _configuration_path(settings_type, sources)
    if config is not None:
        sections = (settings_type.command, *settings_type.sections)
        given |= read_configuration_file(config, known).given(sections, options)
    given |= environment_given(sources.environment, options, [name for names in known.values() for name in names])
    for name, value in sources.flags.items():
        if value is not None and value not in ([], ()):
            given[name] = Given(value, Origin(Source.FLAG, options[name].flag))
    return given, config


def check(settings_type: type[CommandType], given: Mapping[str, Given]) -> CommandType:
    """Return the settings that the given values and the defaults make.

    Raises:
        ConfigurationError: a value lacks, has the wrong type or is out of range.
    """
    try:
        return _validate(settings_type, given)
    except ValidationError as error:
        raise ConfigurationError(explain(error, named_options(settings_type), given)) from None


def refuse_wrong_values(settings_type: type[CommandSettings], given: Mapping[str, Given]) -> None:
    """Check the values that are given, whatever else may lack.

    Raises:
        ConfigurationError: a value has the wrong type or is out of range.
    """
    try:
        _validate(settings_type, given)
    except ValidationError as error:
        if not all(is_missing(details) for details in error.errors()):
            raise ConfigurationError(explain(error, named_options(settings_type), given)) from None


def _validate(settings_type: type[CommandType], given: Mapping[str, Given]) -> CommandType:
    folders = {name: value.folder for name, value in given.items() if value.folder is not None}
    return settings_type.model_validate({name: value.value for name, value in given.items()}, context=folders)


def _configuration_path(settings_type: type[CommandSettings], sources: Sources) -> Path | None:
    if sources.config is not None:
        return sources.config
    if variable := sources.environment.get(CONFIG_VARIABLE):
        return Path(variable)
    return find_configuration_file(sources.directory) if settings_type.searches_file else None
