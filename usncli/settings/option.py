"""How one setting is offered: as a flag, an environment variable and a key of usn.yaml, all from one field."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ENVIRONMENT_PREFIX = "USN_"


@dataclass(frozen=True)
class Option:
    """What a field of a settings model says of itself beyond its type, default and constraints.

    Attributes:
        help: one sentence for ``--help`` and the documentation.
        metavar: what stands for the value in ``--help``; by default it follows from the type.
        short: a one-letter flag such as ``-v``.
        positional: whether the command line takes it without a flag.
        identifies_run: whether another value makes another run (``False`` for what only changes how results are shown
            or judged, so that a finished run can be shown or judged again).
        expected: what a value must be, in words; by default it follows from the type and the constraints.
        flag: its flag without the dashes, where that is not the field's name.
        completions: what a shell offers for the value; by default the choices that the type names.
    """

    help: str
    metavar: str = ""
    short: str = ""
    positional: bool = False
    identifies_run: bool = True
    expected: str = ""
    flag: str = ""
    completions: tuple[str, ...] = ()


class SettingsGroup(BaseModel):
    """Base of every group of settings: frozen, finite numbers only, no unknown names.

    A command's settings are composed of groups by inheritance, so that all of its options stand on one level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    group: ClassVar[str] = "Options"
    """Heading in ``--help`` of the options that this class declares."""

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and bare_type(cls.model_fields[str(info.field_name)]) is not bool:
            raise ValueError
        return value


class NamedOption(NamedTuple):
    """An option with the names by which the four sources know it.

    Attributes:
        name: name of the field.
        option: what the field says of itself.
        field: its type, default and constraints.
        group: heading in ``--help``.
    """

    name: str
    option: Option
    field: FieldInfo
    group: str

    @property
    def key(self) -> str:
        """Its key in usn.yaml, ``min-certified``."""
        return self.name.replace("_", "-")

    @property
    def flag(self) -> str:
        """Its flag, ``--min-certified``; for a positional argument its name in capitals."""
        return self.key.upper() if self.option.positional else f"--{self.option.flag or self.key}"

    @property
    def variable(self) -> str:
        """Its environment variable, ``USN_MIN_CERTIFIED``."""
        return ENVIRONMENT_PREFIX + self.name.upper()

    @property
    def is_switch(self) -> bool:
        """Whether it is on or off, a flag without a value."""
        return bare_type(self.field) is bool

    @property
    def is_repeated(self) -> bool:
        """Whether it can be given several times; numbers are one value, joined by commas."""
        kind = bare_type(self.field)
        return get_origin(kind) is dict or (get_origin(kind) is tuple and get_args(kind)[0] is not float)

    @property
    def default(self) -> Any:
        """Its default, or None where it has none."""
        default = self.field.get_default(call_default_factory=True, validated_data={})
        return None if default is PydanticUndefined else default


def named_options(settings_type: type[SettingsGroup]) -> Mapping[str, NamedOption]:
    """Return every option of a settings model by field name, in the order of declaration, groups in order."""
    options: dict[str, NamedOption] = {}
    for name, field in settings_type.model_fields.items():
        option = next(item for item in field.metadata if isinstance(item, Option))
        options[name] = NamedOption(name, option, field, _declaring_class(settings_type, name).group)
    return options


def bare_type(field: FieldInfo) -> Any:
    """Return a field's type without ``| None`` and without what is annotated to it."""
    annotation = field.annotation
    if get_origin(annotation) in (Union, types.UnionType):
        alternatives = [item for item in get_args(annotation) if item is not type(None)]
        annotation = alternatives[0] if len(alternatives) == 1 else annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def metavar(named: NamedOption) -> str:
    """Return what stands for the value in ``--help``."""
    if named.option.metavar:
        return named.option.metavar
    kind = bare_type(named.field)
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    return {int: "N", float: "NUMBER", str: "TEXT", Path: "PATH"}.get(kind, "VALUE")


def completions(named: NamedOption) -> tuple[str, ...]:
    """Return what a shell offers for the value; for a mapping from choices, each with the ``=`` that follows it."""
    kind = bare_type(named.field)
    if named.option.completions or get_origin(kind) not in (Literal, dict):
        return named.option.completions
    if get_origin(kind) is Literal:
        return get_args(kind)
    key = get_args(kind)[0]
    return tuple(f"{choice}=" for choice in get_args(key)) if get_origin(key) is Literal else ()


def _declaring_class(settings_type: type[SettingsGroup], name: str) -> type[SettingsGroup]:
    declaring = [base for base in settings_type.__mro__ if name in inspect.get_annotations(base)]
    return next(base for base in declaring if issubclass(base, SettingsGroup))
