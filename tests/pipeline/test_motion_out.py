"""Clips as BVH, VRMA and bare skeletons, read back; and clips edited."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.animation import animate_character, edit_clips
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import (
    encode_bvh,
    encode_fbx_armature,
    encode_glb_armature,
    encode_vrma,
    read_motions,
    rename_character,
)
from character3d.pipeline.motion import transfer_motion
from character3d.pipeline.rigging.pose.posing import place_keys
from character3d.tests.humanoids import degrees_between, make_humanoid
from character3d.tests.motions import BONES
from scipy.spatial.transform import Rotation

SIDES = ("left", "right")


@pytest.fixture(scope="module")
def character():
    return animate_character(make_humanoid(), ("idle", "wave"))


def follow(character, clip):
    return place_keys(character.skeleton, clip.rotations, clip.translations, clip.mover)[..., :3, 3]


def read_plain_bvh(text):
    """Names and positions (T, J, 3) by a reader of the test's own: offsets, ZXY angles, down the tree."""
    head, _, tail = text.partition("MOTION\n")
    names, parents, offsets, widths, stack = [], [], [], [], []
    for line in head.splitlines():
        word, *rest = line.split()
        if word in ("ROOT", "JOINT", "End"):
            parents.append(stack[-1] if stack else -1)
            names.append(rest[0] if word != "End" else "")
            offsets.append(None)
            widths.append(0)
            stack.append(len(names) - 1)
        elif word == "OFFSET":
            offsets[stack[-1]] = np.array(rest, float)
        elif word == "CHANNELS":
            widths[stack[-1]] = int(rest[0])
        elif word == "}":
            stack.pop()
    rows = [np.array(row.split(), float) for row in tail.splitlines()[2:]]
    frames = []
    for row in rows:
        place, turn, column = [], [], 0
        for joint, parent in enumerate(parents):
            own = row[column : column + widths[joint]]
            column += widths[joint]
            local = Rotation.from_euler("ZXY", own[-3:], degrees=True).as_matrix() if len(own) else np.eye(3)
            offset = own[:3] if len(own) == 6 else offsets[joint]
            place.append(offset if parent < 0 else place[parent] + turn[parent] @ offset)
            turn.append(local if parent < 0 else turn[parent] @ local)
        assert column == len(row)
        frames.append(place)
    return names, np.array(frames)


def test_bvh_moves_its_joints_as_the_clip(character):
    named = rename_character(character, "unity")
    text = encode_bvh(named, "wave").decode()
    names, places = read_plain_bvh(text)
    clip = named.clips[1]
    own = follow(named, clip)
    assert len(places) == len(clip.times)
    for side in ("Left", "Right"):
        for joint in ("Hand", "LowerArm", "Foot", "LowerLeg"):
            number = named.skeleton.names.index(side + joint)
            apart = places[:, names.index(side + joint)] / 100 - own[:, number]
            assert np.ptp(apart, axis=0).max() < 0.01, (
                side + joint,
                apart,
            )  # the T-pose is lifted to the ground


@pytest.mark.parametrize("kind", ["bvh", "vrma", "glb", "fbx"])
def test_what_is_written_is_read_again(character, kind, tmp_path):
    named = rename_character(character, "vrm" if kind == "vrma" else "mixamo")
    data = {
        "bvh": lambda: encode_bvh(named, "wave"),
        "vrma": lambda: encode_vrma(named, "wave"),
        "glb": lambda: encode_glb_armature(named),
        "fbx": lambda: encode_fbx_armature(named),
    }[kind]()
    (tmp_path / f"wave.{kind}").write_bytes(data)
    motions = read_motions(tmp_path / f"wave.{kind}").motions
    assert [motion.name for motion in motions] == (["wave"] if kind in ("bvh", "vrma") else ["idle", "wave"])
    clip = transfer_motion(motions[-1], character)
    again, own = follow(character, clip), follow(character, character.clips[1])
    assert len(again) == len(own)
    for side in SIDES:
        for start, stop in BONES:
            one, two = (character.skeleton.roles[side + part] for part in (start, stop))
            off = degrees_between(again[:, two] - again[:, one], own[:, two] - own[:, one])
            assert off.max() < (1.0 if "Arm" in start else 4.0), (side + start, off.max())


def test_a_clip_that_is_not_there_is_named(character):
    with pytest.raises(FormatError, match="expected one of idle, wave; found 'fly'"):
        encode_bvh(character, "fly")
    with pytest.raises(FormatError, match="expected one of idle, wave; found 'fly'"):
        edit_clips(character, "remove", "fly")


def names(character):
    return [clip.name for clip in character.clips]


def test_clips_are_removed_and_renamed(character):
    assert names(edit_clips(character, "remove", "idle")) == ["wave"]
    assert names(edit_clips(character, "keep only", "idle")) == ["idle"]
    assert names(edit_clips(character, "remove", "")) == []
    assert names(edit_clips(character, "rename", "wave", new_name="hello")) == ["idle", "hello"]
    for bad in ({"clip": "wave", "new_name": "idle"}, {"clip": "wave"}, {"clip": "", "new_name": "x"}):
        with pytest.raises(FormatError, match="expected one clip and a new name"):
            edit_clips(character, "rename", **bad)


def test_a_trimmed_clip_is_the_part_between(character):
    whole = character.clips[1]
    (_, part) = edit_clips(character, "trim", "wave", start=0.51, end=1.26).clips
    assert part.times[0] == 0 and part.times[-1] == pytest.approx(0.75, abs=1e-5) and not part.loop
    moved, own = follow(character, part), follow(character, whole)
    key = int(np.argmin(np.abs(whole.times - (0.51 + part.times[5]))))
    np.testing.assert_allclose(moved[5], own[key], atol=2e-3)
    with pytest.raises(FormatError, match="expected a start before the end"):
        edit_clips(character, "trim", "wave", start=9.0)


def test_a_closed_loop_ends_as_it_begins(character):
    (part,) = edit_clips(edit_clips(character, "keep only", "wave"), "trim", "wave", start=0.3, end=1.6).clips
    assert not part.loop
    (closed,) = edit_clips(replace(character, clips=(part,)), "loop", "").clips
    assert closed.loop
    turn = Rotation.from_quat(closed.rotations[0]).inv() * Rotation.from_quat(closed.rotations[-1])
    assert np.degrees(turn.magnitude().max()) < 0.01
    np.testing.assert_array_equal(closed.rotations[:10], part.rotations[:10])
    steps = Rotation.from_quat(closed.rotations[:-1].reshape(-1, 4)).inv() * Rotation.from_quat(
        closed.rotations[1:].reshape(-1, 4)
    )
    assert np.degrees(steps.magnitude().max()) < 25
