"""What ``usn export`` wrote, and how closely onnxruntime agrees with PyTorch."""

from __future__ import annotations

from usncli.reporting.document import Headline, KeyFigure, Section, Status
from usncli.reporting.finished_run import FinishedRun
from usncli.reporting.kinds.view import KindView, Record
from usncli.reporting.table import Column, Table, table


def tables(record: Record) -> tuple[Table, ...]:
    """Return the file, the comparisons, and where they are there: latencies, queries for other verifiers."""
    latency = (latency_table(record["latency"]),) if record.get("latency") else ()
    queries = (queries_table(record["vnnlib"]),) if record.get("vnnlib") else ()
    return file_table(record), parity_table(record), *latency, *queries


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
        *_float16(record),
    ]
    return table("ONNX", ["", ""], rows)


def _float16(record: Record) -> tuple[tuple[str, str], ...]:
    change = record.get("float16_change")
    if change is None:
        return ()
    return (("float16 weights", f"outputs move by up to {change:.2g}; no certificate carries over: certify this file"),)


def parity_table(record: Record) -> Table:
    """Return the largest difference of each comparison."""
    rows = [
        (comparison["provider"], comparison["batch"], comparison["largest_difference"])
        for comparison in record["comparisons"]
    ]
    columns = [Column("onnxruntime on"), Column("batch", "d"), Column("largest difference", ".2e")]
    note = f"Absolute, in units of the output, on real images; up to {record['tolerance']:g} was allowed."
    if record.get("float16_change") is not None:
        note += " Compared before weights were rounded to float16."
    return table("PyTorch against onnxruntime", columns, rows, note)


def latency_table(latency: Record) -> Table:
    """Return the times of both networks, and what was to be expected from what was cut."""
    rows = [
        (item["batch"], 1e3 * item["dense_seconds"], 1e3 * item["seconds"], item["ratio"])
        for item in latency["latencies"]
    ]
    columns = [
        Column("batch", "d"),
        Column("before pruning, ms", ".3f"),
        Column("exported, ms", ".3f"),
        Column("times as fast", ".2f"),
    ]
    note = (
        f"onnxruntime, CPU, {latency['threads']} thread; medians of {latency['runs']} runs in turn. Before pruning: "
        f"{latency['dense']}, {latency['multiply_add_ratio']:.2f} times the multiply-adds "
        f"({latency['dense_multiply_adds']:,} to {latency['multiply_adds']:,})."
    )
    return table("Latency", columns, rows, note)


def queries_table(queries: Record) -> Table:
    """Return what was written for other verifiers."""
    rows = [
        ("folder", queries["folder"]),
        ("VNN-LIB", queries["version"]),
        ("queries", f"{queries['queries']:,}, on {queries['networks']:,} networks, {queries['file_bytes']:,} bytes"),
        ("largest difference", f"{queries['largest_difference']:.2e}, at the ends of each range"),
        *(("left out", reason) for reason in queries["left_out"]),
    ]
    return table("Queries for other verifiers", ["", ""], rows)


def headline(run: FinishedRun) -> Headline:
    """Say that the file computes what PyTorch computes, and how closely."""
    record = run.record
    if record.get("float16_change") is not None:
        return Headline(
            "Weights are rounded to float16: this is another network than the checkpoint, and no certificate of that "
            f"one holds for it. Outputs move by up to {record['float16_change']:.2g} on the images compared. Run usn "
            "certify on the ONNX file.",
            Status.INFORMATION,
        )
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
        *_speed(record),
        KeyFigure("ONNX file", shown, f"opset {record['opset']}"),
        KeyFigure("Largest difference", f"{record['largest_difference']:.1e}", f"allowed: {record['tolerance']:g}"),
    )


def _speed(record: Record) -> tuple[KeyFigure, ...]:
    if not record.get("latency"):
        return ()
    latency = record["latency"]
    first = latency["latencies"][0]
    note = f"batch {first['batch']}; multiply-adds: {latency['multiply_add_ratio']:.2f} times fewer"
    return (KeyFigure("Times as fast", f"{first['ratio']:.2f}", note),)


def section(run: FinishedRun) -> Section:
    """Return everything about an export."""
    rows = sorted(run.record["metadata"].items())
    metadata = table("Metadata in the file", ["key", "value"], rows)
    return Section(f"Export: {run.name}", (headline(run).text,), tables(run.record), folded=(metadata,))


VIEW = KindView(tables, headline, key_figures, section)
