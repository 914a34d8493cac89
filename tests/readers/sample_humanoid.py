"""A rigged figure in the T-pose with all of Mixamo's joints, fingers too: a tube around every bone."""

import numpy as np
from character3d.pipeline.rigging.skeleton import PREFIX, build_skeleton
from character3d.pipeline.types import Material, Mesh, RiggedCharacter, TexturedMesh
from scipy.spatial.transform import Rotation

from .sample_character import bind_to_nearest, make_tube

_TRUNK = {
    "Hips": (0, 0.95, 0.01),
    "Spine": (0, 1.05, 0.0),
    "Spine1": (0, 1.18, -0.01),
    "Spine2": (0, 1.3, -0.01),
    "Neck": (0, 1.45, 0.0),
    "Head": (0, 1.55, 0.02),
    "HeadTop_End": (0, 1.75, 0.03),
}
_LEFT = {
    "Shoulder": (0.06, 1.41, 0.0),
    "Arm": (0.18, 1.42, -0.01),
    "ForeArm": (0.45, 1.43, -0.02),
    "Hand": (0.7, 1.42, 0.0),
    "UpLeg": (0.1, 0.9, 0.0),
    "Leg": (0.11, 0.5, 0.01),
    "Foot": (0.12, 0.09, -0.02),
    "ToeBase": (0.12, 0.02, 0.1),
    "Toe_End": (0.12, 0.02, 0.18),
}
_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
FOREARM_TURN = Rotation.from_rotvec((0.1, -1.2, 0.4)).as_matrix()
NORMALIZED_POSE = {
    "leftUpperArm": Rotation.from_euler("z", -1.1).as_matrix(),
    "rightLowerArm": FOREARM_TURN,
    "leftUpperLeg": Rotation.from_euler("x", -0.8).as_matrix(),
    "leftLowerLeg": Rotation.from_euler("x", 1.2).as_matrix(),
    "chest": Rotation.from_euler("y", 0.5).as_matrix(),
    "head": Rotation.from_rotvec((0.2, 0.6, -0.1)).as_matrix(),
    "leftThumbProximal": Rotation.from_euler("y", -0.7).as_matrix(),
    "rightMiddleIntermediate": Rotation.from_euler("z", 1.3).as_matrix(),
}
"""VRM's normalized pose: humanoid bone -> rotation from the T-pose, in axes parallel to the model's."""


def find_places():
    left = {name: np.array(place) for name, place in _LEFT.items()}
    for row, finger in enumerate(_FINGERS):
        start = left["Hand"] + (0.02 if finger == "Thumb" else 0.08, -0.01, 0.04 - 0.02 * row)
        way = np.array((0.02, 0, 0.02) if finger == "Thumb" else (0.025, 0, 0))
        left |= {f"Hand{finger}{number}": start + (number - 1) * way for number in (1, 2, 3, 4)}
    places = {name: np.array(place) for name, place in _TRUNK.items()}
    for side, mirror in (("Left", 1), ("Right", -1)):
        places |= {side + name: place * (mirror, 1, 1) for name, place in left.items()}
    return places


def make_humanoid():
    places = find_places()
    skeleton = build_skeleton(places)
    tubes = []
    for name, parent, place in zip(skeleton.names, skeleton.parents, skeleton.positions, strict=True):
        start = skeleton.positions[parent]
        radius = 0.008 if "Hand" in name.removeprefix(PREFIX)[5:] else 0.05
        if parent >= 0:
            tubes.append(make_tube(start, place, radius, sides=6, rings=4))
    positions, normals, uvs, faces = (list(part) for part in zip(*tubes, strict=True))
    starts = np.cumsum([0, *map(len, positions[:-1])])
    faces = np.concatenate([part + start for part, start in zip(faces, starts, strict=True)])
    mesh = Mesh(np.concatenate(positions), faces, np.concatenate(normals), np.concatenate(uvs))
    texture = np.random.default_rng(3).random((32, 32, 4))
    texture[..., 3] = 1
    is_end = ~np.isin(np.arange(len(skeleton.names)), list(skeleton.roles.values()))
    skin = bind_to_nearest(mesh.positions, skeleton.positions, is_end)
    return RiggedCharacter(TexturedMesh(mesh, Material(texture)), skeleton, skin)


def normalized_to_joint_turns(skeleton, pose):
    """Joint name -> rotation in the joint's own axes, of a normalized pose: turn · axes = axes · rotation."""
    turns = {}
    for role, turn in pose.items():
        axes = skeleton.rest[skeleton.roles[role], :3, :3].astype(np.float64)
        turns[skeleton.names[skeleton.roles[role]]] = axes.T @ turn @ axes
    return turns
