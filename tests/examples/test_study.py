"""The study: what it plans, one tiny run that is not done twice, and tables by hand-made records."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from usncli import zoo
from usncli.types import ImageData

Load = Callable[[str], ModuleType]


def record(recipe: str, seed: int, verdicts: list[str], passes: list[float], error: float = 2.0) -> dict[str, object]:
    queries = [
        {"verdict": verdict, "passes": cost, "seconds": 1.0} for verdict, cost in zip(verdicts, passes, strict=True)
    ]
    ranges = dict.fromkeys(("brightness=0.02", "brightness=0.05", "contrast=0.1", "contrast=0.2"), queries)
    return {
        "subject": "fly-cnn7",
        "recipe": recipe,
        "seed": seed,
        "error": error,
        "parameters": 1000,
        "multiply_adds": 100 if recipe == "dense" else 50,
        "unstable": {"brightness=0.02": 7.0},
        "queries": ranges,
        "easy_queries": {"brightness=0.05": queries},
        "importances": {"kept": [0.9, 0.7], "cut": [0.2]},
        "history": [{"unbiased": 1.0, "smooth": 1.0}, {"unbiased": 0.0002, "smooth": 0.004}],
    }


def test_every_recipe_comes_once_before_any_comes_twice(load_study: Load) -> None:
    study = load_study("study")
    runs = study.runs_of(
        study.arguments(["--subjects", "aircraft-cnn7", "--recipes", "dense", "usn", "--seeds", "0", "1"])
    )
    assert [run.name for run in runs] == [
        f"aircraft-cnn7-{name}-{seed}" for seed in (0, 1) for name in ("dense", "usn")
    ]
    parts = [study.runs_of(study.arguments(["--part", f"{part}/3"])) for part in (1, 2, 3)]
    whole = study.runs_of(study.arguments([]))
    assert sorted(run.name for part in parts for run in part) == sorted(run.name for run in whole)
    assert {run.subject for run in whole} == {"aircraft-cnn7", "aircraft-resnet18"}  # no folder of data was given


def test_tables_compare_costs_on_what_both_certify(load_study: Load, tmp_path: Path) -> None:
    tables = load_study("tables")
    dense = record("dense", 0, ["certified", "certified", "falsified"], [40.0, 60.0, 1.0])
    usn = record("usn", 0, ["certified", "unknown", "certified"], [10.0, 500.0, 30.0], error=2.5)
    for item in (dense, usn, record("usn", 1, ["certified"] * 3, [5.0] * 3, error=2.7)):
        (tmp_path / f"{item['recipe']}-{item['seed']}.json").write_text(json.dumps(item))
    lines = tables.write_results(tmp_path, tmp_path).read_text().splitlines()
    row = next(line for line in lines if line.startswith("| usn, source's losses |")).split(" | ")
    # Of the first seed only the first query is certified by both: 10 passes of half the cost against 40.
    assert row[2] == "2.60 ± 0.14"
    assert row[3] == "2.5 ± 0.7 (0.5 unknown)"
    assert row[7:9] == ["0.12", "1.00"]
    assert (tmp_path / "results-rates.png").stat().st_size > 1000
    assert "lambda_W" not in "".join(lines)  # nothing of the sweep was run


def test_runs_done_again_are_told_beside_their_records(
    load_study: Load, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, tables = load_study("study"), load_study("tables")
    for folder, verdicts in (("again", ["certified", "falsified"]), ("records", ["certified", "certified"])):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "dense-0.json").write_text(json.dumps(record("dense", 0, verdicts, [1.0, 1.0])))
    tables.print_beside(tmp_path / "again", tmp_path / "records")
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "dense-0"
    assert lines[2].startswith("  again   2.00 px, 1,000 parameters; certified brightness=0.02 1/2, ")
    assert lines[3].startswith("  record  2.00 px, 1,000 parameters; certified brightness=0.02 2/2, ")
    assert len(study.runs_of(study.arguments(["--subset"]))) == 3


def test_the_sweep_takes_its_first_column_from_the_main_comparison(load_study: Load, tmp_path: Path) -> None:
    tables = load_study("tables")
    for name in ("dense", "usn", "usn-rho0.2-wadaptive"):
        item = record(name, 0, ["certified", "falsified"], [4.0, 6.0])
        (tmp_path / f"{name}.json").write_text(json.dumps(item))
    text = tables.write_results(tmp_path, tmp_path).read_text()
    assert "| 0.2 | 0 | 1 | 2.00 | 1.0 | 1.0 | 1.0 | 1.0 |" in text
    assert "| 0.2 | adaptive | 1 |" in text
    # kept 0.9 and 0.7, cut 0.2; from 1, 1 and 0 they are 0.1, 0.3 and 0.2 away
    assert "| 0.2 | 0 | 0.80 | 0.20 | 0.60 | 0.20 | 0.200 | 4.0 |" in text
    assert (tmp_path / "results-importance.png").stat().st_size > 1000


def test_a_run_writes_a_record_and_is_not_done_again(
    load_study: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, subjects = load_study("runs"), load_study("subjects")
    own = subjects.SUBJECTS["aircraft-cnn7"]

    class Tiny(type(own)):  # type: ignore[misc]
        def data(self, root: Path | None) -> tuple[ImageData, ImageData]:
            return zoo.aircraft(8, 64, seed=0), zoo.aircraft(2, 64, seed=1)

    fields = {name: getattr(own, name) for name in own.__dataclass_fields__}
    tiny = Tiny(**fields | {"make": lambda: zoo.cnn7(width=0.125), "base_steps": 1, "images": 1, "seconds": 0.5})
    monkeypatch.setitem(subjects.SUBJECTS, "aircraft-cnn7", tiny)
    original = runs.RECIPES["ours"]
    options = type(original).options
    monkeypatch.setattr(
        type(original),
        "options",
        lambda self, augment, seed: replace(
            options(self, augment, seed),
            optimiser=replace(options(self, augment, seed).optimiser, steps=2, batch_size=4),
        ),
    )
    folders = runs.Folders(None, tmp_path / "cache", tmp_path / "records")
    path = runs.carry_out(runs.Run("aircraft-cnn7", "ours", 0), folders)
    found = json.loads(path.read_text())
    assert {"error", "parameters", "queries", "easy_queries", "unstable", "history"} <= set(found)
    assert len(found["importances"]["cut"]) == pytest.approx(0.2 * sum(map(len, found["importances"].values())), abs=1)
    assert all(len(queries) == 1 for queries in found["queries"].values())
    path.write_text("{}")
    assert runs.carry_out(runs.Run("aircraft-cnn7", "ours", 0), folders).read_text() == "{}"
