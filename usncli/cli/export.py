"""``usn export``: ONNX, checked against PyTorch by onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace, finished_folder
from usncli.settings import ExportSettings

if TYPE_CHECKING:
    from usncli.exporting.graph import ExportOptions

PARITY_IMAGES = 16
"""Images that PyTorch and onnxruntime are compared on, unless ``--limit`` says fewer."""


def run(invocation: Invocation[ExportSettings]) -> ExitCode:
    """Export, print what was written and how closely it agrees."""
    folder = finished_folder(invocation, lambda workspace: compute(invocation, workspace))
    show_results(folder, invocation)
    return ExitCode.DONE


def options_of(settings: ExportSettings) -> ExportOptions:
    """Return the stage's options.

    Raises:
        ConfigurationError: one is out of range.
    """
    from usncli.exporting.graph import ExportOptions

    return ExportOptions(
        include_preprocessing=settings.preprocessing, opset=settings.opset, tolerance=settings.tolerance
    )


def compute(invocation: Invocation[ExportSettings], workspace: Workspace) -> Result:
    """Load, export and compare."""
    from usncli.api import export
    from usncli.loading.batching import subset

    settings = invocation.settings
    options = options_of(settings)
    loaded = open_network(invocation, workspace.device)
    data = open_images(settings.data, invocation, loaded)
    compared = subset(data, range(min(len(data), PARITY_IMAGES)))
    path = settings.onnx or workspace.folder / f"{Path(settings.checkpoint).stem}.onnx"
    provenance = {"source_sha256": loaded.sha256, "label_names": json.dumps(data.label_names)}
    record = export(loaded.pipeline, path, compared, options, provenance=provenance, bind_to=settings.bind)
    return Result(record.to_record(), (path,))


COMMAND = Command(ExportSettings, run)
