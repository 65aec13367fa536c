"""Help, versions, mistakes in words and settings shown: what costs nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from usncli.cli import help_texts
from usncli.cli.console import Consoles
from usncli.settings import COMMANDS, named_options
from usncli.settings.option import completions

Usn = Callable[..., tuple[int, str, str]]


HEAVY = {"torch", "numpy", "onnx", "onnxruntime", "matplotlib", "PIL", "safetensors", "scipy", "jinja2"}
"""What takes long to load: what a user reads at once must come without."""

AT_ONCE = {
    "help": (["--help"], HEAVY | {"rich", "pydantic", "yaml"}, 0, "finetune-prune"),
    "help of a command": (["certify", "--help"], HEAVY | {"rich"}, 0, "--min-certified"),
    "version": (["--version"], HEAVY, 0, "usn "),
    "wrong command": (["scor"], HEAVY, 2, "Did you mean 'score'"),
    "wrong flag": (["certify", "--raito", "1"], HEAVY, 2, "No such option: --raito"),
    "wrong value": (["certify", "--tau", "far"], HEAVY, 2, "tau: expected a number > 0"),
    "settings shown": (["certify", "--show-config"], HEAVY, 0, "min-certified"),
    "unknown key": (["score", "--config", "typo.yaml"], HEAVY, 2, "unknown key 'ratoi'; did you mean 'ratio'?"),
    **{
        f"no checkpoint for {command}": ([command, "absent.pt", "--data", "."], HEAVY, 2, "absent.pt: expected a file")
        for command in ("init", "export")
    },
    **{
        f"no checkpoint for {command}": (
            [command, "absent.pt", "--data", ".", "--perturb", "gamma=0.1"],
            HEAVY,
            2,
            "checkpoint absent.pt: expected a file, found none; check the path",
        )
        for command in ("score", "finetune-prune", "certify")
    },
    "no data": (["export", "typo.yaml", "--data", "absent"], HEAVY, 2, "data absent: no such file or folder"),
    "nearly a name": (["export", "tpyo.yaml", "--data", "."], HEAVY, 2, "found none; did you mean typo.yaml?"),
    "no baseline": (
        ["certify", "typo.yaml", "--data", "typo.yaml", "--perturb", "gamma=0.1", "--baseline", "b.json"],
        HEAVY,
        2,
        "baseline b.json: expected a file, found none; write it with --write-baseline b.json",
    ),
    "no image": (["certify", "typo.yaml", "--data", "empty", "--perturb", "gamma=0.1"], HEAVY, 5, "an empty folder"),
    "no run": (["report", "empty"], HEAVY, 2, "empty: expected the folder of a finished run"),
}
"""Words, modules that must not be loaded for them, exit code, and what is answered."""


@pytest.mark.parametrize("case", AT_ONCE)
def test_what_is_answered_at_once_loads_nothing_heavy(case: str, tmp_path: Path) -> None:
    words, unwanted, expected_code, expected = AT_ONCE[case]
    (tmp_path / "typo.yaml").write_text("score:\n  ratoi: 1\n")
    (tmp_path / "empty").mkdir()
    code = (
        f"import sys; from usncli.cli.main import main; code = main({words!r});"
        f"print('LOADED', sorted({unwanted!r} & set(sys.modules))); sys.exit(code)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("USN_")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "LOADED []" in done.stdout
    assert done.returncode == expected_code, done.stderr
    assert expected in done.stdout + done.stderr
    assert done.stderr.count("\n") == (1 if expected_code else 0)


def test_help_lists_every_command(usn: Usn) -> None:
    _, out, _ = usn("--help")
    for command in help_texts.COMMANDS:
        assert f"\n  {command} " in out


@pytest.mark.parametrize("command", help_texts.COMMANDS)
def test_help_of_each_command_has_an_example_its_options_and_their_choices(
    usn: Usn, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = usn(command, "--help")
    assert code == 0
    assert f"Example: usn {command}" in out
    assert max(map(len, out.splitlines())) <= 80
    words = " ".join(out.split())
    for named in named_options(COMMANDS[command]).values():
        assert (named.option.metavar if named.option.positional else named.flag) in words
        for choice in () if named.option.completions else completions(named):
            assert choice.rstrip("=") in words


def test_no_words_at_all_print_the_help(usn: Usn) -> None:
    code, out, _ = usn()
    assert code == 0
    assert "Usage: usn [OPTIONS] COMMAND" in out


def test_the_version_is_the_packages(usn: Usn) -> None:
    from importlib.metadata import version

    assert usn("--version") == (0, f"usn {version('usncli')}\n", "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["scor"], "No such command 'scor'. Did you mean 'score'"),
        (["score", "--raito", "0.1"], "No such option: --raito (Possible options: --data, --ratio)"),
        (["score", "--ratio"], "Option '--ratio' requires an argument"),
        (["score", "one.pt", "two.pt"], "Got unexpected extra argument(s) (two.pt)"),
        (["score", "--clip=maybe"], "--clip"),
        (["--ratio", "1"], "No such option: --ratio"),
    ],
)
def test_wrong_words_get_one_line_and_exit_code_2(usn: Usn, words: list[str], expected: str) -> None:
    code, out, err = usn(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert expected in err
    assert err.count("\n") == 1


def test_show_config_prints_values_and_origins_and_does_nothing(usn: Usn, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("usn.yaml").write_text("data: images\nscore:\n  ratio: 0.3\n")
    monkeypatch.setenv("USN_SEED", "7")
    before = sorted(Path().iterdir())
    code, out, _ = usn("score", "model.pt", "--samples", "4", "--show-config")
    assert code == 0
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()[1:]}
    path = Path.cwd() / "usn.yaml"
    assert out.splitlines()[0] == f"# usn score, configuration file: {path}"
    assert rows["checkpoint"].split() == ["model.pt", "flag", "CHECKPOINT"]
    assert rows["ratio"].split() == ["0.3", "file", f"{path}:3", "(score)"]
    assert rows["seed"].split() == ["7", "environment", "USN_SEED"]
    assert rows["samples"].split() == ["4", "flag", "--samples"]
    assert rows["perturb"].split() == ["-", "missing"]
    assert rows["method"].split() == ["quadrature", "default"]
    assert sorted(Path().iterdir()) == before


def test_show_config_refuses_what_a_run_would_refuse(usn: Usn) -> None:
    code, _, err = usn("score", "--ratio", "1", "--show-config")
    assert (code, "ratio: expected" in err) == (2, True)


def test_doctor_names_versions_devices_engines_and_providers(usn: Usn) -> None:
    code, out, _ = usn("doctor")
    assert code == 0
    for what in ("Python", "torch", "device cpu", "bound engine lirpa", "CPUExecutionProvider"):
        assert what in out


def test_doctor_says_what_is_missing_and_how_to_install_it(usn: Usn, monkeypatch: pytest.MonkeyPatch) -> None:
    from usncli.cli import doctor

    real = doctor.package_version
    monkeypatch.setattr(doctor, "package_version", lambda name: None if name == "safetensors" else real(name))
    code, out, err = usn("doctor")
    assert code == 2
    assert "pip install safetensors" in out
    assert "missing: safetensors" in err


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_no_colour_with_no_color(monkeypatch: pytest.MonkeyPatch, variable: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm-256color")
    written = io.StringIO()
    written.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", written)
    Consoles().error("wrong")
    assert written.getvalue().endswith("\n")
    assert ("31m" in written.getvalue()) == coloured


def test_no_colour_where_there_is_no_terminal(usn: Usn) -> None:
    for words in (["doctor"], ["score", "--ratio", "1"], ["--help"]):
        _, out, err = usn(*words)
        assert "\x1b" not in out + err
