"""Parts that hang on the body and are no limb: tails, wings, long hair, and what a hand holds.

In a mesh made from a picture they are the parts of the solid that lie far outside the surface that the bones
should have; in any other, the long, narrow pieces beside a hand. Each gets a chain of joints of its own, so
that no limb bends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import csgraph

from ..conventions import FORWARD
from ..mesh.areas import sample_surface
from ..types import BoolArray, Float64Array, Int64Array, Mesh, Skeleton
from .fit.figure_points import FigurePoints
from .joint_axes import orient_bone
from .skeleton import PREFIX, SIDES
from .skin.bone_distances import Bone, list_bones, measure_parts, measure_radii
from .voxel_solid import NEIGHBORS_26, VoxelSolid

_FAR, _FAR_RADII, _FAR_OF_PART = 0.24, 1.6, 0.4
"""Distance outside the surface that a bone should have from which a cell belongs to no bone: a share of the
length from hips to neck, but at least so many radii; share of it where the picture shows _PARTS."""
_PARTS = ("hair", "prop")
_MIN_REACH, _JOINT_EVERY, _MAX_JOINTS = 0.1, 0.1, 3
"""Shares of the height: the shortest appendage, and the way from joint to joint."""
_MIN_SHARE = 0.002
"""Of the solid's cells."""
_BODY_SHARE = 0.1
"""Share of the contact that has to be with head and trunk for an appendage to hang there."""
_SLENDER = 1.6
"""Reach per width of the contact, below which it is the hem of a skirt or coat and follows the legs."""
_STEMS = {"Head": "HeadPart", "Hips": "Tail", "Spine2": "Wing"}
_SHOWN_STEMS = {("Head", "hair"): "Hair", ("Spine2", "clothes"): "Cape"}
"""Of the joints' names, by the joint that they hang on, and by what the picture shows there; springs.py
reads from them how the chain swings."""
_LOOSE = (*_PARTS, "clothes", "background", "left_hand", "right_hand")
"""Parts of the picture that an appendage may be; the body network takes staffs for hands."""
_LEAST_RADII = {"trunk": 0.2, "collar": 0.1, "arm": 0.06, "leg": 0.1}
"""Of a body part, as shares of the length from hips to neck."""
_LEAST_HEAD = 0.4
"""The same of the head, as a share of its height."""
_POINTS, _GRASP = 500, 1.0
"""On a piece whose distance is measured; from the wrist, in forearms, within which a hand holds it."""


@dataclass(frozen=True, eq=False)
class Appendage:
    """names: of its joints and of the end joint at its tip, without prefix. parent: the joint it hangs on.

    line: (J + 1, 3) metres, where those are. cells: (K, 3) metres, centers of its voxels. bands: (K,)
    number of the joint that moves each. vertices: those of the mesh, of a piece that one joint moves.
    """

    names: tuple[str, ...]
    parent: str
    line: Float64Array
    cells: Float64Array = field(default_factory=lambda: np.zeros((0, 3)))
    bands: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    vertices: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class _Region:
    """inside, contact: cells of an appendage, and those of the body beside it.

    away: (K,) distances of the former from the latter, along them, metres. reach: the largest.
    """

    inside: Int64Array
    contact: Int64Array
    away: Float64Array
    reach: float


def find_appendages(
    solid: VoxelSolid, skeleton: Skeleton, points: FigurePoints, hidden: Collection[str]
) -> list[Appendage]:
    """Return the appendages of the solid that the skeleton was fitted to.

    hidden: names, without prefix, of joints that nothing is bound to; the chest has what such a hand holds.
    """
    near, clearances = _measure_bones(solid, skeleton)
    shown = points.find_parts(solid.centers)
    far = clearances > np.where(np.isin(shown, _PARTS), _FAR_OF_PART, 1.0)
    grid = np.zeros(solid.cells.shape, bool)
    grid[solid.cells] = far
    labels, count = ndimage.label(grid, NEIGHBORS_26)
    of_cell = labels[solid.cells]
    sizes = np.bincount(of_cell, minlength=count + 1)
    height = float((points.high - points.low)[1])
    neck = float(skeleton.positions[skeleton.index(PREFIX + "Neck"), 1])
    found: list[Appendage] = []
    for number in 1 + np.flatnonzero(sizes[1:] > _MIN_SHARE * len(far)):
        inside = np.flatnonzero(of_cell == number)
        contact = _list_contact(solid, inside, far)
        if not len(contact):
            continue
        region = _Region(inside, contact, *_measure_reach(solid, inside, contact))
        if region.reach < _MIN_REACH * height:
            continue
        seen = Counter(shown[inside].tolist()).most_common(1)[0][0]
        names = near[contact]
        is_low = solid.centers[contact, 1].mean() < neck and seen != "hair"
        names[is_low & np.isin(names, ("Neck", "Head"))] = "Spine2"
        touched = Counter(names.tolist())
        is_slender = region.reach > _SLENDER * solid.size * np.sqrt(len(contact))
        parent = _choose_parent(touched, seen, bool(is_slender)) if seen in _LOOSE else ""
        if parent:
            stem = _SHOWN_STEMS.get((parent, seen), _STEMS.get(parent, ""))
            found.append(_make_appendage(solid, region, parent, stem, hidden, found))
    return found


def hold_blades(mesh: Mesh, skeleton: Skeleton, blades: Sequence[BoolArray]) -> list[Appendage]:
    """Return those of `blades`, faces (F,) of the mesh, that a hand reaches, as what it holds."""
    found: list[Appendage] = []
    for blade in blades:
        points = sample_surface(mesh.positions, mesh.faces[blade], _POINTS).astype(np.float64)
        gaps = {}
        for side in SIDES:
            joints = [skeleton.index(PREFIX + side + part) for part in ("Hand", "ForeArm")]
            wrist, elbow = skeleton.positions[joints].astype(np.float64)
            away = np.linalg.norm(points - wrist, axis=1) / max(float(np.linalg.norm(wrist - elbow)), 1e-9)
            gaps[side] = float(away.min()), points[away.argmin()]
        side = min(gaps, key=lambda side: gaps[side][0])
        gap, grip = gaps[side]
        if gap <= _GRASP:
            tip = points[np.linalg.norm(points - grip, axis=1).argmax()]
            names = _name_joints(f"{side}HandProp", 1, found)
            vertices = np.unique(mesh.faces[blade]).astype(np.int64)
            found.append(Appendage(names, f"{side}Hand", np.stack((grip, tip)), vertices=vertices))
    return found


def add_joints(skeleton: Skeleton, appendages: Sequence[Appendage]) -> Skeleton:
    """Return the skeleton with the appendages' joints at its end."""
    names, parents, rest = list(skeleton.names), skeleton.parents.tolist(), [*skeleton.rest]
    for appendage in appendages:
        parent = skeleton.index(PREFIX + appendage.parent)
        bones = np.diff(appendage.line, axis=0)
        for name, place, bone in zip(appendage.names, appendage.line, (*bones, bones[-1]), strict=True):
            names.append(PREFIX + name)
            parents.append(parent)
            joint = np.eye(4)
            joint[:3, :3] = orient_bone(bone, np.array(FORWARD))
            joint[:3, 3] = place
            rest.append(joint)
            parent = len(names) - 1
    return replace(skeleton, names=tuple(names), parents=np.array(parents), rest=np.array(rest))


def list_appendage_bones(skeleton: Skeleton, appendage: Appendage) -> list[Bone]:
    """Return the bones that carry the appendage's weight, each with the cells that are its own."""
    return [
        Bone(
            skeleton.index(PREFIX + name),
            appendage.line[number : number + 2][None],
            0,
            appendage.names[0],
            appendage.cells[appendage.bands == number],
        )
        for number, name in enumerate(appendage.names[:-1])
        if len(appendage.cells)
    ]


def _measure_bones(solid: VoxelSolid, skeleton: Skeleton) -> tuple[npt.NDArray[np.str_], Float64Array]:
    """The name of the bone nearest to each cell (N,), without prefix, and how far outside its surface it is.

    1 is where nothing belongs to that bone any more.
    """
    bones = list_bones(skeleton)
    radii = np.maximum(measure_radii(solid, bones), _list_least_radii(skeleton, bones))
    names = np.array([skeleton.names[bone.joint].removeprefix(PREFIX) for bone in bones])
    clearances = np.full(len(solid.indices), np.inf)
    near = np.zeros(len(solid.indices), np.int64)
    for numbers, away, owner in measure_parts(solid, bones):
        radius = radii[numbers[0]]
        outside = (away - radius) / max(_FAR * _measure_trunk(skeleton), _FAR_RADII * radius)
        closer = outside < clearances
        clearances[closer], near[closer] = outside[closer], owner[closer]
    return names[near], clearances


def _list_least_radii(skeleton: Skeleton, bones: Sequence[Bone]) -> Float64Array:
    """(B,) metres."""
    head, top = (skeleton.positions[skeleton.index(PREFIX + name)] for name in ("Head", "HeadTop_End"))
    least = {part: share * _measure_trunk(skeleton) for part, share in _LEAST_RADII.items()}
    least["head"] = _LEAST_HEAD * float(np.linalg.norm(top - head))
    return np.array([least[bone.part] for bone in bones])


def _measure_trunk(skeleton: Skeleton) -> float:
    """Length from the hips to the neck, metres."""
    hips, neck = (skeleton.positions[skeleton.index(PREFIX + name)] for name in ("Hips", "Neck"))
    return float(np.linalg.norm(neck - hips))


def _list_contact(solid: VoxelSolid, inside: Int64Array, far: BoolArray) -> Int64Array:
    """The cells beside those `inside` that are not far from the bones."""
    chosen = np.zeros(len(far), bool)
    chosen[solid.graph[inside].indices] = True
    return np.flatnonzero(chosen & ~far)


def _choose_parent(touched: Counter[str], shown: str, is_slender: bool) -> str:
    """Name of the joint that an appendage hangs on; "" if it moves with what it touches."""
    count: Counter[str] = Counter()
    for name, cells in touched.items():
        stem = name.removeprefix("Left").removeprefix("Right")
        place = stem if stem in ("Arm", "ForeArm", "Hand") else "Legs" if stem != name else name
        place = {"Neck": "Head", "Spine": "Hips", "Spine1": "Spine2"}.get(place, place)
        count["Spine2" if stem == "Shoulder" else place] += cells
    if shown == "hair":
        return "Head"
    body = {place: count[place] for place in ("Head", "Spine2", "Hips")}
    if sum(body.values()) >= _BODY_SHARE * count.total():
        place = max(body, key=lambda place: body[place])
        return "" if not is_slender and (place == "Hips" or shown not in _PARTS) else place
    held = {name: touched[name] for name in ("LeftHand", "RightHand", "LeftForeArm", "RightForeArm")}
    nearest = max(held, key=lambda name: held[name])
    if held[nearest] and sum(held.values()) > max(count["Arm"], count["Legs"]):
        side = "Left" if nearest.startswith("Left") else "Right"
        is_held = shown != "clothes" and (
            shown == "prop" or touched[side + "Hand"] > touched[side + "ForeArm"]
        )
        return f"{side}Hand" if is_held else ""
    if count["Arm"] > count["Legs"]:
        return "Spine2" if shown == "prop" else ""
    return "Hips" if is_slender else ""


def _measure_reach(solid: VoxelSolid, inside: Int64Array, contact: Int64Array) -> tuple[Float64Array, float]:
    """Distances (K,) of the cells `inside` from the contact, along them, and the largest; metres."""
    region = np.concatenate((contact, inside))
    graph = solid.graph[region][:, region]
    away = csgraph.dijkstra(graph, indices=np.arange(len(contact)), min_only=True)[len(contact) :]
    return away, float(away.max())


def _make_appendage(
    solid: VoxelSolid,
    region: _Region,
    parent: str,
    stem: str,
    hidden: Collection[str],
    others: Sequence[Appendage],
) -> Appendage:
    """The chain of joints from the contact to the farthest cell."""
    height = float(np.ptp(solid.centers[:, 1]))
    is_held = parent.endswith("Hand")
    count = 1 if is_held else int(np.clip(region.reach / (_JOINT_EVERY * height), 1, _MAX_JOINTS))
    cells, away = solid.centers[region.inside], region.away
    bands = np.minimum((away / region.reach * count).astype(np.int64), count - 1)
    line = [solid.centers[region.contact].mean(axis=0)]
    for number in range(1, count):
        near = np.abs(away - region.reach * number / count) < 2 * solid.size
        line.append(cells[near].mean(axis=0))
    line.append(cells[np.argmax(away)])
    if parent in hidden:
        stem, parent = parent.removesuffix("Hand") + "Prop", "Spine2"
    elif is_held:
        stem = f"{parent}Prop"
    else:
        stem = ("Left" if line[-1][0] > 0 else "Right") + stem
    return Appendage(_name_joints(stem, count, others), parent, np.array(line), cells, bands)


def _name_joints(stem: str, count: int, others: Sequence[Appendage]) -> tuple[str, ...]:
    letter = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[sum(other.names[0].startswith(stem) for other in others) % 26]
    return tuple(f"{stem}{letter}{end}" for end in (*range(1, count + 1), "_End"))
