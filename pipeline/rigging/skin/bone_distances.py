"""The bones that carry weight, and geodesic distances from them through the interior of the body."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from ...conventions import FORWARD
from ...progress import Progress
from ...types import Float64Array, Int64Array, Skeleton
from ..skeleton import ARM_PARTS, JOINTS, LEG_PARTS, PREFIX
from ..voxel_solid import VoxelSolid

_HAND_PER_FOREARM = 0.55
_JAW_PER_HEAD = 0.4
_RADIUS_QUANTILE, _MIN_RADIUS = 0.7, 0.018
"""Minimum radius as a share of the body's height."""
MAX_DISTANCE = 1e4
"""In radii: of what no path leads to."""


@dataclass(frozen=True, eq=False)
class Bone:
    """A joint that carries weight.

    segments: (S, 2, 3) metres, start and end of each. side: +1 left limb, -1 right limb, 0 trunk.
    cells: (K, 3) metres, the centers of the voxels that are the bone's own.
    """

    joint: int
    segments: Float64Array
    side: int
    part: str
    cells: Float64Array | None = None


def list_bones(skeleton: Skeleton) -> list[Bone]:
    """Return the bones that carry weight: all but those of end joints and fingers."""
    at = dict(zip(skeleton.names, skeleton.positions.astype(np.float64), strict=True))
    at = {name.removeprefix(PREFIX): position for name, position in at.items()}
    bones = []
    for name, _, _, child in JOINTS:
        if name.endswith("_End"):
            continue
        tip = (
            at[child]
            if child
            else at[name] + _HAND_PER_FOREARM * (at[name] - at[name.replace("Hand", "ForeArm")])
        )
        if name == "Spine2":
            tip = 0.5 * (at[name] + tip)
        segments = [(at[name], tip)]
        if name == "Hips":
            segments.append((at[name], 0.5 * (at["LeftUpLeg"] + at["RightUpLeg"])))
        if name == "Head":
            jaw = _JAW_PER_HEAD * np.linalg.norm(tip - at[name]) * np.array(FORWARD)
            segments.append((at[name], at[name] + jaw))
        bones.append(
            Bone(skeleton.index(PREFIX + name), np.array(segments), _limb_side(name), _body_part(name))
        )
    return bones


def _limb_side(name: str) -> int:
    for side, sign in (("Left", 1), ("Right", -1)):
        if name.startswith(side) and name.removeprefix(side) in ARM_PARTS + LEG_PARTS:
            return sign
    return 0


def _body_part(name: str) -> str:
    stem = name.removeprefix("Left").removeprefix("Right")
    if stem in LEG_PARTS:
        return "leg"
    if stem in ARM_PARTS:
        return "collar" if stem == "Shoulder" else "arm"
    return "head" if stem in ("Neck", "Head") else "trunk"


def list_source_cells(solid: VoxelSolid, bone: Bone) -> Int64Array:
    """Return the cells that a bone runs through, or that are its own."""
    if bone.cells is not None:
        return np.unique(solid.nearest(bone.cells))
    found = []
    for start, end in bone.segments:
        count = max(2, int(np.linalg.norm(end - start) / (0.5 * solid.size)))
        found.append(solid.nearest(start + np.linspace(0, 1, count)[:, None] * (end - start)))
    return np.unique(np.concatenate(found))


def measure_radii(solid: VoxelSolid, bones: list[Bone]) -> Float64Array:
    """Return the typical distance (B,) from a bone to the surface, metres, one for all of a body part."""
    smallest = _MIN_RADIUS * solid.size * solid.cells.any(axis=(0, 2)).sum()
    parts = np.array([bone.part for bone in bones])
    radii = np.empty(len(bones))
    for part in set(parts):
        cells = np.concatenate([list_source_cells(solid, bone) for bone in bones if bone.part == part])
        radii[parts == part] = max(float(np.quantile(solid.depths[cells], _RADIUS_QUANTILE)), smallest)
    # Otherwise a head larger than the chest would pull the chest's vertices to itself.
    radii[parts == "head"] = np.minimum(radii[parts == "head"], radii[parts == "trunk"].max())
    return radii


def measure_parts(
    solid: VoxelSolid, bones: list[Bone]
) -> Iterator[tuple[list[int], Float64Array, Int64Array]]:
    """For each body part yield the numbers of its bones, distances (N,) and the nearest bone's number (N,).

    The distances from the nearest of its bones through the solid are in metres.
    """
    sources = [list_source_cells(solid, bone) for bone in bones]
    for part in dict.fromkeys(bone.part for bone in bones):
        numbers = [number for number, bone in enumerate(bones) if bone.part == part]
        owner = np.full(len(solid.indices), -1)
        for number in numbers:
            owner[sources[number]] = number
        away, _, source = csgraph.dijkstra(
            solid.graph, indices=np.flatnonzero(owner >= 0), min_only=True, return_predecessors=True
        )
        yield numbers, away, owner[source]


def scale_distances(away: Float64Array, radius: float, outside: float) -> Float64Array:
    """Return distances from a bone of a body part in its radii, and from its surface in units of `outside`.

    away, radius, outside: metres. 1 is the surface. Were it all in radii, a thick trunk would be nearer to
    what a thin arm holds far from both.
    """
    return np.where(away < radius, away / radius, 1.0 + (away - radius) / outside)


def find_nearest_bones(solid: VoxelSolid, bones: list[Bone]) -> Int64Array:
    """Return the number (N,) of the bone nearest to each cell, as `scale_distances` has it."""
    radii = measure_radii(solid, bones)
    nearest, least = np.zeros(len(solid.indices), np.int64), np.full(len(solid.indices), np.inf)
    for numbers, away, owner in measure_parts(solid, bones):
        distance = (away + 0.5 * solid.size) / radii[numbers[0]]
        closer = distance < least
        least[closer], nearest[closer] = distance[closer], owner[closer]
    return nearest


def measure_bones(
    solid: VoxelSolid, graph: sparse.csr_matrix, bones: list[Bone], progress: Progress
) -> Float64Array:
    """Return (N, B) geodesic distances of the cells from the bones along `graph`.

    They are scaled by `scale_distances`.
    """
    radii = measure_radii(solid, bones)
    distances = np.empty((len(solid.indices), len(bones)))
    for number, bone in enumerate(bones):
        away = csgraph.dijkstra(graph, indices=list_source_cells(solid, bone), min_only=True)
        scaled = scale_distances(away + 0.5 * solid.size, radii[number], float(radii.max()))
        distances[:, number] = np.minimum(scaled, MAX_DISTANCE)
        progress((number + 1) / len(bones))
    return distances
