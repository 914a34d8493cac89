"""Fills holes with detail copied from elsewhere in the same picture, coarse to fine.

Patch-based completion after Wexler, Shechtman and Irani, "Space-Time Completion of Video" (2007):
every patch over the hole looks for its nearest source patch, and the hole takes the average of what
the patches say. The coarse level searches all sources; finer levels only refine the found offsets.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..progress import Progress
from ..types import BoolArray, FloatArray, IntArray
from .canvas import enlarge, shrink

_RADIUS = 3
_COARSE_ROUNDS = 4
_MAX_SOURCES = 5000
_CHUNK = 1024


class _Level(NamedTuple):
    """One pyramid level, padded by the patch radius: detail (H, W, C), guide (H, W, G), masks."""

    detail: FloatArray
    guide: FloatArray
    hole: BoolArray
    source: BoolArray


def fill_detail(
    detail: FloatArray,
    guide: FloatArray,
    hole: BoolArray,
    source: BoolArray,
    rng: np.random.Generator,
    progress: Progress,
) -> FloatArray:
    """Return detail (H, W, C) with the pixels of `hole` filled from patches centred in `source`.

    detail: signed deviation from a smooth base colour, so that a copied patch keeps the light of
    its new place. guide: (H, W, G) what belongs where; like is matched with like. The hole's own
    detail is ignored. Without sources the hole gets no detail.
    """
    result = np.where(hole[..., None], 0.0, detail).astype(np.float32)
    coarse, fine = (_build_level(result, guide, hole, source, factor) for factor in (4, 2))
    if not coarse.source.any() or not coarse.hole.any():
        return result
    targets = np.argwhere(_grow(coarse.hole))
    filled = _seed_hole(coarse, rng)
    for step in range(_COARSE_ROUNDS):
        nearest = _search_all(coarse._replace(detail=filled), targets, rng)
        filled = _vote(filled, coarse.hole, targets, nearest, _RADIUS)
        progress(0.6 * (step + 1) / _COARSE_ROUNDS)
    targets, nearest = _refine(coarse, fine, targets, nearest)
    progress(0.85)
    return _copy_full(result, hole, fine, targets, nearest)


def _build_level(
    detail: FloatArray, guide: FloatArray, hole: BoolArray, source: BoolArray, factor: int
) -> _Level:
    pad = ((_RADIUS, _RADIUS), (_RADIUS, _RADIUS))
    holes = shrink(hole[..., None].astype(np.float32), factor)[..., 0] > 0.25
    sources = (shrink(source[..., None].astype(np.float32), factor)[..., 0] > 0.99) & ~holes
    return _Level(
        np.pad(shrink(detail, factor), (*pad, (0, 0))),
        np.pad(shrink(guide, factor), (*pad, (0, 0)), mode="edge"),
        np.pad(holes, pad),
        np.pad(sources, pad),
    )


def _seed_hole(level: _Level, rng: np.random.Generator) -> FloatArray:
    """Start the hole with detail from random sources: starting flat would end flat."""
    sources = np.argwhere(level.source)
    chosen = sources[rng.integers(len(sources), size=int(level.hole.sum()))]
    detail = level.detail.copy()
    detail[level.hole] = level.detail[chosen[:, 0], chosen[:, 1]]
    return detail


def _grow(hole: BoolArray) -> BoolArray:
    """Patch centres whose patch may reach the hole and lies inside the padded image."""
    grown = hole.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            grown |= np.roll(hole, shift, axis)
    inside = np.zeros_like(grown)
    inside[_RADIUS:-_RADIUS, _RADIUS:-_RADIUS] = True
    return grown & inside


def _gather(level: _Level, centres: IntArray) -> FloatArray:
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    rows = np.clip(centres[:, 0, None, None] + offsets[:, None], 0, level.hole.shape[0] - 1)
    columns = np.clip(centres[:, 1, None, None] + offsets, 0, level.hole.shape[1] - 1)
    patches = level.detail[rows, columns].reshape(len(centres), -1)
    # The guide counts as much as a few pixels of the patch, whatever the patch holds.
    return np.concatenate([patches, level.guide[centres[:, 0], centres[:, 1]]], axis=1)


def _search_all(level: _Level, targets: IntArray, rng: np.random.Generator) -> IntArray:
    sources = np.argwhere(level.source)
    if len(sources) > _MAX_SOURCES:
        sources = sources[np.sort(rng.choice(len(sources), _MAX_SOURCES, replace=False))]
    bank = torch.from_numpy(_gather(level, sources))
    norms = (bank * bank).sum(dim=1)
    # A little noise on the distances keeps equal patches from repeating one source.
    norms = norms + torch.from_numpy(rng.random(len(sources), dtype=np.float32)) * 0.02
    found = []
    for start in range(0, len(targets), _CHUNK):
        query = torch.from_numpy(_gather(level, targets[start : start + _CHUNK]))
        found.append((norms - 2.0 * query @ bank.T).argmin(dim=1).numpy())
    return sources[np.concatenate(found)]


def _vote(
    detail: FloatArray, hole: BoolArray, targets: IntArray, nearest: IntArray, radius: int
) -> FloatArray:
    """Average, for every hole pixel, what the patches within `radius` say."""
    height, width = hole.shape
    offset = np.zeros((height, width, 2), dtype=np.int32)
    known = np.zeros((height, width), dtype=bool)
    offset[targets[:, 0], targets[:, 1]] = nearest - targets
    known[targets[:, 0], targets[:, 1]] = True
    pixels = np.argwhere(hole)
    total = np.zeros((len(pixels), detail.shape[-1]), dtype=np.float32)
    weight = np.full(len(pixels), 1e-6, dtype=np.float32)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            row = np.clip(pixels[:, 0] + dy, 0, height - 1)
            column = np.clip(pixels[:, 1] + dx, 0, width - 1)
            say = known[row, column] * np.float32(np.exp(-(dx * dx + dy * dy) / (radius * radius + 1)))
            at = np.clip(pixels + offset[row, column], 0, (height - 1, width - 1))
            total += detail[at[:, 0], at[:, 1]] * say[:, None]
            weight += say
    result = detail.copy()
    result[pixels[:, 0], pixels[:, 1]] = total / weight[:, None]
    return result


def _refine(coarse: _Level, fine: _Level, targets: IntArray, nearest: IntArray) -> tuple[IntArray, IntArray]:
    """Carry coarse matches to the level of twice the side and choose the best of a few near them."""
    field = np.zeros((*coarse.hole.shape, 2), dtype=np.int32)
    known = np.zeros(coarse.hole.shape, dtype=bool)
    field[targets[:, 0], targets[:, 1]] = nearest - targets
    known[targets[:, 0], targets[:, 1]] = True
    finer = np.argwhere(_grow(fine.hole))
    parent = np.minimum((finer - _RADIUS) // 2 + _RADIUS, np.array(known.shape) - 1)
    finer, parent = (item[known[parent[:, 0], parent[:, 1]]] for item in (finer, parent))
    guess = finer + 2 * field[parent[:, 0], parent[:, 1]]
    field = np.zeros((*fine.hole.shape, 2), dtype=np.int32)
    level = fine._replace(detail=_vote(fine.detail, fine.hole, finer, guess, 1))
    wanted = _gather(level, finer)
    best, best_cost = guess, _match_cost(level, wanted, guess)
    for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (0, 2), (0, -2), (2, 0), (-2, 0)):
        field[finer[:, 0], finer[:, 1]] = best - finer
        near = np.clip(finer + np.array((dy, dx)), 0, np.array(fine.hole.shape) - 1)
        candidate = finer + field[near[:, 0], near[:, 1]]
        cost = _match_cost(level, wanted, candidate)
        better = cost < best_cost
        best = np.where(better[:, None], candidate, best)
        best_cost = np.where(better, cost, best_cost)
    return finer, best


def _match_cost(level: _Level, wanted: FloatArray, candidate: IntArray) -> FloatArray:
    inside = np.clip(candidate, 0, np.array(level.hole.shape) - 1)
    cost = ((_gather(level, inside) - wanted) ** 2).sum(axis=1)
    usable = level.source[inside[:, 0], inside[:, 1]] & (inside == candidate).all(axis=1)
    return np.where(usable, cost, cost + 1e3)


def _copy_full(
    detail: FloatArray, hole: BoolArray, fine: _Level, targets: IntArray, nearest: IntArray
) -> FloatArray:
    """Fill the full-size hole: coarse waves from the half-size votes, sharpness by its offsets."""
    voted = _vote(fine.detail, fine.hole, targets, nearest, 2)
    inner = (slice(_RADIUS, -_RADIUS), slice(_RADIUS, -_RADIUS))
    size = hole.shape
    known_soft = enlarge(shrink(np.where(hole[..., None], 0.0, detail), 2), size)
    sharp = detail - known_soft
    field = np.zeros((*fine.hole.shape, 2), dtype=np.int32)
    field[targets[:, 0], targets[:, 1]] = nearest - targets
    pixels = np.argwhere(hole)
    parent = pixels // 2 + _RADIUS
    at = np.clip(pixels + 2 * field[parent[:, 0], parent[:, 1]], 0, np.array(size) - 1)
    usable = ~hole[at[:, 0], at[:, 1]]
    result = detail.copy()
    result[hole] = enlarge(voted[inner], size)[hole] + sharp[at[:, 0], at[:, 1]] * usable[:, None]
    return result
