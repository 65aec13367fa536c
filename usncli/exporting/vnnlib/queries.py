"""A folder of queries as VNN-COMP lays it out: networks, properties, ``instances.csv``."""

from __future__ import annotations

import copy
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from usncli.certifying.claims import check_reference, make_claim
from usncli.certifying.options import CertifyOptions
from usncli.certifying.properties import ClassificationProperty, Property
from usncli.errors import InputError, NothingToCertifyError, ParityError
from usncli.exporting.graph import EXPORTER_OPSET
from usncli.exporting.metadata import attach
from usncli.exporting.parity import largest_difference
from usncli.exporting.runtime import run_onnx, session
from usncli.exporting.vnnlib.text import VnnlibQuery, VnnlibVersion, vnnlib_text
from usncli.exporting.vnnlib.theta_network import ThetaNetwork, require_affine, theta_network
from usncli.exporting.vnnlib.violations import violations
from usncli.files import sha256_of_file, write_atomically, write_text_atomically
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange, Pivot
from usncli.progress import ProgressCallback, ProgressUpdate, silent
from usncli.types import ImageData, Sample

INSTANCES_NAME = "instances.csv"
"""A line a query, no header: network, property, seconds; paths are relative to the folder."""
TABLE_NAME = "queries.csv"
"""The same lines with a header and what each is about."""


@dataclass(frozen=True)
class QueryOptions:
    """What is asked, and how it is written.

    Attributes:
        certify: tau and reference are those of the property; seconds is the timeout of an instance.
        version: of the language.
        opset: version of ONNX's operator set.
        tolerance: largest absolute difference allowed between PyTorch and onnxruntime, in units of the output.
        source_sha256: SHA-256 of the network's file, to be named beside each query; empty where there is none.
    """

    certify: CertifyOptions = field(default_factory=CertifyOptions)
    version: VnnlibVersion = VnnlibVersion.V1
    opset: int = EXPORTER_OPSET
    tolerance: float = 1e-3
    source_sha256: str = ""


@dataclass(frozen=True)
class QueriesRecord:
    """Queries that were written.

    Attributes:
        folder: that holds them.
        version: of VNN-LIB.
        queries: number of properties.
        networks: number of ONNX files; ranges of one perturbation share the one of an image.
        file_bytes: size of all files.
        largest_difference: between PyTorch and onnxruntime, over all queries, in units of the output.
        left_out: images without a property, each with the reason.
    """

    folder: str
    version: str
    queries: int
    networks: int
    file_bytes: int
    largest_difference: float
    left_out: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""
        return {**asdict(self), "left_out": list(self.left_out)}


def export_queries(
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    folder: Path,
    options: QueryOptions | None = None,
    *,
    progress: ProgressCallback = silent,
) -> QueriesRecord:
    """Write every query [image x range] as an ONNX network of theta and a VNN-LIB property.

    A verifier's ``unsat`` says what our verdict ``certified`` says in exact arithmetic, its ``sat`` what ``falsified``
    or ``misclassified`` say. Each network is run by onnxruntime at the ends of its range and at the identity, and must
    predict what the pipeline does. An image without a property (no visible keypoint) is left out and named.

    Args:
        pipeline: what is certified and shipped; left as it is. References are its predictions on the CPU, in float32.
        data: images, in order.
        ranges: brightness, contrast, or both.
        folder: files in it are replaced; ``instances.csv`` is written last, and lists no others.
        options: property, timeout, language.
        progress: told after every query.

    Raises:
        NothingToCertifyError: no image, no range, or no image with a property.
        ConfigurationError: a range of gamma, which the operators that verifiers share do not compute.
        InputError: the folder is a file, or labels are missing.
        UnsupportedOperationError: the network has no ONNX form.
        ParityError: onnxruntime computes something else than PyTorch.
    """
    options = options or QueryOptions()
    if not len(data) or not ranges:
        raise NothingToCertifyError("vnnlib: expected at least one image and one --perturb, got none")
    for region in ranges:
        require_affine(region.perturbation)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: expected a folder to write queries to, got a file; choose another --vnnlib")
    check_reference(data, options.certify)
    writer = _Writer(copy.deepcopy(pipeline).cpu().float().eval(), folder, options)
    total = len(data) * len(ranges)
    for index in range(len(data)):
        sample = data[index]
        for number, region in enumerate(ranges, start=1):
            writer.write(index, sample, region, labelled=data.labelled)
            progress(ProgressUpdate("vnnlib", index * len(ranges) + number, total, {}))
    return writer.finish()


class _Writer:
    """Writes queries one by one, and the tables at the end."""

    def __init__(self, pipeline: Pipeline, folder: Path, options: QueryOptions) -> None:
        self._pipeline = pipeline
        self._folder = folder
        self._options = options
        self._traced: dict[tuple[int, bool], ThetaNetwork] = {}
        self._hashes: dict[str, str] = {}
        self._bytes = 0
        self._rows: list[dict[str, Any]] = []
        self._left_out: dict[str, None] = {}
        self._differences = [0.0]

    def write(self, index: int, sample: Sample, region: PerturbationRange, *, labelled: bool) -> None:
        """Write one query."""
        options, image = self._options, sample.image.unsqueeze(0).to(self._pipeline.mean)
        try:
            claim = make_claim(self._pipeline, sample, options.certify, labelled=labelled)
            with torch.no_grad():
                clean = self._pipeline(image)
            found = violations(claim, clean[0].numel())
        except InputError as error:
            self._left_out[f"{sample.name}: {str(error).removeprefix(f'{sample.name}: ')}"] = None
            return
        kind = _kind(region)
        network = f"onnx/{index:05d}-{'+'.join(region.perturbation.parameters)}{kind}.onnx"
        if network not in self._hashes:
            self._write_network(network, sample, region)
        self._differences.append(self._checked(network, image, region))
        about = _about(index, sample, region, claim, options) | {
            "clean_margin": f"{float(claim.margins(clean)[0]):.9g}",
            "network_sha256": options.source_sha256,
            "onnx_sha256": self._hashes[network],
        }
        comments = tuple(f"{key}: {value}" for key, value in about.items())
        query = VnnlibQuery(region.lower, region.upper, clean[0].numel(), found, comments)
        name = f"vnnlib/{index:05d}-{re.sub(r'[^A-Za-z0-9.=+-]+', '_', region.label)}{kind}.vnnlib"
        write_text_atomically(self._folder / name, vnnlib_text(query, options.version))
        self._count(name)
        self._rows.append({"onnx": network, "vnnlib": name, **about, "vnnlib_sha256": self._hashes[name]})

    def finish(self) -> QueriesRecord:
        """Write the tables."""
        if not self._rows:
            raise NothingToCertifyError(f"vnnlib: no image has a property to ask about; {next(iter(self._left_out))}")
        seconds = f"{self._options.certify.seconds:g}"
        instances = [[row["onnx"], row["vnnlib"], seconds] for row in self._rows]
        table = [list(self._rows[0]), *(row.values() for row in self._rows)]
        write_text_atomically(self._folder / TABLE_NAME, _csv(table))
        write_text_atomically(self._folder / INSTANCES_NAME, _csv(instances))
        return QueriesRecord(
            folder=str(self._folder),
            version=str(self._options.version),
            queries=len(self._rows),
            networks=len({row["onnx"] for row in self._rows}),
            file_bytes=self._bytes,
            largest_difference=max(self._differences),
            left_out=tuple(self._left_out),
        )

    def _write_network(self, name: str, sample: Sample, region: PerturbationRange) -> None:
        perturbation = require_affine(region.perturbation)
        key = (perturbation.dimension, perturbation.clip)
        if key not in self._traced:
            self._traced[key] = theta_network(self._pipeline, *key, self._options.opset)
        model = self._traced[key].of(sample.image, perturbation)
        described = {"task": str(self._pipeline.task), "image": sample.name, "perturbation": repr(perturbation)}
        attach(model, {"version": metadata.version("usncli"), **described})
        content = model.SerializeToString(deterministic=True)
        write_atomically(self._folder / name, lambda temporary: _write(temporary, content))
        self._count(name)

    def _checked(self, name: str, image: Tensor, region: PerturbationRange) -> float:
        """Return by how much onnxruntime and PyTorch differ at the range's ends and at the identity."""
        opened = session(self._folder / name)
        ends = [region.lower, region.upper, region.perturbation.identity]
        theta = torch.tensor(ends, dtype=torch.float32)
        with torch.no_grad():
            expected = self._pipeline(region.perturbation.expand(image, theta.to(image))).flatten(1)
        outputs = torch.cat([run_onnx(opened, point.unsqueeze(0)) for point in theta])
        difference = largest_difference(outputs, expected)
        if not difference <= self._options.tolerance:
            raise ParityError(
                f"parity: expected {name} to predict what PyTorch does within {self._options.tolerance:g}, got a "
                f"largest difference of {difference:.3g}; raise the tolerance if that is harmless"
            )
        return difference

    def _count(self, name: str) -> None:
        self._hashes[name] = sha256_of_file(self._folder / name)
        self._bytes += (self._folder / name).stat().st_size


def _about(
    index: int, sample: Sample, region: PerturbationRange, claim: Property, options: QueryOptions
) -> dict[str, Any]:
    """Return what a person has to know of a query, one value a column."""
    return {
        "index": index,
        "image": sample.name,
        "range": region.label,
        "pivot": str(getattr(region.perturbation, "pivot", "")),
        "clip": region.perturbation.clip,
        "property": type(claim).__name__.removesuffix("Property").lower(),
        "tau": "" if isinstance(claim, ClassificationProperty) else options.certify.tau,
        "reference": str(options.certify.reference),
    }


def _kind(region: PerturbationRange) -> str:
    """Return what a file's name says of a perturbation beyond its parameters, where it is not the default."""
    pivot = getattr(region.perturbation, "pivot", Pivot.ZERO)
    return ("" if pivot == Pivot.ZERO else f"-{pivot}") + ("" if region.perturbation.clip else "-unclipped")


def _csv(rows: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
