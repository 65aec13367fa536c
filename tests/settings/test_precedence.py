"""Flags over environment over usn.yaml (section over top level) over defaults, and where each value came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from usncli.settings import (
    CertifySettings,
    FinetunePruneSettings,
    ScoreSettings,
    Source,
    Sources,
    named_options,
    resolve,
)

REQUIRED = "checkpoint: model.pt\ndata: images\nperturb: brightness=0.1\n"


def resolved(folder: Path, text: str = "", environment: dict[str, str] | None = None, **flags):
    (folder / "usn.yaml").write_text(REQUIRED + text)
    return resolve(ScoreSettings, Sources(flags, environment or {}, folder))


def test_each_source_outranks_the_ones_below_it(tmp_path: Path) -> None:
    layers = [
        ("", {}, {}, 0.2, Source.DEFAULT),
        ("ratio: 0.3", {}, {}, 0.3, Source.FILE),
        ("ratio: 0.3\nscore:\n  ratio: 0.4", {}, {}, 0.4, Source.FILE),
        ("ratio: 0.3\nscore:\n  ratio: 0.4", {"USN_RATIO": "0.5"}, {}, 0.5, Source.ENVIRONMENT),
        ("ratio: 0.3\nscore:\n  ratio: 0.4", {"USN_RATIO": "0.5"}, {"ratio": "0.6"}, 0.6, Source.FLAG),
    ]
    for text, environment, flags, expected, source in layers:
        result = resolved(tmp_path, text, environment, **flags)
        assert result.settings.ratio == expected
        assert result.origins["ratio"].source == source


def test_origins_name_flag_variable_file_line_and_section(tmp_path: Path) -> None:
    text = "score:\n  method: sobol\n"
    origins = resolved(tmp_path, text, {"USN_SEED": "3"}, samples="4").origins
    assert str(origins["samples"]) == "flag --samples"
    assert str(origins["seed"]) == "environment USN_SEED"
    assert str(origins["method"]) == f"file {tmp_path / 'usn.yaml'}:5 (score)"
    assert str(origins["checkpoint"]) == f"file {tmp_path / 'usn.yaml'}:1"
    assert str(origins["clip"]) == "default"


def test_the_file_is_found_from_a_folder_below_and_its_paths_start_at_it(tmp_path: Path) -> None:
    below = tmp_path / "one" / "two"
    below.mkdir(parents=True)
    (tmp_path / "usn.yaml").write_text(REQUIRED + "format: {json: out/score.json}")
    result = resolve(ScoreSettings, Sources({"out": "runs"}, {}, below))
    assert result.settings.checkpoint == tmp_path / "model.pt"
    assert result.settings.data == str(tmp_path / "images")
    assert result.settings.format == {"json": tmp_path / "out" / "score.json"}
    assert result.settings.out == Path("runs")
    assert result.config == tmp_path / "usn.yaml"


def test_stdout_is_no_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED + "format: {github: '-', sarif: out/a.sarif}")
    result = resolve(CertifySettings, Sources({}, {}, tmp_path))
    assert result.settings.format == {"github": Path("-"), "sarif": tmp_path / "out" / "a.sarif"}


def test_a_callable_is_no_path(tmp_path: Path) -> None:
    assert resolved(tmp_path, "score: {data: 'my_package.images:train'}").settings.data == "my_package.images:train"


def test_a_file_given_by_flag_or_variable_replaces_the_search(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED + "seed: 1")
    other = tmp_path / "other.yaml"
    other.write_text(REQUIRED + "seed: 2")
    third = tmp_path / "third.yaml"
    third.write_text(REQUIRED + "seed: 3")
    environment = {"USN_CONFIG": str(other)}
    assert resolve(ScoreSettings, Sources({}, environment, tmp_path)).settings.seed == 2
    assert resolve(ScoreSettings, Sources({}, environment, tmp_path, third)).settings.seed == 3


def test_an_empty_variable_counts_as_absent_and_one_of_another_command_is_no_mistake(tmp_path: Path) -> None:
    result = resolved(tmp_path, "", {"USN_RATIO": "", "USN_TAU": "2", "HOME": "/"})
    assert result.origins["ratio"].source == Source.DEFAULT


def test_texts_are_read_alike_from_flag_variable_and_file(tmp_path: Path) -> None:
    ranges = ("brightness=0.1,contrast=0.2", "contrast=0.8:1.3")
    flag = resolved(tmp_path, "", perturb=list(ranges))
    variable = resolved(tmp_path, "", {"USN_PERTURB": " ".join(ranges)})
    text = "".join(f"  - {item}\n" for item in ranges)
    (tmp_path / "usn.yaml").write_text(f"checkpoint: a\ndata: b\nperturb:\n{text}")
    file = resolve(ScoreSettings, Sources({}, {}, tmp_path))
    assert flag.settings.perturb == variable.settings.perturb == file.settings.perturb == ranges


@pytest.mark.parametrize("given", [{"mean": "0.5,0.25,1"}, {"USN_MEAN": "0.5, 0.25, 1"}, "mean: [0.5, 0.25, 1]"])
def test_numbers_are_joined_by_commas_or_a_list(tmp_path: Path, given: object) -> None:
    text = given if isinstance(given, str) else ""
    environment = given if isinstance(given, dict) and "USN_MEAN" in given else {}
    flags = given if isinstance(given, dict) and "mean" in given else {}
    assert resolved(tmp_path, text, environment, **flags).settings.mean == (0.5, 0.25, 1.0)


@pytest.mark.parametrize(("text", "expected"), [("64", (64, 64)), ("64x48", (64, 48)), (" 64 X 48".lower(), (64, 48))])
def test_sizes_are_width_by_height(tmp_path: Path, text: str, expected: tuple[int, int]) -> None:
    size = resolved(tmp_path, "", size=text).settings.size
    assert (size.width, size.height) == expected


def test_factory_arguments_keep_their_types_and_numbers_in_short_notation_are_numbers(tmp_path: Path) -> None:
    flags = ["width=0.5", "rate=1e-3", "deep=true", "name=a=b"]
    expected = {"width": 0.5, "rate": 0.001, "deep": True, "name": "a=b"}
    assert resolved(tmp_path, "", arch_arg=flags).settings.arch_arg == expected
    assert resolved(tmp_path, "arch-arg: {width: 0.5}").settings.arch_arg == {"width": 0.5}
    (tmp_path / "usn.yaml").write_text(REQUIRED + "learning-rate: 1e-3")
    assert resolve(FinetunePruneSettings, Sources({}, {}, tmp_path)).settings.learning_rate == 1e-3


@pytest.mark.parametrize(
    "given",
    [
        {"loss_ramp": ["smooth=0,0.3", "wasserstein=0.1, 0.5"]},
        {"USN_LOSS_RAMP": "smooth=0,0.3 wasserstein=0.1,0.5"},
        "loss-ramp: {smooth: [0, 0.3], wasserstein: '0.1,0.5'}",
    ],
)
def test_ramps_are_pairs_of_numbers_by_name(tmp_path: Path, given: object) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED + (given if isinstance(given, str) else ""))
    environment = given if isinstance(given, dict) and "USN_LOSS_RAMP" in given else {}
    flags = given if isinstance(given, dict) and "loss_ramp" in given else {}
    settings = resolve(FinetunePruneSettings, Sources(flags, environment, tmp_path)).settings
    assert settings.loss_ramp == {"smooth": (0.0, 0.3), "wasserstein": (0.1, 0.5)}


def test_switches_can_be_turned_both_ways(tmp_path: Path) -> None:
    assert resolved(tmp_path, "clip: false").settings.clip is False
    assert resolved(tmp_path, "clip: false", {"USN_CLIP": "yes"}).settings.clip is True
    assert resolved(tmp_path, "clip: true", {}, clip=False).settings.clip is False


def test_every_option_has_one_name_in_three_spellings_and_a_sentence() -> None:
    named = named_options(FinetunePruneSettings)["learning_rate"]
    assert (named.flag, named.key, named.variable) == ("--learning-rate", "learning-rate", "USN_LEARNING_RATE")
    for option in named_options(FinetunePruneSettings).values():
        assert option.option.help.endswith(".")
