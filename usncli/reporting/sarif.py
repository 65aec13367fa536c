"""A certification as SARIF 2.1.0: what code scanning shows and tracks from run to run.

Level ``error`` is what is wrong for certain; ``unknown`` is a ``warning``, since nothing is known to be wrong. SARIF's
own word for it, ``"kind": "open"``, would demand the level ``none``, which code scanning does not show.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from usncli.certifying.verdicts import Verdict
from usncli.reporting.document import Headline
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds import view_of
from usncli.reporting.kinds.queries import GATE_LEVELS, LEVELS, Query, not_certified, sentence
from usncli.reporting.locations import locate
from usncli.reporting.table import printable

VERSION = "2.1.0"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

MOST_RESULTS = 25_000
"""Results of a run that GitHub code scanning accepts; it shows the first 5,000."""

ROOT = "%SRCROOT%"
"""Name of the folder that relative locations start from."""

REGION = {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 1}
"""An image has no lines, but code scanning demands some."""


class Rule(NamedTuple):
    """What a verdict says, and what to do about it."""

    verdict: Verdict
    short: str
    full: str
    help: str


RULES = (
    Rule(
        Verdict.ERROR,
        "The query crashed",
        "Certifying this image ended in an error. It is never counted as certified, and it keeps the gate closed.",
        "The message says what went wrong. Run the same command with -v for more; usn doctor names operations of the "
        "network that cannot be certified.",
    ),
    Rule(
        Verdict.MISCLASSIFIED,
        "Wrong without any perturbation",
        "The network's answer differs from the label on the unperturbed image. It counts against the certified rate.",
        "Look at the image and its label. With --reference prediction the clean answer itself is what must hold.",
    ),
    Rule(
        Verdict.FALSIFIED,
        "A perturbation in the range breaks the answer",
        "At the recorded theta the network that ships was run on the perturbed image, and its answer moved further "
        "than allowed.",
        "usn report shows the image beside its counterexample. Fine-tune under this perturbation (usn finetune-prune) "
        "or narrow the range: usn certify --max-range says up to where each image holds.",
    ),
    Rule(
        Verdict.UNKNOWN,
        "Neither proved nor refuted within the budget",
        "The budget ended before the whole range was proved, and no counterexample was found. It is never counted as "
        "certified.",
        "Give more --seconds, --pieces or --run-seconds, or a GPU; usn finetune-prune makes networks that are proved "
        "faster.",
    ),
)
"""One a verdict that is not certified."""

_INDEX = {rule.verdict.value: index for index, rule in enumerate(RULES)}


def to_sarif(run: FinishedRun) -> str:
    """Return one run with a result for each query that is not certified, the worst first, at most `MOST_RESULTS`.

    A notification says how the gate stands, another how many results were left out. See docs/formats.md.
    """
    worst, find = not_certified(run.record["queries"]), locate(run)
    results = [_result(query, find) for query in worst[:MOST_RESULTS]]
    said = view_of(run.kind).headline(run)
    record, manifest = run.record, run.manifest or {}
    version = manifest.get("versions", {}).get("usncli")
    driver = {"name": "usn", **({"version": version} if version else {}), "rules": [_rule(rule) for rule in RULES]}
    model = Path(manifest.get("inputs", {}).get("model", {}).get("location", "")).name
    described = {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"usn/certify/{model}/" if model else "usn/certify/"},
        "originalUriBaseIds": {ROOT: {"description": {"text": "The root of the checkout that usn ran in."}}},
        "invocations": [_invocation(manifest, said, len(worst) - len(results))],
        "properties": {name: record[name] for name in ("claim", "certified", "total", "counts")},
        "results": results,
    }
    return json.dumps({"$schema": SCHEMA, "version": VERSION, "runs": [described]}, allow_nan=False) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    level = LEVELS[rule.verdict]
    return {
        "id": rule.verdict.value,
        "name": rule.verdict.value.capitalize(),
        "shortDescription": {"text": rule.short},
        "fullDescription": {"text": rule.full},
        "help": {"text": rule.help, "markdown": rule.help},
        "defaultConfiguration": {"level": level},
        "properties": {"tags": ["robustness"], "precision": "very-high", "problem.severity": level},
    }


def _invocation(manifest: Any, said: Headline, left_out: int) -> dict[str, Any]:
    told = [(GATE_LEVELS[said.status], "\n".join([said.text, *said.details]))]
    if left_out:
        told.append(("warning", f"{left_out:,} results were left out, the least grave: a file holds {MOST_RESULTS:,}."))
    times = {"startTimeUtc": manifest.get("start"), "endTimeUtc": manifest.get("end")}
    return {
        "executionSuccessful": True,
        **({"commandLine": printable(shlex.join(manifest["command_line"]))} if manifest else {}),
        **{name: time.replace("+00:00", "Z") for name, time in times.items() if time},
        "toolExecutionNotifications": [{"level": level, "message": {"text": _escape(text)}} for level, text in told],
    }


def _result(query: Query, find: Callable[[str], Path | None]) -> dict[str, Any]:
    place = {"artifactLocation": _artifact(query["image"], find(query["image"])), "region": REGION}
    image = printable(query["image"])
    mark = fingerprint(query)
    return {
        "ruleId": query["verdict"],
        "ruleIndex": _INDEX[query["verdict"]],
        "level": LEVELS[Verdict(query["verdict"])],
        "message": {"text": _escape(sentence(query))},
        "locations": [{"physicalLocation": place, "logicalLocations": [{"fullyQualifiedName": image}]}],
        "partialFingerprints": {"usnQuery/v1": mark, "primaryLocationLineHash": mark},
        "properties": {name: query[name] for name in ("perturbation", "witness", "margin", "passes")},
    }


def fingerprint(query: Query) -> str:
    """Return what makes a query the same in another run, of another network too: image and perturbation, hashed.

    Code scanning tracks results by ``primaryLocationLineHash``, which would be a hash of the file's lines if it were
    left to the upload: the same for all perturbations of an image.
    """
    return hashlib.sha256(json.dumps([query["image"], query["perturbation"]]).encode()).hexdigest()[:32]


def _artifact(image: str, path: Path | None) -> dict[str, str]:
    if path is not None and path.is_absolute():
        return {"uri": path.as_uri()}
    return {"uri": quote(os.fsencode(image if path is None else path.as_posix())), "uriBaseId": ROOT}


def _escape(text: str) -> str:
    """Double the braces, which stand for arguments in SARIF's messages (section 3.11.5)."""
    return text.replace("{", "{{").replace("}", "}}")
