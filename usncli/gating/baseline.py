"""The baseline: a run that later ones are held against, in a file that is committed beside the code."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import Verdict
from usncli.errors import ConfigurationError, InputError
from usncli.files import write_text_atomically
from usncli.gating.waivers import Waiver

EFFORT = frozenset(
    {
        *("seconds", "pieces", "run-seconds", "engine", "second-opinion", "bound-method", "precision", "memory"),
        *("piece-batch", "unstable-images", "max-range", "device", "seed", "limit", "data", "annotations"),
        *("checkpoint", "arch", "arch-arg", "strict", "trusted-sha256", "perturb"),
    }
)
"""Settings that change how a question is answered, of which network or on which images, but not what is asked of each.

Perturbations are compared one by one."""


class Identity(BaseModel):
    """What a run was: hashes of its inputs, and its settings.

    Attributes:
        inputs: SHA-256 by what it is of: model, data, ...
        settings: those that matter to the result, by key.
        version: of usncli.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: dict[str, str]
    settings: dict[str, Any]
    version: str

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> Identity:
        """Take it from the manifest of a run."""
        known = manifest["identity"]
        return cls(inputs=known["inputs"], settings=known["settings"], version=known["version"])

    def differences(self, now: Identity) -> tuple[list[str], list[str]]:
        """Say how another run differs from this one.

        Returns:
            What another model, other data, another version or another effort explains; and what makes the two runs
            answer different questions, so that their verdicts do not compare.
        """
        told = [
            f"the {name} is another one" + ("" if self.inputs.get(name) and now.inputs.get(name) else " (not hashed)")
            for name in sorted(self.inputs.keys() | now.inputs.keys())
            if self.inputs.get(name) != now.inputs.get(name)
        ]
        told += [f"usncli was {self.version}, is {now.version}"] if self.version != now.version else []
        asked: list[str] = []
        for key in sorted(self.settings.keys() | now.settings.keys()):
            before, after = (json.dumps(settings.get(key)) for settings in (self.settings, now.settings))
            if before != after and key not in ("perturb", "checkpoint", "data"):
                (told if key in EFFORT else asked).append(f"{key} was {before}, is {after}")
        return told, asked


class Baseline(BaseModel):
    """A run that later ones are held against, with the waivers that people add.

    Attributes:
        kind, schema_version: of the file.
        identity: what the run was.
        verdicts: names of images by verdict, by label of the perturbation.
        waivers: added and removed by hand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["usn-baseline"] = "usn-baseline"
    schema_version: Literal[1] = 1
    identity: Identity
    verdicts: dict[str, dict[Verdict, tuple[str, ...]]]
    waivers: tuple[Waiver, ...] = ()

    def by_image(self, label: str) -> dict[str, Verdict]:
        """Return the verdict of every image under a perturbation."""
        return {image: verdict for verdict, images in self.verdicts[label].items() for image in images}


def verdicts_by_image(record: CertificationRecord) -> dict[str, dict[str, Verdict]]:
    """Return the verdict of every image by label of the perturbation.

    Raises:
        InputError: two images have one name, so that runs cannot be compared image by image.
    """
    found: dict[str, dict[str, Verdict]] = {}
    for query in record.queries:
        images = found.setdefault(query.perturbation, {})
        if query.image in images:
            raise InputError(
                f"baseline: expected every image to have a name of its own, got two called {query.image}; rename one"
            )
        images[query.image] = query.verdict
    return found


def baseline_of(record: CertificationRecord, manifest: Mapping[str, Any], waivers: tuple[Waiver, ...] = ()) -> Baseline:
    """Return the baseline that a finished run makes.

    Args:
        record: of the run.
        manifest: of the run.
        waivers: to keep.

    Raises:
        InputError: two images have one name.
    """
    verdicts = {
        label: {
            verdict: tuple(sorted(image for image, found in images.items() if found == verdict))
            for verdict in Verdict
            if verdict in images.values()
        }
        for label, images in verdicts_by_image(record).items()
    }
    return Baseline(identity=Identity.of_manifest(manifest), verdicts=verdicts, waivers=waivers)


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, atomically, one image a line."""
    write_text_atomically(path, baseline.model_dump_json(indent=1) + "\n")


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        ConfigurationError: there is no file, or it is not a baseline of this version.
    """
    again = "write it anew with --write-baseline"
    try:
        baseline = Baseline.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigurationError(f"baseline {path}: expected a file, found none; {again}") from error
    except OSError as error:
        raise ConfigurationError(f"baseline {path}: cannot be read: {error.strerror}; {again}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(
            f"baseline {path}: expected a baseline that usn wrote, at {place}: {first['msg']}; correct it, or {again}"
        ) from error
    for label, groups in baseline.verdicts.items():
        counts = Counter(image for images in groups.values() for image in images)
        for image, count in counts.most_common(1):
            if count > 1:
                raise ConfigurationError(
                    f"baseline {path}: expected one verdict of {image} under {label}, got {count}; {again}"
                )
    return baseline
