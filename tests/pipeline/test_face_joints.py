"""Joints of eyes and jaw: where they lie, what they move, their names, and that three-vrm turns them."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import VrmMeta, encode_vrm, rename_character
from character3d.pipeline.rigging import add_face_joints, normalize_to_t_pose, pose_vertices
from character3d.tests.readers.compare import largest_difference, write_ask
from character3d.tests.readers.locate import run_reader
from character3d.tests.readers.sample_character import make_clip
from scipy.spatial.transform import Rotation

from .test_face import EYES_AT, HEAD, MORPHS, MOUTH_AT, SPEAKER

NOD = make_clip(SPEAKER.skeleton, "nod", np.linspace(0, 1, 3), {"mixamorig:Head": (0.5, 0, 0)})
FACED = add_face_joints(replace(SPEAKER, clips=(NOD,)))
OPEN = Rotation.from_euler("x", 0.3).as_matrix()


def test_eyes_are_behind_the_lids_and_the_jaw_hangs_between_eyes_and_mouth():
    skeleton = FACED.skeleton
    right, left, jaw = (skeleton.positions[skeleton.roles[role]] for role in ("rightEye", "leftEye", "jaw"))
    front = SPEAKER.textured.mesh.positions[MORPHS["eyeBlinkLeft"].vertices, 2].max()
    for eye, place in ((right, EYES_AT[0]), (left, EYES_AT[1])):
        assert eye[:2] == pytest.approx(place, abs=0.008) and front - 0.06 < eye[2] < front - 0.01
    assert abs(jaw[0]) < 0.005 and MOUTH_AT[1] - 0.01 < jaw[1] < EYES_AT[0, 1]
    head = skeleton.roles["head"]
    assert all(skeleton.parents[skeleton.roles[role]] == head for role in ("rightEye", "leftEye", "jaw"))


def test_the_mesh_rests_and_moves_as_before():
    clip = FACED.clips[0]
    assert clip.rotations.shape[1] == len(FACED.skeleton.names)
    assert (clip.rotations[:, :-3] == NOD.rotations).all() and (clip.rotations[:, -3:] == (0, 0, 0, 1)).all()
    assert np.abs(FACED.skin.weights.sum(axis=1) - 1).max() < 1e-6
    turns = {"mixamorig:Head": OPEN}
    moved, before = (
        pose_vertices(each.textured.mesh, each.skeleton, each.skin, turns) for each in (FACED, SPEAKER)
    )
    has_room = (SPEAKER.skin.weights > 0).sum(axis=1) < SPEAKER.skin.influences
    assert np.abs(moved - before)[has_room].max() < 1e-6
    assert np.abs(moved - before).max() < 1e-3  # where the least of four joints had to go


def test_the_jaw_moves_what_the_open_mouth_moves_and_nothing_else():
    mesh = FACED.textured.mesh
    moved = np.linalg.norm(
        pose_vertices(mesh, FACED.skeleton, FACED.skin, {"jaw": OPEN}) - mesh.positions, axis=1
    )
    still = np.ones(len(moved), bool)
    still[MORPHS["jawOpen"].vertices] = False
    assert moved[still].max() < 1e-6
    strength = np.linalg.norm(MORPHS["jawOpen"].deltas, axis=1)
    assert moved[MORPHS["jawOpen"].vertices[strength.argmax()]] > 0.01


def test_they_have_the_names_of_each_program_and_are_not_added_twice():
    for profile, names in {
        "unity": {"LeftEye", "RightEye", "Jaw"},
        "vrm": {"leftEye", "rightEye", "jaw"},
        "mixamo": {"mixamorig:LeftEye", "mixamorig:RightEye", "jaw"},
    }.items():
        assert names <= set(rename_character(FACED, profile).skeleton.names)
    assert add_face_joints(FACED) is FACED
    assert add_face_joints(HEAD) is HEAD  # no morph targets


def test_three_vrm_opens_the_jaw_and_turns_the_eyes(tmp_path):
    character = normalize_to_t_pose(FACED)
    (tmp_path / "us.vrm").write_bytes(encode_vrm(replace(character, clips=()), VrmMeta("Us", ("We",))))
    ask = write_ask(tmp_path / "ask.json", {"jaw": OPEN, "leftEye": OPEN})
    report = run_reader("three-vrm", tmp_path / "report.json", tmp_path / "us.vrm", ask)
    skeleton = character.skeleton
    rest = skeleton.rest[skeleton.roles["jaw"], :3, :3].astype(float)
    expected = pose_vertices(character.textured.mesh, skeleton, character.skin, {"jaw": rest.T @ OPEN @ rest})
    assert largest_difference(report["posed"], expected[character.textured.mesh.faces]) < 1e-4
