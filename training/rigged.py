"""Meshes with their makers' skeletons and weights, in random poses: as `surfaces.py` has figures.

FOLDER holds npz files as benchmarks/rigs.py reads them. Only meshes that their makers have put under CC0, and
of these every second of the sorted list: the others are for measuring.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pack  # noqa: F401
from body import PART
from character3d.pipeline.rigging.fit.joint_network import JOINTS
from numpy.typing import NDArray
from raster import skin
from solids import turn_euler
from surfaces import Surface, coarsen, look, random_squeeze, random_turn

_NAMES = (
    *("kaykit_Knight", "kaykit_Rogue_Hooded", "q_formal", "q_mech_george", "q_medieval", "q_spacesuit"),
    *("RobotExpressive", "raylib_robot"),
)
_CHAIN = {
    "spine": ("hips",),
    "spine1": ("spine", "hips"),
    "spine2": ("spine1", "spine", "hips"),
    "neck": ("spine2", "spine1", "spine", "hips"),
    "head": ("neck", "spine2", "spine1", "spine", "hips"),
    "shoulder": ("spine2", "spine1", "spine", "hips"),
    "arm": ("shoulder", "spine2", "spine1", "spine", "hips"),
    "fore_arm": ("arm",),
    "hand": ("fore_arm",),
    "up_leg": ("hips",),
    "leg": ("up_leg",),
    "foot": ("leg",),
    "toe_base": ("foot",),
}
"""By joint: the first of these that a mesh has is its parent."""
_PARTS = {"neck": "torso", "head": "head", "hand": "hand", "foot": "foot", "toe_base": "foot"}
_DROPPED_PIECE, _KEPT = 0.06, 0.85
"""Share of the vertices up to which a piece may be left out; how often it is kept."""


@dataclass(frozen=True, eq=False)
class Rigged:
    """names: of JOINTS; parents (J,), -1 for the root, parents first; joints (J, 3); weights (V, J)."""

    points: NDArray
    triangles: NDArray
    pieces: NDArray
    names: list[str]
    parents: list[int]
    joints: NDArray
    weights: NDArray
    labels: NDArray


def load_rigged(folder: Path) -> list[Rigged]:
    """Read the meshes."""
    return [_load(folder / f"{name}.npz") for name in _NAMES]


def _load(path: Path) -> Rigged:
    data = np.load(path)
    given = [_to_snake(str(name)) for name in data["names"]]
    order = sorted(range(len(given)), key=lambda number: JOINTS.index(given[number]))
    names = [given[number] for number in order]
    parents = [_find_parent(name, names) for name in names]
    weights = data["W"].astype(np.float32)[:, order]
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-6)
    parts = np.array([PART[_find_part(name)] for name in names], np.int32)
    labels = parts[weights[data["f"][:, 0]].argmax(axis=1)]
    _, pieces = np.unique(data["obj"], return_inverse=True)
    points = data["v"].astype(np.float32)
    return Rigged(
        points, data["f"].astype(np.int32), pieces, names, parents, data["J"][order], weights, labels
    )


def _to_snake(name: str) -> str:
    """LeftForeArm: left_fore_arm."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")


def _find_parent(name: str, names: list[str]) -> int:
    side = name.split("_")[0] if name.startswith(("left", "right")) else ""
    part = name.removeprefix(f"{side}_")
    for parent in _CHAIN.get(part, ()):
        for full in (f"{side}_{parent}", parent):
            if full in names:
                return names.index(full)
    return -1


def _find_part(name: str) -> str:
    side, _, part = name.partition("_") if name.startswith(("left", "right")) else ("", "", name)
    if part in _PARTS:
        return f"{side}_{_PARTS[part]}" if side else _PARTS[part]
    if part in ("arm", "fore_arm"):
        return f"{side}_arm"
    return f"{side}_leg" if part in ("up_leg", "leg") else "torso"


def random_rigged(rigged: list[Rigged], rng: np.random.Generator) -> Surface:
    """Draw a mesh, a pose, the size of head and hands, and a view from about the front."""
    mesh = rigged[rng.integers(len(rigged))]
    matrices, offsets, joints = _pose(mesh, rng)
    points = skin(mesh.points, mesh.weights, matrices.astype(np.float32), offsets.astype(np.float32))
    squeeze = random_squeeze(rng)
    points, joints = points * np.float32(squeeze), joints * squeeze
    if rng.random() < 0.2:
        points = coarsen(points, float(np.ptp(points[:, 1])) * rng.uniform(0.005, 0.03), rng)
    turn = random_turn(rng)
    kept = _choose_pieces(mesh, rng)
    found = np.full((len(JOINTS), 3), np.nan)
    found[[JOINTS.index(name) for name in mesh.names]] = joints @ turn.T
    return look(points @ turn.T.astype(np.float32), mesh.triangles[kept], mesh.labels[kept], found)


def _choose_pieces(mesh: Rigged, rng: np.random.Generator) -> NDArray:
    """Triangles to keep: what is worn or held is left out now and then."""
    share = np.bincount(mesh.pieces) / len(mesh.pieces)
    kept = (share > _DROPPED_PIECE) | (rng.random(len(share)) < _KEPT)
    chosen = kept[mesh.pieces[mesh.triangles[:, 0]]]
    return chosen if chosen.mean() > 0.5 else np.ones_like(chosen)


def _pose(mesh: Rigged, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Matrix (J, 3, 3) and offset (J, 3) of each joint, and the posed joints (J, 3)."""
    count = len(mesh.names)
    matrices, offsets, joints = np.zeros((count, 3, 3)), np.zeros((count, 3)), mesh.joints.astype(float)
    turns = _draw_turns(mesh, rng)
    for number, (name, parent) in enumerate(zip(mesh.names, mesh.parents, strict=True)):
        base, offset = (matrices[parent], offsets[parent]) if parent >= 0 else (np.eye(3), np.zeros(3))
        matrices[number] = base @ turns.get(name, np.eye(3))
        offsets[number] = base @ joints[number] + offset - matrices[number] @ joints[number]
    posed = np.einsum("jab,jb->ja", matrices, joints) + offsets
    return matrices, offsets, posed


def _draw_turns(mesh: Rigged, rng: np.random.Generator) -> dict[str, NDArray]:
    """Turn, and size, of each joint in the mesh's frame: arms up or down, elbows, legs, a little of all."""
    calm = rng.random() < 0.3
    turns = {name: turn_euler(*rng.normal(0, 1 if calm else 4, 3)) for name in ("spine", "spine1", "head")}
    turns["head"] = turns["head"] * rng.uniform(0.75, 1.2)
    drop, same = rng.uniform(-25, 75), rng.random() < 0.7
    hand, spread, knee = rng.uniform(0.8, 1.3), rng.uniform(-4, 12), rng.uniform(0, 30) * (rng.random() < 0.4)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        low = drop if same else rng.uniform(-25, 75)
        arm = mesh.names.index(f"{side}_arm"), mesh.names.index(f"{side}_fore_arm")
        line = mesh.joints[arm[1]] - mesh.joints[arm[0]]
        now = float(np.degrees(np.arctan2(-line[1], abs(line[0]))))
        turns[f"{side}_arm"] = turn_euler(rng.normal(0, 8), 0, sign * -(low - now))
        turns[f"{side}_fore_arm"] = turn_euler(
            -sign * rng.uniform(0, 35), rng.normal(0, 10), sign * -rng.uniform(0, 10)
        )
        turns[f"{side}_hand"] = turn_euler(*rng.normal(0, 8, 3)) * hand
        turns[f"{side}_up_leg"] = turn_euler(0, rng.normal(-knee / 2, 5), sign * spread)
        turns[f"{side}_leg"] = turn_euler(0, knee, 0)
    return turns if not calm or rng.random() < 0.5 else {"head": turns["head"]}
