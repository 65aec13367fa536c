"""The commands of the demo, as a user would type them in its folder."""

from __future__ import annotations

from typing import NamedTuple

from usncli.demo.material import CHECKPOINT

PRUNED = "pruned.safetensors"
ONNX = "usn-pruned.onnx"
SCORE_RUN = "runs/score"
EXPORT_RUN = "runs/export"


class Variant(NamedTuple):
    """One of the networks that the demo compares.

    Attributes:
        name: as its rows are called.
        checkpoint: its file, relative to the demo's folder.
        pruning: options by which it was pruned, beside the defaults; None for the checkpoint itself.
    """

    name: str
    checkpoint: str
    pruning: tuple[str, ...] | None = None

    @property
    def pruning_run(self) -> str:
        """Folder of the run that pruned it."""
        return f"runs/prune-{self.name}"

    @property
    def certification_run(self) -> str:
        """Folder of the run that certified it."""
        return f"runs/certify-{self.name}"


DENSE = Variant("dense", CHECKPOINT)
RANDOM = Variant("random", f"runs/prune-random/{PRUNED}", ("--criterion", "random"))
DEFAULT = Variant("default", f"runs/prune-default/{PRUNED}", ())
VARIANTS = (DENSE, RANDOM, DEFAULT)
CERTIFICATE = f"{DEFAULT.certification_run}/certificate.jsonl"


def command_lines() -> tuple[tuple[str, ...], ...]:
    """Return the words after ``usn`` of each command, in order."""
    return (
        ("score", CHECKPOINT, "--out", SCORE_RUN),
        *(
            ("finetune-prune", CHECKPOINT, *item.pruning, "--out", item.pruning_run)
            for item in VARIANTS
            if item.pruning is not None
        ),
        *(("certify", item.checkpoint, "--out", item.certification_run) for item in VARIANTS),
        ("export", DEFAULT.checkpoint, "--onnx", ONNX, "--bind", CERTIFICATE, "--out", EXPORT_RUN),
        ("check", CERTIFICATE, "--model", ONNX),
    )
