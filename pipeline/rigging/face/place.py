"""Where eyes and mouth of a figure's face are on the mesh that was made from its picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...figure import Figure
from ...types import Float64Array, Mesh

_MAX_ROLL = 25.0
"""Degrees."""


@dataclass(frozen=True, eq=False)
class FacePlace:
    """Lengths are in distances of the eyes, along the face's axes and from the middle between the eyes.

    origin: (2,) that middle, x and y in metres. unit: metres. axes: (2, 2) unit vectors, rows: from the right
    eye to the left one, and up. eye: (2,) half the width and height of an eye. mouth: (3,) x, y and half the
    width; None if it was not found. radius: of the face.
    """

    origin: Float64Array
    unit: float
    axes: Float64Array
    eye: Float64Array
    mouth: Float64Array | None
    radius: float

    def to_face(self, points: Float64Array) -> Float64Array:
        """Points (N, 2 or 3) in metres -> (N, 2) on the face."""
        return (points[:, :2] - self.origin) @ self.axes.T / self.unit

    def to_mesh(self, moves: Float64Array) -> Float64Array:
        """Moves (N, 2) on the face -> in x and y, metres."""
        return moves @ self.axes * self.unit


def place_face(figure: Figure, mesh: Mesh) -> FacePlace | None:
    """Place the figure's eyes and mouth on the mesh, whose front view fills the figure's box.

    None if they were not found in the picture, or the head is tilted far.
    """
    if figure.face is None or figure.face_features is None:
        return None
    low, high = (corner.astype(np.float64) for corner in mesh.bounds)
    left, top, right, bottom = figure.box
    scale = (high - low)[:2] / np.maximum((right - left, bottom - top), 1e-9)
    found = figure.face_features.astype(np.float64)
    places = np.array((low[0], high[1])) + (found[:, :2] - (left, top)) * scale * (1, -1)
    across = places[1] - places[0]
    unit = float(np.linalg.norm(across))
    if across[0] <= 0 or abs(np.degrees(np.arctan2(across[1], across[0]))) > _MAX_ROLL:
        return None
    axes = np.stack((across, (-across[1], across[0]))) / unit
    halves = found[:, 2:] * scale / unit
    place = FacePlace(
        origin=places[:2].mean(axis=0),
        unit=unit,
        axes=axes,
        eye=halves[:2].mean(axis=0),
        mouth=None,
        radius=float(figure.face[3] * scale[1] / unit),
    )
    if halves[2, 0] <= 0:
        return place
    mouth = np.append(place.to_face(places[2:])[0], halves[2, 0])
    return FacePlace(place.origin, unit, axes, place.eye, mouth, place.radius)
