"""Surfaces that are inside out, and those whose every face is there twice."""

from __future__ import annotations

import numpy as np

from ..mesh.components import find_components
from ..mesh.topology import list_directed_edges
from ..types import BoolArray, Float64Array, Int64Array, Mesh

_LEAST_VOLUME = 1e-9
"""Of a piece that has an inside, as a share of the cube around the mesh."""
_OUTLINE = 0.03
"""The thickness of an outline on both sides together, as a share of the mesh's longest side."""


def find_doubled_faces(mesh: Mesh) -> BoolArray:
    """Return which faces (F,) repeat an earlier one of a surface that closes without them.

    Sheets that are seen from both sides, such as hair and capes, keep both faces.
    """
    welded = find_components(mesh)
    faces = np.sort(welded.faces, axis=1)
    _, first, inverse = np.unique(faces, axis=0, return_index=True, return_inverse=True)
    repeats = first[inverse.reshape(-1)] != np.arange(len(faces))
    if not repeats.any():
        return repeats
    label = welded.labels[welded.faces[:, 0]]
    return repeats & ~_find_open(welded.faces[~repeats], label[~repeats], len(welded.points))[label]


def find_inward_faces(mesh: Mesh) -> BoolArray:
    """Return which faces (F,) are wound inwards: those of closed pieces with negative volume.

    If the mesh as a whole is inside out, its open pieces count too. Inward shells closely around a
    piece stay as they are: games draw outlines with them.
    """
    welded = find_components(mesh)
    count = len(welded.points)
    label = welded.labels[welded.faces[:, 0]]
    corners = welded.points[welded.faces]
    totals = [np.bincount(label, corners[..., axis].mean(axis=1), count) for axis in range(3)]
    middles = np.stack(totals, axis=1) / np.maximum(np.bincount(label, minlength=count), 1)[:, None]
    local = corners - middles[label][:, None]
    under = np.einsum("ij,ij->i", local[:, 0], np.cross(local[:, 1], local[:, 2]))
    volume = np.bincount(label, under, count).astype(np.float64)
    inward = volume < -_LEAST_VOLUME * float(np.ptp(welded.points, axis=0).max()) ** 3
    inward &= ~_find_outlines(corners, label, volume)
    if volume[inward].sum() + volume[volume > 0].sum() >= 0:
        inward &= ~_find_open(welded.faces, label, count)
    return inward[label]


def _find_open(faces: Int64Array, label: Int64Array, count: int) -> BoolArray:
    """(count,) whether a piece has an edge that not exactly two faces share; label: (F,) their pieces."""
    start, end = (ends.astype(np.int64) for ends in list_directed_edges(faces))
    _, edge, uses = np.unique(
        np.minimum(start, end) * count + np.maximum(start, end), return_inverse=True, return_counts=True
    )
    is_open = np.zeros(count, bool)
    is_open[np.repeat(label, 3)[uses[edge.reshape(-1)] != 2]] = True
    return is_open


def _find_outlines(corners: Float64Array, label: Int64Array, volume: Float64Array) -> BoolArray:
    """(P,) whether a piece with negative volume surrounds one with positive volume and about the same box."""
    low, high = np.full((len(volume), 3), np.inf), np.full((len(volume), 3), -np.inf)
    np.minimum.at(low, label, corners.min(axis=1))
    np.maximum.at(high, label, corners.max(axis=1))
    outward = np.flatnonzero(volume > 0)
    found = np.zeros(len(volume), bool)
    thickest = _OUTLINE * float(np.ptp(corners, axis=(0, 1)).max())
    for piece in np.flatnonzero(volume < 0):
        below, above = low[outward] - low[piece], high[piece] - high[outward]
        is_around = (below >= 0) & (above >= 0) & (below + above <= thickest)
        found[piece] = is_around.all(axis=1).any()
    return found
