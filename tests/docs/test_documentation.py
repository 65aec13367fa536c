"""What the documentation says can be done as it says: links lead somewhere, commands parse, code is valid."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from documents import CI_FILES, PAGES, ROOT, CommandLine, blocks, inline_calls, shell_texts, usn_lines
from markdown_text import CodeBlock, anchors, links

import usncli
from usncli.cli import options
from usncli.cli.main import main
from usncli.errors import ConfigurationError
from usncli.perturbing import parse_range
from usncli.settings import COMMANDS, Sources, collect, named_options, refuse_wrong_values
from usncli.settings.json_schema import json_schema

CALLS = [(place, call) for place, text in shell_texts() for call in usn_lines(text)]
LINKS = [(name, target) for name in PAGES if not name.startswith("commands/") for target in links(PAGES[name])]


@pytest.mark.parametrize(("name", "target"), LINKS)
def test_every_link_leads_somewhere(name: str, target: str) -> None:
    if "://" in target:
        return
    path, _, anchor = target.partition("#")
    found = (ROOT / name).parent / path if path else ROOT / name
    assert found.exists(), f"{name} links to {target}"
    assert ROOT in found.resolve().parents
    if anchor:
        assert anchor in anchors(found.read_text(encoding="utf-8")), f"{name} links to {target}"


def check_values(model: type, flags: dict[str, Any], environment: dict[str, str], folder: Path) -> None:
    given, _ = collect(model, Sources(flags, environment, folder))
    refuse_wrong_values(model, given)
    for text in flags.get("perturb") or ():
        parse_range(text)


def parse(call: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Parse a call with the real parser, check its values, and return the command, but do not run it."""
    parsed: list[str] = []

    def check(command: Any, values: dict[str, Any], shell: Any) -> int:
        flags = {name: value for name, value in values.items() if name not in ("config", "show_config")}
        check_values(command.settings_type, flags, call.environment, folder)
        parsed.append(command.settings_type.command)
        return 0

    monkeypatch.setattr(options, "execute", check)
    if list(call.words) == ["--install-completion"]:
        return []  # it would change the shell's set-up; tests/cli/test_completion.py runs it in a home of its own
    assert main(call.words) == 0, call
    return parsed


@pytest.mark.parametrize(("place", "call"), CALLS, ids=[f"{place} {' '.join(call.words)}" for place, call in CALLS])
def test_every_command_parses(place: str, call: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse(call, tmp_path, monkeypatch) == [word for word in call.words[:1] if not word.startswith("-")]


@pytest.mark.parametrize(("place", "words"), inline_calls(), ids=lambda item: " ".join(item[:3]))
def test_every_command_that_is_named_has_the_options_named_with_it(place: str, words: tuple[str, ...]) -> None:
    flags = {named.flag for named in named_options(COMMANDS[words[0]]).values()} | {"--show-config", "--help"}
    assert {word for word in words if word.startswith("--")} <= flags


@pytest.mark.parametrize(
    "line",
    [
        "usn prune model.pt",
        "usn score model.pt --raito 0.1",
        "usn score model.pt --ratio much",
        "USN_TUA=2 usn certify",
        "usn certify --perturb brightnes=0.1",
        "torchrun --nproc-per-node 2 -m usncli finetune-prune model.pt --epochs -1",
        "cd here && usn certify --engine best | tail",
    ],
)
def test_a_wrong_command_would_be_found(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (call,) = usn_lines(line)
    with pytest.raises((AssertionError, ConfigurationError)):
        parse(call, tmp_path, monkeypatch)


def test_commands_are_found_where_they_stand() -> None:
    places = {place.partition(":")[0] for place, _ in CALLS}
    assert {"README.md", "docs/tutorial.md", "docs/training.md", "commands/score.md", "gate.sh"} <= places
    assert {"github-actions.yml", "gitlab.yml", ".pre-commit-hooks.yaml", "examples/fly/README.md"} <= places
    assert {call.words[0] for _, call in CALLS} >= set(COMMANDS)


@pytest.mark.parametrize(("place", "block"), [*blocks("python")])
def test_every_block_of_python_compiles_and_finds_what_it_imports(place: str, block: Any) -> None:
    tree = ast.parse(block.code, place)
    compile(tree, place, "exec")
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "usncli":
            module = importlib.import_module(str(node.module))
            assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "usncli":
            assert hasattr(usncli, node.attr), ast.unparse(node)


def settings_blocks() -> list[tuple[str, CodeBlock]]:
    """Return the blocks of YAML but those that show another file, or are lists, as steps of a pipeline are."""
    untitled = [(place, block) for place, block in blocks("yaml") if not block.title]
    return [(place, block) for place, block in untitled if not isinstance(yaml.safe_load(block.code), list)]


@pytest.mark.parametrize(("place", "block"), settings_blocks())
def test_every_block_of_yaml_is_a_usn_yaml(place: str, block: CodeBlock, tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(block.code, encoding="utf-8")
    for model in COMMANDS.values():
        check_values(model, {}, {}, tmp_path)
    content = yaml.safe_load(block.code)
    jsonschema.validate(content, json_schema())
    for text in (content or {}).get("perturb", []):
        parse_range(text)


@pytest.mark.parametrize(("place", "block"), [item for item in blocks("yaml", "sh") if item[1].title])
def test_a_block_with_a_title_is_that_file(place: str, block: Any) -> None:
    assert (ROOT / block.title).read_text(encoding="utf-8") == block.code


def test_every_file_for_ci_is_shown() -> None:
    shown = {block.title for _, block in blocks("yaml", "sh")}
    assert {path.relative_to(ROOT).as_posix() for path in CI_FILES} <= shown


def test_the_hooks_for_pre_commit_are_those_of_the_example() -> None:
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    example = yaml.safe_load((ROOT / "examples/ci/pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert example["repos"][0]["hooks"] == offered
    assert {hook["language"] for hook in offered} == {"system"}


@pytest.mark.parametrize("code", [0, 1, 2, 4, 5, 130])
def test_the_step_in_shell_ends_as_usn_does(code: int, tmp_path: Path) -> None:
    fake = tmp_path / "usn"
    fake.write_text(f"#!/bin/sh\nexit {code}\n")
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", ROOT / "examples/ci/gate.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == code
    assert (done.stdout + done.stderr).startswith("robustness: ")


def test_tasks_that_pages_name_exist() -> None:
    tasks = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["poe"]["tasks"]
    for task in ("check", "docs", "schema"):
        assert task in tasks
        assert any(f"poe {task}" in text for text in PAGES.values())
