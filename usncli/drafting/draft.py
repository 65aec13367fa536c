"""From a checkpoint and images to a draft of usn.yaml."""

from __future__ import annotations

from torch import nn

from usncli.bounding.rewriting.rewrite import unsupported_operations
from usncli.drafting.entries import Draft, Entry, Section, State
from usncli.drafting.images import PROVISIONAL, FoundImages, look_at_images
from usncli.drafting.network import Captured, FoundNetwork, describe_graph, describe_module, describe_own
from usncli.drafting.offers import offered_sections
from usncli.drafting.question import Question
from usncli.drafting.unseen import describe_untrusted, describe_weights
from usncli.errors import UntrustedFileError
from usncli.loading.checkpoints.kinds import Container
from usncli.loading.checkpoints.opened import CheckpointSource, OpenedCheckpoint, open_checkpoint, read_content
from usncli.loading.data import DataOptions, open_data
from usncli.loading.datasets.image_files import label_task
from usncli.loading.preprocessing import Preprocessing
from usncli.settings import InitSettings, Resolved
from usncli.types import Task

FIRST_RANGE = "brightness=0.1"


def draft(
    resolved: Resolved[InitSettings],
    source: CheckpointSource,
    preprocessing: Preprocessing | None,
    options: DataOptions,
) -> Draft:
    """Find out what can be found out, and lay it out as sections of a usn.yaml.

    Args:
        resolved: the settings that are given.
        source: the checkpoint.
        preprocessing: what is given of it, for a checkpoint that states its own; None where no size is.
        options: how images are read.

    Raises:
        InputError: a file is missing or damaged, or does not fit what is given.
        ConfigurationError: the architecture cannot be built, or the images are for another task.
        UnsupportedOperationError: the network cannot be captured.
    """
    opened = open_checkpoint(source)
    question = Question(resolved, source, preprocessing, _images(resolved.settings, options))
    found = look_at_network(question, opened)
    _refuse_other_labels(question.images, found.task)
    perturb = Entry("perturb", [FIRST_RANGE], "a range to begin with, of [0, 1]; contrast=0.2 and gamma=0.2 are others")
    sections = (
        Section("The network", found.remarks, found.checkpoint),
        Section("Its images and predictions", _output_remarks(found), found.inputs),
        _images_section(question, found),
        Section("The changes of light that it must stand", (), (perturb,)),
    )
    unsupported = _unsupported(found.captured)
    return Draft((*sections, *offered_sections(found.task, unsupported or _certifiable(found.captured))), unsupported)


def look_at_network(question: Question, opened: OpenedCheckpoint) -> FoundNetwork:
    """Find out what a checkpoint tells, in the way that suits its kind; see `draft` for what is raised."""
    if opened.own or opened.stored is not None:
        return describe_own(question, opened)
    if opened.container in (Container.EXPORTED_PROGRAM, Container.ONNX):
        return describe_graph(question, opened)
    try:
        content = read_content(opened)
    except UntrustedFileError as error:
        return describe_untrusted(question, opened, error)
    if question.source.arch is None and not isinstance(content, nn.Module):
        return describe_weights(question, opened, content)
    return describe_module(question, opened)


def _images(settings: InitSettings, options: DataOptions) -> FoundImages | None:
    if settings.data is None:
        return None
    tasks = [Task(settings.task)] if settings.task else [Task.KEYPOINTS, Task.CLASSIFICATION]
    return look_at_images(settings.data, tasks, options)


def _refuse_other_labels(images: FoundImages | None, task: Task | None) -> None:
    """Refuse images that label another task than the network's, as the commands after this one would."""
    if images is None or images.labelled_task is None or task is None:
        return
    if images.labelled_task != label_task(task):
        open_data(images.location, PROVISIONAL, task, images.options)


def _images_section(question: Question, found: FoundNetwork) -> Section:
    images = question.images
    if images is None:
        data = Entry("data", "images", "a folder of images, a COCO keypoint JSON or an .npz file", State.MISSING)
        return Section("The images to look at", (), (data,))
    data = Entry("data", images.location, images.describe())
    given = question.given("annotations", "crop_margin", "class_name", "limit")
    notes = tuple(getattr(images.data, "notes", ()))
    return Section("The images to look at", notes, (data, *given, *_class_entries(images, found)))


def _class_entries(images: FoundImages, found: FoundNetwork) -> tuple[Entry, ...]:
    """Return an entry for the names of classes, where the images show fewer than the network tells apart."""
    names = images.data.label_names
    fewer = found.captured is not None and found.task == Task.CLASSIFICATION and images.data.labelled
    if not fewer or found.captured is None or found.captured.outputs == (len(names),) or images.options.class_names:
        return ()
    why = f"all {found.captured.outputs[0]} classes in the network's order: the images show {len(names)} of them"
    return (Entry("class-name", list(names), why, State.MISSING),)


def _output_remarks(found: FoundNetwork) -> tuple[str, ...]:
    if found.captured is None:
        return ()
    return (f"outputs for one image: {' x '.join(map(str, found.captured.outputs))}",)


def _unsupported(captured: Captured | None) -> tuple[str, ...]:
    """Say which operations cannot be certified, by layer."""
    if captured is None:
        return ()
    return tuple(
        f"cannot be certified: {item.layer} ({item.operation}): {item.reason}; {item.remedy}"
        for item in unsupported_operations(captured.network, captured.example)
    )


def _certifiable(captured: Captured | None) -> tuple[str, ...]:
    if captured is None:
        return ("whether the network can be certified is not known yet",)
    return ("every operation of the network can be certified",)
