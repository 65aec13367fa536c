"""``usn export``: ONNX, checked against PyTorch by onnxruntime."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from usncli.cli.execution import Command
from usncli.cli.exit_codes import ExitCode
from usncli.cli.inputs import open_images, open_network, ranges_of, source_of
from usncli.cli.invocation import Invocation
from usncli.cli.results import show_results
from usncli.cli.running import Result, Workspace, finished_folder
from usncli.errors import ConfigurationError
from usncli.files import write_text_atomically
from usncli.settings import ExportSettings

if TYPE_CHECKING:
    from usncli.exporting.graph import ExportOptions
    from usncli.exporting.latency import LatencyRecord
    from usncli.exporting.vnnlib import QueryOptions
    from usncli.loading.checkpoint import LoadedCheckpoint
    from usncli.perturbing import PerturbationRange
    from usncli.reporting.finished_run import FinishedRun
    from usncli.types import ImageData

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
        include_preprocessing=settings.preprocessing,
        opset=settings.opset,
        tolerance=settings.tolerance,
        float16=settings.float16,
    )


def query_options_of(settings: ExportSettings) -> QueryOptions:
    """Return what queries for other verifiers ask, but for the hash of the network's file.

    Raises:
        ConfigurationError: an option is out of range.
    """
    from usncli.certifying.options import CertifyOptions, Reference
    from usncli.exporting.vnnlib import QueryOptions, VnnlibVersion

    return QueryOptions(
        certify=CertifyOptions(tau=settings.tau, reference=Reference(settings.reference), seconds=settings.seconds),
        version=VnnlibVersion(settings.vnnlib_version),
        opset=settings.opset,
        tolerance=settings.tolerance,
    )


def query_ranges_of(settings: ExportSettings) -> tuple[PerturbationRange, ...]:
    """Return the ranges of the queries that are asked for; none where none are.

    Raises:
        ConfigurationError: queries are asked for without a range, or one cannot be written.
    """
    from usncli.exporting.vnnlib.theta_network import require_affine

    if settings.vnnlib is None:
        return ()
    if settings.float16:
        raise ConfigurationError(
            "vnnlib: its queries are about the network of the checkpoint, not the one of --float16; export with "
            "--float16, then write queries of that ONNX file"
        )
    if not settings.perturb:
        raise ConfigurationError("vnnlib: expected at least one --perturb, got none; add one, as brightness=0.1")
    ranges = ranges_of(settings)
    for region in ranges:
        require_affine(region.perturbation)
    return ranges


def compute(invocation: Invocation[ExportSettings], workspace: Workspace) -> Result:
    """Load, export and compare."""
    from usncli.api import export
    from usncli.exporting.vnnlib import export_queries
    from usncli.exporting.vnnlib.queries import INSTANCES_NAME
    from usncli.loading.batching import subset
    from usncli.reporting.card import model_card

    settings = invocation.settings
    options, ranges = options_of(settings), query_ranges_of(settings)
    certified = _certified_run(settings)
    loaded = open_network(invocation, workspace.device)
    data = open_images(settings.data, invocation, loaded)
    compared = subset(data, range(min(len(data), PARITY_IMAGES)))
    path = settings.onnx or workspace.folder / f"{Path(settings.checkpoint).stem}.onnx"
    provenance = {"source_sha256": loaded.sha256, "label_names": json.dumps(data.label_names)}
    record = export(loaded.pipeline, path, compared, options, provenance=provenance, bind_to=settings.bind)
    outputs = [path]
    if settings.dense is not None:
        record = replace(record, latency=_latency(settings, loaded, path, compared, options))
    if settings.vnnlib is not None:
        queries = replace(query_options_of(settings), source_sha256=loaded.sha256)
        written = export_queries(loaded.pipeline, data, ranges, settings.vnnlib, queries, progress=workspace.progress)
        record = replace(record, vnnlib=written)
        outputs.append(settings.vnnlib / INSTANCES_NAME)
    if settings.card is not None:
        write_text_atomically(settings.card, model_card({"kind": "export", **record.to_record()}, certified))
        outputs.append(settings.card)
    return Result(record.to_record(), tuple(outputs))


def _certified_run(settings: ExportSettings) -> FinishedRun | None:
    """Return the run of ``usn certify`` that the model card is to state.

    Raises:
        ConfigurationError: one is named, but no card.
        InputError: the folder holds no finished run.
    """
    from usncli.reporting.finished_run import FinishedRun

    if settings.certified is None:
        return None
    if settings.card is None:
        raise ConfigurationError("certified: names a run for the model card, but no card is asked for; add --card FILE")
    return FinishedRun.read(settings.certified)


def _latency(
    settings: ExportSettings, loaded: LoadedCheckpoint, path: Path, data: ImageData, options: ExportOptions
) -> LatencyRecord:
    """Time the written file against the network before pruning, which is read as the checkpoint was."""
    from usncli.exporting.latency import DenseNetwork, measure_latency
    from usncli.loading.batching import collate
    from usncli.loading.checkpoint import load_checkpoint

    assert settings.dense is not None
    source = replace(source_of(settings), path=settings.dense)
    before = load_checkpoint(source, loaded.pipeline.preprocessing, loaded.pipeline.task)
    dense = DenseNetwork(before.pipeline, str(settings.dense), before.sha256)
    images = collate([data[index] for index in range(len(data))]).images
    return measure_latency(loaded.pipeline, path.read_bytes(), dense, images, options)


COMMAND = Command(ExportSettings, run)
