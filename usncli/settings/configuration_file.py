"""Finding and reading usn.yaml: keys with their lines, sections by command, nothing unknown, nothing twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from usncli.errors import ConfigurationError, suggestion
from usncli.settings.origin import Given, Origin, Source

FILE_NAME = "usn.yaml"


class Entry(NamedTuple):
    """A value of the file and the line of its key, counted from 1."""

    value: Any
    line: int


@dataclass(frozen=True)
class ConfigurationFile:
    """What a usn.yaml says.

    Attributes:
        path: the file.
        shared: top-level options, by field name.
        sections: for each command that has one, its options by field name.
    """

    path: Path
    shared: Mapping[str, Entry] = field(default_factory=dict)
    sections: Mapping[str, Mapping[str, Entry]] = field(default_factory=dict)

    def given(self, commands: Iterable[str], names: Iterable[str]) -> dict[str, Given]:
        """Return the values for a command: the sections of these commands, in this order, go before the top level."""
        sections = [(self.sections.get(command, {}), f" ({command})") for command in commands]
        values: dict[str, Given] = {}
        for name in names:
            for entries, place in (*sections, (self.shared, "")):
                if name in entries:
                    entry = entries[name]
                    origin = Origin(Source.FILE, f"{self.path}:{entry.line}{place}")
                    values[name] = Given(entry.value, origin, self.path.parent)
                    break
        return values


def find_configuration_file(directory: Path) -> Path | None:
    """Return the nearest usn.yaml in ``directory`` or a folder above it."""
    folders = [directory.resolve(), *directory.resolve().parents]
    return next((folder / FILE_NAME for folder in folders if (folder / FILE_NAME).is_file()), None)


def read_configuration_file(path: Path, known: Mapping[str, Iterable[str]]) -> ConfigurationFile:
    """Read a usn.yaml.

    Args:
        path: the file.
        known: for each command, the names of its options.

    Raises:
        ConfigurationError: the file is missing or unreadable, is not YAML, says a key twice, or has an unknown key.
    """
    root = _compose(path)
    if root is None:
        return ConfigurationFile(path)
    every_name = {name for names in known.values() for name in names}
    shared: dict[str, Entry] = {}
    sections: dict[str, Mapping[str, Entry]] = {}
    for key, node, line in _items(root, path, "top level"):
        if key in known:
            sections[key] = _section(node, path, key, set(known[key]))
        else:
            _keep(shared, key, Entry(_construct(node, path), line), path, every_name, sorted(known))
    return ConfigurationFile(path, shared, sections)


def _section(node: yaml.Node, path: Path, command: str, names: set[str]) -> dict[str, Entry]:
    if isinstance(node, yaml.ScalarNode) and not node.value:
        return {}
    entries: dict[str, Entry] = {}
    for key, value, line in _items(node, path, f"section {command}"):
        _keep(entries, key, Entry(_construct(value, path), line), path, names)
    return entries


def _keep(
    entries: dict[str, Entry], key: str, entry: Entry, path: Path, names: set[str], sections: Iterable[str] = ()
) -> None:
    name = key.replace("-", "_")
    if name not in names:
        nearest = suggestion(key.replace("_", "-"), [*(known.replace("_", "-") for known in names), *sections])
        if "did you mean" not in nearest:
            nearest = "; the keys are the flags that 'usn COMMAND --help' lists, and the commands"
        raise ConfigurationError(f"{path}:{entry.line}: unknown key {key!r}{nearest}")
    if name in entries:
        raise ConfigurationError(f"{path}:{entry.line}: {key!r} stands here and in line {entries[name].line}; keep one")
    entries[name] = entry


def _compose(path: Path) -> yaml.Node | None:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigurationError(f"{path}: expected a readable usn.yaml: {reason}") from error
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}{_line(error)}: not valid YAML: {_problem(error)}") from error
    if root is not None:
        _refuse_duplicates(root, path)
    return root


def _items(node: yaml.Node, path: Path, place: str) -> list[tuple[str, yaml.Node, int]]:
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1
        raise ConfigurationError(
            f"{path}:{line}: {place}: expected lines of 'key: value', got {_construct(node, path)!r}"
        )
    return [(str(key.value), value, key.start_mark.line + 1) for key, value in node.value]


def _construct(node: yaml.Node, path: Path) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}{_line(error)}: not plain YAML: {_problem(error)}") from error
    finally:
        loader.dispose()


def _refuse_duplicates(root: yaml.Node, path: Path) -> None:
    waiting, visited = [root], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in visited:  # an alias of a node that was seen, perhaps of one that holds it
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            _refuse_duplicate_keys(node, path)
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _refuse_duplicate_keys(node: yaml.MappingNode, path: Path) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigurationError(f"{path}:{line}: expected a plain word as key, got a {key.id}")
        if key.value in seen:
            raise ConfigurationError(
                f"{path}:{line}: {key.value!r} stands here and in line {seen[key.value]}; keep one"
            )
        seen[key.value] = line


def _line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark is not None else ""


def _problem(error: yaml.YAMLError) -> str:
    return str(getattr(error, "problem", None) or error).splitlines()[0]
