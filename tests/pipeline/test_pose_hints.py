"""BlazePose's points become landmarks, and lose their confidence where the outline contradicts them."""

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, PARTS, shows_soles
from character3d.pipeline.figure.face import Face
from character3d.pipeline.figure.pose_landmarks import PoseLandmarks
from character3d.pipeline.preprocessing.face_hints import faces_viewer, fits_face, read_face
from character3d.pipeline.preprocessing.figure_kind import (
    classify_kind,
    describe_kind,
    estimate_yaw,
    is_sideways,
)
from character3d.pipeline.preprocessing.pose_hints import find_narrowest, measure_yaw, read_pose

SIDE = 400
LEGS = ("hip", "knee", "ankle", "toe")
LEFT = {11: (260, 150), 13: (290, 210), 15: (300, 265), 17: (302, 285), 19: (306, 285), 21: (296, 280)}
LEFT |= {23: (225, 250), 25: (228, 310), 27: (230, 365), 29: (228, 375), 31: (236, 380)}
FACE = {0: (200, 82), 1: (205, 72), 2: (210, 72), 3: (215, 72), 7: (222, 80), 9: (207, 96)}


def make_pose(yaw=0.0, confidence=1.0, **moved):
    """A standing figure in the picture's pixels; its world points are turned by `yaw` degrees to its left."""
    points = np.zeros((33, 3))
    for left, (x, y) in {**LEFT, **FACE}.items():
        points[left] = x, y, 0
        if left != 0:
            right = left + 1 if left >= 7 else left + 3
            points[right] = 2 * 200 - x, y, 0
    world = (points - (200, 250, 0)) / 200
    turn = np.radians(yaw)
    world[:, 2] = world[:, 0] * np.sin(turn)
    world[:, 0] *= np.cos(turn)
    for number, place in moved.items():
        points[int(number[1:]), :2] = place
    ones = np.ones(33)
    return PoseLandmarks(points, ones, ones, world, confidence)


def make_mask():
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    head = np.hypot(x - 200, y - 80) < 40
    neck = (np.abs(x - 200) < 14) & (y > 110) & (y < 150)
    trunk = (np.abs(x - 200) < 70) & (y > 140) & (y < 260)
    arms = (np.abs(np.abs(x - 200) - 95) < 18) & (y > 140) & (y < 295)
    legs = (np.abs(np.abs(x - 200) - 28) < 20) & (y > 250) & (y < 385)
    return head | neck | trunk | arms | legs


def make_face(x, y, radius):
    return Face(np.array((x, y), np.float32), np.full(2, radius), np.zeros((6, 2)), 0.9)


def at_depth_zero(hints):
    return np.pad(hints.landmarks / SIDE, ((0, 0), (0, 1)))


def at(values, name):
    return values[LANDMARKS.index(name)]


def test_landmarks_are_named_by_the_figures_own_sides():
    hints = read_pose(make_pose(), make_mask())
    np.testing.assert_allclose(at(hints.landmarks, "left_shoulder")[:2], (260, 150))
    np.testing.assert_allclose(at(hints.landmarks, "right_wrist")[:2], (100, 265))
    assert at(hints.landmarks, "left_hand")[1] > at(hints.landmarks, "left_wrist")[1]
    np.testing.assert_allclose(at(hints.landmarks, "pelvis")[:2], (200, 250))
    assert np.delete(hints.confidence, LANDMARKS.index("crown")).min() > 0.6


@pytest.mark.parametrize(("hips", "is_swapped"), [(8, True), (40, False)])
def test_thighs_do_not_cross_in_their_upper_halves(hips, is_swapped):
    """Narrow hips over legs that are exchanged; from wide hips, knees may lie on the other side."""
    moved = {"p23": (200 + hips, 250), "p24": (200 - hips, 250), "p25": (172, 310), "p26": (228, 310)}
    landmarks = read_pose(make_pose(**moved), make_mask()).landmarks
    assert at(landmarks, "left_knee")[0] == (228 if is_swapped else 172)
    assert at(landmarks, "left_ankle")[0] == (170 if is_swapped else 230)
    assert at(landmarks, "left_hip")[0] == 200 + hips


def test_the_neck_is_where_the_outline_is_narrowest():
    x, y = at(read_pose(make_pose(), make_mask()).landmarks, "neck")[:2]
    assert x == pytest.approx(200, abs=1)
    assert 118 < y < 140


def test_a_hidden_neck_lies_midway():
    full = np.ones((SIDE, SIDE), bool)
    assert find_narrowest(full, np.array((200.0, 110.0)), np.array((200.0, 150.0))) is None
    assert find_narrowest(full, np.array((200.0, 110.0)), np.array((204.0, 111.0))) is None
    pose = make_pose()
    chin = 96 + 0.5 * (96 - 72)
    assert at(read_pose(pose, full).landmarks, "neck")[1] == pytest.approx((chin + 150) / 2)


def test_a_point_outside_the_outline_is_not_trusted():
    hints = read_pose(make_pose(p15=(380, 60)), make_mask())
    assert at(hints.confidence, "left_wrist") == 0
    assert at(hints.confidence, "right_wrist") == 1


def test_points_upside_down_or_of_no_person_are_not_trusted():
    upside_down = make_pose()
    upside_down.points[:, 1] = SIDE - upside_down.points[:, 1]
    assert read_pose(upside_down, make_mask()[::-1]).confidence.max() == 0
    assert read_pose(make_pose(confidence=0.2), make_mask()).confidence.max() == 0


@pytest.mark.parametrize("yaw", [0, 35, -35, 80])
def test_yaw_turns_to_the_figures_left(yaw):
    assert measure_yaw(make_pose(yaw).world) == pytest.approx(yaw, abs=1e-3)


@pytest.mark.parametrize(
    ("yaw", "kind"), [(0, "front"), (20, "front"), (40, "three_quarter"), (-75, "side"), (175, "back")]
)
def test_kind_by_the_angle_at_which_it_is_seen(yaw, kind):
    pose, mask = make_pose(yaw), make_mask()
    hints = read_pose(pose, mask)
    found = classify_kind(mask, at_depth_zero(hints), hints.confidence, hints.yaw, pose, None)
    assert found == kind
    assert bool(describe_kind(found)) == (kind != "front")


def test_half_body_is_cut_and_shows_no_ankles():
    pose, mask = make_pose(), make_mask()
    mask[280:] = False
    pose.visibility[[25, 26, 27, 28, 31, 32]] = 0.1
    hints = read_pose(pose, mask)
    assert classify_kind(mask, at_depth_zero(hints), hints.confidence, hints.yaw, pose, None) == "half_body"


def test_sitting_shows_short_thighs_that_point_forward():
    pose, mask = make_pose(), make_mask()
    pose.points[[25, 26], 1] = 262
    pose.world[[25, 26]] = pose.world[[23, 24]] + (0, 0.05, -0.4)
    hints = read_pose(pose, mask)
    landmarks = at_depth_zero(hints)
    rest = (hints.confidence, hints.yaw, pose, None)
    assert classify_kind(mask, landmarks, *rest) == "front"  # short legs, as a toon's
    landmarks[[LANDMARKS.index(f"{side}_knee") for side in ("left", "right")], 2] = 0.05
    assert classify_kind(mask, landmarks, *rest) == "sitting"


def test_a_bust_is_cut_above_the_hips():
    mask, hints = make_mask(), read_pose(make_pose(), make_mask())
    mask[220:] = False
    confidence = hints.confidence.copy()
    confidence[[number for number, name in enumerate(LANDMARKS) if name.endswith(LEGS)]] = 0
    assert classify_kind(mask, at_depth_zero(hints), confidence, 0.0, None, None) == "bust"


def test_a_head_alone_is_a_bust():
    y, x = np.mgrid[0:SIDE, 0:SIDE] + 0.5
    mask = np.hypot(x - 200, y - 200) < 120
    face = make_face(200, 220, 75)
    assert classify_kind(mask, np.zeros((20, 3)), np.full(20, 0.1), 0.0, None, face) == "bust"
    assert classify_kind(mask, np.zeros((20, 3)), np.full(20, 0.1), 0.0, None, None) == "other"


@pytest.mark.parametrize(("yaw", "kind"), [(4, "front"), (-30, "three_quarter"), (55, "side")])
def test_an_outline_alone_shows_the_turn(yaw, kind):
    hints, mask = read_pose(make_pose(), make_mask()), make_mask()
    landmarks = at_depth_zero(hints)
    across = landmarks[:, 0] - 0.5
    landmarks[:, 2] = -across * np.sin(np.radians(yaw))
    landmarks[:, 0] = 0.5 + across * np.cos(np.radians(yaw))
    assert estimate_yaw(landmarks) == pytest.approx(yaw, abs=1e-3)
    assert classify_kind(mask, landmarks, np.ones(20), yaw, None, None) == kind
    unseen = "front" if kind == "front" else "side"
    assert classify_kind(mask, landmarks, np.ones(20), yaw, None, None, is_faceless=True) == unseen


@pytest.mark.parametrize("knee", [(0.06, 0.46), (0.08, 0.3)], ids=["near the hips", "above the hips"])
def test_knees_of_a_toy_that_stands_are_not_those_of_one_who_sits(knee):
    hints, mask = read_pose(make_pose(), make_mask()), make_mask()
    landmarks = at_depth_zero(hints)
    for side, sign in (("left", 1), ("right", -1)):
        for name, place in (("hip", (0.04, 0.45)), ("knee", knee), ("ankle", (0.07, 0.8))):
            landmarks[LANDMARKS.index(f"{side}_{name}"), :2] = 0.5 + sign * place[0], place[1]
    assert classify_kind(mask, landmarks, np.ones(20), 0.0, None, None) == "front"


def test_knees_beside_the_hips_are_those_of_one_who_sits():
    hints, mask = read_pose(make_pose(), make_mask()), make_mask()
    landmarks = at_depth_zero(hints)
    for side, x in (("left", 0.75), ("right", 0.25)):
        landmarks[LANDMARKS.index(f"{side}_knee"), :2] = x, 0.64
    assert classify_kind(mask, landmarks, np.ones(20), 0.0, None, None) == "sitting"
    assert classify_kind(mask, landmarks, np.full(20, 0.15), 0.0, None, None) == "other"


@pytest.mark.parametrize(("sole", "kind"), [(10, "front"), (20, "sitting")])
def test_soles_as_tall_as_they_are_seen_from_below_are_those_of_one_who_sits(sole, kind):
    parts = np.zeros((128, 128), np.uint8)
    parts[14:114, 44:84] = PARTS.index("torso")
    for side, column in (("left", 66), ("right", 46)):
        parts[114 - sole : 114, column : column + 16] = PARTS.index(f"{side}_foot")
    assert shows_soles(parts) == (kind == "sitting")
    pose, mask = make_pose(), make_mask()
    hints = read_pose(pose, mask)
    read = mask, at_depth_zero(hints), hints.confidence, 0.0
    face = make_face(200, 80, 30)
    assert classify_kind(*read, None, face, parts=parts) == kind
    assert classify_kind(*read, pose, face, parts=parts) == "front"  # BlazePose sees it stand
    assert classify_kind(*read, None, None, parts=parts) == "front"  # a machine's large feet


@pytest.mark.parametrize(("covered", "kind"), [(1, "side"), (10, "three_quarter")])
def test_a_turned_figure_without_a_face_is_no_side_view_if_both_arms_are_seen(covered, kind):
    hints = read_pose(make_pose(), make_mask())
    parts = np.zeros((128, 128), np.uint8)
    parts[14:114, 44:84] = PARTS.index("torso")
    parts[20:60, 84:94], parts[20:60, 44 - covered : 44] = (
        PARTS.index(f"{side}_arm") for side in ("left", "right")
    )
    read = make_mask(), at_depth_zero(hints), hints.confidence, -38.0
    assert classify_kind(*read, None, None, parts=parts, is_faceless=True) == kind


def test_blazepose_is_believed_where_it_sees_the_same_face():
    pose = make_pose()
    assert fits_face(pose, make_face(200, 85, 22))
    assert not fits_face(pose, make_face(200, 135, 22)), "its mouth lies above the face"
    assert not fits_face(pose, make_face(260, 85, 22)), "beside it"
    assert not fits_face(make_pose(p2=(190, 72), p5=(210, 72)), make_face(200, 85, 22)), "turned away"
    assert not fits_face(make_pose(p11=(260, 80), p12=(140, 80)), make_face(200, 85, 22)), "shoulders"


@pytest.mark.parametrize(("nose", "is_seen"), [(203, True), (189, True), (176, False), (160, False)])
def test_a_face_faces_the_viewer_if_its_nose_is_between_the_ears(nose, is_seen):
    points = np.zeros((6, 2))
    points[[2, 4, 5], 0] = nose, 175, 225
    assert faces_viewer(make_face(200, 85, 25)._replace(points=points)) is is_seen
    assert is_sideways(-95) and not is_sideways(40) and not is_sideways(-150)


def test_a_face_alone_tells_head_and_neck():
    hints = read_face(make_face(200, 85, 25))
    assert at(hints.landmarks, "head").tolist() == [200, 85]
    assert at(hints.landmarks, "neck").tolist() == [200, 109]
    assert np.count_nonzero(hints.confidence) == 2


def test_no_human_form():
    mask = make_mask()
    assert classify_kind(mask, np.zeros((20, 3)), np.full(20, 0.1), 0.0, None, None) == "other"
