"""Checkpoints whose network cannot be run: weights without an architecture, and files that would run code."""

from __future__ import annotations

from collections.abc import Mapping

from usncli.drafting.entries import Entry, State, yaml_value
from usncli.drafting.input_size import EXAMPLE, channels_of_weights
from usncli.drafting.inputs import colour_entry, normalisation_entries
from usncli.drafting.network import FoundNetwork, remark
from usncli.drafting.question import Question
from usncli.drafting.task import task_entry
from usncli.errors import InputError, UntrustedFileError
from usncli.loading.checkpoints.kinds import CheckpointKind, Container
from usncli.loading.checkpoints.opened import OpenedCheckpoint
from usncli.loading.checkpoints.unwrap import find_weights

FACTORY = "package.module:factory"


def describe_weights(question: Question, opened: OpenedCheckpoint, content: object) -> FoundNetwork:
    """Describe weights whose architecture is not named, as far as the tensors' shapes tell.

    Args:
        question: what is given.
        opened: the file.
        content: what it holds.

    Raises:
        InputError: it holds no tensors.
    """
    weights = find_weights(content, frozenset()) if isinstance(content, Mapping) else None
    if weights is None:
        raise InputError(f"{question.source.path}: expected tensors by name, found none; give the file of the weights")
    arch = Entry("arch", FACTORY, "what builds the network that these weights belong to", State.MISSING)
    # A safetensors file sorts its tensors by name, so that neither the first nor the last layer is known.
    tensors = weights.tensors if opened.container == Container.PICKLE else {}
    last = next((tensor for tensor in reversed(tensors.values()) if tensor.dim() == 2), None)
    outputs = () if last is None else (int(last.shape[0]),)
    ending = (f"the last linear layer has {outputs[0]} outputs",) if outputs else ()
    return FoundNetwork(
        (*question.checkpoint_entries(opened), arch),
        (remark(CheckpointKind.WEIGHTS, opened.sha256), *weights.notes, *ending),
        _inputs(question, channels_of_weights(tensors), outputs),
    )


def describe_untrusted(question: Question, opened: OpenedCheckpoint, reason: UntrustedFileError) -> FoundNetwork:
    """Describe a file that would run code when it is loaded: nothing but its hash is known."""
    why = "if you made the file, uncomment this: loading it runs code from it"
    return FoundNetwork(
        (*question.checkpoint_entries(opened), Entry("trusted-sha256", opened.sha256, why, State.MISSING)),
        (str(reason).removeprefix(f"{question.source.path}: "),),
        _inputs(question, None, ()),
    )


def _inputs(question: Question, channels: int | None, outputs: tuple[int, ...]) -> tuple[Entry, ...]:
    images = question.images
    common = images.common_size if images else None
    why = "the size that the network was trained at" + ("; all images have this one" if common else "")
    size = Entry("size", yaml_value(common or EXAMPLE), why, State.MISSING)
    return (
        *(question.given("size") or (size,)),
        colour_entry(question, channels, "the first convolution"),
        *normalisation_entries(question),
        *(question.given("task") or (task_entry(outputs, images),)),
    )
