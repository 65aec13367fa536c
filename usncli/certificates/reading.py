"""Reading a certificate: whole, unchanged, one image at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from usncli.certificates.lines import FORMAT, LINE, SHORT, VERSION, Binding, End, Hasher, ImageLine, Line, Statement
from usncli.errors import CertificateError, InputError


@dataclass(frozen=True)
class Certificate:
    """A certificate whose lines are as they were when it was issued.

    Attributes:
        path: the file.
        statement: what it claims.
        end: counts and digests.
        bindings: files that it was bound to.
    """

    path: Path
    statement: Statement
    end: End
    bindings: tuple[Binding, ...]

    @classmethod
    def open(cls, path: Path) -> Certificate:
        """Read a certificate once, line by line, and make sure that nothing was changed, lost or added.

        Raises:
            InputError: there is no such file, or it is something else.
            CertificateError: a line was changed, is missing or stands where it must not; the message names it.
        """
        lines = _numbered(path)
        _, raw = next(lines, (1, b""))
        statement = _statement(path, raw)
        hasher, end, bindings, images, counts = Hasher(), None, list[Binding](), 0, dict[str, int]()
        hasher.add(raw)
        for number, raw in lines:
            line = _parsed(path, number, raw)
            if isinstance(line, ImageLine) and end is None:
                if line.index != images or [proof.range for proof in line.proofs] != [*range(len(statement.ranges))]:
                    raise CertificateError(f"{path}, line {number}: expected image {images} with one proof a range")
                images += 1
                hasher.add(raw)
                for proof in line.proofs:
                    counts[proof.verdict] = counts.get(proof.verdict, 0) + 1
            elif isinstance(line, End) and end is None:
                end = line
                _same(path, end, hasher)
            elif isinstance(line, Binding) and end is not None:
                bindings.append(line)
            else:
                raise CertificateError(f"{path}, line {number}: a line of kind {line.kind!r} does not belong here")
        if end is None:
            raise CertificateError(f"{path}: the certificate is cut off after {images} images; its end is missing")
        if images != statement.images or counts != end.counts:
            raise CertificateError(f"{path}: the certificate's counts do not agree with its {images} images")
        return cls(path, statement, end, tuple(bindings))

    def images(self) -> Iterator[ImageLine]:
        """Read the images again, one at a time.

        Raises:
            CertificateError: the file was changed since it was opened.
        """
        hasher = Hasher()
        for number, raw in _numbered(self.path):
            line = _parsed(self.path, number, raw)
            if isinstance(line, End):
                break
            hasher.add(raw)
            if isinstance(line, ImageLine):
                yield line
        _same(self.path, self.end, hasher)


def _same(path: Path, end: End, hasher: Hasher) -> None:
    """Compare the lines that were read with the digests of those that were issued."""
    for number, (issued, found) in enumerate(zip(end.lines, hasher.lines, strict=False), 1):
        if issued != found:
            raise CertificateError(f"{path}, line {number}: this line was changed after the certificate was issued")
    if len(end.lines) != len(hasher.lines) or end.sha256 != hasher.digest:
        raise CertificateError(
            f"{path}: expected {len(end.lines)} lines of SHA-256 {end.sha256[:SHORT]}..., found {len(hasher.lines)} of "
            f"{hasher.digest[:SHORT]}...; the certificate was changed after it was issued"
        )


def _numbered(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from enumerate(file, 1)
    except OSError as error:
        raise InputError(f"certificate {path}: expected a file, {error.strerror or error}; check the path") from error


def _statement(path: Path, raw: bytes) -> Statement:
    """Read the first line; a file without our format's name in it is something else."""
    if FORMAT.encode() not in raw:
        raise InputError(f"{path}: expected a certificate of usn certify, found something else; check the path")
    line = _parsed(path, 1, raw)
    if not isinstance(line, Statement):
        raise CertificateError(f"{path}, line 1: expected the statement of a certificate, version {VERSION}")
    return line


def _parsed(path: Path, number: int, raw: bytes) -> Statement | ImageLine | End | Binding:
    try:
        if not raw.endswith(b"\n"):
            raise ValueError("the line is cut off")
        line: Line = LINE.validate_json(raw)
    except (ValidationError, ValueError) as error:
        what = str(error) if not isinstance(error, ValidationError) else _first_mistake(error)
        raise CertificateError(f"{path}, line {number}: {what}") from error
    assert isinstance(line, Statement | ImageLine | End | Binding)
    return line


def _first_mistake(error: ValidationError) -> str:
    mistake = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in mistake["loc"])
    return f"{place}: {mistake['msg']}" if place else str(mistake["msg"])
