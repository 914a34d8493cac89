"""A small rigged character with nothing symmetric about it: every swapped axis or index shows."""

import numpy as np
from character3d.pipeline.types import (
    AnimationClip,
    Material,
    Mesh,
    RiggedCharacter,
    Skeleton,
    SkinWeights,
    TexturedMesh,
)
from scipy.spatial.transform import Rotation, Slerp

# name, parent, position in metres, rest rotation in the mesh frame (rotation vector, radians)
JOINTS = (
    ("mixamorig:Hips", -1, (0.02, 1.0, 0.01), (0.1, -0.2, 0.3)),
    ("mixamorig:Spine", 0, (0.0, 1.25, -0.02), (0.0, np.pi / 2, 0.0)),
    ("mixamorig:Head", 1, (-0.01, 1.6, 0.03), (-0.4, 0.1, 1.1)),
    ("mixamorig:HeadTop_End", 2, (-0.01, 1.8, 0.03), (0.0, 0.0, 0.0)),
    ("mixamorig:LeftArm", 1, (0.2, 1.5, 0.0), (1.3, -0.9, -2.0)),
    ("mixamorig:LeftForeArm", 4, (0.5, 1.4, 0.1), (0.2, 0.5, -1.2)),
    ("mixamorig:RightUpLeg", 0, (-0.12, 0.95, 0.02), (3.0, 0.3, 0.2)),
)
_TURNS = {
    "mixamorig:Spine": (0.0, 0.3, 0.2),
    "mixamorig:LeftArm": (0.9, -0.4, 0.3),
    "mixamorig:LeftForeArm": (0.0, 0.0, 1.2),
    "mixamorig:RightUpLeg": (-0.8, 0.1, 0.0),
}
POSE = {name: Rotation.from_rotvec(turn).as_matrix() for name, turn in _TURNS.items()}
"""Rotations on top of the rest pose, each in its joint's own axes."""


def make_tube(start, end, radius, sides=9, rings=6):
    """A closed tube with a UV seam: the first and last column share places, not vertices."""
    start, end = np.array(start), np.array(end)
    axis = (end - start) / np.linalg.norm(end - start)
    across = np.cross(axis, (0.31, 0.17, 0.9))
    across /= np.linalg.norm(across)
    up = np.cross(axis, across)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    circle = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * up
    t = np.linspace(0, 1, rings)[:, None, None]
    profile = radius * np.sqrt(np.maximum(1e-3, np.sin(np.pi * t)))
    points = start + (end - start) * t + circle * profile
    normals = np.broadcast_to(circle, points.shape)
    uvs = np.stack(np.broadcast_arrays(angle / (2 * np.pi), t[..., 0]), axis=-1)
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(sides), indexing="ij")
    a = (i * (sides + 1) + j).ravel()
    b, c, d = a + 1, a + sides + 1, a + sides + 2
    faces = np.concatenate([np.stack([a, b, d], 1), np.stack([a, d, c], 1)])
    return points.reshape(-1, 3), normals.reshape(-1, 3), uvs.reshape(-1, 2), faces


def make_mesh():
    tubes = (
        ((0.02, 0.9, 0.0), (0.0, 1.55, 0.0), 0.15),
        ((0.0, 1.5, 0.02), (-0.01, 1.85, 0.05), 0.1),
        ((0.1, 1.5, 0.0), (0.85, 1.3, 0.2), 0.06),
        ((-0.12, 1.0, 0.0), (-0.15, 0.0, 0.08), 0.08),
    )
    positions, normals, uvs, faces, count = [], [], [], [], 0
    for index, (start, end, radius) in enumerate(tubes):
        p, n, u, f = make_tube(start, end, radius)
        positions.append(p)
        normals.append(n)
        uvs.append(u * 0.45 + (0.5 * (index % 2), 0.5 * (index // 2)))
        faces.append(f + count)
        count += len(p)
    return Mesh(*(np.concatenate(parts) for parts in (positions, faces, normals, uvs)))


def bind_to_nearest(positions, joints, is_left_out):
    """Up to four nearest joints of those not left out; every fifth vertex has one influence."""
    distance = np.linalg.norm(positions[:, None] - joints, axis=-1)
    distance[:, is_left_out] = np.inf
    nearest = np.argsort(distance, axis=1)[:, :4]
    weights = 1 / np.take_along_axis(distance, nearest, axis=1) ** 3
    weights[weights < 0.02 * weights.sum(axis=1, keepdims=True)] = 0
    weights[::5, 1:] = 0
    return SkinWeights(nearest, weights / weights.sum(axis=1, keepdims=True))


def make_character():
    rest = np.tile(np.eye(4), (len(JOINTS), 1, 1))
    rest[:, :3, :3] = Rotation.from_rotvec([joint[3] for joint in JOINTS]).as_matrix()
    rest[:, :3, 3] = [joint[2] for joint in JOINTS]
    skeleton = Skeleton(tuple(joint[0] for joint in JOINTS), [joint[1] for joint in JOINTS], rest)
    texture = np.random.default_rng(7).random((64, 64, 4))
    texture[:32, :, 0], texture[..., 3] = 0.9, 1
    mesh = make_mesh()
    is_end = [name == "mixamorig:HeadTop_End" for name in skeleton.names]
    skin = bind_to_nearest(mesh.positions, np.array([joint[2] for joint in JOINTS]), is_end)
    return RiggedCharacter(TexturedMesh(mesh, Material(texture)), skeleton, skin)


def find_local_rest(skeleton):
    """(J, 4, 4) float64, each joint in its parent's axes."""
    rest = skeleton.rest.astype(np.float64)
    above = [np.eye(4) if parent < 0 else rest[parent] for parent in skeleton.parents]
    return np.linalg.inv(np.array(above)) @ rest


def make_clip(skeleton, name, times, turns, sway=(0.0, 0.0, 0.0), loop=True):
    """turns: joint name -> rotation vector on top of rest at phase 1; phases go as sine over `times`."""
    times = np.asarray(times, np.float32).astype(np.float64)
    local = Rotation.from_matrix(find_local_rest(skeleton)[:, :3, :3])
    phase = np.sin(2 * np.pi * times / times[-1]) if loop else times / times[-1]
    keys = np.empty((len(times), len(skeleton.names), 4))
    for index, joint in enumerate(skeleton.names):
        turn = Rotation.from_rotvec(np.outer(phase, turns.get(joint, np.zeros(3))))
        keys[:, index] = (local[index] * turn).as_quat()
    keys[1::2] *= -1  # the same rotations: writers must not take them for others
    places = skeleton.positions[0] + np.outer(phase, sway)
    return AnimationClip(name, times, keys, places, loop)


def make_clips(skeleton):
    """One of even keys that sways, and one of few uneven keys that turns far, past 180 degrees."""
    even = make_clip(skeleton, "walk", np.linspace(0, 1, 31), _TURNS, sway=(0.1, -0.2, 0.3))
    spin = {"mixamorig:LeftForeArm": (0.0, 4.0, 0.0), "mixamorig:Head": (0.4, 0.2, -0.9)}
    uneven = make_clip(skeleton, "spin", (0.0, 0.13, 0.5, 0.61, 1.1), spin, loop=False)
    return even, uneven


def pose_by_hand(character, rotations):
    """(V, 3) linear blend skinning in float64: joint = parent joint · local rest · rotation."""
    locals_ = find_local_rest(character.skeleton)
    for index, name in enumerate(character.skeleton.names):
        locals_[index, :3, :3] = locals_[index, :3, :3] @ rotations.get(name, np.eye(3))
    return skin_by_hand(character, locals_)


def follow_clip_by_hand(character, clip, time):
    """(V, 3) positions at `time`, with scipy's Slerp between the keys."""
    time = min(time, float(clip.times[-1]))
    locals_ = find_local_rest(character.skeleton)
    for index in range(len(locals_)):
        turn = Slerp(clip.times, Rotation.from_quat(clip.rotations[:, index]))(time)
        locals_[index, :3, :3] = turn.as_matrix()
    place = np.array([np.interp(time, clip.times, column) for column in clip.translations.T])
    above = character.skeleton.parents[clip.mover]
    rest = character.skeleton.rest[above].astype(np.float64) if above >= 0 else np.eye(4)
    locals_[clip.mover, :3, 3] = rest[:3, :3].T @ (place - rest[:3, 3])
    return skin_by_hand(character, locals_)


def skin_by_hand(character, locals_):
    rest, parents = character.skeleton.rest.astype(np.float64), character.skeleton.parents
    posed = np.empty_like(rest)
    for index, parent in enumerate(parents):
        posed[index] = locals_[index] if parent < 0 else posed[parent] @ locals_[index]
    moves = posed @ np.linalg.inv(rest)
    positions = np.c_[character.textured.mesh.positions, np.ones(len(character.skin.joints))]
    blended = np.einsum("vk,vkij->vij", character.skin.weights, moves[character.skin.joints])
    return np.einsum("vij,vj->vi", blended, positions)[:, :3]
