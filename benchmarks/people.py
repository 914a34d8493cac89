"""People made with anny (NAVER, Apache-2.0, data CC0), posed, with the joints they were made from.

Needs `pip install anny==0.6.2`; building its model takes about 80 s. anny's frame is Z-up, facing -Y.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

POSES = {"A-pose": 42.0, "T-pose": 2.0, "大-pose": 16.0}
"""Degrees of the arms below the horizontal."""

PROPORTIONS: Mapping[str, tuple[float, float, float]] = {
    "adult": (1.0, 1.0, 0.0),
    "child": (0.85, 0.92, 0.2),
    "chibi": (0.6, 0.8, 1 / 3),
}
"""Lengths of limbs and of the trunk against anny's own, and the least share of the height, head joint to
top, to which the head grows. `adult` is anny's body as it is, whatever its age."""

_LIMB_WORDS = ("Arm", "Hand", "Leg", "Foot", "Toe")
_CHAIN_STARTS = ("LeftArm", "RightArm", "ForeArm", "UpLeg", "LeftLeg", "RightLeg")
_HEAD = "mixamorig:Head"
_PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")


@dataclass(frozen=True)
class Person:
    """A body in our frame: metres, +Y up, facing +Z, feet at y = 0.

    sides: (V,) int, +1 where anny itself binds the vertex to a left limb, -1 right, 0 neither.
    joints: place of every joint of anny's, by name, parents first. parents: their parents' numbers, -1 for
    the root. weights: (V, B) anny's own.
    """

    name: str
    pose: str
    proportion: str
    positions: np.ndarray
    faces: np.ndarray
    joints: Mapping[str, np.ndarray]
    sides: np.ndarray
    parents: tuple[int, ...]
    weights: np.ndarray


@dataclass(frozen=True)
class _Body:
    vertices: np.ndarray
    heads: np.ndarray
    names: tuple[str, ...]
    parents: tuple[int, ...]
    faces: np.ndarray
    weights: np.ndarray


def generate_people(
    count: int = 20,
    seed: int = 2,
    cache: Path | None = None,
    proportions: Sequence[str] = ("adult",),
    every: int = 1,
) -> Iterator[Person]:
    """Yield each `every`-th of `count` people, in all `proportions` and in every pose of POSES.

    Bodies are kept in the file `cache` (npz).
    """
    bodies = _load_bodies(cache, count) if cache and cache.exists() else None
    if bodies is None:
        bodies = _build_bodies(count, seed)
        if cache:
            _save_bodies(cache, bodies)
    rng = np.random.default_rng(seed)
    for number, (label, body) in enumerate(bodies[:count]):
        jitter = rng.uniform(-1, 1, size=2)
        if number % every:
            continue
        for proportion in proportions:
            scales = _scale_bones(body, *PROPORTIONS[proportion])
            for pose, angle in POSES.items():
                spread = 17.0 + 3 * jitter[1] if pose == "大-pose" else 2.0
                wobble = 8.0 * jitter[0] if pose == "A-pose" else 3.0 * jitter[0]
                name = f"{number:02d} {label}"
                yield _pose_body(name, pose, proportion, body, angle + wobble, spread, scales)


def _scale_bones(body: _Body, limbs: float, trunk: float, head: float) -> list[np.ndarray]:
    """(3, 3) for each bone: limbs and trunk along their bones, the head as a whole."""
    scales = []
    for index, name in enumerate(body.names):
        factor, way = _bone_stretch(name, limbs, trunk), np.array((0.0, 1.0, 0.0))
        if name.endswith(_CHAIN_STARTS):
            way = body.heads[_bone_tip(body, name)] - body.heads[index]
            way /= np.linalg.norm(way)
        scales.append(np.eye(3) + (factor - 1) * np.outer(way, way))
    at = body.names.index(_HEAD)
    vertices, heads = _apply_bones(body, scales)
    own = vertices[:, 1].max() - heads[at, 1]
    rest = heads[at, 1] - vertices[:, 1].min()
    scales[at] = max(1.0, head * rest / ((1 - head) * own)) * np.eye(3)
    return scales


def _bone_stretch(name: str, limbs: float, trunk: float) -> float:
    if name.endswith(_CHAIN_STARTS):
        return limbs
    return trunk if name.endswith(("Hips", "Spine", "Spine1", "Spine2", "Neck")) else 1.0


def _apply_bones(body: _Body, moves: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and joints with bones under linear maps (3, 3) in the frame of the body at rest."""
    heads, vertices = body.heads.copy(), np.zeros_like(body.vertices)
    for index, parent in enumerate(body.parents):
        if parent >= 0:
            heads[index] = heads[parent] + moves[parent] @ (body.heads[index] - body.heads[parent])
        moved = (body.vertices - body.heads[index]) @ moves[index].T + heads[index]
        vertices += body.weights[:, index : index + 1] * moved
    return vertices, heads


def _build_bodies(count: int, seed: int) -> list[tuple[str, _Body]]:
    import anny
    import torch

    model = anny.Anny(rig="mixamo")
    rng = np.random.default_rng(seed)
    bodies = []
    for number in range(count):
        values = dict(zip(_PHENOTYPES, rng.uniform(0.1, 0.9, size=len(_PHENOTYPES)), strict=True))
        values["gender"] = float(number % 2)
        values["age"] = 0.15 + 0.85 * number / max(count - 1, 1)
        kwargs = {name: torch.tensor([value], dtype=torch.float64) for name, value in values.items()}
        with torch.no_grad():
            made = model(phenotype_kwargs=kwargs)
        weights = np.zeros((len(made["rest_vertices"][0]), len(model.bone_labels)), np.float32)
        indices, shares = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.numpy()
        np.add.at(weights, (np.arange(len(weights))[:, None], indices), shares)
        label = f"age {values['age']:.2f} weight {values['weight']:.2f} " + "fm"[number % 2 == 0]
        faces = np.asarray(model.get_triangular_faces())
        body = _Body(
            _to_our_frame(made["rest_vertices"][0].numpy()),
            _to_our_frame(made["rest_bone_poses"][0, :, :3, 3].numpy()),
            tuple(model.bone_labels),
            tuple(int(parent) for parent in model.bone_parents),
            faces,
            weights,
        )
        bodies.append((label, body))
    return bodies


def _to_our_frame(points: np.ndarray) -> np.ndarray:
    return np.stack((points[:, 0], points[:, 2], -points[:, 1]), axis=1)


def _save_bodies(path: Path, bodies: list[tuple[str, _Body]]) -> None:
    first = bodies[0][1]
    np.savez_compressed(
        path,
        labels=[label for label, _ in bodies],
        vertices=[body.vertices for _, body in bodies],
        heads=[body.heads for _, body in bodies],
        names=first.names,
        parents=first.parents,
        faces=first.faces,
        weights=first.weights,
    )


def _load_bodies(path: Path, count: int) -> list[tuple[str, _Body]] | None:
    with np.load(path) as stored:
        data = {key: stored[key] for key in stored.files}
    if len(data["labels"]) != count:
        return None
    names, parents = tuple(map(str, data["names"])), tuple(map(int, data["parents"]))
    shapes = zip(map(str, data["labels"]), data["vertices"], data["heads"], strict=True)
    return [
        (label, _Body(vertices, heads, names, parents, data["faces"], data["weights"]))
        for label, vertices, heads in shapes
    ]


def _pose_body(
    label: str,
    pose: str,
    proportion: str,
    body: _Body,
    arm_angle: float,
    leg_angle: float,
    scales: list[np.ndarray],
) -> Person:
    """Point arms and legs in the frontal plane, angles in degrees: below the horizontal; off the vertical."""
    turns = [np.eye(3)] * len(body.names)
    for index, (name, parent) in enumerate(zip(body.names, body.parents, strict=True)):
        if parent < 0:
            continue
        turns[index] = turns[parent]
        target = _limb_direction(name, arm_angle, leg_angle)
        if target is not None:
            current = turns[parent] @ (body.heads[_bone_tip(body, name)] - body.heads[index])
            turns[index] = _rotation_between(current, target) @ turns[parent]
    moves = [turn @ scale for turn, scale in zip(turns, scales, strict=True)]
    vertices, heads = _apply_bones(body, moves)
    offset = -np.array((heads[0, 0], vertices[:, 1].min(), heads[0, 2]))
    joints = dict(zip(body.names, heads + offset, strict=True))
    return Person(
        label,
        pose,
        proportion,
        vertices + offset,
        body.faces,
        joints,
        _limb_sides(body),
        body.parents,
        body.weights,
    )


def _limb_direction(name: str, arm_angle: float, leg_angle: float) -> np.ndarray | None:
    side = 1.0 if ":Left" in name else -1.0
    arm, leg = np.radians((arm_angle, leg_angle))
    if name.endswith(("LeftArm", "RightArm", "ForeArm", "LeftHand", "RightHand")):
        return np.array((side * np.cos(arm), -np.sin(arm), 0.0))
    if name.endswith(("UpLeg", "LeftLeg", "RightLeg")):
        return np.array((side * np.sin(leg), -np.cos(leg), 0.0))
    return None


def _bone_tip(body: _Body, name: str) -> int:
    chain = ("UpLeg", "Leg", "Foot"), ("Arm", "ForeArm", "Hand", "HandMiddle1")
    stem = "mixamorig:Left" if ":Left" in name else "mixamorig:Right"
    part = name.removeprefix(stem)
    follower = {a: b for links in chain for a, b in pairwise(links)}[part]
    return body.names.index(stem + follower)


def _rotation_between(current: np.ndarray, target: np.ndarray) -> np.ndarray:
    a, b = current / np.linalg.norm(current), target / np.linalg.norm(target)
    cross, cosine = np.cross(a, b), float(a @ b)
    skew = np.array(((0, -cross[2], cross[1]), (cross[2], 0, -cross[0]), (-cross[1], cross[0], 0)))
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def _limb_sides(body: _Body) -> np.ndarray:
    totals = {}
    for side in ("Left", "Right"):
        columns = [
            index
            for index, name in enumerate(body.names)
            if f":{side}" in name and any(word in name for word in _LIMB_WORDS)
        ]
        totals[side] = body.weights[:, columns].sum(axis=1)
    return (totals["Left"] > 0.5).astype(int) - (totals["Right"] > 0.5).astype(int)
