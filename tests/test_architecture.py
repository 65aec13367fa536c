"""Data flows one way: a stage imports earlier stages and the root modules only, lazily or not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "usncli"
ROOT = {"errors", "types", "files", "progress", "devices"}
STAGES = [
    "loading",
    "perturbing",
    "bounding",
    "scoring",
    "pruning",
    "certifying",
    "certificates",
    "gating",
    "exporting",
    "reporting",
]
ABOVE = {"adapting", "api", "cli", "demo"}
ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(ROOT, ROOT),
    "zoo": ROOT | {"loading"},
    "settings": ROOT,
    "runs": ROOT,
    "drafting": ROOT | {"loading", "bounding", "settings"},
    **{stage: ROOT | set(STAGES[:index]) for index, stage in enumerate(STAGES)},
    "preflight": ROOT | {"loading", "perturbing", "bounding", "scoring", "certifying", "exporting"},
    "adapting": ROOT | set(STAGES),
    "api": ROOT | set(STAGES) | {"adapting"},
    "demo": ROOT | set(STAGES) | {"zoo", "settings", "runs", "adapting", "api"},
    "cli": ROOT | set(STAGES) | {"zoo", "settings", "runs", "adapting", "api", "demo", "drafting", "preflight"},
    "__init__": ROOT | set(STAGES) | {"api"},
    "__main__": {"cli"},
}
"""What each part of the package may import, beside itself."""

FROM_LOADING_TO_ZOO = {"usncli.loading.preprocessing"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Every module of usncli that a file imports, anywhere in it, with imported names as if they were modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "usncli")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            if module == "usncli":
                yield from (f"usncli.{alias.name}" for alias in node.names)
            elif module.startswith("usncli."):
                yield module


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_one_way(path: Path) -> None:
    part = part_of(path)
    for module in imports_of(path):
        other = module.split(".")[1]
        assert other == part or other in ALLOWED[part], f"{part} must not import {module}"
        if part == "zoo" and other == "loading":
            assert module in FROM_LOADING_TO_ZOO, f"zoo must not import {module}"


def test_every_part_has_its_rule() -> None:
    assert {part_of(path) for path in modules()} <= ALLOWED.keys()


def test_no_module_reaches_above_itself_through_the_table() -> None:
    for index, stage in enumerate(STAGES):
        later = set(STAGES[index + 1 :]) | ABOVE
        assert not ALLOWED[stage] & later


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_changes_the_process_at_import(path: Path) -> None:
    """No warnings filters, logging set-up or torch flags outside functions (nor anywhere, for the first two)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    forbidden = {"filterwarnings", "simplefilter", "basicConfig"}
    called = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and hasattr(node.func, "attr")}
    assert not called & forbidden
    flags = {"set_num_threads", "set_default_dtype", "manual_seed", "use_deterministic_algorithms", "set_grad_enabled"}
    for statement in tree.body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            assert getattr(statement.value.func, "attr", "") not in flags
