"""The benchmark of latency before and after pruning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from usncli import zoo
from usncli.exporting import latency


def test_it_prints_a_line_a_batch(
    load: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load("latency")
    monkeypatch.setitem(module.NETWORKS, "cnn7", lambda: zoo.cnn7(width=0.125))
    module.main(["--networks", "cnn7", "--shares", "0.5", "--runs", "1"])
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(latency.BATCHES)
    for line, batch in zip(lines, latency.BATCHES, strict=True):
        name, share, images, before, after, _, fewer = (cell.strip() for cell in line.strip("|").split("|"))
        assert (name, share, int(images)) == ("cnn7", "50%", batch)
        assert min(float(before), float(after)) >= 0
        assert float(fewer) > 2
