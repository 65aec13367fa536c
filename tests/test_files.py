"""Files are whole or absent."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from usncli.files import sha256_of_file, write_atomically, write_json_atomically, write_text_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_arrives_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "er" / "file.txt"
    write_text_atomically(target, "größer\n")
    assert target.read_bytes() == "größer\n".encode()
    assert names(target.parent) == ["file.txt"]


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    target = tmp_path / "file.bin"
    target.write_bytes(b"old")

    def half(temporary: Path) -> None:
        temporary.write_bytes(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(target, half)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_readers_see_the_old_content_until_the_new_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "file.txt"
    target.write_text("old")
    seen = []

    def write(temporary: Path) -> None:
        temporary.write_text("new")
        seen.append(target.read_text())
        assert temporary.suffix == target.suffix, "writers such as torch and numpy look at the ending"
        assert temporary.parent == target.parent, "a move between file systems is not atomic"

    write_atomically(target, write)
    assert seen == ["old"]
    assert target.read_text() == "new"


def test_a_writer_may_replace_the_temporary_file(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        other = temporary.with_suffix(".other")
        other.write_text("moved")
        other.replace(temporary)

    write_atomically(tmp_path / "file.txt", write)
    assert (tmp_path / "file.txt").read_text() == "moved"


def test_long_names_fit(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 240 + ".json")
    write_json_atomically(target, {"a": [1, None]})
    assert target.read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_text_atomically(tmp_path / "private", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}])
def test_json_without_meaning_is_refused_and_leaves_the_old_file(tmp_path: Path, value: object) -> None:
    target = tmp_path / "file.json"
    target.write_text("{}")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json_atomically(target, value)
    assert target.read_text() == "{}"
    assert names(tmp_path) == ["file.json"]


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256_of_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()
