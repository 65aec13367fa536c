"""Options worth knowing of each command: taken from the settings, so that names, defaults and help are theirs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from usncli.drafting.entries import Entry, Section, State, yaml_value
from usncli.settings import COMMANDS, named_options
from usncli.types import Task

OFFERS: Mapping[str, tuple[str, ...]] = {
    "score": ("ratio", "samples"),
    "finetune-prune": ("data", "validation", "ratio", "criterion", "epochs", "best"),
    "certify": ("tau", "min-certified", "reference", "seconds", "max-range", "format"),
    "export": ("onnx", "opset"),
}
"""Keys by command, in the order of a release."""

EXAMPLES: Mapping[str, Any] = {
    "data": "images/train",
    "validation": "images/validation",
    "min-certified": 0.9,
    "format": {"junit": "usn.xml"},
    "onnx": "model.onnx",
}
"""What stands for options without a default."""

REASONS: Mapping[str, str] = {"data": "images to train on, where they are others than those above"}
"""What is said of an option where its own help says less."""

OF_POSITIONS = frozenset({"tau"})
"""Options that mean nothing to a classifier."""


def offered_sections(task: Task | None, certify_remarks: tuple[str, ...]) -> tuple[Section, ...]:
    """Return a section a command, with nothing in it that holds.

    Args:
        task: what the network predicts, where that is known.
        certify_remarks: what to say at certification.
    """
    return tuple(
        Section(
            f"usn {command}",
            certify_remarks if command == "certify" else (),
            tuple(_offer(command, key) for key in keys if key not in OF_POSITIONS or task != Task.CLASSIFICATION),
            command,
        )
        for command, keys in OFFERS.items()
    )


def _offer(command: str, key: str) -> Entry:
    named = named_options(COMMANDS[command])[key.replace("-", "_")]
    value = EXAMPLES[key] if key in EXAMPLES else yaml_value(named.default)
    return Entry(key, value, REASONS.get(key, named.option.help.rstrip(".")), State.OFFERED)
