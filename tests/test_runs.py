"""Run folders: found again, never overwritten, true about how a run stands."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from usncli.errors import InputError
from usncli.runs import RunDescription, RunIdentity, RunState, open_run, sha256_of_location, working

IDENTITY = RunIdentity("score", {"ratio": 0.2, "seed": 0}, {"model": "a" * 64}, "0.1.0")
DESCRIPTION = RunDescription(
    IDENTITY,
    ("usn", "score", "model.pt"),
    {"ratio": {"value": 0.2, "origin": "default"}},
    {"model": {"location": "model.pt", "sha256": "a" * 64}},
    {"python": "3"},
)


def manifest(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def complete(folder: Path, **record: object) -> None:
    with working(open_run(folder, IDENTITY), DESCRIPTION) as finish:
        finish("score", record)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_a_finished_run_is_found_again_with_its_record(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert open_run(folder, IDENTITY).state == RunState.NEW
    assert not folder.exists()
    complete(folder, groups=3)
    run = open_run(folder, IDENTITY)
    assert run.state == RunState.COMPLETE
    assert run.record() == {"kind": "score", "groups": 3}
    stored = manifest(folder)
    assert stored["status"] == "complete"
    assert stored["settings"]["ratio"] == {"value": 0.2, "origin": "default"}
    assert stored["inputs"]["model"]["sha256"] == "a" * 64
    assert stored["start"] <= stored["end"]
    assert stored["seconds"] >= 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"ratio": 0.3, "seed": 0}}, "ratio was 0.2, is 0.3"),
        ({"settings": {"ratio": 0.2, "seed": 0, "tau": 1}}, "tau was absent, is 1"),
        ({"inputs": {"model": "b" * 64}}, "model was aaaaaaaaaaaa..., is bbbbbbbbbbbb..."),
        ({"command": "certify"}, "command was score, is certify"),
        ({"version": "0.2.0"}, "version was 0.1.0, is 0.2.0"),
    ],
)
def test_another_run_is_refused_and_nothing_changes(tmp_path: Path, change: dict, words: str) -> None:
    complete(tmp_path / "run")
    before = (tmp_path / "run" / "manifest.json").read_bytes()
    with pytest.raises(InputError, match=f"holds another run: {words}"):
        open_run(tmp_path / "run", dataclasses.replace(IDENTITY, **change))
    assert (tmp_path / "run" / "manifest.json").read_bytes() == before


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"holds thesis.tex and no manifest"):
        open_run(tmp_path, IDENTITY)
    with pytest.raises(InputError, match="got the file"):
        open_run(tmp_path / "thesis.tex", IDENTITY)
    (tmp_path / "thesis.tex").unlink()
    (tmp_path / "manifest.json").write_text('{"name": "a web application"}')
    with pytest.raises(InputError, match="expected a manifest of schema version 1"):
        open_run(tmp_path, IDENTITY)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="expected a readable manifest"):
        open_run(tmp_path, IDENTITY)


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")])
def test_unfinished_work_is_gone_on_with_and_its_sessions_add_up(tmp_path: Path, error: type, status: str) -> None:
    folder = tmp_path / "run"
    seen = []

    def stopped_work() -> None:
        seen.append(manifest(folder)["status"])
        raise error

    with pytest.raises(error), working(open_run(folder, IDENTITY), DESCRIPTION):
        stopped_work()
    assert seen == ["running"]
    assert manifest(folder)["status"] == status
    assert open_run(folder, IDENTITY).state == RunState.UNFINISHED
    complete(folder)
    assert [session["status"] for session in manifest(folder)["sessions"]] == [status, "complete"]


def test_a_killed_run_counts_as_unfinished(tmp_path: Path) -> None:
    complete(tmp_path)
    killed = manifest(tmp_path) | {"status": "running"}
    (tmp_path / "manifest.json").write_text(json.dumps(killed))
    assert open_run(tmp_path, IDENTITY).state == RunState.UNFINISHED


def test_a_run_whose_output_is_gone_is_run_again(tmp_path: Path) -> None:
    output = tmp_path / "model.onnx"
    output.write_text("x")
    with working(open_run(tmp_path / "run", IDENTITY), DESCRIPTION) as finish:
        finish("export", {}, [output])
    assert open_run(tmp_path / "run", IDENTITY).state == RunState.COMPLETE
    output.unlink()
    assert open_run(tmp_path / "run", IDENTITY).state == RunState.UNFINISHED


def test_refused_work_leaves_no_trace_unless_it_had_begun(tmp_path: Path) -> None:
    folder = tmp_path / "usn-runs" / "run"
    with pytest.raises(InputError, match="no"), working(open_run(folder, IDENTITY), DESCRIPTION):
        raise InputError("no")
    assert files(tmp_path) == set()
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no"), working(open_run(empty, IDENTITY), DESCRIPTION):
        raise InputError("no")
    assert files(tmp_path) == {"empty"}

    def refused_late() -> None:
        (folder / "journal.jsonl").write_text("an hour of work")
        raise InputError("no")

    with pytest.raises(InputError, match="no"), working(open_run(folder, IDENTITY), DESCRIPTION):
        refused_late()
    assert manifest(folder)["status"] == "failed"
    assert (folder / "journal.jsonl").exists()


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    run = open_run(tmp_path / "run", IDENTITY)
    with working(run, DESCRIPTION) as finish:
        with pytest.raises(InputError, match="no other process uses"), working(run, DESCRIPTION):
            pass
        finish("score", {})
    assert open_run(tmp_path / "run", IDENTITY).state == RunState.COMPLETE


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot write in"),
        working(open_run(tmp_path / "file" / "run", IDENTITY), DESCRIPTION),
    ):
        pass


def test_the_fingerprint_does_not_depend_on_order() -> None:
    turned = dataclasses.replace(IDENTITY, settings={"seed": 0, "ratio": 0.2})
    assert turned.fingerprint == IDENTITY.fingerprint
    assert dataclasses.replace(IDENTITY, settings={"seed": 1, "ratio": 0.2}).fingerprint != IDENTITY.fingerprint


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "one.png").write_text("1")
    first = sha256_of_location(tmp_path / "a")
    (tmp_path / "a" / ".DS_Store").write_text("noise")
    assert sha256_of_location(tmp_path / "a") == first
    (tmp_path / "a" / "b" / "one.png").write_text("2")
    second = sha256_of_location(tmp_path / "a")
    (tmp_path / "a" / "b" / "one.png").rename(tmp_path / "a" / "two.png")
    assert len({first, second, sha256_of_location(tmp_path / "a")}) == 3
    assert sha256_of_location(Path("package.module:callable")) is None


def test_the_hash_of_annotations_sees_the_images_that_they_name(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.png").write_text("1")
    (tmp_path / "images" / "other.png").write_text("1")
    (tmp_path / "coco.json").write_text(json.dumps({"images": [{"file_name": "one.png"}]}))
    first = sha256_of_location(tmp_path / "coco.json")
    (tmp_path / "images" / "other.png").write_text("2")
    assert sha256_of_location(tmp_path / "coco.json") == first
    (tmp_path / "images" / "one.png").write_text("2")
    assert sha256_of_location(tmp_path / "coco.json") != first
    (tmp_path / "broken.json").write_text("{")
    assert sha256_of_location(tmp_path / "broken.json") is not None


@pytest.mark.parametrize("absolute", [True, False])
def test_the_hash_of_annotations_sees_images_elsewhere(tmp_path: Path, absolute: bool) -> None:
    (tmp_path / "labels").mkdir()
    image = tmp_path / "one.png"
    image.write_text("1")
    name = str(image) if absolute else "../one.png"
    (tmp_path / "labels" / "coco.json").write_text(json.dumps({"images": [{"file_name": name}]}))
    places = (tmp_path / "labels", tmp_path / "labels" / "coco.json")
    before = [sha256_of_location(place) for place in places]
    image.write_text("2")
    assert all(sha256_of_location(place) != known for place, known in zip(places, before, strict=True))


def test_the_hash_of_a_folder_follows_links_and_ends_in_circles(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "one.png").write_text("1")
    (tmp_path / "data").mkdir()
    empty = sha256_of_location(tmp_path / "data")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "data" / "circle").symlink_to(tmp_path / "data", target_is_directory=True)
    first = sha256_of_location(tmp_path / "data")
    (tmp_path / "real" / "one.png").write_text("2")
    assert len({empty, first, sha256_of_location(tmp_path / "data")}) == 3
