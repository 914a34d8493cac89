"""Bones that point where another program's do, while axes, skin and clips stay."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import NAME_PROFILES, align_bones, rename_character, turn_axes
from character3d.pipeline.rigging.skeleton import build_skeleton
from character3d.tests.pipeline.test_joint_names import CHARACTER
from character3d.tests.pipeline.test_mixamo_clips import lower_arms
from character3d.tests.readers.sample_humanoid import find_places, make_humanoid

_ENDS = {
    "spine": "chest",
    "chest": "upperChest",
    "upperChest": "neck",
    "neck": "head",
    "leftShoulder": "leftUpperArm",
    "rightShoulder": "rightUpperArm",
    "leftFoot": "leftToes",
    "rightFoot": "rightToes",
}


def make_wry():
    """A character with a neck that juts out, high collarbones and flat feet, arms lowered."""
    places = dict(find_places())
    places["Neck"] = places["Neck"] + (0, 0, 0.06)
    for side in ("Left", "Right"):
        places[f"{side}Shoulder"] = places[f"{side}Shoulder"] + (0, 0.05, 0.02)
        ankle = places[f"{side}Foot"]
        places[f"{side}ToeBase"] = np.array((ankle[0], ankle[1] - 0.02, ankle[2] + 0.16))
    return replace(make_humanoid(), skeleton=build_skeleton(lower_arms(places, 50)))


def measure_ways(character, profile):
    """Degrees between each bone and the profile's, by the role of its joint."""
    skeleton, ways = character.skeleton, NAME_PROFILES[profile].bones
    found = {}
    for role, way in ways.items():
        joint, end = (skeleton.roles[name] for name in (role, _ENDS[role]))
        bone = skeleton.rest[joint, :3, :3].T @ (skeleton.positions[end] - skeleton.positions[joint])
        cosine = bone @ np.array(way) / np.linalg.norm(bone) / np.linalg.norm(way)
        found[role] = float(np.degrees(np.arccos(cosine)))
    return found


@pytest.mark.parametrize("profile", ["mixamo", "unreal"])
def test_bones_point_as_the_programs_do(profile):
    before = turn_axes(rename_character(make_wry(), profile), profile)
    after = align_bones(before, profile)
    assert measure_ways(after, profile).keys() == _ENDS.keys()
    assert max(measure_ways(before, profile).values()) > 20
    assert max(measure_ways(after, profile).values()) < 8.01
    assert np.array_equal(before.skeleton.rest[:, :3, :3], after.skeleton.rest[:, :3, :3])
    assert after.skin is before.skin and after.clips is before.clips and after.textured is before.textured


def test_only_joints_of_these_bones_move_and_a_foot_stays_above_its_sole():
    before = make_wry()
    after = align_bones(before, "mixamo")
    old, new = before.skeleton.positions, after.skeleton.positions
    moved = {before.skeleton.names[joint].split(":")[1] for joint in np.flatnonzero((old != new).any(axis=1))}
    ends = {f"{side}{end}" for side in ("Left", "Right") for end in ("Shoulder", "ToeBase", "Toe_End")}
    assert ends <= moved <= ends | {"Spine1", "Spine2", "Neck", "Head"}
    sole = before.textured.mesh.positions[:, 1].min()
    for side in ("left", "right"):
        ankle, ball = (before.skeleton.roles[side + part] for part in ("Foot", "Toes"))
        assert new[ball, 1] - sole > 0.199 * (new[ankle, 1] - sole)
        assert np.isclose(new[ball + 1, 1] - new[ball, 1], old[ball + 1, 1] - old[ball, 1], atol=1e-6)


def test_bones_that_point_there_stay():
    once = align_bones(make_wry(), "mixamo")
    again = align_bones(once, "mixamo").skeleton.positions
    assert np.allclose(again, once.skeleton.positions, atol=1e-6)


@pytest.mark.parametrize("profile", ["vrm", "unity", "godot", "blender"])
def test_other_programs_have_no_bones_of_their_own(profile):
    assert align_bones(CHARACTER, profile) is CHARACTER


def test_what_is_no_person_stays():
    nobody = replace(CHARACTER, skeleton=replace(CHARACTER.skeleton, roles={}))
    assert align_bones(nobody, "mixamo") is nobody
