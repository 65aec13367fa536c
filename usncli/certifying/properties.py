"""What is certified: properties of predictions as rows that must stay above 0.

Every property compares predictions under a perturbation with a fixed reference. Ties count as failing everywhere.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from usncli.bounding.rows import Rows
from usncli.loading.heatmaps import cell_centres


@dataclass(frozen=True)
class Property(ABC):
    """A property of the predictions for one image."""

    @abstractmethod
    def margins(self, outputs: Tensor) -> Tensor:
        """Return the margin of each prediction, ``(batch,)``: the property holds where it is above 0.

        Args:
            outputs: predictions of a `Pipeline`, in the form of its task.
        """

    @abstractmethod
    def rows(self, outputs: Tensor) -> Rows:
        """Return rows, for each prediction, that all above 0 imply the property for any outputs.

        Args:
            outputs: predictions at the centres of pieces, ``(pieces, ...)``; the rows may depend on them, their number
                and what each row stands for may not: a row proved over a piece is proved over its parts.
        """


@dataclass(frozen=True)
class ClassificationProperty(Property):
    """The reference class has a higher logit than every other.

    Attributes:
        reference: index of the class.
    """

    reference: int

    def margins(self, outputs: Tensor) -> Tensor:
        """Return the reference's logit less the highest other one."""
        others = outputs.clone()
        others[:, self.reference] = -torch.inf
        return outputs[:, self.reference] - others.amax(dim=1)

    def rows(self, outputs: Tensor) -> Rows:
        """Return one row an other class: the reference's logit less its own."""
        pieces, classes = outputs.shape
        others = torch.tensor([index for index in range(classes) if index != self.reference], device=outputs.device)
        indices = torch.stack([torch.full_like(others, self.reference), others], dim=1)
        signs = outputs.new_tensor([1.0, -1.0]).expand(pieces, classes - 1, 2)
        return Rows(indices.expand(pieces, -1, -1), signs, outputs.new_zeros(pieces, classes - 1))


@dataclass(frozen=True)
class KeypointProperty(Property):
    """Every visible keypoint's x and y each stay less than tau pixels from the reference (the max-norm).

    Attributes:
        reference: ``(keypoints, 2)``, x and y in pixels.
        visible: ``(keypoints,)``, which keypoints count.
        tau: pixels, above 0.
    """

    reference: Tensor
    visible: Tensor
    tau: float

    def margins(self, outputs: Tensor) -> Tensor:
        """Return tau less the largest distance of a visible coordinate from its reference."""
        distances = (outputs - self.reference.to(outputs)).abs()
        distances = torch.where(self.visible.to(outputs.device)[:, None], distances, torch.zeros_like(distances))
        return self.tau - distances.flatten(1).amax(dim=1)

    def rows(self, outputs: Tensor) -> Rows:
        """Return two rows a visible coordinate: tau less its deviation to either side."""
        coordinates = self.visible.to(outputs.device).repeat_interleave(2).nonzero().squeeze(1)
        reference = self.reference.to(outputs).flatten()[coordinates]
        indices = coordinates.repeat(2)
        signs = torch.cat([-torch.ones_like(reference), torch.ones_like(reference)])
        bias = torch.cat([self.tau + reference, self.tau - reference])
        coefficients = torch.stack([signs, torch.zeros_like(signs)], dim=1)
        pieces = len(outputs)
        return Rows(
            torch.stack([indices, indices], dim=1).expand(pieces, -1, -1),
            coefficients.expand(pieces, -1, -1),
            bias.expand(pieces, -1),
        )


@dataclass(frozen=True)
class HeatmapProperty(Property):
    """The highest cell of every visible keypoint's map stays within tau pixels of the reference's cell.

    Distances are between cell centres, in image pixels, by the larger of the distances in x and y (the max-norm); cell
    (row i, column j) has its centre at ((j + 0.5) W / w, (i + 0.5) H / h). A map is safe if its highest near cell is
    higher than every far cell.

    Attributes:
        near: ``(keypoints, height, width)``, which cells are near the reference; all, where a keypoint does not count.
    """

    near: Tensor

    def margins(self, outputs: Tensor) -> Tensor:
        """Return the least, over maps, of the highest near cell less the highest far one."""
        near = self.near.to(outputs.device)
        highest_near = outputs.masked_fill(~near, -torch.inf).flatten(2).amax(dim=2)
        highest_far = outputs.masked_fill(near, -torch.inf).flatten(2).amax(dim=2)
        return (highest_near - highest_far).amin(dim=1)

    def rows(self, outputs: Tensor) -> Rows:
        """Return one row a far cell: the near cell that is highest at the piece's centre less that far cell.

        Sound, since whichever near cell beats a far one, the highest near cell does; complete, since as a piece shrinks
        the cell that is highest at its centre is the highest.
        """
        near = self.near.to(outputs.device)
        maps, rows, columns = (~near).nonzero(as_tuple=True)
        height, width = near.shape[1:]
        far = (maps * height + rows) * width + columns
        best = outputs.masked_fill(~near, -torch.inf).flatten(2).argmax(dim=2)
        best = best + torch.arange(near.shape[0], device=best.device) * height * width
        pieces = len(outputs)
        indices = torch.stack([best[:, maps], far.expand(pieces, -1)], dim=2)
        signs = outputs.new_tensor([1.0, -1.0]).expand(indices.shape)
        return Rows(indices, signs, outputs.new_zeros(indices.shape[:2]))


def near_cells(peaks: Tensor, map_shape: tuple[int, int], image_shape: tuple[int, int], tau: float) -> Tensor:
    """Return which cells of each map lie within tau pixels, in x and in y, of a reference point.

    Args:
        peaks: ``(keypoints, 2)``, x and y in image pixels.
        map_shape: height and width of the maps in cells.
        image_shape: height and width of the image in pixels.
        tau: pixels, at least 0.

    Returns:
        ``(keypoints, map height, map width)``, bool.
    """
    x, y = cell_centres(map_shape, image_shape)
    near_x = (x[None].double() - peaks[:, :1].double().cpu()).abs() <= tau
    near_y = (y[None].double() - peaks[:, 1:].double().cpu()).abs() <= tau
    return near_y[:, :, None] & near_x[:, None, :]
