"""What each kind of record says: the right numbers, and never a rate without its denominator."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_samples import certify_record, finetune_record, judged_run, queries, run_of

from usncli.reporting.document import Status
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds import certify, finetune_prune, score, view_of
from usncli.reporting.kinds.queries import box_words, outcome_words, short_words, theta_words, worst_first


def rows_of(shown: Any) -> dict[str, tuple[str, ...]]:
    return {row[0]: row[1:] for row in shown.texts()}


def test_rates_count_every_image() -> None:
    shown = certify.rates_table(certify_record())
    titles = [column.title for column in shown.columns]
    assert titles == ["perturbation", "certified", "rate", "falsified", "unknown", "wrong", "error"]
    assert rows_of(shown) == {
        "brightness=0.1": ("1/3", "33.3%", "0", "1", "0", "1"),
        "brightness=0.05,contrast=0.8:1.3": ("1/3", "33.3%", "1", "0", "1", "0"),
    }


def test_cost_is_by_perturbation() -> None:
    rows = rows_of(certify.cost_table(certify_record()))
    assert rows["brightness=0.1"] == ("20.5", "60", "150", "337", "252.0")
    assert rows["brightness=0.05,contrast=0.8:1.3"] == ("0.333", "0.75", "30", "3", "301.5")


def test_worst_queries_come_first_and_say_why() -> None:
    record = certify_record()
    ordered = worst_first(record["queries"])
    assert [query["verdict"] for query in ordered] == [
        "error",
        "misclassified",
        "falsified",
        "unknown",
        "certified",
        "certified",
    ]
    assert [outcome_words(query) for query in ordered[:5]] == [
        "ZeroDivisionError: division by zero",
        "already wrong without perturbation",
        "fails at brightness 0.0123, contrast 1.234",
        "proved: brightness=-0.05:0.1 (75.0% of the range)",
        "proved for the whole range",
    ]


def test_what_is_not_proved_is_never_all() -> None:
    query = {**certify_record()["queries"][2], "certified_fraction": 0.99999}
    assert short_words(query) == "over 99.9% proved"
    assert "100" not in outcome_words(query)


def test_theta_and_boxes_name_their_parameters() -> None:
    label = "brightness=0.05,contrast=0.8:1.3"
    assert theta_words(label, (0.05, 0.9)) == "brightness 0.05, contrast 0.9"
    assert box_words(label, (-0.05, 0.8), (0.05, 1.3)) == "brightness=-0.05:0.05,contrast=0.8:1.3"
    assert box_words(label, None, None) is None
    # What is said to be proved lies within what is proved.
    assert box_words("brightness=0.1", (-0.012349,), (0.012349,)) == "brightness=-0.01234:0.01234"
    assert box_words("brightness=0.1", (-0.012341,), (0.012341,), outward=True) == "brightness=-0.01235:0.01235"


def test_largest_ranges_are_shown_where_they_were_looked_for() -> None:
    assert certify.largest_ranges_tables(certify_record()) == ()
    certified, falsified = queries()[:2]
    found = (
        replace(certified, certified_scale=1.0),
        replace(falsified, certified_scale=0.5, falsified_scale=0.525),
        replace(queries()[4], perturbation="our own"),
    )
    (shown,) = certify.largest_ranges_tables(certify_record(found))
    assert [row[2:] for row in shown.texts()] == [
        ("1.000", "brightness=-0.1:0.1", "-", "-"),
        (
            "0.500",
            "brightness=-0.025:0.025,contrast=0.9:1.15",
            "0.525",
            "brightness=-0.02626:0.02626,contrast=0.895:1.158",
        ),
    ]
    assert shown in certify.tables(certify_record(found))


@pytest.mark.parametrize(
    ("kept", "limit", "status"),
    [
        ((0, 5), 1.0, Status.PASSED),
        ((0, 3, 5), 0.9, Status.FAILED),
        ((0, 2, 5), 0.9, Status.INCONCLUSIVE),
        ((0, 4, 5), 0.1, Status.INCONCLUSIVE),
        ((0, 5), None, Status.INFORMATION),
    ],
    ids=["all certified", "one misclassified", "one unknown", "a crash never passes", "no limit"],
)
def test_headline_takes_the_gate_of_the_worst_perturbation(
    kept: tuple[int, ...], limit: float | None, status: Status
) -> None:
    found = tuple(queries()[index] for index in kept)
    record = certify_record(found)
    run = judged_run("r", record, limit)
    said = certify.headline(run)
    assert said.status == status
    assert f"{sum(query.verdict == 'certified' for query in found)} of {len(found)}" in said.text
    assert "what certified claims" in said.details


def test_score_lists_channels_by_importance_with_errors() -> None:
    record = run_of("score").record
    first, second = score.channels_table(record, 2).texts()
    assert first == ("stem", "1", "0.000", "-", "-", "-", "yes")
    assert second == ("encoder.blocks.0.convolution", "2", "0.250", "0.010", "1.00e+00", "1.0e-01", "no")
    assert rows_of(score.groups_table(record))["stem"] == ("2", "1", "1", "0.200", "5.00e-01")
    assert rows_of(score.overlap_table(record))["two halves of the images"] == ("87.5%", "0.812")
    assert "1 of 5 prunable channels" in score.headline(run_of("score")).text


def test_score_warns_where_the_cut_set_is_not_stable_yet() -> None:
    record = run_of("score").record
    assert score.warnings(record) == ()
    assert not any("Warning" in line for line in score.headline(run_of("score")).details)
    images = {**record, "limited_by": "images", "overlap_images": {"share": 0.625, "jaccard": 0.5}}
    thetas = {**record, "limited_by": "thetas", "overlap_thetas": {"share": 0.5, "jaccard": 0.333}}
    few = {**record, "limited_by": "images", "overlap_images": None, "images": 3}
    said = score.warnings({"scores": [images, record, thetas, few]})
    assert said == (
        "brightness=0.1: the cut set is not stable yet (two halves of the images share 62% of it, expected at least "
        "80%); score more images",
        "brightness=0.1: the cut set is not stable yet (two halves of the thetas share 50% of it, expected at least "
        "80%); take more samples, or the method quadrature, which needs few",
        "brightness=0.1: the cut set is not stable yet (3 images are too few to tell); score more images",
    )
    assert f"Warning: {said[0]}." in score.headline(FinishedRun("r", images)).details


def test_pruning_says_what_it_cost() -> None:
    rows = rows_of(finetune_prune.change_table(finetune_record()))
    assert rows["validation error (px)"] == ("1.87", "1.95", "+4.3%")
    assert rows["parameters"] == ("289,968", "190,233", "-34.4%")
    assert rows["prunable channels"] == ("80", "76", "-5.0%")
    without = FinishedRun("r", finetune_record(error_after=None))
    assert "validation error (px)" not in rows_of(finetune_prune.change_table(without.record))
    assert "not measured" in finetune_prune.headline(without).details[0]


@pytest.mark.parametrize("kind", ["score", "finetune-prune", "certify", "export"])
def test_sections_show_tables_and_figures(kind: str) -> None:
    section = view_of(kind).section(run_of(kind))
    assert kind == "export" or section.figures
    assert section.tables
    assert all(figure.description for figure in section.figures)
