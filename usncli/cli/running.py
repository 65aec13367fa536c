"""The frame of the commands that keep a run folder: find it, show what is finished, or go on and finish it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from usncli.cli.invocation import Invocation
from usncli.cli.progress_bars import progress_bars
from usncli.cli.signals import interruptible
from usncli.files import sha256_of_file
from usncli.progress import ProgressCallback
from usncli.runs import (
    RunDescription,
    RunIdentity,
    RunState,
    open_run,
    package_versions,
    restate,
    sha256_of_location,
    working,
)
from usncli.runs.versions import package_version
from usncli.settings import named_options
from usncli.settings.groups import DEFAULT_RUNS, RunSettings

INPUT_FIELDS: Mapping[str, str] = {
    "checkpoint": "model",
    "dense": "dense",
    "data": "data",
    "validation": "validation",
    "annotations": "annotations",
}
"""Settings that name an input, and what a manifest calls it."""


class Workspace(NamedTuple):
    """Where and how a command works.

    Attributes:
        folder: the run folder.
        device: name of the device, already known to exist.
        progress: to be told of each step.
    """

    folder: Path
    device: str
    progress: ProgressCallback


class Result(NamedTuple):
    """What a command's work made.

    Attributes:
        record: JSON values.
        outputs: files that belong to it.
    """

    record: Mapping[str, Any]
    outputs: tuple[Path, ...] = ()


def finished_folder(invocation: Invocation[Any], compute: Callable[[Workspace], Result]) -> Path:
    """Return the folder of the finished run: as it is found where the run is complete, else after computing.

    Args:
        invocation: of a command whose settings are `RunSettings`.
        compute: does the work; it goes on where the folder holds unfinished work.

    Raises:
        InputError: an input is missing, or the folder holds something else.
        ConfigurationError: no such device.
    """
    settings: RunSettings = invocation.settings
    inputs = _inputs(invocation)
    identity = _identity(invocation, inputs)
    folder = settings.out or DEFAULT_RUNS / _folder_name(invocation, identity)
    run = open_run(folder, identity)
    if run.state == RunState.COMPLETE:
        restate(run, _settings_with_origins(invocation), _command_line(invocation))
        invocation.consoles.say(f"{folder}: this run is finished; showing its stored results")
        return folder
    if run.state == RunState.UNFINISHED:
        invocation.consoles.say(f"{folder}: going on with an unfinished run")
    description = _describe(invocation, identity, inputs)
    importlib.import_module("usncli.api")  # all that is heavy, before there is anything that Ctrl-C must save
    with interruptible(), working(run, description) as finish:
        with progress_bars(invocation.consoles) as progress:
            result = compute(Workspace(folder, description.device, progress))
        finish(identity.command, result.record, result.outputs)
    invocation.consoles.say(f"{folder}: results and manifest are here")
    return folder


def _inputs(invocation: Invocation[Any]) -> dict[str, dict[str, str | None]]:
    """Return location and hash of each input; a location without a hash is code, such as package.module:callable."""
    inputs: dict[str, dict[str, str | None]] = {}
    for field, what in INPUT_FIELDS.items():
        location = getattr(invocation.settings, field, None)
        if location is None:
            continue
        inputs[what] = {"location": str(location), "sha256": sha256_of_location(Path(location))}
    return inputs


def _identity(invocation: Invocation[Any], inputs: Mapping[str, Mapping[str, str | None]]) -> RunIdentity:
    hashes = {what: str(entry["sha256"]) for what, entry in inputs.items() if entry["sha256"]}
    values = invocation.settings.model_dump(mode="json")
    settings = {
        named.key: values[name]
        for name, named in named_options(type(invocation.settings)).items()
        if named.option.identifies_run and INPUT_FIELDS.get(name) not in hashes
    }
    return RunIdentity(invocation.settings.command, settings, hashes, package_version("usncli") or "")


def _folder_name(invocation: Invocation[Any], identity: RunIdentity) -> str:
    stem = re.sub(r"[^\w.-]+", "-", Path(invocation.settings.checkpoint).stem)
    return f"{identity.command}-{stem}-{identity.fingerprint[:8]}"


def _describe(
    invocation: Invocation[Any], identity: RunIdentity, inputs: Mapping[str, Mapping[str, str | None]]
) -> RunDescription:
    from usncli.devices import choose_device

    settings, config = invocation.settings, invocation.resolved.config
    config_input = {"config": {"location": str(config), "sha256": sha256_of_file(config)}} if config else {}
    return RunDescription(
        identity=identity,
        command_line=_command_line(invocation),
        settings=_settings_with_origins(invocation),
        inputs={**inputs, **config_input},
        versions=package_versions(),
        seed=settings.seed,
        device=str(choose_device(settings.device)),
        dtype=getattr(settings, "precision", "float32"),
    )


def _command_line(invocation: Invocation[Any]) -> tuple[str, ...]:
    return ("usn", *invocation.shell.command_line)


def _settings_with_origins(invocation: Invocation[Any]) -> dict[str, dict[str, Any]]:
    values = invocation.settings.model_dump(mode="json")
    return {
        named.key: {"value": values[name], "origin": str(invocation.resolved.origins[name])}
        for name, named in named_options(type(invocation.settings)).items()
    }
