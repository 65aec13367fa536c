"""How far predictions are from labels: pixels for keypoints, the share of wrong classes for classification."""

from __future__ import annotations

import torch
from torch import Tensor

from usncli.errors import InputError
from usncli.loading.batching import batches
from usncli.loading.heatmaps import peaks
from usncli.loading.pipeline import Pipeline
from usncli.types import ImageData, Task

ERROR_UNITS = {
    Task.CLASSIFICATION: "share wrong",
    Task.KEYPOINTS: "px",
    Task.HEATMAPS: "px",
}
"""What one unit of `prediction_error` is; lower is better for every task."""


def prediction_errors(task: Task, outputs: Tensor, targets: Tensor, image_shape: tuple[int, int]) -> Tensor:
    """Return the error of each label of a batch; their mean over several batches is exact when they are concatenated.

    Args:
        task: what the outputs are.
        outputs: what `Pipeline` returns for a batch, see `Task`.
        targets: ``(batch,)`` classes or ``(batch, keypoints, 3)`` keypoints, see `usncli.types.Sample`.
        image_shape: height and width of the network's input in pixels.

    Returns:
        ``(labels,)``. Keypoints and heatmaps: the Euclidean distance, in pixels of the network's input, of the
        predicted coordinates, or of the peak's cell centre, to each labelled keypoint. Classification: 0 where the
        highest logit is the labelled class, else 1. What is not labelled has no entry.

    Raises:
        InputError: the network predicts another number of keypoints, or has fewer classes, than are labelled.
    """
    if task == Task.CLASSIFICATION:
        return _classification_errors(outputs, targets)
    if outputs.shape[1] != targets.shape[1]:
        if targets.shape[1] == 0:
            return outputs.new_zeros(0)
        raise InputError(
            f"the network predicts {outputs.shape[1]} keypoints and the data label {targets.shape[1]}: "
            "they must be the same; choose other data or another checkpoint"
        )
    positions = peaks(outputs, image_shape) if task == Task.HEATMAPS else outputs
    distances: Tensor = torch.linalg.vector_norm(positions - targets[..., :2], dim=-1)
    return distances[targets[..., 2] > 0]


def prediction_error(task: Task, outputs: Tensor, targets: Tensor, image_shape: tuple[int, int]) -> Tensor:
    """Return the mean of `prediction_errors` over a batch, a scalar: lower is better, NaN where nothing is labelled."""
    return prediction_errors(task, outputs, targets, image_shape).mean()


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the share of a batch that is classified as labelled, a scalar in [0, 1]."""
    return 1 - prediction_error(Task.CLASSIFICATION, outputs, targets, (1, 1))


@torch.no_grad()
def error_on_data(pipeline: Pipeline, data: ImageData, *, batch_size: int = 64) -> float:
    """Return the mean error of a network over all labels of a data set, in the units of `ERROR_UNITS`.

    Runs where the network's normalisation lies, and leaves its training or evaluation mode alone.

    Args:
        pipeline: the network.
        data: labelled images at its input size.
        batch_size: images a forward pass.

    Raises:
        InputError: the data have no labels, or labels that the network does not predict.
    """
    if not data.labelled:
        raise InputError("the error of a network needs labels; pass data that have them")
    shape = (pipeline.preprocessing.height, pipeline.preprocessing.width)
    device = pipeline.mean.device
    errors = [
        prediction_errors(pipeline.task, pipeline(batch.images.to(device)), batch.targets.to(device), shape).cpu()
        for batch in batches(data, batch_size)
    ]
    return float(torch.cat(errors).double().mean())


def require_matching_labels(pipeline: Pipeline, data: ImageData) -> None:
    """Check, by one forward pass, that the network predicts what the data label.

    Raises:
        InputError: another number of classes or keypoints; no check for data without labels.
    """
    if not data.labelled:
        return
    modes = [(module, module.training) for module in pipeline.modules()]
    pipeline.eval()
    with torch.no_grad():
        outputs = pipeline(data[0].image.unsqueeze(0).to(pipeline.mean.device))
    for module, mode in modes:
        module.training = mode
    predicted, labelled = outputs.shape[1], len(data.label_names)
    if predicted == labelled:
        return
    what = "classes" if pipeline.task == Task.CLASSIFICATION else "keypoints"
    names = ", ".join(data.label_names[:4]) + (", ..." if labelled > 4 else "")
    hint = "; name all classes of the network in its order where the data hold some" if what == "classes" else ""
    raise InputError(f"the network predicts {predicted} {what} and the data name {labelled} ({names}){hint}")


def _classification_errors(outputs: Tensor, targets: Tensor) -> Tensor:
    known = targets >= 0
    if known.any() and int(targets.max()) >= outputs.shape[1]:
        raise InputError(
            f"the network has {outputs.shape[1]} classes and the data label class {int(targets.max())} "
            "(counted from 0); choose other data or another checkpoint"
        )
    return (outputs.argmax(dim=1) != targets).to(outputs.dtype)[known]
