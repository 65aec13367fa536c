"""A certification as JUnit XML: one test case per image and perturbation, for any CI system."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from usncli.certifying.verdicts import Verdict
from usncli.errors import ConfigurationError
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.queries import Query, by_perturbation, outcome_words
from usncli.reporting.table import printable


def to_junit(run: FinishedRun) -> str:
    """Return one suite a perturbation, one case an image.

    Only certified cases pass. Falsified, misclassified and unknown ones are failures (of that type): a CI system that
    skipped unknowns would open a gate that must stay closed. Crashes are errors.

    Raises:
        ConfigurationError: the run is no certification.
    """
    if run.kind != "certify":
        raise ConfigurationError(f"--format junit: expected the result of usn certify, got one of usn {run.kind}")
    groups = by_perturbation(run.record["queries"])
    root = ElementTree.Element("testsuites", {"name": printable(run.name)} | _totals(run.record["queries"]))
    for label, queries in groups.items():
        suite = ElementTree.SubElement(root, "testsuite", {"name": printable(label)} | _totals(queries))
        for query in queries:
            _add_case(suite, query)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ElementTree.Element, query: Query) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"usn.certify.{printable(query['perturbation'])}",
        name=printable(query["image"]),
        time=f"{query['seconds']:.3f}",
    )
    verdict = query["verdict"]
    if verdict == Verdict.CERTIFIED:
        return
    tag = "error" if verdict == Verdict.ERROR else "failure"
    words = printable(outcome_words(query))
    ElementTree.SubElement(case, tag, type=verdict, message=f"{verdict}: {words}")


def _totals(queries: Sequence[Query]) -> dict[str, str]:
    errors = sum(query["verdict"] == Verdict.ERROR for query in queries)
    certified = sum(query["verdict"] == Verdict.CERTIFIED for query in queries)
    return {
        "tests": str(len(queries)),
        "failures": str(len(queries) - errors - certified),
        "errors": str(errors),
        "time": f"{sum(query['seconds'] for query in queries):.3f}",
    }
