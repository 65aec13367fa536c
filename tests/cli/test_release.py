"""A release held against a committed baseline, as a CI step would do it: every way in which it can end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NARROW = ("--perturb", "brightness=0.001")
BASELINE = ("--baseline", "usn-baseline.json")


@pytest.fixture
def release(usn, place):
    """Certify the tests' network on its images, with more words."""

    def certify(*words):
        return usn("certify", place.network, "--data", place.images, *words)

    return certify


def verdicts() -> dict[str, list[str]]:
    return json.loads(Path("usn-baseline.json").read_text())["verdicts"]["brightness=0.001"]


def test_a_good_release_passes_and_missing_images_do_not(release) -> None:
    assert release(*NARROW, "--write-baseline", "usn-baseline.json").code == 0
    assert len(verdicts()["certified"]) == 6
    good = release(*NARROW, *BASELINE, "--min-certified", "0.5")
    assert good.code == 0, good.out
    assert "passed: drop, brightness=0.001: 6 of 6 were certified in the baseline; 0 lost" in good.out
    less = release(*NARROW, *BASELINE, "--drop-significance", "0.2", "--limit", "3")
    assert less.code == 4, less.out
    assert "3 undecided now" in less.out
    assert "against the baseline, limit was null, is 3" in less.out


def test_a_worse_model_fails_and_the_lost_images_are_named(release) -> None:
    release(*NARROW, "--write-baseline", "usn-baseline.json")
    certified = verdicts()["certified"]
    wide = ("--perturb", "brightness=-1:1")
    # A run of another range is no drop of this one.
    other = release(*wide, *BASELINE)
    assert other.code == 4
    assert "is not in the baseline" in other.out
    text = Path("usn-baseline.json").read_text()
    Path("usn-baseline.json").write_text(text.replace("brightness=0.001", "brightness=1"))
    worse = release(*wide, *BASELINE, "--seconds", "5", "--format", "json=out.json")
    assert worse.code == 1, worse.out
    assert f"{len(certified)} lost" in worse.out
    gate = json.loads(next(Path("usn-runs").glob("certify-*/gate.json")).read_text())
    assert sorted(next(check for check in gate["checks"] if check["name"] == "drop")["images"]) == sorted(certified)


def test_a_slow_release_is_inconclusive(release) -> None:
    wide = ("--perturb", "brightness=0.02")
    release(*NARROW, "--write-baseline", "usn-baseline.json")
    text = Path("usn-baseline.json").read_text()
    Path("usn-baseline.json").write_text(text.replace("brightness=0.001", "brightness=0.02"))
    slow = release(*wide, *BASELINE, "--seconds", "1e-9")
    assert slow.code == 4, slow.out
    assert "undecided now" in slow.out


def test_a_damaged_baseline_and_options_without_one_are_answered_before_any_work(release) -> None:
    Path("usn-baseline.json").write_text('{"kind": "usn-baseline"')
    for words in (BASELINE, ("--write-baseline", "usn-baseline.json")):
        damaged = release(*NARROW, *words)
        assert damaged.code == 2
        assert "usn-baseline.json: expected a baseline" in damaged.error_lines[0]
    assert Path("usn-baseline.json").read_text() == '{"kind": "usn-baseline"'
    alone = release(*NARROW, "--max-drop", "0.1")
    assert alone.code == 2
    assert "--baseline" in alone.error_lines[0]
    assert not Path("usn-runs").exists()


def test_waivers_are_kept_when_a_baseline_is_written_anew_and_fail_when_they_expire(release) -> None:
    release(*NARROW, "--write-baseline", "usn-baseline.json")
    content = json.loads(Path("usn-baseline.json").read_text())
    image = content["verdicts"]["brightness=0.001"]["certified"][0]
    content["waivers"] = [{"image": image, "reason": "glare", "expires": "2020-01-31"}]
    Path("usn-baseline.json").write_text(json.dumps(content))
    late = release(*NARROW, *BASELINE)
    assert late.code == 1
    assert f"{image} (glare) on 2020-01-31" in late.out
    release(*NARROW, "--write-baseline", "usn-baseline.json")
    assert json.loads(Path("usn-baseline.json").read_text())["waivers"][0]["reason"] == "glare"
