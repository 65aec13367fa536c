"""What an ONNX file says about itself, in its ``metadata_props``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import onnx

from usncli.exporting.float16 import NOTE
from usncli.exporting.graph import ExportOptions
from usncli.exporting.runtime import session
from usncli.loading.pipeline import Pipeline
from usncli.loading.preprocessing import KeypointUnits
from usncli.types import Task

PREFIX = "usn."
"""Every key of ours begins so; other tools' keys are left alone."""


def describe(pipeline: Pipeline, options: ExportOptions, provenance: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of an export, without the prefix.

    Keys: ``version`` of usncli; ``task``; ``preprocessing_included`` ("true" or "false"); ``preprocessing``, JSON;
    ``keypoint_units``, those of a keypoint network's output in this file; ``float16``, what that means, only where
    weights are rounded to it. Then whatever the caller knows, such as ``source_sha256`` (of the network's file),
    ``label_names`` (JSON list) and ``certified`` (JSON, what was certified).

    Raises:
        ValueError: the caller's mapping gives one of our own keys.
    """
    own = {
        "version": metadata.version("usncli"),
        "task": str(pipeline.task),
        "preprocessing_included": json.dumps(options.include_preprocessing),
        "preprocessing": json.dumps(pipeline.preprocessing.to_record(), sort_keys=True),
    }
    if options.float16:
        own["float16"] = NOTE
    if pipeline.task == Task.KEYPOINTS:
        units = KeypointUnits.PIXEL if options.include_preprocessing else pipeline.preprocessing.keypoint_units
        own["keypoint_units"] = str(units)
    clash = sorted(own.keys() & provenance.keys())
    if clash:
        raise ValueError(f"provenance: {', '.join(clash)} is written by the exporter itself; leave it out")
    return own | dict(provenance)


def attach(model: onnx.ModelProto, described: Mapping[str, str]) -> None:
    """Write the metadata into a model, with our prefix, in the order of the keys."""
    model.producer_name = "usncli"
    model.producer_version = described["version"]
    for key in sorted(described):
        entry = model.metadata_props.add()
        entry.key, entry.value = PREFIX + key, described[key]


def read_metadata(path: Path) -> dict[str, str]:
    """Return what `describe` wrote into a file, without the prefix; empty for another tool's file.

    Raises:
        InputError: the file is missing or is no ONNX network that onnxruntime can run.
    """
    found = session(path).get_modelmeta().custom_metadata_map
    return {key.removeprefix(PREFIX): value for key, value in found.items() if key.startswith(PREFIX)}
