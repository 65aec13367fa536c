"""Writing the certificate of a certification run, and binding a certificate to the file that ships."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

from usncli.certificates.describing import describe_network, describe_range, describe_reference
from usncli.certificates.lines import Binding, End, Hasher, ImageLine, Line, Proof, Reference, Statement, encode
from usncli.certificates.reading import Certificate
from usncli.certifying.claims import make_claim
from usncli.certifying.engines import ROW_ROUNDING
from usncli.certifying.hashing import hash_sample
from usncli.certifying.options import SLACKS, CertifyOptions
from usncli.certifying.records import CertificationRecord
from usncli.certifying.verdicts import QueryRecord, Verdict
from usncli.errors import UsnError
from usncli.files import write_atomically
from usncli.loading.pipeline import Pipeline
from usncli.perturbing import PerturbationRange
from usncli.types import ImageData, Sample


def issue(
    path: Path,
    pipeline: Pipeline,
    data: ImageData,
    ranges: Sequence[PerturbationRange],
    record: CertificationRecord,
    options: CertifyOptions,
) -> str:
    """Write the certificate of a finished run, image by image, and return its digest.

    Args:
        path: the file; it appears whole or not at all.
        pipeline: what was certified.
        data: what it was certified on.
        ranges: against what, in the order of the run.
        record: of the run, as `usncli.certifying.certify.certify` returned it: with partitions.
        options: of the run.
    """
    statement = Statement(
        claim=record.claim,
        network=describe_network(pipeline),
        images=len(record.queries) // len(ranges),
        ranges=tuple(describe_range(region) for region in ranges),
        tau=options.tau,
        reference=options.reference.value,
        arithmetic=options.arithmetic.value,
        slack={"usn": ROW_ROUNDING, "lirpa": SLACKS[options.dtype]},
        versions=_versions(),
    )
    hasher = Hasher()

    def lines() -> Iterator[Line]:
        yield statement
        for index in range(statement.images):
            sample, queries = data[index], record.queries[index * len(ranges) : (index + 1) * len(ranges)]
            yield ImageLine(
                index=index,
                name=sample.name,
                sha256=hash_sample(sample),
                reference=_reference(pipeline, sample, options, labelled=data.labelled),
                proofs=tuple(_proof(place, query) for place, query in enumerate(queries)),
            )

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            for line in lines():
                encoded = encode(line)
                hasher.add(encoded)
                file.write(encoded)
            counts = {verdict: count for verdict, count in record.counts.items() if count}
            file.write(encode(End(counts=counts, lines=tuple(hasher.lines), sha256=hasher.digest)))

    write_atomically(path, write)
    return hasher.digest


def bind(path: Path, onnx_sha256: str, name: str) -> None:
    """Write the hash of the file that ships into a certificate; what was certified, and its digest, stay.

    Raises:
        InputError, CertificateError: the file is no whole certificate.
    """
    certificate, binding = Certificate.open(path), Binding(sha256=onnx_sha256, name=name)
    if binding not in certificate.bindings:
        content = path.read_bytes() + encode(binding)

        def write(temporary: Path) -> None:
            temporary.write_bytes(content)

        write_atomically(path, write)


def _reference(pipeline: Pipeline, sample: Sample, options: CertifyOptions, *, labelled: bool) -> Reference | None:
    try:
        return describe_reference(make_claim(pipeline, sample, options, labelled=labelled))
    except UsnError:
        # Nothing of the image can be certified; its verdicts say error.
        return None


def _proof(place: int, query: QueryRecord) -> Proof:
    certified = query.verdict == Verdict.CERTIFIED
    partition = query.partition if certified else None
    return Proof(
        range=place,
        verdict=query.verdict.value,
        engine=query.engine if certified else None,
        margin=query.margin if certified else None,
        witness=query.witness,
        edges=None if partition is None else partition.edges,
        cells=None if partition is None else partition.cells,
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in ("usncli", "torch", "auto_LiRPA"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
