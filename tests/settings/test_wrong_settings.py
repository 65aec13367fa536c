"""Each wrong setting gets one line that names its key, where it came from, what was expected and what came."""

from __future__ import annotations

from pathlib import Path

import pytest

from usncli.errors import ConfigurationError
from usncli.settings import (
    COMMANDS,
    CertifySettings,
    FinetunePruneSettings,
    ScoreSettings,
    Sources,
    collect,
    named_options,
    refuse_wrong_values,
    resolve,
)
from usncli.settings.option import bare_type

REQUIRED = "checkpoint: model.pt\ndata: images\nperturb: brightness=0.1\n"

FILES = {
    "misspelt key": ("ratoi: 0.1", ":4: unknown key 'ratoi'; did you mean 'ratio'?"),
    "misspelt key in a section": ("score:\n  sampels: 3", ":5: unknown key 'sampels'; did you mean 'samples'?"),
    "option of another command in a section": ("score:\n  tau: 3", ":5: unknown key 'tau'"),
    "misspelt section": ("scores:\n  ratio: 3", ":4: unknown key 'scores'; did you mean 'score'?"),
    "nothing like it": ("zzz: 3", ":4: unknown key 'zzz'; the keys are the flags"),
    "twice": ("ratio: 0.1\nratio: 0.2", ":5: 'ratio' stands here and in line 4; keep one"),
    "twice in two spellings": ("batch-size: 1\nbatch_size: 2", ":5: 'batch_size' stands here and in line 4; keep one"),
    "twice within a value": ("arch-arg: {a: 1, a: 2}", ":4: 'a' stands here and in line 4; keep one"),
    "broken": ("size: [64\nratio: 1", ":5: not valid YAML: expected ',' or ']', but got ':'"),
    "section without options": ("score: 3", ":4: section score: expected lines of 'key: value', got 3"),
    "code": ("arch: !!python/name:os.system x", ":4: not plain YAML: could not determine a constructor"),
    "holds itself": ("arch-arg: &a {self: *a}", ":4: not plain YAML: found unconstructable recursive node"),
    "key that is a list": ("? [a]\n: 1", ":4: expected a plain word as key, got a sequence"),
    "number out of range": ("ratio: 1", "ratio: expected a number >= 0 and < 1, got 1 (file {path}:4)"),
    "number that is text": ("ratio: much", "ratio: expected a number >= 0 and < 1, got 'much' (file {path}:4)"),
    "number that is none": ("ratio: .nan", "ratio: expected a number >= 0 and < 1, got nan (file {path}:4)"),
    "number that is a truth": ("seed: true", "seed: expected a whole number >= 0 and < 2147483648, got True"),
    "half an image": ("limit: 1.5", "limit: expected a whole number >= 1, got 1.5 (file {path}:4)"),
    "unknown choice": (
        "method: quadratur",
        "method: expected one of monte-carlo, quadrature, sobol, got 'quadratur' (file {path}:4); did you mean "
        "'quadrature'?",
    ),
    "size": ("size: 64x", "size: expected WIDTHxHEIGHT or one number of pixels, at least 1, got '64x' (file {path}:4)"),
    "argument without value": ("arch-arg: width", "arch-arg: expected KEY=VALUE, got 'width' (file {path}:4)"),
    "printed format": (
        "format: {json: '-'}",
        "format: expected a file for json, since only github can be printed (-), got {{'json': '-'}} (file {path}:4)",
    ),
    "no arguments at all": ("arch-arg:", "arch-arg: expected KEY=VALUE, got None (file {path}:4)"),
    "formats that are none": ("format: 3", "format: expected FORMAT=FILE, for example json=report.json, got 3 (file"),
    "unknown format": ("format: {xml: a}", "format: expected one of json"),
    "hash": ("trusted-sha256: abc", "trusted-sha256: expected 64 hexadecimal digits, got 'abc' (file {path}:4)"),
    "nothing": ("ratio:", "ratio: expected a number >= 0 and < 1, got None (file {path}:4)"),
}


RAMPS = {
    "no numbers": (["smooth"], "loss-ramp: expected LOSS=START,END, for example smooth=0,0.3, got ['smooth'] (flag"),
    "one number": (["smooth=1"], "loss-ramp: expected LOSS=START,END, for example smooth=0,0.3"),
    "words": (["smooth=a,b"], "loss-ramp: expected a loss and two parts of the run, 0 <= start <= end <= 1"),
    "twice": (["smooth=0,1", "smooth=0,1"], "loss-ramp: expected each loss once, smooth came twice"),
}


@pytest.mark.parametrize("case", RAMPS)
def test_wrong_ramps(tmp_path: Path, case: str) -> None:
    given, expected = RAMPS[case]
    (tmp_path / "usn.yaml").write_text(REQUIRED)
    with pytest.raises(ConfigurationError) as caught:
        resolve(FinetunePruneSettings, Sources({"loss_ramp": given}, {}, tmp_path))
    assert expected in str(caught.value)


def test_half_a_pair(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED + "ramp: [0.1]")
    sources = Sources({}, {}, tmp_path)
    expected = r"ramp: expected two parts of the run, 0 <= start < end <= 1, got \[0.1\]"
    with pytest.raises(ConfigurationError, match=expected):
        resolve(FinetunePruneSettings, sources)
    with pytest.raises(ConfigurationError, match=expected):
        refuse_wrong_values(FinetunePruneSettings, collect(FinetunePruneSettings, sources)[0])


@pytest.mark.parametrize("case", FILES)
def test_wrong_files(tmp_path: Path, case: str) -> None:
    text, expected = FILES[case]
    path = tmp_path / "usn.yaml"
    path.write_text(REQUIRED + text)
    with pytest.raises(ConfigurationError) as caught:
        resolve(ScoreSettings, Sources({}, {}, tmp_path))
    assert expected.format(path=path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_a_list_or_no_text_or_absent(tmp_path: Path) -> None:
    path = tmp_path / "usn.yaml"
    for content, expected in ((b"- a", "expected lines of 'key: value'"), (b"\xff\xfe\x00", "not UTF-8")):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=expected):
            resolve(ScoreSettings, Sources({}, {}, tmp_path))
    with pytest.raises(ConfigurationError, match="No such file"):
        resolve(ScoreSettings, Sources({}, {}, tmp_path, tmp_path / "absent.yaml"))


def test_wrong_variables(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED)
    for environment, expected in (
        ({"USN_RATOI": "1"}, "environment: unknown variable USN_RATOI; did you mean 'USN_RATIO'?"),
        ({"USN_RATIO": "1"}, r"ratio: expected .*, got '1' \(environment USN_RATIO\)"),
        ({"USN_PERTURB": "'a"}, "perturb: expected values split by spaces, quoted as in a shell"),
    ):
        with pytest.raises(ConfigurationError, match=expected):
            resolve(ScoreSettings, Sources({}, environment, tmp_path))


def test_wrong_flags_and_missing_values(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ratio: expected a number >= 0 and < 1, got '1' \(flag --ratio\)"):
        resolve(ScoreSettings, Sources({"ratio": "1"}, {}, tmp_path))
    with pytest.raises(
        ConfigurationError, match=r"data: expected .* give --data, set USN_DATA, or write 'data:' in usn\.yaml"
    ):
        resolve(ScoreSettings, Sources({"checkpoint": "a", "perturb": ["brightness=0.1"]}, {}, tmp_path))


def test_sections_of_other_commands_are_checked_for_unknown_keys_too(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED + "certify:\n  min-certifeid: 1")
    with pytest.raises(ConfigurationError, match="did you mean 'min-certified'"):
        resolve(ScoreSettings, Sources({}, {}, tmp_path))


def test_no_two_commands_give_one_name_two_meanings() -> None:
    """A key on the top level of usn.yaml reaches every command that has it, so the types must agree."""
    types: dict[str, str] = {}
    for model in COMMANDS.values():
        for name, named in named_options(model).items():
            if name == "format":  # the gate has formats of its own
                continue
            assert types.setdefault(name, str(bare_type(named.field))) == str(bare_type(named.field)), name


def test_settings_are_frozen(tmp_path: Path) -> None:
    (tmp_path / "usn.yaml").write_text(REQUIRED)
    for model in (CertifySettings, FinetunePruneSettings):
        settings = resolve(model, Sources({}, {}, tmp_path)).settings
        with pytest.raises(ValueError, match="frozen"):
            settings.seed = 1
