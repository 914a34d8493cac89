"""Joints by other programs' names: the published names, and a character that moves as before."""

import functools
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from character3d.pipeline.conventions import BONE_NAMES
from character3d.pipeline.formats import (
    NAME_PROFILES,
    rename_character,
    rename_joints,
    turn_axes,
    write_fbx,
    write_glb,
)
from character3d.pipeline.humanoid import ROLE_PARENTS
from character3d.pipeline.rigging import normalize_to_t_pose
from character3d.pipeline.rigging.skeleton import FINGER_JOINTS, JOINTS, PREFIX, build_skeleton
from character3d.tests.pipeline.test_mixamo_clips import lower_arms
from character3d.tests.readers.compare import (
    assert_joints_agree,
    assert_weights_agree,
    largest_difference,
    limit,
    write_ask,
)
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import follow_clip_by_hand, make_clip, pose_by_hand
from character3d.tests.readers.sample_humanoid import FOREARM_TURN, find_places, make_humanoid

BARE = make_humanoid()
CLIP = make_clip(
    BARE.skeleton,
    "walk",
    np.linspace(0, 1, 31),
    {"mixamorig:LeftArm": (0.4, 0.2, -1.0), "mixamorig:Hips": (0.1, 0.7, 0), "mixamorig:Head": (0.3, 0, 0)},
    sway=(0.2, -0.1, 0.5),
)
CHARACTER = replace(BARE, clips=(CLIP,))
SKELETON, MESH = BARE.skeleton, BARE.textured.mesh

# Epic's mannequins, from the pelvis down, the joints that deform; their metacarpals, twists and the two
# upper of the newer mannequin's five spines have no joint of ours.
UNREAL = [
    "pelvis", "spine_01", "spine_02", "spine_03", "neck_01", "head", "clavicle_l", "upperarm_l",
    "lowerarm_l", "hand_l", "thigh_l", "calf_l", "foot_l", "ball_l", "thumb_01_l", "thumb_02_l",
    "thumb_03_l", "index_01_l", "index_02_l", "index_03_l", "middle_01_l", "middle_02_l", "middle_03_l",
    "ring_01_l", "ring_02_l", "ring_03_l", "pinky_01_l", "pinky_02_l", "pinky_03_l",
]  # fmt: skip
# https://docs.unity3d.com/ScriptReference/HumanBodyBones.html, all but LastBone
UNITY = [
    "Hips", "Spine", "Chest", "UpperChest", "Neck", "Head", "Jaw", "LeftEye", "LeftShoulder",
    "LeftUpperArm", "LeftLowerArm", "LeftHand", "LeftUpperLeg", "LeftLowerLeg", "LeftFoot", "LeftToes",
    "LeftThumbProximal", "LeftThumbIntermediate", "LeftThumbDistal", "LeftIndexProximal",
    "LeftIndexIntermediate", "LeftIndexDistal", "LeftMiddleProximal", "LeftMiddleIntermediate",
    "LeftMiddleDistal", "LeftRingProximal", "LeftRingIntermediate", "LeftRingDistal",
    "LeftLittleProximal", "LeftLittleIntermediate", "LeftLittleDistal",
]  # fmt: skip


def test_names_are_those_published():
    names = {profile: list(entry.joints.values()) for profile, entry in NAME_PROFILES.items()}
    unreal = {*UNREAL, *(name[:-1] + "r" for name in UNREAL if name.endswith("_l"))}
    assert set(names["unreal"]) == unreal
    assert set(names["unity"]) == {*UNITY, *(name.replace("Left", "Right") for name in UNITY)}
    assert NAME_PROFILES["vrm"].joints == {role: role for role in ROLE_PARENTS}
    mixamo = {PREFIX + name for name, *_ in (*JOINTS, *FINGER_JOINTS)}
    assert {*names["mixamo"], *NAME_PROFILES["mixamo"].ends.values()} >= mixamo
    for entry in NAME_PROFILES.values():
        assert entry.source and set(entry.joints) <= set(ROLE_PARENTS)
        assert entry.is_whole or len(set(entry.joints.values())) == len(entry.joints)


def test_mixamo_is_what_we_have():
    assert rename_joints(SKELETON, "mixamo").names == SKELETON.names
    there_and_back = rename_joints(rename_joints(SKELETON, "unity"), "mixamo")
    assert there_and_back.names == SKELETON.names


@pytest.mark.parametrize("profile", ["mixamo", "vrm", "unity"])
def test_only_names_change(profile):
    renamed = rename_joints(SKELETON, profile)
    assert len(set(renamed.names)) == len(SKELETON.names)
    assert np.array_equal(renamed.parents, SKELETON.parents)
    assert np.array_equal(renamed.rest, SKELETON.rest)
    assert renamed.roles == SKELETON.roles
    for role, joint in renamed.roles.items():
        assert renamed.names[joint] == NAME_PROFILES[profile].joints[role]
    assert rename_character(CHARACTER, profile).clips[0] is CLIP


def test_end_joints_are_called_after_their_parents():
    names = rename_joints(SKELETON, "unreal").names
    assert {"head_end", "ball_l_end", "ball_r_end", "pinky_03_l_end", "thumb_03_r_end"} <= set(names)
    assert "Head_end" in rename_joints(SKELETON, "unity").names


def test_joints_that_no_profile_knows_keep_their_names():
    """A tail is no humanoid bone; two joints without a role below one parent are no ends of it."""
    tail = replace(SKELETON, roles={role: joint for role, joint in SKELETON.roles.items() if role != "neck"})
    names = rename_joints(tail, "unity").names
    assert names[SKELETON.roles["neck"]] == "mixamorig:Neck" and names[SKELETON.roles["head"]] == "Head"


def test_the_words_of_nodes_and_forms_are_the_profiles():
    assert tuple(NAME_PROFILES) == BONE_NAMES


def test_unreal_has_a_root_at_the_origin():
    renamed = rename_character(CHARACTER, "unreal")
    skeleton = renamed.skeleton
    assert skeleton.names[:2] == ("root", "pelvis")
    assert np.array_equal(skeleton.rest[0], np.eye(4))
    assert np.array_equal(skeleton.parents, [-1, *(SKELETON.parents + 1)])
    assert skeleton.roles == {role: joint + 1 for role, joint in SKELETON.roles.items()}
    for time in (0.0, 0.31, 0.77):
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)
        assert np.abs(follow_clip_by_hand(renamed, renamed.clips[0], time) - expected).max() < 1e-6
    # A second time there is nothing to add.
    again = rename_character(renamed, "unreal")
    assert again.skeleton.names == skeleton.names and again.clips == renamed.clips


@pytest.mark.parametrize("profile", ["mixamo", "vrm", "unity"])
def test_others_have_a_root_on_request(profile):
    renamed = rename_character(CHARACTER, profile, with_root=True)
    assert renamed.skeleton.names[0] == "root" and renamed.skeleton.roles["hips"] == 1
    assert renamed.skeleton.names[1:] == rename_joints(SKELETON, profile).names
    expected = follow_clip_by_hand(CHARACTER, CLIP, 0.31)
    assert np.abs(follow_clip_by_hand(renamed, renamed.clips[0], 0.31) - expected).max() < 1e-6
    assert rename_character(renamed, profile, with_root=True).skeleton.names == renamed.skeleton.names


@functools.cache
def read(folder, suffix, reader):
    renamed, model = turn_axes(rename_character(CHARACTER, "unreal"), "unreal"), folder / f"unreal{suffix}"
    (write_fbx if suffix == ".fbx" else write_glb)(model, renamed)
    axes = SKELETON.rest[SKELETON.index("mixamorig:RightForeArm"), :3, :3].T
    axes = axes @ renamed.skeleton.rest[renamed.skeleton.index("lowerarm_r"), :3, :3]
    ask = write_ask(folder / "ask.json", {"lowerarm_r": axes.T @ FOREARM_TURN @ axes}, [0.0, 0.3, 0.7])
    return renamed, run_reader(reader, folder / f"{reader}{suffix}.json", model, ask)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("suffix", "reader"),
    [
        (".fbx", "ufbx"),
        (".fbx", "blender"),
        (".fbx", "assimp"),
        (".fbx", "three"),
        (".glb", "three"),
        (".glb", "blender"),
    ],
)
def test_readers_open_the_unreal_character(tmp_path_factory, suffix, reader):
    require_reader(reader)
    renamed, report = read(tmp_path_factory.mktemp("unreal"), suffix, reader)
    assert_joints_agree(report["joints"], renamed.skeleton, reader)
    assert_weights_agree(report["weights"], renamed, reader)
    expected = pose_by_hand(CHARACTER, {"mixamorig:RightForeArm": FOREARM_TURN})[MESH.faces]
    assert largest_difference(report["posed"], expected) < limit(reader, "posed")
    for time, points in zip((0.0, 0.3, 0.7), report["clips"]["walk"], strict=True):
        expected = follow_clip_by_hand(CHARACTER, CLIP, time)[MESH.faces]
        assert largest_difference(points, expected) < limit(reader, "posed"), time


def test_unknown_profile_lists_the_known_ones():
    with pytest.raises(ValueError, match="'maya'; known are mixamo, vrm, unreal, unity"):
        rename_joints(SKELETON, "maya")
    with pytest.raises(ValueError, match="known are"):
        rename_character(CHARACTER, "maya")


# https://docs.unity3d.com/Manual/ConfiguringtheAvatar.html: a Humanoid avatar needs these 15 bones, and is
# made from a T-pose, which faces +Z with the arms straight out along X.
UNITY_REQUIRED = [
    "Hips", "Spine", "Head", "LeftUpperArm", "LeftLowerArm", "LeftHand", "LeftUpperLeg", "LeftLowerLeg",
    "LeftFoot",
]  # fmt: skip


def test_unitys_humanoid_finds_its_bones_in_its_t_pose():
    lowered = replace(BARE, skeleton=build_skeleton(lower_arms(find_places(), 55)))
    skeleton = rename_character(normalize_to_t_pose(lowered), "unity").skeleton
    assert {*UNITY_REQUIRED, *(n.replace("Left", "Right") for n in UNITY_REQUIRED)} <= set(skeleton.names)
    at = dict(zip(skeleton.names, skeleton.positions, strict=True))
    for side, out in (("Left", (1, 0, 0)), ("Right", (-1, 0, 0))):
        for parts, way in ((("UpperArm", "LowerArm", "Hand"), out), (("UpperLeg", "LowerLeg"), (0, -1, 0))):
            for start, end in pairwise(parts):
                bone = at[side + end] - at[side + start]
                assert bone @ way > np.cos(np.radians(5)) * np.linalg.norm(bone), (side, start)
        assert (at[f"{side}Toes"] - at[f"{side}Foot"])[2] > 0
