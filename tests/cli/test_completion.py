"""What a shell is offered when the user presses Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from usncli.cli.main import main
from usncli.errors import ConfigurationError
from usncli.perturbing.ranges import parse_range
from usncli.settings import FinetunePruneSettings, named_options
from usncli.settings.option import completions


def offered(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What bash is told for a line with the cursor at its end."""
    words = line.split(" ")
    monkeypatch.setenv("_USN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("usn sc", ["score"]),
        ("usn finetune-prune --crit", ["--criterion"]),
        ("usn finetune-prune --criterion ma", ["magnitude"]),
        ("usn certify --reference ", ["prediction", "label"]),
        ("usn certify --format j", ["json=", "junit="]),
        ("usn score --format j", ["json="]),
        ("usn score --perturb g", ["gamma=0.2"]),
        ("usn export model.pt --device c", ["cpu", "cuda"]),
        ("usn score mod", []),  # files: the shell offers them where nothing is told
        ("usn certify --baseline usn-b", []),
    ],
)
def test_what_is_offered(
    line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert offered(line, monkeypatch, capsys) == expected


def test_ranges_that_are_offered_are_ranges() -> None:
    for text in completions(named_options(FinetunePruneSettings)["perturb"]):
        assert parse_range(text).label == text
    with pytest.raises(ConfigurationError, match="expected one of brightness, contrast, gamma"):
        parse_range("hue=1")


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_the_script_that_is_installed_works_in_bash(tmp_path: Path) -> None:
    command = tmp_path / "usn"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m usncli "$@"\n')
    command.chmod(0o755)
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    script = (
        "usn --install-completion && . ~/.bashrc && complete -p usn && "
        'COMP_WORDS=(usn certify --engine "") && COMP_CWORD=3 && _usn_completion usn && echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "complete -o default -F _usn_completion usn" in done.stdout
    assert done.stdout.splitlines()[-1] == "auto usn lirpa"
