"""The commands on a tiny network: what they print, what they keep, and that a finished run is not run again."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from tiny_network import SIDE, write_images

from usncli.cli import certify, export, finetune_prune, score

RANGES = ("--perturb", "brightness=0.01", "--perturb", "contrast=0.02")
BRIEF = ("--steps", "3", "--batch-size", "2", "--scoring-images", "4")


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def only_run() -> Path:
    (folder,) = Path("usn-runs").iterdir()
    return folder


def forbid_work(monkeypatch: pytest.MonkeyPatch) -> None:
    def compute(*_: object) -> None:
        raise AssertionError("computed again")

    for module in (score, finetune_prune, certify, export):
        monkeypatch.setattr(module, "compute", compute)


def test_score_keeps_its_result_and_shows_it_again(usn, place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("score", place.network, "--data", place.images, *RANGES, "--samples", "3")
    first = usn(*words)
    assert first.code == 0, first.err
    assert "Channel groups under brightness=0.01" in first.out
    assert "Channel groups under contrast=0.02" in first.out
    folder = only_run()
    assert folder.name.startswith("score-model-")
    record = read(folder / "record.json")
    assert (record["kind"], [part["thetas"] for part in record["scores"]]) == ("score", [3, 3])

    forbid_work(monkeypatch)
    again = usn(*words, "--format", "json=score.json", "--format", "html=score.html")
    assert (again.code, again.out) == (0, first.out)
    assert "this run is finished; showing its stored results" in again.err
    assert read(Path("score.json")) == record
    assert "contrast=0.02" in Path("score.html").read_text()


def test_score_warns_of_a_cut_set_that_is_not_stable_yet(usn, place, tmp_path: Path) -> None:
    few = tmp_path / "few"
    write_images(few, count=3)
    words = ("score", place.network, "--samples", "3", "--perturb", "brightness=0.01")
    told = usn(*words, "--data", few, "--format", "json=score.json")
    assert (told.code, told.out.count("warning")) == (0, 0)
    (line,) = [line for line in told.err.splitlines() if line.startswith("warning: ")]
    assert line == (
        "warning: brightness=0.01: the cut set is not stable yet (3 images are too few to tell); score more images"
    )
    assert read(Path("score.json"))["scores"][0]["limited_by"] == "images"
    assert line in usn(*words, "--data", few).err, "a finished run is shown with its warning"
    assert "warning" not in usn(*words, "--data", few, "--ratio", "0").err, "nothing is cut"


def test_another_model_in_the_same_place_is_another_run(usn, place, tmp_path: Path) -> None:
    model = tmp_path / "model.safetensors"
    words = ("score", model, "--data", place.images, "--perturb", "brightness=0.01", "--samples", "3")
    model.write_bytes(place.network.read_bytes())
    usn(*words)
    from usncli.loading.network_file import load_network, save_network

    pipeline = load_network(model).pipeline
    with torch.no_grad():
        next(pipeline.parameters()).mul_(2)
    save_network(model, pipeline, {})
    outcome = usn(*words)
    assert "showing its stored results" not in outcome.err
    assert len(list(Path("usn-runs").iterdir())) == 2


def test_finetune_prune_keeps_the_network_of_the_highest_certified_rate(usn, place) -> None:
    words = ("finetune-prune", place.network, "--data", place.images, "--ratio", "0.3", "--out", "best")
    choosing = ("--best", "certified", "--evaluate-every", "0.5", "--evaluate-images", "2", "--patience", "5")
    more = ("--target", "parameters", "--schedule", "linear", "--loss-ramp", "smooth=0,0.5", "--score-momentum", "0.5")
    outcome = usn(*words, *choosing, *more, *BRIEF, *RANGES)
    assert outcome.code == 2
    assert outcome.error_lines == [
        "error: best certified: expected validation images to judge networks by, got none; give --validation"
    ]
    outcome = usn(*words, *choosing, *more, "--validation", place.images, *BRIEF, *RANGES)
    assert outcome.code == 0, outcome.err
    assert "Networks on the way" in outcome.out
    record = read(Path("best/record.json"))
    assert [found["step"] for found in record["evaluations"]] == [3]
    assert set(record["evaluations"][0]) == {"step", "certified_rate", "error"}
    assert record["chosen_step"] == 3
    assert record["reached"] >= 0.3


def test_finetune_prune_writes_a_network_that_every_command_takes(usn, place) -> None:
    outcome = usn(
        "finetune-prune",
        place.network,
        *("--data", place.images, "--validation", place.images, "--ratio", "0.3", "--target", "channels"),
        *("--criterion", "usn", "--out", "pruned"),
        *(*BRIEF, *RANGES),
    )
    assert outcome.code == 0, outcome.err
    assert "Before and after" in outcome.out
    record = read(Path("pruned/record.json"))
    assert record["rho"] == pytest.approx(0.3)
    assert record["complexity_after"]["parameters"] < record["complexity_before"]["parameters"]
    assert not Path("pruned/training.pt").exists()

    network = Path("pruned/pruned.safetensors")
    for words in (
        ("score", network, *RANGES, "--samples", "3"),
        ("certify", network, *RANGES, "--limit", "2", "--min-certified", "0"),
        ("export", network, "--onnx", "pruned.onnx"),
    ):
        outcome = usn(*words, "--data", place.images)
        assert outcome.code == 0, outcome.err
    assert Path("pruned.onnx").is_file()
    runs = sorted(Path("usn-runs").iterdir())
    outcome = usn("report", "pruned", *runs, "--page", "all.html")
    assert (outcome.code, outcome.out) == (0, "report: all.html\n")
    page = Path("all.html").read_text()
    for word in ("Pruning", "Score", "Certification", "Export", "usn finetune-prune"):
        assert word in page


def test_a_second_pruning_keeps_the_first_numbering(usn, place) -> None:
    ratio = ("--criterion", "usn", "--target", "channels", "--ratio", "0.2", "--floor", "0.01")
    words = ("--data", place.images, *BRIEF, *RANGES, *ratio)
    usn("finetune-prune", place.network, *words, "--out", "one")
    usn("finetune-prune", "one/pruned.safetensors", *words, "--out", "two")
    first, second = (
        {group["name"]: group for group in read(Path(name, "record.json"))["cut"]} for name in ("one", "two")
    )
    assert first
    for name, before in first.items():
        assert second[name]["channels"] == before["channels"]
        assert set(before["removed"]) <= set(second[name]["removed"])
    removed = [sum(len(group["removed"]) for group in cut.values()) for cut in (first, second)]
    assert removed[1] > removed[0]


def test_certify_is_judged_again_without_certifying_again(usn, place, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("certify", place.network, "--data", place.images, *RANGES, "--out", "run")
    outcome = usn(*words)
    assert outcome.code == 0, outcome.err
    assert "gate" not in outcome.out
    record = read(Path("run/record.json"))
    assert record["total"] == 12
    kept = read(Path("run/pictures.json"))
    assert {picture["verdict"] for picture in kept["pictures"]} <= {"certified", "falsified"}
    assert sorted(kept["thumbnails"], key=int) == [str(index) for index in range(6)]

    forbid_work(monkeypatch)
    outcome = usn(*words, "--min-certified", "0.5", "--format", "junit=c.xml", "--format", "markdown=c.md")
    assert outcome.out.count(": certified rate, ") == 2
    assert read(Path("run/gate.json"))["result"] in ("passed", "failed")
    assert read(Path("run/manifest.json"))["settings"]["min-certified"] == {
        "value": {"every": 0.5},
        "origin": "flag --min-certified",
    }
    assert read(Path("run/record.json")) == record
    usn(*words)
    assert not Path("run/gate.json").exists()  # without limits nothing is judged, and nothing old is left
    assert len(ElementTree.parse("c.xml").findall(".//testcase")) == 12
    assert "brightness=0.01" in Path("c.md").read_text()


def test_a_gate_fails_where_one_perturbation_does(usn, place) -> None:
    """Nothing can move an image by 0.000001; from black to white everything changes."""
    words = ("certify", place.network, "--data", place.images, "--min-certified", "1", "--seconds", "5")
    ranges = ("--perturb", "brightness=0.000001", "--perturb", "brightness=-1:1")
    outcome = usn(*words, *ranges)
    assert outcome.code == 1, outcome.out
    assert "passed: certified rate, brightness=1e-06: " in outcome.out
    assert "failed: certified rate, brightness=1: " in outcome.out
    lenient = usn(*words, *ranges, "--min-certified", "brightness=1=0")
    assert lenient.code == 0, lenient.out
    assert read(Path(next(Path("usn-runs").glob("certify-*")), "gate.json"))["result"] == "passed"
    wrong = usn(*words, *ranges, "--min-certified", "gamma=0.5")
    assert wrong.code == 2
    assert "brightness=1e-06, brightness=1" in wrong.error_lines[0]


def test_export_keeps_the_file_in_its_run_and_writes_it_again_where_it_is_gone(usn, place) -> None:
    words = ("export", place.network, "--data", place.images, "--limit", "2")
    outcome = usn(*words)
    assert outcome.code == 0, outcome.err
    onnx = only_run() / "model.onnx"
    first = onnx.read_bytes()
    assert read(only_run() / "record.json")["comparisons"][-1]["batch"] == 2
    onnx.unlink()
    outcome = usn(*words)
    assert "going on with an unfinished run" in outcome.err
    assert onnx.read_bytes() == first


def test_export_writes_the_queries_of_other_verifiers(usn, place) -> None:
    words = ("export", place.network, "--data", place.images, "--limit", "2", "--vnnlib", "queries")
    refused = usn(*words)
    assert refused.code == 2
    assert refused.error_lines == [
        "error: vnnlib: expected at least one --perturb, got none; add one, as brightness=0.1"
    ]
    outcome = usn(*words, *RANGES, "--seconds", "7")
    assert outcome.code == 0, outcome.err
    assert "Queries for other verifiers" in outcome.out
    lines = Path("queries", "instances.csv").read_text().splitlines()
    record = read(only_run() / "record.json")
    assert len(lines) == record["vnnlib"]["queries"] == 2 * len(RANGES) // 2
    network, query, seconds = lines[0].split(",")
    assert Path("queries", network).is_file()
    assert "(declare-const X_0 Real)" in Path("queries", query).read_text()
    assert seconds == "7"
    wrong = usn(*words, "--perturb", "gamma=0.1")
    assert wrong.code == 2
    assert "got gamma" in wrong.error_lines[0]


def test_export_times_the_dense_network_and_writes_a_card(usn, place) -> None:
    words = ("export", place.network, "--data", place.images, "--limit", "2")
    assert usn("certify", place.network, "--data", place.images, "--limit", "1", *RANGES, "--out", "done").code == 0
    lonely = usn(*words, "--certified", "done")
    assert lonely.code == 2
    assert "add --card FILE" in lonely.error_lines[0]
    dense = ("--dense", place.weights, "--arch", "tiny_network:build", "--card", "card.md", "--certified", "done")
    outcome = usn(*words, *dense, "--out", "exported")
    assert outcome.code == 0, outcome.err
    assert "times as fast" in outcome.out
    latency = read(Path("exported", "record.json"))["latency"]
    assert latency["multiply_add_ratio"] == 1.0
    assert [item["batch"] for item in latency["latencies"]] == [1, 16]
    card = Path("card.md").read_text()
    assert "brightness=0.01" in card
    assert "Any other image" in card


def test_what_the_configuration_file_names_need_not_be_typed(usn, place) -> None:
    Path("usn.yaml").write_text(
        f"checkpoint: {place.network}\ndata: {place.images}\nperturb: brightness=0.01\n"
        f"size: {SIDE}\nmean: 0.4\nstd: 0.25\nscore:\n  samples: 3\n"
    )
    outcome = usn("score")
    assert outcome.code == 0, outcome.err
    manifest = read(only_run() / "manifest.json")
    assert manifest["command_line"] == ["usn", "score"]
    assert manifest["inputs"]["config"]["location"].endswith("usn.yaml")
    assert manifest["settings"]["samples"]["origin"].endswith("usn.yaml:8 (score)")
    assert set(manifest["inputs"]) == {"model", "data", "config"}
    assert manifest["versions"]["torch"]


def test_an_exported_file_states_what_usn_yaml_leaves_open(usn, place) -> None:
    """The size of another checkpoint in the file is not a statement that nothing is subtracted."""
    assert usn("export", place.network, "--data", place.images, "--onnx", "model.onnx", "--limit", "2").code == 0
    Path("usn.yaml").write_text(f"data: {place.images}\nsize: {SIDE}\nperturb: brightness=0.01\n")
    outcome = usn("certify", "model.onnx", "--limit", "1")
    assert outcome.code == 0, outcome.err
    other = usn("certify", "model.onnx", "--limit", "1", "--mean", "0.1")
    assert other.code == 2
    assert "mean [0.1, 0.1, 0.1] (the file says [0.4" in other.error_lines[0]


def test_weights_with_a_factory_are_loaded_and_what_was_done_is_said(usn, place, tmp_path: Path) -> None:
    wrapped = {f"module.{name}": value for name, value in torch.load(place.weights).items()}
    torch.save({"state_dict": wrapped}, tmp_path / "wrapped.pt")
    words = ("--arch", "tiny_network:build", "--arch-arg", "channels=6", "--task", "classification", "--size", SIDE)
    outcome = usn("score", tmp_path / "wrapped.pt", *words, "--data", place.images, *RANGES, "--samples", "3")
    assert outcome.code == 0, outcome.err
    assert "state_dict" in outcome.err
    assert "module." in outcome.err
    assert "the network sees images in [0, 1] as they are" in outcome.err


def test_names_that_do_not_fit_are_listed_and_passed_over_without_strict(usn, place, tmp_path: Path) -> None:
    state = torch.load(place.weights)
    state["teacher.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "more.pt")
    words = ("score", tmp_path / "more.pt", "--arch", "tiny_network:build", "--task", "classification", "--size", SIDE)
    words = (*words, "--data", place.images, *RANGES, "--samples", "3")
    refused = usn(*words)
    assert refused.code == 2
    assert "teacher.weight" in refused.error_lines[0]
    assert "--no-strict" in refused.error_lines[0]
    outcome = usn(*words, "--no-strict")
    assert outcome.code == 0, outcome.err
    assert "teacher.weight" in outcome.err


def test_quiet_says_nothing_beside_the_result(usn, place) -> None:
    outcome = usn("score", place.network, "--data", place.images, *RANGES, "--samples", "3", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out
