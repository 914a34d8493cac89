"""The connected components of a mesh, with vertices at one place welded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..types import Float64Array, Int64Array, Mesh
from .topology import drop_collapsed, label_components, list_directed_edges
from .weld import weld_near


@dataclass(frozen=True, eq=False)
class MeshComponents:
    """A welded mesh and the component of each of its points.

    points: (P, 3) float64. inverse: (V,) the point of each vertex. faces: (F, 3) points.
    labels: (P,) component of each point.
    """

    points: Float64Array
    inverse: Int64Array
    faces: Int64Array
    labels: Int64Array


def find_components(mesh: Mesh) -> MeshComponents:
    """Weld the mesh's vertices and label what hangs together."""
    welded = weld_near(mesh.positions)
    faces = welded.inverse[mesh.faces]
    labels = label_components(list_directed_edges(faces), len(welded.points))
    return MeshComponents(welded.points.astype(np.float64), welded.inverse, faces, labels)


def measure_component_extents(components: MeshComponents) -> Float64Array:
    """Return the diagonal (C,) of each component's bounding box, metres."""
    return np.asarray(np.linalg.norm(measure_component_sides(components), axis=1))


def measure_component_sides(components: MeshComponents) -> Float64Array:
    """Return the sides (C, 3) of each component's bounding box, metres."""
    order = np.argsort(components.labels, kind="stable")
    starts = np.searchsorted(components.labels[order], np.arange(int(components.labels.max()) + 1))
    low, high = (extreme.reduceat(components.points[order], starts) for extreme in (np.minimum, np.maximum))
    return np.asarray(high - low)


def split_closed_components(components: MeshComponents) -> tuple[Float64Array, Float64Array]:
    """Return the corners (F, 3, 3) of closed components, wound outward, and those of all others.

    A component is closed where every edge is traversed equally often in both directions; its signed
    volume tells which side is out.
    """
    count, faces = len(components.points), drop_collapsed(components.faces)
    start, end = list_directed_edges(faces)
    _, edge = np.unique(np.minimum(start, end) * count + np.maximum(start, end), return_inverse=True)
    edge = edge.reshape(-1)
    balance = np.bincount(edge, weights=np.where(start < end, 1.0, -1.0))
    is_open = np.zeros(count, bool)
    is_open[components.labels[start[balance[edge] != 0]]] = True
    label, corners = components.labels[faces[:, 0]], components.points[faces]
    inward = _measure_volumes(corners, label, count)[label] < 0
    corners = np.where(inward[:, None, None], corners[:, ::-1], corners)
    loose = is_open[label]
    return corners[~loose], corners[loose]


def _measure_volumes(corners: Float64Array, label: Int64Array, count: int) -> Float64Array:
    """Return six times the signed volume (count,) under the faces (F, 3, 3) of each label (F,)."""
    local = corners - corners[:, :1].mean(axis=(0, 1)) if len(corners) else corners
    volume = np.einsum("ij,ij->i", local[:, 0], np.cross(local[:, 1], local[:, 2]))
    return np.bincount(label, weights=volume, minlength=count).astype(np.float64)
