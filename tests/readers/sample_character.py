"""A small rigged character with nothing symmetric about it: every swapped axis or index shows."""

import numpy as np
from character3d.pipeline.types import Material, Mesh, RiggedCharacter, Skeleton, SkinWeights, TexturedMesh
from scipy.spatial.transform import Rotation

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


def make_weights(positions):
    """Nearest joints, HeadTop_End left out; some vertices have one influence, some four."""
    joints = np.array([joint[2] for joint in JOINTS])
    distance = np.linalg.norm(positions[:, None] - joints, axis=-1)
    distance[:, 3] = np.inf
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
    return RiggedCharacter(TexturedMesh(mesh, Material(texture)), skeleton, make_weights(mesh.positions))


def pose_by_hand(character, rotations):
    """(V, 3) linear blend skinning in float64: joint = parent joint · local rest · rotation."""
    rest, parents = character.skeleton.rest.astype(np.float64), character.skeleton.parents
    posed = np.empty_like(rest)
    for index, name in enumerate(character.skeleton.names):
        parent = parents[index]
        local = rest[index] if parent < 0 else np.linalg.inv(rest[parent]) @ rest[index]
        turn = np.eye(4)
        turn[:3, :3] = rotations.get(name, np.eye(3))
        posed[index] = (local if parent < 0 else posed[parent] @ local) @ turn
    moves = posed @ np.linalg.inv(rest)
    positions = np.c_[character.textured.mesh.positions, np.ones(len(character.skin.joints))]
    blended = np.einsum("vk,vkij->vij", character.skin.weights, moves[character.skin.joints])
    return np.einsum("vij,vj->vi", blended, positions)[:, :3]
