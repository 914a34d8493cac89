"""The joint axes of Unreal's mannequin: a clip of it fits, by joint name, our character with its names."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import NAME_PROFILES, rename_character, turn_axes
from character3d.pipeline.rigging import add_twist_joints, normalize_to_t_pose
from character3d.pipeline.rigging.skeleton import FINGER_JOINTS, JOINTS, build_skeleton
from character3d.pipeline.types import RiggedCharacter, SkinWeights
from character3d.tests.pipeline.test_joint_names import CHARACTER, CLIP
from character3d.tests.pipeline.test_mixamo_clips import degrees, lower_arms
from character3d.tests.readers.sample_character import follow_clip_by_hand
from character3d.tests.readers.sample_humanoid import find_places, make_humanoid

# Place in metres, +X and +Y of joints in the reference pose of Epic's SK_Mannequin.FBX (Unreal Engine 4), in
# our frame. Along the spine +X runs up and +Y back; in an arm +X runs to the left, in a leg up on the left
# side and down on the right.
_MANNEQUIN = {
    "pelvis": ((0.0, 0.968, -0.011), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
    "spine_01": ((0.0, 1.076, -0.002), (0.0, 0.99, 0.13), (0.0, 0.13, -0.99)),
    "spine_02": ((0.0, 1.268, -0.015), (0.0, 0.99, -0.12), (0.0, -0.12, -0.99)),
    "spine_03": ((0.0, 1.4, -0.035), (0.0, 0.99, -0.16), (0.0, -0.16, -0.99)),
    "neck_01": ((0.0, 1.564, -0.059), (0.0, 0.97, 0.24), (0.0, 0.24, -0.97)),
    "head": ((0.0, 1.655, -0.04), (0.0, 1.0, -0.02), (0.0, -0.02, -1.0)),
    "clavicle_l": ((0.038, 1.522, -0.028), (0.88, -0.17, -0.44), (-0.45, 0.0, -0.9)),
    "upperarm_l": ((0.177, 1.495, -0.097), (0.64, -0.76, -0.07), (-0.07, 0.04, -1.0)),
    "lowerarm_l": ((0.373, 1.264, -0.119), (0.72, -0.55, 0.43), (0.23, -0.4, -0.89)),
    "hand_l": ((0.566, 1.117, -0.003), (0.69, -0.58, 0.44), (-0.61, -0.79, -0.07)),
    "thigh_l": ((0.09, 0.953, -0.005), (-0.12, 0.99, 0.03), (-0.15, 0.01, -0.99)),
    "calf_l": ((0.142, 0.531, -0.018), (-0.07, 0.98, 0.16), (-0.06, 0.15, -0.99)),
    "foot_l": ((0.171, 0.135, -0.081), (-0.02, 1.0, 0.01), (-0.05, 0.01, -1.0)),
    "ball_l": ((0.179, 0.028, 0.084), (0.05, -0.04, 1.0), (-0.01, 1.0, 0.05)),
}
BARE = make_humanoid()
_LIMBS = ("upperarm", "lowerarm", "thigh", "calf")
_ROOT = np.array(((1, 0, 0), (0, 0, 1), (0, -1, 0)))
"""Axes, as columns: Unreal's Z is up, and its mannequin faces -Y in the FBX."""


def read_mannequin():
    """Place (3,) and axes (3, 3), as columns, by joint.

    The right side mirrors the left across x = 0, with all axes turned over.
    """
    found = {}
    for name, (place, x, y) in _MANNEQUIN.items():
        left, _, right = np.linalg.svd(np.stack((x, y, np.cross(x, y)), axis=1))
        found[name] = np.array(place), left @ right
        if name.endswith("_l"):
            mirror = np.diag((-1, 1, 1))
            found[name[:-1] + "r"] = mirror @ np.array(place), -mirror @ left @ right
    return found


def make_mannequin():
    """A body with the mannequin's joints, in its reference pose."""
    named = {role: name for name, _, role, _ in JOINTS + FINGER_JOINTS if role}
    roles = {name: role for role, name in NAME_PROFILES["unreal"].joints.items()}
    places = {named[roles[name]]: place for name, (place, _) in read_mannequin().items()}
    places["HeadTop_End"] = places["Head"] + (0, 0.2, 0)
    for side in ("Left", "Right"):
        places[f"{side}Toe_End"] = places[f"{side}ToeBase"] + (0, 0, 0.08)
    skin = SkinWeights(np.zeros_like(BARE.skin.joints), np.eye(1, 4).repeat(len(BARE.skin.joints), axis=0))
    return RiggedCharacter(BARE.textured, build_skeleton(places), skin)


def read_axes(character):
    """Joint name -> axes (3, 3) at rest."""
    skeleton = turn_axes(rename_character(character, "unreal"), "unreal").skeleton
    return dict(zip(skeleton.names, skeleton.rest[:, :3, :3], strict=True))


def test_in_the_mannequins_pose_axes_are_the_mannequins():
    axes = read_axes(make_mannequin())
    assert np.allclose(axes["root"], _ROOT, atol=1e-3)
    for name, (_, wanted) in read_mannequin().items():
        # Without fingers a hand continues its forearm; the mannequin's leads to its middle finger.
        assert degrees(wanted.T @ axes[name]) < (10 if name.startswith("hand") else 1.5), name


@pytest.mark.parametrize("drop", [0, 55])
def test_a_clip_turns_the_mesh_as_the_mannequins(drop):
    """The same rotation of a joint turns both bodies alike if their axes in the T-pose are the same."""
    ours = replace(BARE, skeleton=build_skeleton(lower_arms(find_places(), drop)))
    found, wanted = (read_axes(normalize_to_t_pose(body)) for body in (ours, make_mannequin()))
    for name in read_mannequin():
        off = degrees(wanted[name].T @ found[name])
        assert off <= (3.0 if name.startswith(_LIMBS) else 10.0), name


def test_the_character_looks_and_moves_as_before():
    turned = turn_axes(rename_character(CHARACTER, "unreal"), "unreal")
    for time in (0.0, 0.31, 0.77):
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)
        assert np.abs(follow_clip_by_hand(turned, turned.clips[0], time) - expected).max() < 1e-4


def test_twist_joints_have_the_axes_of_their_limb():
    twisted = add_twist_joints(rename_character(BARE, "unreal"), NAME_PROFILES["unreal"].twists)
    skeleton = turn_axes(twisted, "unreal").skeleton
    for side in "lr":
        limb, twist = (skeleton.index(f"lowerarm_{part}{side}") for part in ("", "twist_01_"))
        assert np.allclose(skeleton.rest[limb, :3, :3], skeleton.rest[twist, :3, :3], atol=1e-6)


@pytest.mark.parametrize("profile", ["mixamo", "vrm", "unity"])
def test_others_keep_their_axes(profile):
    assert turn_axes(CHARACTER, profile) is CHARACTER
