"""Skin weights bound anew where a character tears when it walks and waves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu

from ..progress import Progress, ignore_progress
from ..rigging.skin.skinning import keep_strongest
from ..types import BoolArray, Float64Array, Int64Array, RiggedCharacter, SkinWeights
from .stretch import MovingEdges, move_edges, scatter_weights, spread_weights

STRETCH_QUANTILE, MAX_STRETCH = 0.999, 3.0
"""The share of edges that stretches less than MAX_STRETCH times on a character that does not tear."""
_GOAL = 2.2
"""Stretch from which an edge is mended: below the 3 that is allowed, as its neighbors take it over."""
_REACHES = (0.02, 0.035, 0.06, 0.1, 0.15)
"""Radius of the region around a torn edge that each round binds anew, as shares of the height."""
_BLUR = 0.7
"""Width of the blur, as a share of that radius."""


@dataclass(frozen=True, eq=False)
class MendedCharacter:
    """stretch_before, stretch: 99.9th percentile of the edges' stretch before and after."""

    character: RiggedCharacter
    stretch_before: float
    stretch: float


def mend_skin(character: RiggedCharacter, *, progress: Progress = ignore_progress) -> MendedCharacter:
    """Put the character through its walk and wave, and smooth the weights where edges stretch.

    Each of five rounds blurs the weights along the surface within a larger region around the stretched edges,
    and keeps the result where it is better. The mesh does not change.
    """
    moving = move_edges(character)
    weights = spread_weights(character, moving)
    stretch = moving.measure(weights)
    before = best = float(np.quantile(stretch, STRETCH_QUANTILE))
    chosen = weights
    height = float(np.ptp(moving.points[:, 1]))
    for number, reach in enumerate(_REACHES):
        torn = stretch > _GOAL
        if best < _GOAL or not torn.any():
            break
        weights = _limit_influences(
            _blur_around(moving, weights, torn, reach * height), character.skin.influences
        )
        stretch = moving.measure(weights)
        found = float(np.quantile(stretch, STRETCH_QUANTILE))
        if found < best:
            best, chosen = found, weights
        progress((number + 1) / len(_REACHES))
    progress(1.0)
    if best >= before:
        return MendedCharacter(character, before, before)
    joints, shares = keep_strongest(
        chosen, np.arange(chosen.shape[1]), count=character.skin.influences, smallest=0.0
    )
    skin = SkinWeights(joints[moving.inverse], shares[moving.inverse])
    return MendedCharacter(replace(character, skin=skin), before, best)


def _limit_influences(weights: Float64Array, influences: int) -> Float64Array:
    """The weights (P, J) as they are stored: so many a point."""
    joints, shares = keep_strongest(weights, np.arange(weights.shape[1]), count=influences)
    return scatter_weights(joints, shares, weights.shape[1])


def _blur_around(moving: MovingEdges, weights: Float64Array, torn: BoolArray, radius: float) -> Float64Array:
    """Blur the weights (P, J) within `radius` metres along the surface around the edges `torn` (E,).

    One implicit step of diffusion; the points around the region keep their weights.
    """
    sources = np.unique(moving.edges[torn])
    away = csgraph.dijkstra(moving.links, indices=sources, min_only=True, limit=radius)
    inside = np.flatnonzero(away < radius)
    blurred = weights.copy()
    blurred[inside] = _diffuse(moving, weights, inside, _BLUR * radius)
    return blurred


def _diffuse(
    moving: MovingEdges,
    weights: Float64Array,
    inside: Int64Array,
    width: float,
) -> Float64Array:
    """Weights (K, J) of the points `inside` (K,) after diffusion over about `width` metres."""
    step = float(moving.lengths.mean())
    shares = moving.links.copy()
    shares.data = step / np.maximum(shares.data, 0.2 * step)
    rows = shares[inside]
    degree = np.asarray(rows.sum(axis=1)).ravel()
    spread = 0.25 * (width / step) ** 2
    system = sparse.diags(1.0 + spread * degree) - spread * rows[:, inside]
    outside = np.ones(weights.shape[0])
    outside[inside] = 0.0
    known = weights[inside] + spread * (rows @ (weights * outside[:, None]))
    return splu(system.tocsc()).solve(np.ascontiguousarray(known))
