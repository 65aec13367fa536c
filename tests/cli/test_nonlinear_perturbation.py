"""The commands under gamma, a perturbation that is not affine in theta."""

from __future__ import annotations

import json
from pathlib import Path

RANGE = ("--perturb", "gamma=0.05")


def test_gamma_is_scored_trained_and_certified_under(usn, place) -> None:
    outcome = usn("score", place.network, "--data", place.images, *RANGE, "--samples", "3")
    assert outcome.code == 0, outcome.err
    assert "Channel groups under gamma=0.05" in outcome.out

    words = ("--data", place.images, "--validation", place.images, "--ratio", "0.3", "--out", "pruned", *RANGE)
    brief = ("--steps", "3", "--batch-size", "2", "--scoring-images", "4")
    outcome = usn("finetune-prune", place.network, *words, *brief)
    assert outcome.code == 0, outcome.err

    outcome = usn(
        "certify", "pruned/pruned.safetensors", "--data", place.images, *RANGE, "--format", "json=verdicts.json"
    )
    assert outcome.code == 0, outcome.err
    verdicts = [query["verdict"] for query in json.loads(Path("verdicts.json").read_text())["queries"]]
    assert verdicts == ["certified"] * 6


def test_gamma_shares_no_box(usn, place) -> None:
    outcome = usn("score", place.network, "--data", place.images, "--perturb", "gamma=0.1,contrast=0.1")
    assert outcome.code == 2
    assert outcome.error_lines == [
        "error: --perturb 'gamma=0.1,contrast=0.1': only brightness and contrast share one box; "
        "give gamma a --perturb of its own"
    ]
