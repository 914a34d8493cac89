"""Evaluate a shape's field on a grid, at full resolution only near the surface.

A field is a function that is positive inside the shape. Learned shape decoders are such functions;
they cost milliseconds per thousand points, and all but a few percent of a fine grid are far from the
surface. A coarse grid is therefore evaluated completely and refined where the surface may pass, level
by level, until both ends of every edge that the surface crosses are evaluated (coarse-to-fine decoding,
Lai et al., "Unleashing Vecset Diffusion Model for Fast Shape Generation", 2025).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ..progress import Progress, ignore_progress, span_progress

Query = Callable[[torch.Tensor], torch.Tensor]
"""(N, 3) float32 points -> (N,) values, positive inside."""

_COARSEST = 64
_MAX_HALVINGS = 2
_REACH = 2.0
"""The surface may be near a grid point if its value is at most this many times its largest difference to
a neighbor, that is, if the local slope would reach zero within that many steps."""


@dataclass(frozen=True, eq=False)
class SampledField:
    """values: (R + 1, R + 1, R + 1) float32 on the CPU, axes x, y, z, from -half_extent to half_extent.

    Values far from the surface are interpolated from coarser levels; their sign is correct. points:
    number of evaluated points.
    """

    values: torch.Tensor
    half_extent: float
    points: int

    @property
    def resolution(self) -> int:
        """R, the number of cells along each side."""
        return len(self.values) - 1


def list_resolutions(resolution: int) -> list[int]:
    """List the levels' resolutions, coarse to fine: halved while whole and not too coarse."""
    levels = [resolution]
    while levels[0] % 2 == 0 and levels[0] // 2 >= _COARSEST and len(levels) <= _MAX_HALVINGS:
        levels.insert(0, levels[0] // 2)
    return levels


def sample_field(
    query: Query,
    resolution: int,
    *,
    half_extent: float = 1.01,
    chunk: int = 8192,
    progress: Progress = ignore_progress,
) -> SampledField:
    """Evaluate `query` on the grid of `resolution` cells along each side of the cube.

    Both ends of every grid edge that the surface crosses are evaluated wherever a coarser level detected
    the surface or it is connected to a detected part; an isolated part thinner than a cell of the coarsest
    level may be missed. chunk: points per call of `query`.
    """
    levels = list_resolutions(resolution)
    evaluate = _Evaluation(query, half_extent, chunk)
    values = torch.empty(0)
    for number, level in enumerate(levels):
        part = span_progress(progress, number / len(levels), (number + 1) / len(levels))
        values = evaluate.all_points(level, part) if number == 0 else evaluate.refine(values, part)
    progress(1.0)
    return SampledField(values, half_extent, evaluate.points)


class _Evaluation:
    """Evaluates the query in chunks and counts the points."""

    def __init__(self, query: Query, half_extent: float, chunk: int) -> None:
        self._query, self._half_extent, self._chunk = query, half_extent, chunk
        self.points = 0

    def _at(self, index: torch.Tensor, side: int, progress: Progress) -> torch.Tensor:
        """Values (N,) at flat grid indices (N,) of a grid of side**3 points."""
        parts = []
        for start in range(0, len(index), self._chunk):
            progress(start / len(index))
            part = index[start : start + self._chunk]
            axes = (part // (side * side), part // side % side, part % side)
            points = torch.stack(axes, dim=-1).double() * (2 * self._half_extent / (side - 1))
            parts.append(self._query((points - self._half_extent).float()).float().cpu())
        self.points += len(index)
        return torch.cat(parts) if parts else torch.empty(0)

    def all_points(self, resolution: int, progress: Progress) -> torch.Tensor:
        """Values (R + 1, R + 1, R + 1) at every point of the grid."""
        side = resolution + 1
        return self._at(torch.arange(side**3), side, progress).view(side, side, side)

    def refine(self, coarse: torch.Tensor, progress: Progress) -> torch.Tensor:
        """Values on the grid of half the spacing, evaluated near the surface."""
        side = 2 * len(coarse) - 1
        index = _points_around(torch.nonzero(_may_be_near(coarse)), side)
        values = _interpolate(coarse, side).view(-1)
        known = torch.zeros(side**3, dtype=torch.bool)
        while len(index):
            values[index] = self._at(index, side, progress)
            known[index] = True
            index = _unknown_across(values, known, index, side)
        return values.view(side, side, side)


def _may_be_near(values: torch.Tensor) -> torch.Tensor:
    """Return where (R + 1, R + 1, R + 1) the surface may pass within a cell or two."""
    highest, lowest = _highest_around(values), -_highest_around(-values)
    return values.abs() <= _REACH * torch.maximum(highest - values, values - lowest)


def _highest_around(values: torch.Tensor) -> torch.Tensor:
    """Maximum over the 3 x 3 x 3 neighbourhood of each point, one axis after the other."""
    for axis in range(3):
        count = values.shape[axis]
        result = values.clone()
        upper, lower = result.narrow(axis, 1, count - 1), result.narrow(axis, 0, count - 1)
        torch.maximum(upper, values.narrow(axis, 0, count - 1), out=upper)
        torch.maximum(lower, values.narrow(axis, 1, count - 1), out=lower)
        values = result
    return values


def _points_around(coarse: torch.Tensor, side: int) -> torch.Tensor:
    """Flat indices, sorted, of the fine points at and next to coarse points (N, 3)."""
    near = torch.zeros((side, side, side), dtype=torch.bool)
    for shift in _shifts_3x3x3():
        x, y, z = (2 * coarse + shift).clamp(0, side - 1).unbind(-1)
        near[x, y, z] = True
    return torch.nonzero(near.view(-1)).view(-1)


def _shifts_3x3x3() -> Iterator[torch.Tensor]:
    yield from torch.cartesian_prod(*3 * [torch.arange(-1, 2)])


def _interpolate(coarse: torch.Tensor, side: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(
        coarse[None, None], size=(side, side, side), mode="trilinear", align_corners=True
    )[0, 0]


def _unknown_across(
    values: torch.Tensor, known: torch.Tensor, index: torch.Tensor, side: int
) -> torch.Tensor:
    """Return the unevaluated points whose sign differs from that of an axis neighbor in `index`."""
    found = []
    for step in (1, side, side * side):
        position = index // step % side
        for sign, inside in ((1, position < side - 1), (-1, position > 0)):
            here = index[inside]
            there = here + sign * step
            crossed = (values[here] > 0) != (values[there] > 0)
            found.append(there[crossed & ~known[there]])
    return torch.unique(torch.cat(found))
