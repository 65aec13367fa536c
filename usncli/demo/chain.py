"""The commands of the demo, as a user would type them in its folder."""

from __future__ import annotations

from typing import NamedTuple

from usncli.demo.material import CHECKPOINT

RATIO = "0.2"
PRUNED = "pruned.safetensors"
ONNX = "usn-pruned.onnx"
SCORE_RUN = "runs/score"
EXPORT_RUN = "runs/export"


class Variant(NamedTuple):
    """One of the networks that the demo compares.

    Attributes:
        name: as its rows are called.
        checkpoint: its file, relative to the demo's folder.
        criterion: how it was pruned; empty for the checkpoint itself.
    """

    name: str
    checkpoint: str
    criterion: str = ""

    @property
    def pruning_run(self) -> str:
        """Folder of the run that pruned it."""
        return f"runs/prune-{self.name}"

    @property
    def certification_run(self) -> str:
        """Folder of the run that certified it."""
        return f"runs/certify-{self.name}"


DENSE = Variant("dense", CHECKPOINT)
RANDOM = Variant("random", f"runs/prune-random/{PRUNED}", "random")
USN = Variant("usn", f"runs/prune-usn/{PRUNED}", "usn")
VARIANTS = (DENSE, RANDOM, USN)


def command_lines() -> tuple[tuple[str, ...], ...]:
    """Return the words after ``usn`` of each command, in order."""
    return (
        ("score", CHECKPOINT, "--ratio", RATIO, "--out", SCORE_RUN),
        *(
            ("finetune-prune", CHECKPOINT, "--ratio", RATIO, "--criterion", item.criterion, "--out", item.pruning_run)
            for item in VARIANTS
            if item.criterion
        ),
        *(("certify", item.checkpoint, "--out", item.certification_run) for item in VARIANTS),
        ("export", USN.checkpoint, "--onnx", ONNX, "--out", EXPORT_RUN),
    )
