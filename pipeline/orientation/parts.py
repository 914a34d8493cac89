"""What a file holds beside its figure: floors, collision hulls, strays, further bodies, coarser copies."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ..mesh.areas import sample_surface
from ..mesh.normals import compute_face_normals
from ..mesh.pieces import MAX_PIECES, Pieces
from ..mesh.topology import label_components
from ..types import BoolArray, Float64Array, FloatArray
from .frame import find_frame

_FLAT = 0.02
"""Thickness of a floor or a backdrop, as a share of its length."""
_FLOOR_COVERS = 0.8
"""Both sides of a floor, as shares of what stands on it."""
_AT_END = 0.05
"""How deep a floor may lie in what stands on it, as a share of the whole."""
_MAX_HULL_FACES = 2000
_HULL_HOLDS = 0.8
"""Share of the other points that a collision hull holds."""
_TOUCHING = 0.02
"""Pieces whose boxes are that close are one body; as the other lengths a share of the whole."""
_STRAY = 0.25
"""Pieces farther from the body are strays; nearer ones float beside it."""
_BODY_SIZE, _BODY_AREA = 0.5, 0.2
"""Longest side and area of a further body, as shares of the main one's."""
_SAME_BOX, _SAME_SURFACE = 0.02, 0.02
SECOND_BODY = "a second body beside the larger one"
"""How the note on each of several figures begins."""
_MAX_COPY_FACES = 0.75
"""Of a coarser copy, as a share of the faces of the finer one."""


def find_figure_faces(pieces: Pieces) -> tuple[BoolArray, list[str]]:
    """Return which faces (F,) of a mesh belong to the figure, and a note on everything else.

    All of them and no note for a mesh that is a single piece, or several that hang together.
    """
    kept = np.ones(len(pieces.area), bool)
    if not 1 < len(kept) <= MAX_PIECES:
        return kept[pieces.label], []
    notes: list[str] = []
    for find in (_find_floors, _find_hulls, _find_strays, _find_copies):
        for chosen, what in find(pieces, kept):
            notes.append(f"{what} was left out ({pieces.describe(chosen)})")
            kept = kept & ~chosen
    return kept[pieces.label], notes


def _find_floors(pieces: Pieces, kept: BoolArray) -> list[tuple[BoolArray, str]]:
    """Flat pieces below, behind or above all others, and about as large."""
    sides = pieces.high - pieces.low
    flat = kept & (sides.min(axis=1) <= _FLAT * sides.max(axis=1))
    if not flat.any() or not (kept & ~flat).any():
        return []
    low, high = pieces.box(kept & ~flat)
    deep = _AT_END * float((high - low).max())
    found = []
    for index in np.flatnonzero(flat):
        axis = int(np.argmin(sides[index]))
        beside = np.arange(3) != axis
        covers = (sides[index] >= _FLOOR_COVERS * (high - low))[beside].all()
        covers &= sides[index][beside].prod() >= (high - low)[beside].prod()
        middle = 0.5 * (pieces.low[index, axis] + pieces.high[index, axis])
        if covers and (middle <= low[axis] + deep or middle >= high[axis] - deep):
            found.append((pieces.only(index), "a floor or backdrop"))
    return found


def _find_hulls(pieces: Pieces, kept: BoolArray) -> list[tuple[BoolArray, str]]:
    """Convex pieces around all others: collision boxes, domes."""
    found = []
    for index in np.flatnonzero(kept & (pieces.count <= _MAX_HULL_FACES)):
        own = pieces.only(index)
        rest = kept & ~own
        if not rest.any():
            continue
        low, high = pieces.box(rest)
        if ((pieces.high[index] - pieces.low[index]) < 0.5 * (high - low)).any():
            continue
        faces = pieces.faces(own)
        normals, areas = compute_face_normals(pieces.welded.points, faces)
        normals, places = normals[areas > 0], pieces.welded.points[faces[areas > 0, 0]]
        corners = pieces.welded.points[np.unique(faces)]
        if len(normals) < 4 or not _is_behind(corners, normals, places, 1e-3 * pieces.size(own)).all():
            continue
        points = pieces.welded.points[np.unique(pieces.faces(rest))][:: max(1, len(corners) // 500)]
        if _is_behind(points, normals, places, 0.0).mean() >= _HULL_HOLDS:
            found.append((own, "a hull around the figure, such as a collision box,"))
    return found


def _is_behind(points: Float64Array, normals: FloatArray, places: Float64Array, slack: float) -> BoolArray:
    """Whether points (N, 3) lie on the inner side of all planes, whichever side the normals (K, 3) mark."""
    middle = places.mean(axis=0)
    outward = np.where(((places - middle) * normals).sum(axis=1) < 0, -1.0, 1.0)[:, None] * normals
    return np.asarray((points @ outward.T <= (places * outward).sum(axis=1) + slack).all(axis=1))


def _find_strays(pieces: Pieces, kept: BoolArray) -> list[tuple[BoolArray, str]]:
    """Pieces far from the largest body, and further bodies beside it."""
    rows = np.flatnonzero(kept)
    if len(rows) < 2:
        return []
    reach = _TOUCHING * float(np.median(np.sort((pieces.high - pieces.low)[rows].max(axis=1))[-3:]))
    apart = np.maximum(
        pieces.low[rows][:, None] - pieces.high[rows][None],
        pieces.low[rows][None] - pieces.high[rows][:, None],
    ).max(axis=2)
    one, two = np.nonzero(apart <= reach)
    label = label_components((one, two), len(rows))
    areas = np.bincount(label, pieces.area[rows])
    groups = [np.isin(np.arange(len(kept)), rows[label == number]) for number in np.argsort(-areas)]
    main, found = groups[0], []
    low, high = pieces.box(main)
    size = pieces.size(main)
    for group in groups[1:]:
        lowest, highest = pieces.box(group)
        gap = float(np.maximum(lowest - high, low - highest).max())
        large = pieces.size(group) >= _BODY_SIZE * size and pieces.area[group].sum() >= (
            _BODY_AREA * pieces.area[main].sum()
        )
        if large and find_frame(pieces.welded.points, pieces.faces(group)).is_figure:
            found.append((group, SECOND_BODY))
        elif gap > _STRAY * size:
            found.append((group, f"a part {gap:.3g} away from the figure"))
    return found


def _find_copies(pieces: Pieces, kept: BoolArray) -> list[tuple[BoolArray, str]]:
    """Coarser copies of the whole figure at the same place (levels of detail)."""
    rows = np.flatnonzero(kept)
    size = pieces.size(kept)
    box = np.concatenate((pieces.low, pieces.high), axis=1)[rows]
    same = (np.abs(box[:, None] - box[None]) <= _SAME_BOX * size).all(axis=2)
    coarser = same & (pieces.count[rows][:, None] <= _MAX_COPY_FACES * pieces.count[rows][None])
    copies = np.isin(np.arange(len(kept)), rows[coarser.any(axis=1)])
    rest = kept & ~copies
    if not copies.any() or not rest.any():
        return []
    whole = np.concatenate(pieces.box(kept))
    if (np.abs(np.concatenate(pieces.box(copies)) - whole) > _SAME_BOX * size).any():
        return []
    fine, coarse = (sample_surface(pieces.welded.points, pieces.faces(part), 4000) for part in (rest, copies))
    if cKDTree(fine).query(coarse[::8])[0].mean() > _SAME_SURFACE * size:
        return []
    return [(copies, "a coarser copy of the figure")]
