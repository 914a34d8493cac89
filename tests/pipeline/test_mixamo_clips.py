"""A clip made for a character with Mixamo's axes, by joint name on ours: in three.js, not retargeted."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import align_bones, encode_fbx, encode_glb
from character3d.pipeline.rigging import normalize_to_t_pose
from character3d.pipeline.rigging.skeleton import PREFIX, build_skeleton
from character3d.pipeline.types import AnimationClip
from character3d.tests.readers.locate import run_reader
from character3d.tests.readers.sample_humanoid import find_places, make_humanoid
from scipy.spatial.transform import Rotation

# +Y and +Z of joints in the T-pose, as measured in files of Mixamo.
_AUTOMATIC = {
    "Hips": ((0, 1, 0), (0, 0, 1)),
    "Spine": ((0, 0.99, -0.15), (0, 0.15, 0.99)),
    "Spine1": ((0, 0.99, -0.15), (0, 0.15, 0.99)),
    "Spine2": ((0, 0.99, -0.15), (0, 0.15, 0.99)),
    "Neck": ((0, 1, 0), (0, 0, 1)),
    "Head": ((0, 1, 0), (0, 0, 1)),
    "LeftShoulder": ((0.96, -0.29, 0), (-0.28, -0.95, 0.15)),
    "LeftArm": ((1, 0, 0), (0, -0.99, 0.15)),
    "LeftForeArm": ((1, 0, 0), (0, -0.99, 0.15)),
    "LeftHand": ((1, -0.04, -0.04), (-0.03, -0.99, 0.15)),
    "LeftUpLeg": ((0, -1, 0), (0, 0, 1)),
    "LeftLeg": ((0.02, -1, -0.07), (0, -0.07, 1)),
    "LeftFoot": ((-0.05, -0.45, 0.89), (-0.02, 0.89, 0.45)),
    "LeftToeBase": ((0, 0, 1), (0, 1, 0)),
}
_BOT = _AUTOMATIC | {
    "Spine2": ((0, 0.99, -0.12), (0, 0.12, 0.99)),
    "Neck": ((0, 0.99, -0.12), (0, 0.12, 0.99)),
    "Head": ((0, 0.99, -0.12), (0, 0.12, 0.99)),
    "LeftShoulder": ((0.98, -0.05, -0.21), (-0.05, -1, 0)),
    "LeftArm": ((1, 0, 0), (0, -1, 0)),
    "LeftForeArm": ((1, 0, 0), (0, -1, 0)),
    "LeftHand": ((1, 0, 0), (0, -1, 0)),
    "LeftFoot": ((0, -0.63, 0.78), (0, 0.78, 0.63)),
}
_LIMBS = ("Arm", "ForeArm", "UpLeg", "Leg")
_BONES = {
    "Spine": "Spine1",
    "Spine1": "Spine2",
    "Spine2": "Neck",
    "Neck": "Head",
    "LeftShoulder": "LeftArm",
    "RightShoulder": "RightArm",
    "LeftFoot": "LeftToeBase",
    "RightFoot": "RightToeBase",
}
_NECK_AHEAD = 25
"""Degrees by which the automatic rigger's neck leans forward; its other bones lie along +Y."""


def list_axes(table):
    """Joint name -> (3, 3), of both sides."""
    found = {}
    for name, (y, z) in table.items():
        x = np.cross(y, z)
        axes = np.stack((x, np.cross(z, x), z), axis=1)
        found[name] = axes / np.linalg.norm(axes, axis=0)
        # Mirrored across x = 0; Y and Z go along, X completes the frame.
        found[name.replace("Left", "Right")] = np.diag((-1, 1, 1)) @ found[name] @ np.diag((-1, 1, 1))
    return found


def degrees(turn):
    return np.degrees(np.arccos(np.clip((np.trace(turn, axis1=-2, axis2=-1) - 1) / 2, -1, 1)))


def lower_arms(places, drop):
    """The places, with arms that hang `drop` degrees below the horizontal and are rolled by 20."""
    moved = dict(places)
    for side, sign in (("Left", 1), ("Right", -1)):
        turn = Rotation.from_euler("xz", (20, -sign * drop), degrees=True).as_matrix()
        for name in places:
            if name.startswith((side + "Arm", side + "ForeArm", side + "Hand")):
                moved[name] = places[side + "Arm"] + turn @ (places[name] - places[side + "Arm"])
    return moved


@pytest.mark.parametrize(
    ("table", "limbs", "others"), [(_AUTOMATIC, 3.0, 10.0), (_BOT, 6.1, 13.1)], ids=["automatic", "bot"]
)
@pytest.mark.parametrize("drop", [0, 55])
def test_axes_in_the_t_pose_are_mixamos(table, limbs, others, drop):
    """Of Mixamo's characters, which differ from each other by 9 degrees in the arms, 18 at the collar."""
    skeleton = build_skeleton(lower_arms(find_places(), drop))
    character = replace(make_humanoid(), skeleton=skeleton)
    posed = normalize_to_t_pose(character).skeleton
    for name, axes in list_axes(table).items():
        off = degrees(axes.T @ posed.rest[posed.index(PREFIX + name), :3, :3])
        part = name.removeprefix("Left").removeprefix("Right")
        assert off <= (limbs if part in _LIMBS else others), (name, off)


def make_dancer():
    """A character with the automatic rigger's axes and bones, and a clip that turns every joint."""
    character = make_humanoid()
    rest = character.skeleton.rest.astype(float)
    for name, end in _BONES.items():
        joint, tip = (character.skeleton.index(PREFIX + each) for each in (name, end))
        lean = np.radians(_NECK_AHEAD if name == "Neck" else 0)
        way = list_axes(_AUTOMATIC)[name] @ (0, np.cos(lean), np.sin(lean))
        rest[tip, :3, 3] = rest[joint, :3, 3] + way * np.linalg.norm(rest[tip, :3, 3] - rest[joint, :3, 3])
    for name, axes in list_axes(_AUTOMATIC).items():
        rest[character.skeleton.index(PREFIX + name), :3, :3] = axes
    skeleton = replace(character.skeleton, rest=rest)
    rng, times = np.random.default_rng(4), np.linspace(0, 1, 9)
    local = np.linalg.inv(rest[np.maximum(skeleton.parents, 0)]) @ rest
    local[0] = rest[0]
    swing = np.sin(2 * np.pi * times)[:, None, None] * rng.uniform(-0.6, 0.6, (1, len(rest), 3))
    turns = Rotation.from_rotvec(swing.reshape(-1, 3)).as_matrix().reshape(len(times), -1, 3, 3)
    rotations = Rotation.from_matrix((local[:, :3, :3] @ turns).reshape(-1, 3, 3)).as_quat()
    place = np.repeat(skeleton.positions[:1], len(times), axis=0)
    clip = AnimationClip("dance", times, rotations.reshape(len(times), -1, 4), place)
    return replace(character, skeleton=skeleton, clips=(clip,))


def read_turns(joint):
    """(T, 3, 3) from the rest pose, of a joint in the report."""
    axes = np.array([joint["rest"], *joint["frames"]]).reshape(-1, 4, 4)[:, :3, :3]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    return axes[1:] @ axes[0].T


def read_places(joints, name):
    """(T, 3) of a joint of the report."""
    return np.array(joints[name]["frames"]).reshape(-1, 4, 4)[:, :3, 3]


@pytest.mark.parametrize(("suffix", "encode"), [("fbx", lambda c: encode_fbx(c, "us")), ("glb", encode_glb)])
def test_a_clip_by_name_turns_the_mesh_as_its_own_character(tmp_path, suffix, encode):
    """Ours stands with its arms lowered; what counts is how the mesh is turned from the T-pose."""
    dancer, us = tmp_path / "dance.fbx", tmp_path / f"us.{suffix}"
    dancer.write_bytes(encode_fbx(make_dancer(), "dance"))
    character = replace(make_humanoid(), skeleton=build_skeleton(lower_arms(find_places(), 55)))
    us.write_bytes(encode(align_bones(character, "mixamo")))
    posed = normalize_to_t_pose(character).skeleton
    report = run_reader("three-clip", tmp_path / "report.json", dancer, us, "6")
    for name in list_axes(_AUTOMATIC):
        own, ours = (read_turns(report[side]["joints"][name]) for side in ("own", "model"))
        joint = posed.index(PREFIX + name)
        lifted = posed.rest[joint, :3, :3] @ character.skeleton.rest[joint, :3, :3].T
        part = name.removeprefix("Left").removeprefix("Right")
        assert degrees(own).max() > 10
        off = degrees(np.swapaxes(own, 1, 2) @ ours @ lifted.T.astype(float)).max()
        assert off <= (3.0 if part in _LIMBS else 10.0), name
    for name, end in _BONES.items():
        ways = [
            read_places(report[side]["joints"], end) - read_places(report[side]["joints"], name)
            for side in ("own", "model")
        ]
        own, ours = (way / np.linalg.norm(way, axis=1, keepdims=True) for way in ways)
        assert np.degrees(np.arccos((own * ours).sum(axis=1))).max() <= 10, name
