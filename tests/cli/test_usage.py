"""Help, versions, mistakes in words and settings shown: what costs nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from usncli.cli import help_texts

Usn = Callable[..., tuple[int, str, str]]


def test_help_lists_every_command_without_heavy_imports() -> None:
    code = (
        "import sys; from usncli.cli.main import main; code = main(['--help']);"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'matplotlib', 'pydantic', 'PIL'} & set(sys.modules);"
        "print('HEAVY', sorted(heavy)); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout
    for command in help_texts.COMMANDS:
        assert f" {command} " in done.stdout


@pytest.mark.parametrize("command", help_texts.COMMANDS)
def test_help_of_each_command_has_an_example_and_its_options(usn: Usn, command: str) -> None:
    code, out, _ = usn(command, "--help")
    assert code == 0
    assert f"Example: usn {command}" in out
    assert "--show-config" in out


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


def test_no_colour_where_there_is_no_terminal(usn: Usn) -> None:
    for words in (["doctor"], ["score", "--ratio", "1"], ["--help"]):
        _, out, err = usn(*words)
        assert "\x1b" not in out + err
