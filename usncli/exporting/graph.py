"""From a pipeline to an ONNX graph, by torch.export's exporter."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import onnx
import torch
from onnx import version_converter
from torch import Tensor, nn

from usncli.errors import ConfigurationError, UnsupportedOperationError
from usncli.loading.pipeline import Pipeline
from usncli.loading.quiet import quietly
from usncli.types import Task

OLDEST_OPSET = 14
NEWEST_OPSET = 25
EXPORTER_OPSET = 18
"""The oldest opset that torch's exporter writes itself; older ones are converted by onnx, where it can."""

INPUT_NAME = "images"
BATCH_NAME = "batch"
_KEPT_NODE_NOTES = {"pkg.torch.onnx.name_scopes"}


@dataclass(frozen=True)
class ExportOptions:
    """What goes into the ONNX file.

    Attributes:
        include_preprocessing: True: the graph takes images in [0, 1] and returns what `Pipeline` returns. False: it
            takes normalised images and returns the network's raw outputs.
        opset: version of ONNX's operator set.
        tolerance: largest absolute difference allowed between PyTorch and onnxruntime, in units of the output: by
            default a thousandth of a pixel, or of a logit.
        float16: whether weights are rounded to float16, see `float16.store_as_float16`: another network.

    Raises:
        ConfigurationError: an opset that cannot be written, or a tolerance below 0.
    """

    include_preprocessing: bool = True
    opset: int = EXPORTER_OPSET
    tolerance: float = 1e-3
    float16: bool = False

    def __post_init__(self) -> None:
        if not OLDEST_OPSET <= self.opset <= NEWEST_OPSET:
            raise ConfigurationError(
                f"opset: expected {OLDEST_OPSET} to {NEWEST_OPSET}, got {self.opset}; "
                f"{EXPORTER_OPSET} suits most runtimes"
            )
        if not self.tolerance >= 0:
            raise ConfigurationError(f"tolerance: expected a number of at least 0, got {self.tolerance}")


def output_name(task: Task, include_preprocessing: bool) -> str:
    """Return the name of the graph's output.

    ``logits``, ``keypoints`` (pixels) or ``heatmaps``; ``raw_keypoints`` where the outputs of a keypoint network are
    left in its own units, so that no reader takes them for pixels.
    """
    if task == Task.CLASSIFICATION:
        return "logits"
    if task == Task.KEYPOINTS and not include_preprocessing:
        return "raw_keypoints"
    return str(task)


def exported_module(pipeline: Pipeline, options: ExportOptions) -> nn.Module:
    """Return a copy of what the options ask to export: float32, on the CPU, in eval mode."""
    module = pipeline if options.include_preprocessing else pipeline.network
    return copy.deepcopy(module).cpu().float().eval()


def to_onnx(pipeline: Pipeline, images: Tensor, options: ExportOptions) -> onnx.ModelProto:
    """Write a pipeline as one ONNX graph with a dynamic batch, its weights inside, checked by onnx.

    Args:
        pipeline: left as it is.
        images: ``(batch, channels, height, width)``, whatever the exported part takes; only its shape matters.
        options: what goes in.

    Raises:
        UnsupportedOperationError: the network cannot be traced with a batch of any size, holds an operation without an
            ONNX form, or has none in the chosen opset.
    """
    # A batch of 1 would be taken for a constant by torch.export.
    example = images[:1].float().cpu().repeat(2, 1, 1, 1)
    name = output_name(pipeline.task, options.include_preprocessing)
    ends = GraphEnds(INPUT_NAME, name, dynamic_batch=True)
    return translate(exported_module(pipeline, options), example, ends, options.opset)


class GraphEnds(NamedTuple):
    """What goes into a graph and comes out of it.

    Attributes:
        input_name: name of the one input.
        output_name: name of the one output.
        dynamic_batch: whether the first dimension may have any size; else it has that of the example.
    """

    input_name: str
    output_name: str
    dynamic_batch: bool


def translate(module: nn.Module, example: Tensor, ends: GraphEnds, opset: int) -> onnx.ModelProto:
    """Write a module as one ONNX graph, its weights inside, checked by onnx.

    Args:
        module: float32, on the CPU, in eval mode; one tensor in, one out.
        example: an input; where the batch is dynamic, of at least 2.
        ends: names of input and output, and the kind of batch.
        opset: version of ONNX's operator set.

    Raises:
        UnsupportedOperationError: as `to_onnx`.
    """
    model = _translate(module, example, ends, max(opset, EXPORTER_OPSET))
    model = _convert(model, opset)
    _strip_notes(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UnsupportedOperationError(f"ONNX: the exported graph is not valid: {_first_line(error)}") from error
    return model


def _translate(module: nn.Module, example: Tensor, ends: GraphEnds, opset: int) -> onnx.ModelProto:
    shapes = ({0: torch.export.Dim(BATCH_NAME, min=1)},) if ends.dynamic_batch else None
    try:
        with quietly("torch"), torch.no_grad():
            traced = torch.export.export(module, (example,), dynamic_shapes=shapes)
            program = torch.onnx.export(
                traced,
                dynamo=True,
                input_names=[ends.input_name],
                output_names=[ends.output_name],
                dynamic_shapes=shapes,
                opset_version=opset,
                verbose=False,
            )
    except RuntimeError as error:  # torch's tracing and conversion errors share no narrower root
        raise UnsupportedOperationError(
            f"ONNX: expected a network that torch.export can trace for any batch size, got: {reason_of(error)}; "
            "rewrite that layer or export it without"
        ) from error
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model: onnx.ModelProto = program.model_proto
    return model


def _convert(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    written = next(entry.version for entry in model.opset_import if entry.domain == "")
    if written == opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except RuntimeError as error:
        raise UnsupportedOperationError(
            f"opset: this network cannot be written in opset {opset} ({_first_line(error).rpartition(': ')[2]}); "
            f"choose {EXPORTER_OPSET} or later"
        ) from error


def _strip_notes(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: they hold source paths of the user's machine. Layer names stay."""
    del model.metadata_props[:]
    graph = model.graph
    for item in (graph, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del item.metadata_props[:]
    for node in graph.node:
        kept = [note for note in node.metadata_props if note.key in _KEPT_NODE_NOTES]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)


def reason_of(error: BaseException) -> str:
    """Return the last cause's first line: the exporter wraps what went wrong in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    specific = [line for line in lines if line.startswith("- You marked")]
    return (specific or lines or [type(error).__name__])[0].removeprefix("- ")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
