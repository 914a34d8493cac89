"""Surfaces that are inside out, and those whose every face is there twice."""

from __future__ import annotations

import numpy as np

from ..mesh.pieces import Pieces
from ..mesh.topology import list_directed_edges
from ..types import BoolArray, Float64Array

_LEAST_VOLUME = 1e-9
"""Of a piece that has an inside, as a share of the cube around the mesh."""
_OUTLINE = 0.03
"""The thickness of an outline on both sides together, as a share of the mesh's longest side."""


def find_doubled_faces(pieces: Pieces) -> BoolArray:
    """Return which faces (F,) repeat an earlier one of a surface that closes without them.

    Sheets that are seen from both sides, such as hair and capes, keep both faces.
    """
    faces = pieces.welded.faces
    _, first, inverse = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_inverse=True)
    repeats = first[inverse.reshape(-1)] != np.arange(len(faces))
    if not repeats.any():
        return repeats
    return repeats & ~_find_open(pieces, ~repeats)[pieces.label]


def find_inward_faces(pieces: Pieces) -> BoolArray:
    """Return which faces (F,) are wound inwards: those of closed pieces with negative volume.

    If the mesh as a whole is inside out, its open pieces count too. Inward shells closely around a
    piece stay as they are: games draw outlines with them.
    """
    points, label, count = pieces.welded.points, pieces.label, len(pieces.count)
    corners = points[pieces.welded.faces]
    totals = [np.bincount(label, corners[..., axis].mean(axis=1), count) for axis in range(3)]
    middles = np.stack(totals, axis=1) / pieces.count[:, None]
    local = corners - middles[label][:, None]
    under = np.einsum("ij,ij->i", local[:, 0], np.cross(local[:, 1], local[:, 2]))
    volume = np.bincount(label, under, count).astype(np.float64)
    size = float(np.ptp(points, axis=0).max())
    inward = (volume < -_LEAST_VOLUME * size**3) & ~_find_outlines(pieces, volume)
    if volume[inward].sum() + volume[volume > 0].sum() >= 0:
        inward &= ~_find_open(pieces, np.ones(len(label), bool))
    return inward[label]


def _find_open(pieces: Pieces, chosen: BoolArray) -> BoolArray:
    """(C,) whether a piece has an edge that not exactly two of its `chosen` faces (F,) share."""
    start, end = (ends.astype(np.int64) for ends in list_directed_edges(pieces.welded.faces[chosen]))
    low, high = np.minimum(start, end), np.maximum(start, end)
    keys = low * len(pieces.welded.points) + high
    _, edge, uses = np.unique(keys, return_inverse=True, return_counts=True)
    is_open = np.zeros(len(pieces.count), bool)
    is_open[np.repeat(pieces.label[chosen], 3)[uses[edge.reshape(-1)] != 2]] = True
    return is_open


def _find_outlines(pieces: Pieces, volume: Float64Array) -> BoolArray:
    """(C,) whether a piece with negative volume surrounds one with positive volume and about the same box."""
    low, high = pieces.low, pieces.high
    outward = np.flatnonzero(volume > 0)
    found = np.zeros(len(volume), bool)
    thickest = _OUTLINE * float((high.max(axis=0) - low.min(axis=0)).max())
    for piece in np.flatnonzero(volume < 0):
        below, above = low[outward] - low[piece], high[piece] - high[outward]
        is_around = (below >= 0) & (above >= 0) & (below + above <= thickest)
        found[piece] = is_around.all(axis=1).any()
    return found
