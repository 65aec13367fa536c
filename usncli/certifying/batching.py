"""Pieces of several queries bounded as one batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from usncli.bounding.engine import Work
from usncli.bounding.rows import Rows
from usncli.certifying.branch_and_bound import Found
from usncli.certifying.engines import ChosenEngine
from usncli.certifying.problem import ImageProblem
from usncli.perturbing import Boxes, Lines

_OVERSHOOT = 1e-4


class Request(NamedTuple):
    """Pieces of one query that are to be bounded.

    Attributes:
        problem: whose pieces they are.
        boxes: the pieces.
        wanted: which rows of each are wanted, ``(pieces, rows)``.
        seconds: what its query may still take.
    """

    problem: ImageProblem
    boxes: Boxes
    wanted: Tensor
    seconds: float = math.inf


def bound_together(chosen: ChosenEngine, requests: Sequence[Request]) -> list[Found]:
    """Bound pieces of one query or several, of one network, as one batch.

    Returns:
        What was found of each request's pieces.

    Raises:
        ArithmeticError: a bound is above a value that the row takes: the engine is wrong and proves nothing.
    """
    problem = requests[0].problem.problem
    counts = [len(request.wanted) for request in requests]
    predictions = problem.predict(torch.cat([request.problem.centres(request.boxes) for request in requests]))
    parts = torch.split(predictions, counts)
    rows = [request.problem.claim.rows(part) for request, part in zip(requests, parts, strict=True)]
    values = joined_rows([own.scaled(problem.factor, problem.shift) for own in rows])
    centre = joined_rows(rows).values(predictions.flatten(1))
    thresholds = [request.problem.threshold(chosen) for request in requests]
    numbers = torch.tensor([request.problem.number for request in requests])
    work = Work(
        joined_lines([request.problem.lines(request.boxes) for request in requests]),
        values,
        _padded([request.wanted.to(centre.device) for request in requests], 1, False),
        centre,
        torch.repeat_interleave(torch.tensor(thresholds), torch.tensor(counts)).to(centre),
        max(request.boxes.lower.shape[1] for request in requests),
        max(request.seconds for request in requests),
        torch.repeat_interleave(numbers, torch.tensor(counts)).to(centre.device),
    )
    bounded = chosen.engine.lower_bounds(work)
    _check(bounded.lower, work)
    margins = torch.cat([request.problem.claim.margins(part) for request, part in zip(requests, parts, strict=True)])
    # One pass went into the centre.
    share = torch.zeros_like(bounded.passes) if bounded.share is None else bounded.share
    every = (bounded.lower, centre, margins, bounded.split, bounded.passes + 1, share)
    return _apart([part.cpu().double() for part in every], requests)


def _check(lower: Tensor, work: Work) -> None:
    overshoot = lower > work.centre + _OVERSHOOT * (1 + work.centre.abs()) + work.threshold.unsqueeze(1)
    if bool((overshoot & torch.isfinite(lower)).any()):
        raise ArithmeticError("a lower bound lies above a value inside its piece; the bound engine is unsound here")


def _apart(every: Sequence[Tensor], requests: Sequence[Request]) -> list[Found]:
    """Hand each request its own pieces, rows and parameters."""
    results, start = [], 0
    for request in requests:
        end, rows, dimension = start + len(request.wanted), request.wanted.shape[1], request.boxes.lower.shape[1]
        lower, centre, margins, split, passes, share = (part[start:end] for part in every)
        results.append(Found(lower[:, :rows], centre[:, :rows], margins, split[:, :dimension], passes, share))
        start = end
    return results


def joined_rows(rows: Sequence[Rows]) -> Rows:
    """Return the rows of all pieces; pieces with fewer get rows that are always 1."""
    return Rows(
        _padded([own.indices for own in rows], 1, 0),
        _padded([own.coefficients for own in rows], 1, 0.0),
        _padded([own.bias for own in rows], 1, 1.0),
    )


def joined_lines(lines: Sequence[Lines]) -> Lines:
    """Return the lines of all pieces; pieces with fewer directions get slopes of 0."""
    if len(lines) == 1:
        return lines[0]
    lower_slope = _padded([own.lower_slope for own in lines], 1, 0.0)
    lower = torch.cat([own.lower for own in lines])
    shared = all(own.upper_slope is own.lower_slope for own in lines)
    upper_slope = lower_slope if shared else _padded([own.upper_slope for own in lines], 1, 0.0)
    upper = lower if all(own.upper is own.lower for own in lines) else torch.cat([own.upper for own in lines])
    return Lines(lower_slope, lower, upper_slope, upper)


def _padded(parts: Sequence[Tensor], axis: int, value: float) -> Tensor:
    """Concatenate along the first axis after filling another one up to the largest size."""
    most = max(part.shape[axis] for part in parts)
    after = [0, 0] * (parts[0].dim() - axis - 1)
    return torch.cat([functional.pad(part, [*after, 0, most - part.shape[axis]], value=value) for part in parts])
