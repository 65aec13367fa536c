"""Reading ``USN_*`` environment variables."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from usncli.errors import ConfigurationError, suggestion
from usncli.settings.option import ENVIRONMENT_PREFIX, NamedOption
from usncli.settings.origin import Given, Origin, Source

CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
"""Names the configuration file, as ``--config`` does."""


def environment_given(
    environment: Mapping[str, str], options: Mapping[str, NamedOption], every_name: Iterable[str]
) -> dict[str, Given]:
    """Return what the environment says of a command's options. An empty variable counts as absent.

    An option that repeats is split at spaces, quoted as in a shell.

    Args:
        environment: the variables.
        options: the command's options, by field name.
        every_name: field names of all commands, so that a variable for another command is no mistake.

    Raises:
        ConfigurationError: a variable starts with ``USN_`` but names no option, or its quotes do not close.
    """
    variables = {name for name, value in environment.items() if name.startswith(ENVIRONMENT_PREFIX) and value}
    known = {ENVIRONMENT_PREFIX + name.upper() for name in every_name} | {CONFIG_VARIABLE}
    for variable in sorted(variables - known):
        nearest = suggestion(variable, known)
        if "did you mean" not in nearest:
            nearest = "; variables that start with USN_ are usn's own, named after its flags"
        raise ConfigurationError(f"environment: unknown variable {variable}{nearest}")
    given: dict[str, Given] = {}
    for named in options.values():
        if named.variable in variables:
            value = environment[named.variable]
            origin = Origin(Source.ENVIRONMENT, named.variable)
            given[named.name] = Given(_split(value, named) if named.is_repeated else value, origin)
    return given


def _split(value: str, named: NamedOption) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ConfigurationError(
            f"{named.key}: expected values split by spaces, quoted as in a shell, got {value!r} "
            f"({Source.ENVIRONMENT} {named.variable})"
        ) from error
