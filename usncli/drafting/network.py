"""What a checkpoint tells of its network: by its own statement, by its graph, or by running it."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor, fx, nn

from usncli.drafting.entries import Entry, State, yaml_value
from usncli.drafting.input_size import Sizes, channels_of_module, size_entry, try_sizes
from usncli.drafting.inputs import channels_of_colour, colour_entry, normalisation_entries
from usncli.drafting.question import Question
from usncli.drafting.task import task_entry, units_entry
from usncli.drafting.trials import normalisation_tried
from usncli.loading.checkpoint import load_checkpoint, make_pipeline
from usncli.loading.checkpoints.opened import OpenedCheckpoint, capture_checkpoint, load_module, stated_input_sizes
from usncli.loading.preprocessing import Colour, KeypointUnits, Preprocessing
from usncli.settings.parsing import ImageSize
from usncli.types import Task


class Captured(NamedTuple):
    """A captured network that was run once.

    Attributes:
        network: the network.
        example: a grey image for it, normalised, ``(1, channels, height, width)``.
        outputs: shape of its raw outputs for one image, without the batch.
    """

    network: fx.GraphModule
    example: Tensor
    outputs: tuple[int, ...]


class FoundNetwork(NamedTuple):
    """What was found out about a network.

    Attributes:
        checkpoint: settings of the file.
        remarks: what else its file tells, a line each.
        inputs: settings of the images that it takes and of what it predicts.
        task: what it predicts, where that is known.
        captured: the network, where it could be run.
    """

    checkpoint: tuple[Entry, ...]
    remarks: tuple[str, ...]
    inputs: tuple[Entry, ...]
    task: Task | None = None
    captured: Captured | None = None


class _Inputs(NamedTuple):
    """What a file tells of the images that its network takes: channels, what takes them, and the size."""

    channels: int | None
    what: str
    size: Entry
    sizes: Sizes = Sizes()


def describe_own(question: Question, opened: OpenedCheckpoint) -> FoundNetwork:
    """Describe a file that usn wrote or exported: it states all of it.

    Raises:
        InputError: the file is damaged, or differs from what is given.
    """
    task = question.settings.task
    loaded = load_checkpoint(question.source, question.preprocessing, Task(task) if task else None)
    pipeline = loaded.pipeline
    stated = opened.stored.original if opened.stored is not None else pipeline.preprocessing
    values = {
        "size": yaml_value(ImageSize(stated.width, stated.height)),
        "colour": str(stated.colour),
        "mean": yaml_value(stated.mean),
        "std": yaml_value(stated.std),
        "task": str(pipeline.task),
        **({"keypoint-units": str(stated.keypoint_units)} if pipeline.task == Task.KEYPOINTS else {}),
    }
    why = "stated in the checkpoint; another value is an error"
    return FoundNetwork(
        question.checkpoint_entries(opened),
        (remark(loaded.kind, loaded.sha256), *loaded.notes),
        tuple(Entry(key, value, why, State.STATED) for key, value in values.items()),
        pipeline.task,
        _run(pipeline.network, pipeline.preprocessing),
    )


def describe_graph(question: Question, opened: OpenedCheckpoint) -> FoundNetwork:
    """Describe an exported program or an ONNX network: its graph states the images, where it does not take any.

    Raises:
        InputError: the file is damaged, or does not fit what is given.
        UnsupportedOperationError: the network cannot be captured.
    """
    channels, height, width = stated_input_sizes(opened)
    size = size_entry(Sizes(), question.images)
    if width is not None and height is not None:
        size = Entry("size", yaml_value(ImageSize(width, height)), "the file takes images of this size alone")
    return _describe(question, opened, _Inputs(channels, "the file", size))


def describe_module(question: Question, opened: OpenedCheckpoint) -> FoundNetwork:
    """Describe a module of the user's own by running it at the size that is given, or at many.

    Raises:
        InputError: the file is damaged, or does not fit its architecture.
        ConfigurationError: the architecture cannot be built.
        UnsupportedOperationError: the network cannot be captured.
    """
    module = load_module(opened).module
    channels = channels_of_module(module)
    sizes = Sizes()
    if question.settings.size is None:
        sizes = try_sizes(module, channels or channels_of_colour(Colour(question.settings.colour)), question.images)
    inputs = _Inputs(channels, "the first convolution", size_entry(sizes, question.images), sizes)
    return _describe(question, opened, inputs)


def remark(kind: str, sha256: str) -> str:
    """Return one line on a file."""
    return f"{kind}, sha256 {sha256}"


def _describe(question: Question, opened: OpenedCheckpoint, inputs: _Inputs) -> FoundNetwork:
    settings, images = question.settings, question.images
    (size,) = question.given("size") or (inputs.size,)
    colour = colour_entry(question, inputs.channels, inputs.what)
    checkpoint = question.checkpoint_entries(opened)
    shape = _image_size(size) or inputs.sizes.one_to_look_at
    if shape is None:
        (task,) = question.given("task") or (task_entry((), images),)
        inputs_and_task = (size, colour, *normalisation_entries(question), task)
        return FoundNetwork(checkpoint, (f"sha256 {opened.sha256}",), inputs_and_task)
    units = KeypointUnits(settings.keypoint_units)
    colours = Colour(colour.value)
    preprocessing = Preprocessing(shape.height, shape.width, colours, settings.mean, settings.std, units)
    loaded = capture_checkpoint(opened, preprocessing.input_shape)
    captured = _run(loaded.network, preprocessing)
    predictions = _prediction_entries(question, captured, preprocessing)
    task = predictions[0]
    normalisation = normalisation_entries(
        question, _normalisation_tried(question, captured, preprocessing, predictions)
    )
    return FoundNetwork(
        checkpoint,
        (remark(loaded.kind, opened.sha256), *loaded.notes),
        (size, colour, *normalisation, *predictions),
        Task(task.value) if task.state == State.KNOWN else None,
        captured,
    )


def _prediction_entries(question: Question, captured: Captured, preprocessing: Preprocessing) -> tuple[Entry, ...]:
    """Return what the network predicts, and in which units; a task that is given must fit the outputs."""
    (task,) = question.given("task") or (task_entry(captured.outputs, question.images),)
    if task.state != State.KNOWN:
        return (task,)
    make_pipeline(question.source.path, captured.network, preprocessing, Task(task.value))
    if task.value != Task.KEYPOINTS:
        return (task,)
    units = question.given("keypoint_units") or (units_entry(captured.network, preprocessing, question.images),)
    return (task, *units)


def _normalisation_tried(
    question: Question, captured: Captured, preprocessing: Preprocessing, predictions: tuple[Entry, ...]
) -> str:
    """Say what ImageNet's normalisation would change, in the units that were found; nothing where a task is missing."""
    task, *units = predictions
    if question.given("mean", "std") or task.state != State.KNOWN:
        return ""
    if units:
        preprocessing = dataclasses.replace(preprocessing, keypoint_units=KeypointUnits(units[0].value))
    return normalisation_tried(captured.network, preprocessing, Task(task.value), question.images)


def _image_size(size: Entry) -> ImageSize | None:
    """Return the size that images will have, where it is known."""
    if size.state != State.KNOWN:
        return None
    width, _, height = str(size.value).partition("x")
    return ImageSize(int(width), int(height or width))


def _run(network: nn.Module, preprocessing: Preprocessing) -> Captured:
    """Run a captured network on one grey image."""
    assert isinstance(network, fx.GraphModule)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    example = (torch.full((1, *preprocessing.input_shape), 0.5) - mean) / std
    with torch.no_grad():
        return Captured(network, example, tuple(network(example).shape[1:]))
