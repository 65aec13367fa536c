"""The demo's commands and configuration; running all of it is the README's business."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from usncli.demo.chain import VARIANTS, command_lines
from usncli.demo.material import configuration, make_material
from usncli.demo.run import run_commands
from usncli.errors import InterruptedRunError, UsnError
from usncli.settings import COMMANDS, Sources, resolve


def flags(words: Sequence[str]) -> dict[str, str]:
    """Return the values of a command line as the command line's parser would hand them on."""
    names = [word.removeprefix("--").replace("-", "_") for word in words[2::2]]
    named = dict(zip(names, words[3::2], strict=True))
    if words[0] == "check":
        named |= {"certificate": words[1], "checkpoint": named.pop("model")}
    return {"checkpoint": words[1], **named}


@pytest.mark.parametrize("words", command_lines(), ids=lambda words: f"{words[0]} {words[1]}")
def test_each_command_finds_what_it_needs_in_the_configuration(tmp_path: Path, words: Sequence[str]) -> None:
    (tmp_path / "usn.yaml").write_text(configuration(7, "cpu"))
    settings = resolve(COMMANDS[words[0]], Sources(flags(words), {}, tmp_path, None)).settings
    assert settings.arch == "usncli.zoo:cnn7"
    assert getattr(settings, "seed", 7) == 7
    assert Path(settings.data).is_relative_to(tmp_path)


def test_every_network_is_made_before_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text("")
    made = {"baseline.pt"}
    for words in command_lines():
        given = flags(words)
        assert {given[name] for name in ("checkpoint", "certificate", "bind") if name in given} <= made
        if words[0] == "finetune-prune":
            made.add(f"{given['out']}/pruned.safetensors")
        elif words[0] == "certify":
            made.add(f"{given['out']}/certificate.jsonl")
        elif words[0] == "export":
            made.add(given["onnx"])
    assert {variant.checkpoint for variant in VARIANTS} < made


def test_a_failing_command_ends_the_demo(tmp_path: Path) -> None:
    called: list[str] = []

    def usn(words: Sequence[str]) -> int:
        called.append(words[0])
        return 2 if words[0] == "certify" else 0

    with pytest.raises(UsnError, match="exit code 0, got 2"):
        run_commands(tmp_path, usn, lambda line: None)
    assert called == ["score", "finetune-prune", "finetune-prune", "certify"]


def test_an_interrupted_command_interrupts_the_demo(tmp_path: Path) -> None:
    before = Path.cwd()
    with pytest.raises(InterruptedRunError):
        run_commands(tmp_path, lambda words: 130, lambda line: None)
    assert Path.cwd() == before


def test_material_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usncli.demo.material.TRAINING_IMAGES", 4)
    monkeypatch.setattr("usncli.demo.material.TEST_IMAGES", 2)
    trained: list[Path] = []
    monkeypatch.setattr("usncli.demo.material._train_baseline", lambda folder, *_: trained.append(folder))
    make_material(tmp_path, 0, "cpu", lambda update: None)
    assert trained == [tmp_path]
    (tmp_path / "baseline.pt").write_bytes(b"weights")
    pictures = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    make_material(tmp_path, 0, "cpu", lambda update: None)
    assert trained == [tmp_path]
    assert len(pictures) == 6
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} == pictures
