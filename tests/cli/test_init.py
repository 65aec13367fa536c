"""``usn init``: what is written for each kind of checkpoint, and that the next commands work as they are typed."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from tiny_network import SIDE, light_or_dark, seeded
from torch import nn

from usncli.settings import COMMANDS, Sources, collect, refuse_wrong_values
from usncli.settings.json_schema import SCHEMA_FILE, json_schema

Usn = Callable[..., Any]
ARCH = "tiny_network:seeded"
COMMENTED_KEY = re.compile(r"^( *)# ([a-z0-9-]+: )", re.MULTILINE)
"""A key that is commented out; remarks begin otherwise, but for the schema's line."""


def written() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(Path("usn.yaml").read_text(encoding="utf-8"))
    return content


def uncommented(*keys: str) -> str:
    """Return the file with some of its keys, or all, uncommented."""
    text = (
        Path("usn.yaml").read_text(encoding="utf-8").removeprefix("# yaml-language-server: $schema=usn.schema.json\n")
    )
    return COMMENTED_KEY.sub(
        lambda match: match[1] + match[2] if not keys or match[2].rstrip(": ") in keys else match[0], text
    )


def check_settings(text: str) -> None:
    """Check a usn.yaml with the parser, for every command, and with the schema."""
    Path("usn.yaml").write_text(text, encoding="utf-8")
    for model in COMMANDS.values():
        refuse_wrong_values(model, collect(model, Sources({}, {}, Path.cwd()))[0])
    jsonschema.validate(yaml.safe_load(text), json_schema())


@pytest.fixture(scope="module")
def files(place: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network in each form that needs no other file."""
    folder = tmp_path_factory.mktemp("files")
    network, example = seeded(), torch.zeros(2, 3, SIDE, SIDE)
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, folder / "model.pt2")
    torch.onnx.export(network, (example,), folder / "model.onnx", dynamo=False)
    return {"usn": place.network, "program": folder / "model.pt2", "onnx": folder / "model.onnx"}


@pytest.mark.parametrize("kind", ["usn", "program", "onnx"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_next_commands_work_as_typed(usn: Usn, files: dict[str, Path], place: Any, kind: str) -> None:
    shutil.copytree(place.images, "images")
    name = f"model{files[kind].suffix}"
    shutil.copy(files[kind], name)
    done = usn("init", name, "--data", "images")
    assert done.code == 0, done.err
    assert done.out.splitlines()[-3:] == ["written: usn.yaml", "next: usn score", "then: usn certify"]
    stated = {} if kind == "usn" else {"size": SIDE, "colour": "rgb", "task": "classification"}
    nothing = dict.fromkeys(("score", "finetune-prune", "certify", "export"))
    expected = {"checkpoint": name, **stated, "data": "images", "perturb": ["brightness=0.1"], **nothing}
    assert written() == expected
    assert usn("score").code == 0
    assert usn("certify", "--perturb", "brightness=0.05", "--seconds", "20").code == 0


def test_every_line_has_a_reason_and_the_schema_is_there(usn: Usn, files: dict[str, Path], place: Any) -> None:
    usn("init", files["usn"], "--data", place.images)
    text = Path("usn.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=usn.schema.json\n")
    assert Path("usn.schema.json").read_text(encoding="utf-8") == SCHEMA_FILE.read_text(encoding="utf-8")
    assert "# mean: [0.4, 0.4, 0.4]  # stated in the checkpoint; another value is an error\n" in text
    assert "# 6 images of 8x8, 2 classes (dark, light)\n" in text
    assert "# every operation of the network can be certified\n" in text
    assert "tau" not in text
    assert "\n  # min-certified: 0.9" in text
    assert max(map(len, text.splitlines())) <= 120 + len(str(place.images))


def test_every_key_that_is_offered_can_be_uncommented(usn: Usn, files: dict[str, Path], place: Any) -> None:
    for words in ([files["usn"], "--data", place.images], [place.weights], [files["onnx"]]):
        assert usn("init", *words).code == 0
        text = uncommented()
        assert len(yaml.safe_load(text)["certify"]) >= 5
        check_settings(text)
        Path("usn.yaml").unlink()


def test_nothing_is_overwritten(usn: Usn, files: dict[str, Path]) -> None:
    Path("usn.yaml").write_text("seed: 3\n")
    done = usn("init", files["usn"])
    assert (done.code, len(done.error_lines)) == (2, 1)
    assert "usn.yaml: exists, and is not overwritten; remove or rename it" in done.err
    assert Path("usn.yaml").read_text() == "seed: 3\n"
    assert [path.name for path in Path().iterdir()] == ["usn.yaml"]
    Path("usn.yaml").unlink()
    Path("usn.schema.json").write_text("my own")
    assert "is not the schema that usn writes there" in usn("init", files["usn"]).err
    assert not Path("usn.yaml").exists()
    Path("usn.schema.json").write_text(json.dumps({"title": "usn.yaml"}))
    assert usn("init", files["usn"]).code == 0
    assert "certify" in Path("usn.schema.json").read_text()


def test_weights_alone_leave_the_architecture_to_fill_in(usn: Usn, place: Any) -> None:
    shutil.copy(place.weights, "weights.pt")
    done = usn("init", "weights.pt", "--data", place.images)
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[-2] == "next: fill in arch, size in usn.yaml, then type: usn score"
    assert lines[-1] == (
        f"or:   rm usn.yaml && usn init weights.pt --data {place.images} --arch PACKAGE.MODULE:FACTORY"
    )
    assert "# arch: package.module:factory  # FILL IN: what builds the network" in Path("usn.yaml").read_text()
    assert written()["task"] == "classification"  # the last layer's outputs, and the folders
    assert written()["colour"] == "rgb"
    check_settings(uncommented("arch", "size").replace("package.module:factory", ARCH))
    assert usn("score").code == 0


def test_an_architecture_is_run_to_find_the_rest(usn: Usn, place: Any) -> None:
    torch.save({"ema": torch.load(place.weights)}, "weights.pt")
    done = usn("init", "weights.pt", "--arch", ARCH, "--data", place.images)
    assert done.out.splitlines()[-2:] == ["next: usn score", "then: usn certify"]
    assert written() | {"data": ""} == {
        "checkpoint": "weights.pt",
        "arch": ARCH,
        "size": SIDE,
        "colour": "rgb",
        "task": "classification",
        "data": "",
        "perturb": ["brightness=0.1"],
        **dict.fromkeys(("score", "finetune-prune", "certify", "export")),
    }
    text = Path("usn.yaml").read_text()
    assert "# took the running average (EMA) of the weights under 'ema'\n" in text
    assert f"arch: {ARCH}  # as given: flag --arch\n" in text
    assert "of 18 sizes from 8 to 512 pixels at which the network runs" in text


def test_weights_in_safetensors_tell_less_since_they_are_sorted(usn: Usn, place: Any) -> None:
    save_file(torch.load(place.weights), "weights.safetensors")
    done = usn("init", "weights.safetensors", "--data", place.images)
    assert "fill in arch, size, task in usn.yaml" in done.out
    assert "CHECK, nothing tells how many channels" in Path("usn.yaml").read_text()


class Attack(nn.Module):
    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, ("was-run",)


def test_a_pickled_module_is_not_run(usn: Usn, place: Any) -> None:
    torch.save(Attack(), "attack.pt")
    done = usn("init", "attack.pt", "--data", place.images)
    assert done.code == 0
    assert not Path("was-run").exists()
    assert "fill in trusted-sha256, size, task in usn.yaml" in done.out
    text = Path("usn.yaml").read_text()
    assert re.search(r"^# trusted-sha256: [0-9a-f]{64}$", text, re.MULTILINE)
    assert "loading it runs code from it" in text


def test_trust_is_written_as_the_files_hash(usn: Usn, place: Any) -> None:
    torch.save(seeded(), "pickled.pt")
    assert usn("init", "pickled.pt", "--data", place.images).code == 0
    check_settings(uncommented("trusted-sha256", "size", "task"))
    assert usn("score").code == 0
    Path("usn.yaml").unlink()
    done = usn("init", "pickled.pt", "--data", place.images, "--trust-pickle")
    assert "next: usn score" in done.out
    assert "trust-pickle" not in written()
    assert len(written()["trusted-sha256"]) == 64
    assert usn("score", "--samples", "3").code == 0


def test_operations_that_cannot_be_certified_are_named(usn: Usn, place: Any) -> None:
    network = nn.Sequential(seeded(), nn.Softmax(dim=1))
    example = torch.zeros(2, 3, SIDE, SIDE)
    program = torch.export.export(network, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, "soft.pt2")
    done = usn("init", "soft.pt2", "--data", place.images)
    assert done.code == 0
    assert "cannot be certified: 1 (softmax" in done.out
    assert "# cannot be certified: 1 (softmax" in Path("usn.yaml").read_text()


def test_without_images_they_are_left_to_fill_in(usn: Usn, files: dict[str, Path]) -> None:
    done = usn("init", files["onnx"])
    assert "next: fill in task, data in usn.yaml, then type: usn score" in done.out
    assert f"or:   rm usn.yaml && usn init {files['onnx']} --data DATA" in done.out
    text = Path("usn.yaml").read_text()
    assert "2 outputs are 2 classes, or x and y of 1 keypoints" in text
    assert "# data: images  # FILL IN: a folder of images" in text


def test_what_is_given_holds_and_must_fit(usn: Usn, files: dict[str, Path], place: Any) -> None:
    words = [
        "--mean",
        "0.4",
        "--std",
        "0.25,0.25,0.25",
        "--task",
        "keypoints",
        "--limit",
        "3",
        "--keypoint-units",
        "unit",
    ]
    assert usn("init", files["onnx"], *words).code == 0
    content = written()
    assert (content["mean"], content["std"], content["task"]) == (0.4, [0.25] * 3, "keypoints")
    assert content["keypoint-units"] == "unit"
    assert "\n  # tau: 2.0  # How far a keypoint" in Path("usn.yaml").read_text()
    for path in Path().iterdir():
        path.unlink()
    for words, expected in (
        (["--task", "heatmaps"], "task heatmaps: expected heatmaps of shape"),
        (["--size", "16"], "the settings say float images of 3x16x16"),
        (["--colour", "grey"], "the settings say float images of 1x8x8"),
        (["--data", "absent"], "absent: no such file or folder"),
    ):
        done = usn("init", files["onnx"], *words)
        assert (done.code, len(done.error_lines)) == (2, 1)
        assert expected in done.err
    for words, expected in (
        (["--size", "16"], "the settings differ from what the network was made for: height 16"),
        (["--task", "keypoints"], "the settings differ"),
    ):
        assert expected in usn("init", files["usn"], *words).err
    assert not list(Path().iterdir()), "nothing is written where something is wrong"


def test_images_of_another_task_are_refused(usn: Usn, files: dict[str, Path], tmp_path: Path) -> None:
    pixels = np.zeros((2, SIDE, SIDE, 3), dtype=np.uint8)
    np.savez(tmp_path / "points.npz", images=pixels, keypoints=np.ones((2, 1, 2)))
    done = usn("init", files["usn"], "--data", tmp_path / "points.npz")
    assert (done.code, len(done.error_lines)) == (2, 1)
    assert "holds keypoints, not labels: pass --task keypoints (or heatmaps), or other data" in done.err


def test_fewer_classes_than_outputs_have_to_be_named(usn: Usn, place: Any) -> None:
    torch.save(seeded(outputs=5).state_dict(), "weights.pt")
    words = ["--arch", ARCH, "--arch-arg", "outputs=5", "--data", place.images]
    assert "fill in class-name" in usn("init", "weights.pt", *words).out
    assert written()["arch-arg"] == {"outputs": 5}
    assert (
        "# class-name: [dark, light]  # FILL IN: all 5 classes in the network's order" in Path("usn.yaml").read_text()
    )


def test_paths_are_quoted_where_yaml_asks_for_it(usn: Usn, files: dict[str, Path]) -> None:
    odd = "my model: #1.onnx"
    shutil.copy(files["onnx"], odd)
    Path("bilder für alle").mkdir()
    Image.new("RGB", (SIDE, SIDE)).save("bilder für alle/1.png")
    done = usn("init", odd, "--data", "bilder für alle")
    assert done.code == 0
    assert (written()["checkpoint"], written()["data"]) == (odd, "bilder für alle")


def test_a_normalisation_that_is_forgotten_is_told(usn: Usn, place: Any) -> None:
    torch.save(light_or_dark().state_dict(), "weights.pt")
    words = ["init", "weights.pt", "--data", place.images, "--arch", "tiny_network:light_or_dark"]
    done = usn(*words)
    assert done.code == 0, done.err
    expected = (
        "mean: CHECK: no checkpoint tells what training subtracted; without mean and std, images stay in [0, 1]: "
        "on labelled images 50% wrong so, 0% wrong with ImageNet's"
    )
    assert f"usn.yaml, {expected}\n" in done.out
    assert "0% wrong with ImageNet's" in " ".join(Path("usn.yaml").read_text().split())
    Path("usn.yaml").unlink()
    assert "CHECK: no checkpoint" not in usn(*words, "--mean", "0.4", "--std", "0.2").out


def test_no_checkpoint_no_file(usn: Usn) -> None:
    Path("empty.pt").touch()
    torch.save({"epoch": 3}, "nothing.pt")
    for name, expected in (
        ("absent.pt", "absent.pt: expected a file, found none; check the path"),
        ("empty.pt", "empty.pt: the file is empty"),
        ("nothing.pt", "nothing.pt: expected tensors by name, found none"),
    ):
        done = usn("init", name)
        assert (done.code, len(done.error_lines)) == (2, 1)
        assert expected in done.err
    assert usn("init").code == 2
    assert not Path("usn.yaml").exists()


def test_a_usn_yaml_in_a_folder_above_is_about_another_checkpoint(usn: Usn, files: dict[str, Path]) -> None:
    Path("../usn.yaml").write_text("colour: grey\nnonsense: 3\n")
    assert usn("init", files["onnx"]).code == 0
    assert written()["colour"] == "rgb"
    Path("usn.yaml").unlink()
    Path("mine.yaml").write_text("task: keypoints\n")
    assert usn("init", files["onnx"], "--config", "mine.yaml").code == 0
    assert written()["task"] == "keypoints"
