"""Rigged meshes of other makers, read from npz files, with their joints and weights on our skeleton's names.

The arrays are those of rigs.py. A figure is turned to face +Z, scaled to HEIGHT and named such that its left
is +X. Joints that the maker's rig lacks are put between those around them, or where their bone's vertices
end; they carry none of the maker's weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from character3d.pipeline.mesh.blades import drop_blades, find_blades
from character3d.pipeline.mesh.normals import compute_vertex_normals
from character3d.pipeline.mesh.pieces import split_pieces
from character3d.pipeline.rigging import compute_skin_weights
from character3d.pipeline.rigging.appendages import add_joints, hold_blades
from character3d.pipeline.rigging.skeleton import JOINTS, SIDES, build_skeleton
from character3d.pipeline.rigging.voxelize import voxelize_mesh
from character3d.pipeline.types import Mesh, Skeleton, SkinWeights

Array = npt.NDArray[Any]
HEIGHT = 1.7
"""Metres."""
_SPINE = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head", "HeadTop_End")
_SHOULDER_SHARE, _TOE_SHARE, _NECK_SHARE = 0.25, 0.65, 0.8
"""Where a joint that is missing lies: from the chest to the arm, from the ankle to the tip of the foot, and
from the last joint of the chest to the head."""
_LIMB_BONES = (("Arm", "ForeArm"), ("ForeArm", "Hand"), ("UpLeg", "Leg"), ("Leg", "Foot"))
_LEAST_COVERED = 1 / 3


@dataclass(frozen=True, eq=False)
class MakerRig:
    """mesh: metres. weights: (V, J) of the maker, rows sum to 1 or to 0. names: joints that the maker has."""

    name: str
    mesh: Mesh
    skeleton: Skeleton
    weights: Array
    names: frozenset[str]


def read_maker_rig(file: Path) -> MakerRig:
    """Read one file."""
    data = np.load(file)
    names = list(map(str, data["names"]))
    scale = HEIGHT / float(np.ptp(data["v"][:, 1]))
    positions, joints = (scale * data[key].astype(np.float64) for key in ("v", "J"))
    weights = data["W"].astype(np.float64)
    if _faces_back(dict(zip(names, joints, strict=True))):
        positions, joints = (points * (-1, 1, -1) for points in (positions, joints))
    at = dict(zip(names, joints, strict=True))
    if at["LeftArm"][0] < at["RightArm"][0]:
        names = [_swap_side(name) for name in names]
    at = dict(zip(names, joints, strict=True))
    places = _complete(at, positions, dict(zip(names, weights.T, strict=True)))
    skeleton = build_skeleton(places)
    spread = np.zeros((len(positions), len(skeleton.names)))
    for name, column in zip(names, weights.T, strict=True):
        spread[:, skeleton.index(f"mixamorig:{name}")] = column
    total = spread.sum(axis=1, keepdims=True)
    spread = np.where(total > 0.5, spread / np.maximum(total, 1e-9), 0.0)
    positions = positions.astype(np.float32)
    mesh = Mesh(positions, data["f"], compute_vertex_normals(positions, data["f"]))
    return MakerRig(file.stem, mesh, skeleton, spread, frozenset(names))


def is_in_pose(rig: MakerRig) -> bool:
    """Whether the maker's mesh stands in the pose of the maker's joints.

    Half of the bones of arms and legs have their own vertices beside them over a third of their length.
    """
    names = [name.split(":")[-1] for name in rig.skeleton.names]
    main = np.where(rig.weights.sum(axis=1) > 0.5, rig.weights.argmax(axis=1), -1)
    covered = []
    for side in SIDES:
        for name, child in _LIMB_BONES:
            number = names.index(side + name)
            own = rig.mesh.positions[main == number].astype(np.float64)
            if {side + name, side + child} <= rig.names and len(own):
                start, end = rig.skeleton.positions[[number, names.index(side + child)]].astype(np.float64)
                along = (own - start) @ (end - start) / max(float((end - start) @ (end - start)), 1e-12)
                low, high = np.clip(np.quantile(along, (0.02, 0.98)), 0, 1)
                covered.append(float(high - low))
    return not covered or float(np.median(covered)) > _LEAST_COVERED


def _faces_back(at: dict[str, Array]) -> bool:
    return "LeftToeBase" in at and float((at["LeftToeBase"] - at["LeftFoot"])[2]) < 0


def _swap_side(name: str) -> str:
    side = next((side for side in SIDES if name.startswith(side)), "")
    other = {"Left": "Right", "Right": "Left", "": ""}[side]
    return other + name.removeprefix(side)


def _complete(at: dict[str, Array], positions: Array, weights: dict[str, Array]) -> dict[str, Array]:
    """The positions of all of JOINTS."""
    places = {name: at[name] for name, *_ in JOINTS if name in at}
    top = "Head" if "Head" in at else "Neck"
    upper = positions[weights[top] > 0.5]
    places.setdefault("HeadTop_End", np.array((at[top][0], upper[:, 1].max(), at[top][2])))
    if "Neck" not in places and "Head" in places:
        chest = next(places[name] for name in ("Spine2", "Spine1", "Spine") if name in places)
        places["Neck"] = chest + _NECK_SHARE * (places["Head"] - chest)
    known = [number for number, name in enumerate(_SPINE) if name in places]
    line = np.array([places[_SPINE[number]] for number in known])
    for number, name in enumerate(_SPINE):
        step = [float(np.interp(number, known, line[:, axis])) for axis in range(3)]
        places.setdefault(name, np.array(step))
    for side in SIDES:
        chest, arm = places["Spine2"], places[side + "Arm"]
        base = np.array((0.5 * (chest[0] + arm[0]), arm[1], arm[2]))
        places.setdefault(side + "Shoulder", base + _SHOULDER_SHARE * (arm - base))
        places.setdefault(side + "Hand", _find_end(positions, weights, places, side))
        places.update(_find_toes(positions, weights, places, side))
    return places


def _find_end(positions: Array, weights: dict[str, Array], places: dict[str, Array], side: str) -> Array:
    """Where a forearm without a hand ends."""
    elbow = places[side + "ForeArm"]
    bone = elbow - places[side + "Arm"]
    bone = bone / np.linalg.norm(bone)
    own = positions[weights[side + "ForeArm"] > 0.5]
    return np.asarray(elbow + 0.8 * max(float(((own - elbow) @ bone).max()), 0.01) * bone)


def _find_toes(
    positions: Array, weights: dict[str, Array], places: dict[str, Array], side: str
) -> dict[str, Array]:
    """Both joints of the toes."""
    ankle = places[side + "Foot"]
    own = positions[sum(weights.get(side + part, 0.0) for part in ("Foot", "ToeBase")) > 0.5]
    reach = max(float((own[:, 2] - ankle[2]).max()), 0.02) if len(own) else 0.1
    low = float(own[:, 1].min()) if len(own) else float(positions[:, 1].min())
    level = low + 0.35 * max(float(ankle[1]) - low, 0.0)
    toe = np.array((ankle[0], level, ankle[2] + _TOE_SHARE * reach))
    base = places.get(side + "ToeBase", toe)
    tip = np.array((base[0] + (base - ankle)[0] * 0.4, base[1], max(ankle[2] + reach, base[2] + 0.01)))
    return {side + "ToeBase": base, side + "Toe_End": places.get(side + "Toe_End", tip)}


def bind_mesh(rig: MakerRig) -> tuple[Skeleton, SkinWeights]:
    """Return the maker's joints, and those of what the hands hold, with our weights, as a job binds them."""
    mesh = rig.mesh
    blades = find_blades(split_pieces(mesh))
    solid = voxelize_mesh(replace(mesh, faces=drop_blades(mesh.faces, blades)))
    held = hold_blades(mesh, rig.skeleton, blades)
    skeleton = add_joints(rig.skeleton, held)
    return skeleton, compute_skin_weights(mesh, skeleton, appendages=held, solid=solid)


def spread_weights(skin: SkinWeights, count: int) -> Array:
    """Return the weights (V, count) by joint."""
    spread = np.zeros((len(skin.joints), count))
    np.add.at(spread, (np.arange(len(spread))[:, None], skin.joints.astype(int)), skin.weights)
    return spread
