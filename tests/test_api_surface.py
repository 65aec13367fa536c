"""The public names, locked: a change here is a change for users, and belongs in CHANGELOG.md."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import usncli

NAMES = [
    "CertifyOptions",
    "CheckOptions",
    "ExportOptions",
    "FinetuneOptions",
    "PerturbationRange",
    "Pipeline",
    "Preprocessing",
    "ScoreOptions",
    "Task",
    "UsnError",
    "certify",
    "check",
    "export",
    "finetune_prune",
    "load_network",
    "open_data",
    "parse_range",
    "save_network",
    "score",
]

PARAMETERS = {
    "score": ["network", "images", "perturbations", "options", "exclude", "progress"],
    "finetune_prune": [
        *("network", "images", "perturbations", "folder", "options"),
        *("validation", "processes", "progress"),
    ],
    "certify": ["network", "images", "perturbations", "options", "journal", "certificate", "progress"],
    "check": ["certificate", "network", "images", "options", "expected", "onnx_sha256", "progress"],
    "export": ["network", "path", "images", "options", "provenance", "bind_to"],
}


def test_the_public_names_are_these() -> None:
    assert sorted(usncli.__all__) == NAMES
    assert set(NAMES) <= set(dir(usncli))


@pytest.mark.parametrize("name", NAMES)
def test_each_name_loads_and_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(usncli, name))


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_functions_take_these_parameters(name: str) -> None:
    assert list(inspect.signature(getattr(usncli, name)).parameters) == PARAMETERS[name]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'prune'"):
        _ = usncli.prune


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, usncli; print(sorted({'torch', 'numpy', 'pydantic', 'typer', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_where_names_live_and_what_type_checkers_see_agree() -> None:
    source = inspect.getsource(usncli)
    for name, home in usncli._HOMES.items():
        imports = [line for line in source.splitlines() if line.strip().startswith(f"from {home} import")]
        assert any(name in line.replace(",", " ").split() for line in imports), name
