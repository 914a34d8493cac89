"""Twist joints of the arms: the same mesh at rest, no candy wrapper, and in a VRM they follow the hand."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import NAME_PROFILES, VrmMeta, encode_vrm, rename_character
from character3d.pipeline.rigging import add_twist_joints, normalize_to_t_pose, pose_vertices
from character3d.pipeline.rigging.twist_joints import find_roll_sources
from character3d.tests.humanoids import make_humanoid, skin_points, walk_tree
from character3d.tests.readers.compare import largest_difference, write_ask
from character3d.tests.readers.locate import run_reader
from character3d.tests.readers.sample_character import make_clip
from character3d.tests.readers.sample_humanoid import make_humanoid as make_posed
from scipy.spatial.transform import Rotation

ROLL = 2.4
"""Radians."""


@pytest.fixture(scope="module")
def plain():
    """Its clip rolls the left hand and the right upper arm about their bones, which are their Y axes."""
    character = make_humanoid(arm_drop=30)
    skeleton = character.skeleton
    turns = {"mixamorig:LeftHand": (0, ROLL, 0), "mixamorig:RightArm": (0, -ROLL, 0)}
    return replace(character, clips=(make_clip(skeleton, "wring", np.linspace(0, 1, 9), turns),))


@pytest.fixture(scope="module")
def twisted(plain):
    return add_twist_joints(plain, {})


def follow(character, key):
    clip = character.clips[0]
    return skin_points(character, walk_tree(character.skeleton, clip.rotations[key], clip.translations[key]))


def test_joints_lie_on_the_arms_and_the_mesh_rests_as_before(plain, twisted):
    new = twisted.skeleton.names[len(plain.skeleton.names) :]
    assert set(new) == {
        f"mixamorig:{side}{part}Twist" for side in ("Left", "Right") for part in ("Arm", "ForeArm")
    }
    at = twisted.skeleton.positions[twisted.skeleton.index("mixamorig:LeftForeArmTwist")]
    elbow, wrist = (
        twisted.skeleton.positions[twisted.skeleton.roles[role]] for role in ("leftLowerArm", "leftHand")
    )
    np.testing.assert_allclose(at, 0.5 * (elbow + wrist), atol=1e-6)
    assert np.abs(twisted.skin.weights.sum(axis=1) - 1).max() < 1e-6
    same = pose_vertices(twisted.textured.mesh, twisted.skeleton, twisted.skin, {})
    np.testing.assert_allclose(same, plain.textured.mesh.positions, atol=1e-6)
    assert twisted.skin.weights[twisted.skin.joints == twisted.skeleton.index(new[0])].max() > 0.5


def test_the_wrist_keeps_its_girth(plain, twisted):
    """With the hand rolled by 138 degrees: the least share of the skin's distance from the bone's axis."""
    skeleton, points = plain.skeleton, plain.textured.mesh.positions
    key = int(np.argmax(np.abs(plain.clips[0].rotations[:, skeleton.roles["leftHand"], 1])))
    elbow, wrist = (skeleton.positions[skeleton.roles[role]] for role in ("leftLowerArm", "leftHand"))
    axis = (wrist - elbow) / np.linalg.norm(wrist - elbow)
    along = (points - elbow) @ axis / np.linalg.norm(wrist - elbow)
    before = np.linalg.norm(np.cross(points - elbow, axis), axis=1)
    near = (along > 0.6) & (along < 1.1) & (before > 0.02) & (before < 0.05)
    thin, kept = (
        (np.linalg.norm(np.cross(follow(each, key)[near] - elbow, axis), axis=1) / before[near]).min()
        for each in (plain, twisted)
    )
    assert near.sum() > 50
    assert thin < 0.5 and kept > 0.75, (thin, kept)


def test_clips_move_all_else_as_before(plain, twisted):
    arms = [
        plain.skeleton.roles[side + part] for side in ("left", "right") for part in ("UpperArm", "LowerArm")
    ]
    away = ~(np.isin(plain.skin.joints, arms) & (plain.skin.weights > 0)).any(axis=1)
    for key in (0, 3, 6):
        np.testing.assert_allclose(follow(twisted, key)[away], follow(plain, key)[away], atol=1e-5)


def test_unreal_has_its_own_names_and_a_skeleton_without_arms_has_none(plain):
    named = add_twist_joints(rename_character(plain, "unreal"), NAME_PROFILES["unreal"].twists)
    assert {"upperarm_twist_01_l", "lowerarm_twist_01_r"} <= set(named.skeleton.names)
    assert (
        named.skeleton.names[named.skeleton.parents[named.skeleton.index("lowerarm_twist_01_r")]]
        == "lowerarm_r"
    )
    armless = replace(plain.skeleton, roles={"hips": 0})
    assert add_twist_joints(replace(plain, skeleton=armless), {}).skeleton.names == armless.names
    assert find_roll_sources(plain.skeleton) == {}


def test_three_vrm_rolls_the_forearm_with_the_hand(tmp_path):
    character = add_twist_joints(normalize_to_t_pose(make_posed()), {})
    skeleton = character.skeleton
    (tmp_path / "us.vrm").write_bytes(encode_vrm(character, VrmMeta("Us", ("We",))))
    turn = Rotation.from_euler("x", 1.2).as_matrix()
    ask = write_ask(tmp_path / "ask.json", {"leftHand": turn})
    report = run_reader("three-vrm", tmp_path / "report.json", tmp_path / "us.vrm", ask)
    hand = skeleton.rest[skeleton.roles["leftHand"], :3, :3].astype(float)
    twist = skeleton.index("mixamorig:LeftForeArmTwist")
    half = skeleton.rest[twist, :3, :3].astype(float)
    turns = {
        skeleton.names[skeleton.roles["leftHand"]]: hand.T @ turn @ hand,
        skeleton.names[twist]: half.T @ Rotation.from_euler("x", 0.6).as_matrix() @ half,
    }
    expected = pose_vertices(character.textured.mesh, skeleton, character.skin, turns)
    assert largest_difference(report["posed"], expected[character.textured.mesh.faces]) < 1e-4
