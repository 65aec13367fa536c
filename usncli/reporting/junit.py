"""A certification as JUnit XML: one test case per image and perturbation, for any CI system."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from usncli.certifying.verdicts import Verdict
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.queries import Query, by_perturbation, outcome_words, rate
from usncli.reporting.table import printable

PACKAGE = "usn.certify"


def to_junit(run: FinishedRun) -> str:
    """Return one suite a perturbation, one case an image, as the schema of Ant's JUnit task has it.

    Only certified cases pass. Falsified, misclassified and unknown ones are failures (of that type): a CI system that
    skipped unknowns would open a gate that must stay closed. Crashes are errors.
    """
    root = ElementTree.Element("testsuites")
    for number, (label, queries) in enumerate(by_perturbation(run.record["queries"]).items()):
        named = {"name": printable(label), "package": PACKAGE, "id": str(number), "hostname": "localhost"}
        suite = ElementTree.SubElement(root, "testsuite", named | _timestamp(run) | _totals(queries))
        properties = ElementTree.SubElement(suite, "properties")
        told = [("run", run.name), ("certified", str(rate(queries))), ("claim", run.record["claim"])]
        told += [("gate", line) for line in run.gate.lines] if run.gate else []
        for name, value in told:
            ElementTree.SubElement(properties, "property", name=name, value=printable(value))
        for query in queries:
            _add_case(suite, query)
        for stream in ("system-out", "system-err"):
            ElementTree.SubElement(suite, stream)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ElementTree.Element, query: Query) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"{PACKAGE}.{printable(query['perturbation'])}",
        name=printable(query["image"]),
        time=f"{query['seconds']:.3f}",
    )
    verdict = query["verdict"]
    if verdict == Verdict.CERTIFIED:
        return
    tag = "error" if verdict == Verdict.ERROR else "failure"
    words = printable(outcome_words(query))
    ElementTree.SubElement(case, tag, type=verdict, message=f"{verdict}: {words}")


def _timestamp(run: FinishedRun) -> dict[str, str]:
    """Return when the run started, in UTC, as far as its manifest knows."""
    start = (run.manifest or {}).get("start")
    return {"timestamp": str(start)[: len("2000-01-01T00:00:00")]} if start else {}


def _totals(queries: Sequence[Query]) -> dict[str, str]:
    errors = sum(query["verdict"] == Verdict.ERROR for query in queries)
    certified = sum(query["verdict"] == Verdict.CERTIFIED for query in queries)
    return {
        "tests": str(len(queries)),
        "failures": str(len(queries) - errors - certified),
        "errors": str(errors),
        "time": f"{sum(query['seconds'] for query in queries):.3f}",
    }
