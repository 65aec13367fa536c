"""The network that bare weights belong to, built by the factory that the user names."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from torch import nn

from usncli.errors import ConfigurationError
from usncli.loading.user_code import import_callable


def build_architecture(arch: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Call ``package.module:factory``; it may lie in the working directory.

    Args:
        arch: the factory; running it runs the user's own code.
        arguments: keyword arguments; texts that are Python literals, such as ``4`` or ``True``, are read as such.

    Raises:
        ConfigurationError: no such factory, arguments that it refuses, or it returns no `torch.nn.Module`.
    """
    factory = import_callable(arch, "arch")
    values = {name: literal(value) for name, value in arguments.items()}
    try:
        module = factory(**values)
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{name}={value!r}" for name, value in values.items()) or "no arguments"
        raise ConfigurationError(f"arch {arch}: called with {given}: {error}; set them with --arch-arg") from error
    if not isinstance(module, nn.Module):
        raise ConfigurationError(f"arch {arch}: expected a factory of a torch.nn.Module, got a {type(module).__name__}")
    return module


def literal(value: Any) -> Any:
    """Read a text as the Python literal that it is, or keep it as text."""
    if not isinstance(value, str):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value
