"""What the commands do, as functions of plain torch objects; they return the records that commands print and write.

A network is an `nn.Module` or a `Pipeline`; images are an `ImageData`, a torch data set of ``(image, target)``, or a
tensor; perturbations are texts such as ``"brightness=0.1"`` or `PerturbationRange`. Work happens on the device that the
network is on. `usncli.adapting` says what is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from usncli.adapting import Images, Perturbations, as_data, as_pipeline, as_ranges
from usncli.certificates.agreement import CheckedNetwork, Expectations
from usncli.certificates.check import CheckOptions
from usncli.certificates.check import check as check_certificate
from usncli.certificates.issue import issue
from usncli.certificates.record import CheckRecord
from usncli.certifying.certify import certify as certify_pipeline
from usncli.certifying.evaluation import make_evaluate
from usncli.certifying.options import CertifyOptions
from usncli.certifying.records import CertificationRecord
from usncli.exporting.export import export as export_pipeline
from usncli.exporting.graph import ExportOptions
from usncli.exporting.record import ExportRecord
from usncli.loading.batching import collate
from usncli.progress import ProgressCallback, silent
from usncli.pruning.finetune import finetune_prune as finetune_prune_pipeline
from usncli.pruning.options import FinetuneOptions
from usncli.pruning.processes import Processes
from usncli.pruning.record import FinetuneRecord
from usncli.scoring.options import ScoreOptions
from usncli.scoring.record import ScoreRecord
from usncli.scoring.score import score_network


def score(
    network: nn.Module,
    images: Images,
    perturbations: Perturbations,
    options: ScoreOptions | None = None,
    *,
    exclude: Sequence[str] = (),
    progress: ProgressCallback = silent,
) -> tuple[ScoreRecord, ...]:
    """Measure instability and importance of every prunable channel, and what a ratio would cut.

    Args:
        network: what is scored; its weights and mode stay.
        images: at least 2; labels are not used.
        perturbations: each range is scored by itself.
        options: how instability is estimated.
        exclude: names or patterns of layers that are left alone.
        progress: told after every batch.

    Returns:
        One record a range.

    Raises:
        UsnError: see `usncli.scoring.score.score_network` and `usncli.adapting`.
    """
    pipeline = as_pipeline(network, images)
    data, chosen = as_data(images, pipeline), options or ScoreOptions()
    return tuple(
        score_network(pipeline, data, item, chosen, exclude=exclude, progress=progress)
        for item in as_ranges(perturbations)
    )


def finetune_prune(
    network: nn.Module,
    images: Images,
    perturbations: Perturbations,
    folder: Path | str,
    options: FinetuneOptions | None = None,
    *,
    validation: Images | None = None,
    processes: Processes | None = None,
    progress: ProgressCallback = silent,
) -> FinetuneRecord:
    """Fine-tune a network while masking its least important channels, then remove them.

    Args:
        network: what is pruned; it stays as it is, the result is in the folder.
        images: labelled training images.
        perturbations: what the network is made stable against; several are taken in turn.
        folder: training progress and the pruned network are kept there; the same call resumes.
        options: ratio, criterion, training.
        validation: labelled images that the error is measured on, and that networks on the way are judged by where the
            options ask for the best one.
        processes: that train together, see `usncli.pruning.launching`; by default this one alone.
        progress: told of every step.

    Raises:
        UsnError: see `usncli.pruning.finetune.finetune_prune` and `usncli.adapting`.
    """
    pipeline = as_pipeline(network, images)
    ranges, chosen = as_ranges(perturbations), options or FinetuneOptions()
    held_out = None if validation is None else as_data(validation, pipeline)
    return finetune_prune_pipeline(
        pipeline,
        as_data(images, pipeline),
        ranges,
        chosen,
        Path(folder),
        validation=held_out,
        evaluate=make_evaluate(pipeline, held_out, ranges, chosen.best),
        processes=processes,
        progress=progress,
    )


def certify(
    network: nn.Module,
    images: Images,
    perturbations: Perturbations,
    options: CertifyOptions | None = None,
    *,
    journal: Path | str | None = None,
    certificate: Path | str | None = None,
    progress: ProgressCallback = silent,
) -> CertificationRecord:
    """Prove or refute, for each image and range, that no perturbation in the range changes the answer.

    Args:
        network: what is certified, just as it is exported.
        images: labels are used only where the options take them as reference.
        perturbations: each range is certified by itself.
        options: property, budget, bounds.
        journal: finished queries are kept in this file, so that the same call resumes.
        certificate: what was proved is written to this file, for `check`.
        progress: told after every query.

    Raises:
        UsnError: see `usncli.certifying.certify.certify` and `usncli.adapting`.
    """
    pipeline = as_pipeline(network, images)
    data, ranges, chosen = as_data(images, pipeline), as_ranges(perturbations), options or CertifyOptions()
    kept = None if journal is None else Path(journal)
    record = certify_pipeline(pipeline, data, ranges, chosen, journal=kept, progress=progress)
    if certificate is not None:
        issue(Path(certificate), pipeline, data, ranges, record, chosen)
    return record


def check(
    certificate: Path | str,
    network: nn.Module,
    images: Images,
    options: CheckOptions | None = None,
    expected: Expectations | None = None,
    *,
    onnx_sha256: str | None = None,
    progress: ProgressCallback = silent,
) -> CheckRecord:
    """Prove a certificate anew for a network and images, without searching.

    Args:
        certificate: the file.
        network: what the certificate is held against.
        images: likewise, in the order in which they were certified.
        options: engine and parallelism.
        expected: what the certificate must claim.
        onnx_sha256: of the file that the network was read from, where that is ONNX and may be what it is bound to.
        progress: told after every image.

    Raises:
        UsnError: see `usncli.certificates.check.check` and `usncli.adapting`.
    """
    pipeline = as_pipeline(network, images)
    checked = CheckedNetwork(pipeline, onnx_sha256)
    return check_certificate(
        Path(certificate), checked, as_data(images, pipeline), options, expected, progress=progress
    )


def export(
    network: nn.Module,
    path: Path | str,
    images: Images,
    options: ExportOptions | None = None,
    *,
    provenance: Mapping[str, str] | None = None,
    bind_to: Path | str | None = None,
) -> ExportRecord:
    """Write ONNX that onnxruntime was seen to run as PyTorch does.

    Args:
        network: what is exported.
        path: the file to write.
        images: all of them are used to compare, as one batch.
        options: what goes in.
        provenance: what else the file's metadata says.
        bind_to: the network's certificate; each of the two files gets the other's hash.

    Raises:
        UsnError: see `usncli.exporting.export.export` and `usncli.adapting`.
    """
    pipeline = as_pipeline(network, images)
    data = as_data(images, pipeline)
    batch = collate([data[index] for index in range(len(data))])
    certificate = None if bind_to is None else Path(bind_to)
    return export_pipeline(pipeline, Path(path), batch.images, options, provenance=provenance, bind_to=certificate)
