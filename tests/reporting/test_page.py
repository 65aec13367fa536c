"""The page: one file that loads nothing, verdict first, with every number, and nothing a name can break."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_samples import (
    HOSTILE,
    RECORDS,
    certify_record,
    export_record,
    finetune_record,
    gate_of,
    manifest,
    picture,
    queries,
    run_of,
    score_record,
    write_run,
)

from usncli.errors import InputError
from usncli.files import sha256_of_file
from usncli.reporting.comparison import comparison_table, networks_of
from usncli.reporting.document import render
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.page import page_of, report_run, report_runs, write_page
from usncli.reporting.pictures import PICTURES_NAME, save_pictures

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Reader(HTMLParser):
    """Checks that tags are nested, and collects texts, addresses and tags."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    found = [write_run(root / f"a-{kind}", RECORDS[kind]()) for kind in RECORDS]
    save_pictures(root / "a-certify" / PICTURES_NAME, [picture()])
    return found


def test_report_of_all_runs_is_one_file_that_loads_nothing(folders: list[Path], tmp_path: Path) -> None:
    path = report_runs(folders, tmp_path / "report.html")
    html = path.read_text(encoding="utf-8")
    page = read(html)
    assert all(address.startswith(("#", "data:")) for address in page.addresses)
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert page.tags.count("svg") == 8  # two of score, two of pruning, two of certify, two of the picture
    assert "script" not in page.tags
    text = " ".join(" ".join(page.texts).split())
    for number in ("1/3", "33.3%", "252.0", "289,968", "190,233", "+4.3%", "7.60e-06", "87.5%", "off by 3.25 px"):
        assert number in text
    assert "usn certify 'a model.pt' --data images" in text
    assert "ab" * 32 in text
    assert "3.11.7" in text


def test_verdict_comes_first(folders: list[Path]) -> None:
    run = FinishedRun(
        "r", certify_record(queries()[:2]), manifest("certify"), gate=gate_of(certify_record(queries()[:2]), 1.0)
    )
    html = render(page_of([run_of("score"), run]))
    assert html.index("1 of 2 queries certified") < html.index("<h2>")
    assert '<section class="headline failed"' in html


def test_report_run_writes_into_the_folder(folders: list[Path]) -> None:
    for folder in folders:
        path = report_run(folder)
        assert path == folder / "report.html"
        assert f"<title>{folder.name}</title>" in path.read_text(encoding="utf-8")
        path.unlink()


def test_records_alone_make_a_page(tmp_path: Path) -> None:
    path = write_page(tmp_path / "page.html", [score_record(), export_record()])
    text = path.read_text(encoding="utf-8")
    read(text)
    assert "How to reproduce" not in text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    told = manifest("certify")
    told["command_line"] = ["usn", HOSTILE]
    told["inputs"][HOSTILE] = {"location": HOSTILE, "sha256": None}
    run = FinishedRun(HOSTILE, certify_record(queries(HOSTILE), claim=HOSTILE), told, (picture(HOSTILE),))
    html = render(page_of([run]))
    page = read(html)
    assert "script" not in page.tags
    assert "<script>" not in html
    assert '<script>alert("x")</script>' in " ".join(page.texts)
    assert "\x1b" not in html


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("record.json", None, "found no record.json"),
        ("record.json", '{"kind": "cert', "damaged"),
        ("record.json", "[1]", "got list"),
        ("record.json", "{}", "says its kind"),
        ("manifest.json", "{", "damaged"),
        (PICTURES_NAME, '{"schema_version": 9}', "schema version 9"),
        (PICTURES_NAME, '{"schema_version": 1, "pictures": [{}]}', "damaged"),
    ],
)
def test_damaged_folders_are_named(tmp_path: Path, name: str, text: str | None, match: str) -> None:
    folder = write_run(tmp_path / "run", certify_record())
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        report_run(folder)
    assert "\n" not in str(caught.value)
    assert not (folder / "report.html").exists()


def test_no_run_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one finished run"):
        page_of([])


def test_networks_are_known_by_their_files(tmp_path: Path) -> None:
    pruning = write_run(tmp_path / "prune", finetune_record(), manifest("finetune-prune", model="aa" * 32))
    (pruning / "pruned.safetensors").write_bytes(b"weights")
    made = sha256_of_file(pruning / "pruned.safetensors")
    runs = [
        FinishedRun.read(pruning),
        *(
            FinishedRun.read(write_run(tmp_path / name, certify_record(), manifest("certify", model=model)))
            for name, model in (("first", "aa" * 32), ("second", made), ("third", "cc" * 32))
        ),
    ]
    networks = networks_of(runs)
    assert [network.name for network in networks] == ["dense", "usn", "third"]
    rows = {row[0]: row[1:] for row in comparison_table(networks).texts()}
    assert rows["error (px)"] == ("1.870", "1.950", "-")
    assert rows["parameters"] == ("289,968", "190,233", "-")
    assert rows["certified, brightness=0.1"] == ("1/3 (33%)",) * 3
    assert rows["unstable ReLUs, brightness=0.1"] == ("252",) * 3
    assert "Networks side by side" in render(page_of(runs))


def test_stored_records_hold_no_nan() -> None:
    for make in RECORDS.values():
        json.dumps(make(), allow_nan=False)
