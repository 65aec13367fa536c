"""The gate of ``usn certify``: limits and baseline are read before the work, and judged after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from usncli.errors import ConfigurationError
from usncli.files import write_json_atomically
from usncli.runs.folder import read_record
from usncli.runs.manifest import read_manifest
from usncli.settings.groups import GateSettings

if TYPE_CHECKING:
    from usncli.gating import Baseline, Gate, Limits, Waiver


class Questions(NamedTuple):
    """What a run will be asked.

    Attributes:
        limits: what must hold.
        baseline: what it is held against.
        kept: waivers of the baseline that this run will replace.
    """

    limits: Limits
    baseline: Baseline | None
    kept: tuple[Waiver, ...] = ()

    def judge(self, folder: Path) -> Gate | None:
        """Judge a finished run, and keep what came of it in the run's folder, where reports find it."""
        from usncli.certifying.records import CertificationRecord
        from usncli.gating import GATE_FILE, judge
        from usncli.gating.baseline import Identity

        path = folder / GATE_FILE
        path.unlink(missing_ok=True)  # what is not judged now must not look judged
        record, manifest = CertificationRecord.from_record(read_record(folder)), read_manifest(folder)
        gate = judge(record, self.limits, self.baseline, Identity.of_manifest(manifest) if manifest else None)
        if gate is not None:
            write_json_atomically(path, gate.to_record())
        return gate

    def write_baseline(self, folder: Path, path: Path) -> None:
        """Write a finished run as a baseline."""
        from usncli.certifying.records import CertificationRecord
        from usncli.gating import baseline_of, write_baseline

        manifest = read_manifest(folder)
        assert manifest is not None, "a finished run has a manifest"
        record = CertificationRecord.from_record(read_record(folder))
        write_baseline(path, baseline_of(record, manifest, self.kept))


def questions_of(settings: GateSettings) -> Questions:
    """Read what a run will be asked.

    Raises:
        ConfigurationError: a baseline that cannot be read, or options for one where there is none.
    """
    from usncli.gating import Limits, read_baseline

    if settings.baseline is None and settings.max_drop is not None:
        raise ConfigurationError(
            f"--max-drop: expected a baseline that {settings.max_drop:g} is measured against, got none; give --baseline"
        )
    limits = Limits(
        settings.min_certified,
        settings.min_certified_overall,
        settings.max_unknown,
        settings.max_drop or 0.0,
        settings.drop_significance,
    )
    baseline = read_baseline(settings.baseline) if settings.baseline and not settings.makes_baseline else None
    replaced = settings.write_baseline
    kept = read_baseline(replaced).waivers if replaced is not None and replaced.exists() else ()
    return Questions(limits, baseline, kept)
