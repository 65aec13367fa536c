"""Each mistaken input: exit code 2, one clear line, and files as they were."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_network import SIDE, build, seeded, write_images

RANGE = ("--perturb", "brightness=0.05")
WEIGHTS = ("--arch", "tiny_network:build", "--task", "classification", "--size", SIDE)
POINTS = (
    "--arch",
    "tiny_network:build",
    "--arch-arg",
    "outputs=4",
    "--task",
    "keypoints",
    "--size",
    SIDE,
    "--mean",
    0.4,
)


class Bench(NamedTuple):
    """What a mistake is made from: a good network, good weights, good images, and a folder to write into."""

    network: Path
    weights: Path
    images: Path
    folder: Path

    def file(self, name: str, content: bytes | str = b"") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def saved(self, name: str, content: object) -> Path:
        path = self.folder / name
        torch.save(content, path)
        return path

    def picture(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((SIDE, SIDE, 3), 90, dtype=np.uint8)).save(path)
        return path

    def prune(self, *words: object) -> list[object]:
        return ["finetune-prune", self.network, "--data", self.images, *RANGE, *words]

    def coco(self, keypoints: list[float], file_name: str = "one.png") -> Path:
        """A COCO data set of one image with two keypoints."""
        self.picture("coco/one.png")
        content = {
            "images": [{"id": 1, "file_name": file_name, "width": SIDE, "height": SIDE}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": keypoints, "num_keypoints": 2}],
            "categories": [{"id": 1, "name": "thing", "keypoints": ["nose", "tail"]}],
        }
        self.file("coco/annotations.json", json.dumps(content))
        return self.folder / "coco"

    def score(self, *words: object, network: object = None, data: object = None) -> list[object]:
        return ["score", network or self.network, "--data", data or self.images, *RANGE, *words]

    def score_points(self, data: Path) -> list[object]:
        return self.score(*POINTS, network=self.saved("points.pt", seeded(outputs=4).state_dict()), data=data)

    def score_weights(self, path: Path, *words: object) -> list[object]:
        return self.score(*(words or WEIGHTS), network=path)


def truncated(path: Path, bench: Bench) -> Path:
    return bench.file(path.name, path.read_bytes()[: path.stat().st_size // 2])


def nan_weights(bench: Bench) -> Path:
    state = seeded().state_dict()
    state["0.weight"][0, 0, 0, 0] = float("nan")
    return bench.saved("nan.pt", state)


def folder_with(bench: Bench, name: str, content: bytes | str) -> Path:
    write_images(bench.folder / "data")
    bench.file(f"data/dark/{name}", content)
    return bench.folder / "data"


def finished_run(bench: Bench) -> Path:
    bench.file("run/manifest.json", json.dumps({"schema_version": 1, "fingerprint": "0", "status": "complete"}))
    return bench.folder / "run"


Case = tuple[Callable[[Bench], list[object]], str]

CASES: dict[str, Case] = {
    # the checkpoint
    "no checkpoint": (lambda b: ["score", "--data", b.images, *RANGE], "checkpoint: expected the network"),
    "missing file": (lambda b: b.score(network="absent.pt"), "absent.pt: expected a file, found none"),
    "folder as checkpoint": (lambda b: b.score(network=b.images), "expected a file, found a folder"),
    "truncated network of usn's": (lambda b: b.score(network=truncated(b.network, b)), "not a whole safetensors file"),
    "truncated weights": (lambda b: b.score_weights(truncated(b.weights, b)), "weights.pt"),
    "text as weights": (lambda b: b.score_weights(b.file("note.pt", "hello")), "note.pt"),
    "empty file": (lambda b: b.score_weights(b.file("empty.pt")), "empty.pt"),
    "unknown kind of file": (lambda b: b.score(network=b.file("model.h5", "x")), "model.h5"),
    "pickled module": (lambda b: b.score_weights(b.saved("module.pt", build())), "trust-pickle"),
    "pickled module and nothing else": (
        lambda b: b.score(network=b.saved("module.pt", build())),
        "loading it runs code from the file",
    ),
    "bare weights": (lambda b: b.score("--task", "classification", "--size", SIDE, network=b.weights), "--arch"),
    "weights of another network": (
        lambda b: b.score_weights(b.saved("other.pt", build(channels=5).state_dict())),
        "0.weight",
    ),
    "weights with keys missing": (
        lambda b: b.score_weights(b.saved("part.pt", {"0.weight": build()[0].weight.detach()})),
        "missing",
    ),
    "NaN weights": (lambda b: b.score_weights(nan_weights(b)), "0.weight"),
    "unknown module": (
        lambda b: b.score_weights(b.weights, "--arch", "no_such_module:build", *WEIGHTS[2:]),
        "no module 'no_such_module'",
    ),
    "unknown factory": (
        lambda b: b.score_weights(b.weights, "--arch", "tiny_network:biuld", *WEIGHTS[2:]),
        "did you mean 'build'?",
    ),
    "no factory at all": (lambda b: b.score_weights(b.weights, "--arch", "resnet18", *WEIGHTS[2:]), "package.module"),
    "factory without such argument": (lambda b: b.score_weights(b.weights, *WEIGHTS, "--arch-arg", "depth=3"), "depth"),
    "ONNX that is none": (
        lambda b: b.score_weights(b.file("model.onnx", "x" * 50), "--size", SIDE, "--task", "classification"),
        "model.onnx",
    ),
    "program that is none": (lambda b: b.score(network=b.file("model.pt2", "x" * 50)), "model.pt2"),
    "unknown device": (lambda b: b.score("--device", "abacus"), "device: expected"),
    "task that the network does not do": (lambda b: b.score("--task", "heatmaps"), "task"),
    "size unlike the network's": (lambda b: b.score("--size", 3 * SIDE), "height 24 (the file says 8)"),
    "too many means": (
        lambda b: b.score_weights(b.weights, *WEIGHTS, "--mean", "1,2"),
        "mean: expected 1 or 3 numbers",
    ),
    "no spread": (lambda b: b.score_weights(b.weights, *WEIGHTS, "--std", "0"), "std: expected numbers above 0"),
    # the data
    "missing data": (lambda b: b.score(data="absent"), "absent: no such file or folder"),
    "empty folder": (lambda b: b.score(data=b.folder), "expected"),
    "image that is no image": (lambda b: b.score(data=folder_with(b, "fake.png", "not a picture")), "fake.png"),
    "half an image": (
        lambda b: b.score(data=folder_with(b, "half.png", (b.images / "dark" / "00.png").read_bytes()[:70])),
        "half.png",
    ),
    "keypoints off the image": (
        lambda b: b.score_points(b.coco([1, 1, 2, SIDE + 4, 2, 2])),
        "one.png",
    ),
    "missing image": (
        lambda b: b.score_points(b.coco([1, 1, 2, 2, 2, 2], "two.png")),
        "two.png",
    ),
    "broken COCO JSON": (
        lambda b: b.score_points(b.file("set/a.json", '{"images": [').parent),
        "a.json",
    ),
    "unknown data code": (lambda b: b.score(data="no_such_module:images"), "no module 'no_such_module'"),
    "images without labels": (
        lambda b: ["finetune-prune", b.network, "--data", b.images / "dark", *RANGE, "--task", "classification"],
        "training data: expected labelled images, got images without labels",
    ),
    "labels that the network does not predict": (
        lambda b: ["finetune-prune", b.network, "--data", extra_class(b), *RANGE],
        "3",
    ),
    # settings
    "ratio of 1": (lambda b: b.score("--ratio", 1), "ratio: expected a number >= 0 and < 1, got '1' (flag --ratio)"),
    "empty range": (lambda b: b.score("--perturb", "brightness=0"), "the range is empty"),
    "range without the identity": (
        lambda b: b.score("--perturb", "contrast=1.1:1.3"),
        "expected a range of contrast that holds 1",
    ),
    "unknown perturbation": (lambda b: b.score("--perturb", "brigthness=0.1"), "did you mean 'brightness'?"),
    "range without an amount": (
        lambda b: b.score("--perturb", "brightness"),
        "perturb: expected NAME=AMOUNT or NAME=LOWER:UPPER, for example brightness=0.1, got ",
    ),
    "range given twice": (lambda b: b.score("--perturb", "brightness=0.050"), "expected each range once"),
    "misspelt key": (lambda b: b.score("--config", b.file("usn.yaml", "ratoi: 1")), ":1: unknown key 'ratoi'"),
    "malformed YAML": (lambda b: b.score("--config", b.file("usn.yaml", "ratio: [1")), ":1: not valid YAML"),
    "missing configuration": (lambda b: b.score("--config", "absent.yaml"), "absent.yaml"),
    "size of nothing": (lambda b: b.score("--size", "8x0"), "size: expected WIDTHxHEIGHT"),
    "unknown criterion": (
        lambda b: b.prune("--criterion", "magnitud"),
        "did you mean 'magnitude'?",
    ),
    "unknown layer": (lambda b: b.score("--exclude", "encoder.*"), "encoder.*"),
    "ramp backwards": (
        lambda b: b.prune("--ramp", "0.5,0.1"),
        "ramp: expected",
    ),
    "ramp of an unknown loss": (
        lambda b: b.prune("--loss-ramp", "smoth=0,1"),
        "expected the name of a loss (unbiased,",
    ),
    "ramp of a loss backwards": (lambda b: b.prune("--loss-ramp", "smooth=1,0"), "loss_ramp: expected 0 <= start"),
    "patience without evaluations": (lambda b: b.prune("--patience", 3), "choose best error or certified"),
    "best without validation": (lambda b: b.prune("--best", "error"), "give --validation"),
    "ratio beyond the floor": (
        lambda b: b.prune("--target", "channels", "--ratio", 0.6),
        "ratio: expected at most 0.5",
    ),
    "ratio of parameters beyond the floor": (
        lambda b: b.prune("--target", "parameters", "--ratio", 0.95),
        "of the parameters, since floor 0.5 keeps",
    ),
    "opset of the future": (lambda b: ["export", b.network, "--data", b.images, "--opset", 99], "opset: expected"),
    # where results go
    "run folder that is a file": (lambda b: b.score("--out", b.file("taken")), "out: expected a folder, got the file"),
    "run folder that cannot be made": (lambda b: b.score("--out", b.file("taken") / "run"), "out: cannot write in"),
    "run folder of another run": (lambda b: b.score("--out", finished_run(b)), "holds another run"),
    "run folder of other things": (lambda b: b.score("--out", b.file("mine/notes.txt").parent), "holds notes.txt"),
    "report on nothing": (lambda b: ["report", b.images], "expected the folder of a finished run"),
}


def extra_class(bench: Bench) -> Path:
    shutil.copytree(bench.images, bench.folder / "three")
    bench.picture("three/medium/one.png")
    return bench.folder / "three"


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if "__pycache__" not in path.parts
    }


@pytest.mark.parametrize("case", CASES)
def test_a_mistaken_input_gets_one_line_and_leaves_files_alone(case: str, usn, place, tmp_path: Path) -> None:
    make, expected = CASES[case]
    (tmp_path / "input").mkdir()
    words = make(Bench(place.network, place.weights, place.images, tmp_path / "input"))
    before = contents(tmp_path)
    outcome = usn(*words)
    assert outcome.code == 2, outcome.err
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert expected in outcome.error_lines[0]
    assert "Traceback" not in outcome.err
    assert contents(tmp_path) == before
