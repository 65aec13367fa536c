"""What ``usn export`` wrote, and how closely onnxruntime agrees with PyTorch."""

from __future__ import annotations

from usncli.reporting.document import Headline, KeyFigure, Section, Status
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.view import KindView, Record
from usncli.reporting.table import Column, Table, table


def tables(record: Record) -> tuple[Table, ...]:
    """Return the file and the comparisons."""
    return file_table(record), parity_table(record)


def file_table(record: Record) -> Table:
    """Return what was written."""
    inside = "inside the graph: images in [0, 1] go in" if record["preprocessing_included"] else "not in the graph"
    rows = [
        ("file", record["path"]),
        ("sha256", record["sha256"]),
        ("size", f"{record['file_bytes']:,} bytes, {record['parameters']:,} parameters"),
        ("opset", str(record["opset"])),
        ("input", f"images, (batch, {', '.join(map(str, record['input_shape']))})"),
        ("output", f"{record['output_name']}, (batch, {', '.join(map(str, record['output_shape']))})"),
        ("preprocessing", inside),
    ]
    return table("ONNX", ["", ""], rows)


def parity_table(record: Record) -> Table:
    """Return the largest difference of each comparison."""
    rows = [
        (comparison["provider"], comparison["batch"], comparison["largest_difference"])
        for comparison in record["comparisons"]
    ]
    columns = [Column("onnxruntime on"), Column("batch", "d"), Column("largest difference", ".2e")]
    note = f"Absolute, in units of the output, on real images; up to {record['tolerance']:g} was allowed."
    return table("PyTorch against onnxruntime", columns, rows, note)


def headline(run: FinishedRun) -> Headline:
    """Say that the file computes what PyTorch computes, and how closely."""
    record = run.record
    text = (
        f"The ONNX file computes what PyTorch computes: the largest difference is {record['largest_difference']:.2g}, "
        f"{record['tolerance']:g} was allowed."
    )
    return Headline(text, Status.PASSED)


def key_figures(record: Record) -> tuple[KeyFigure, ...]:
    """Return size and difference."""
    size = record["file_bytes"]
    shown = f"{size / 1e6:.2f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
    return (
        KeyFigure("ONNX file", shown, f"opset {record['opset']}"),
        KeyFigure("Largest difference", f"{record['largest_difference']:.1e}", f"allowed: {record['tolerance']:g}"),
    )


def section(run: FinishedRun) -> Section:
    """Return everything about an export."""
    rows = sorted(run.record["metadata"].items())
    metadata = table("Metadata in the file", ["key", "value"], rows)
    return Section(f"Export: {run.name}", (headline(run).text,), tables(run.record), folded=(metadata,))


VIEW = KindView(tables, headline, key_figures, section)
