"""The rig of a mesh whose figure is known: joints where the picture shows them, sides, hidden limbs."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton
from character3d.pipeline.rigging.fit.figure_points import FigurePoints
from character3d.pipeline.types import Mesh

from .figures import join_parts, make_body, make_box, make_capsule

SIDED = {
    "shoulder": "Arm",
    "elbow": "ForeArm",
    "wrist": "Hand",
    "hip": "UpLeg",
    "knee": "Leg",
    "ankle": "Foot",
}
FRAME = 0.1
"""Empty space around the figure, as a share of the framed picture's side."""


def find_joints(joints):
    """Landmark name -> (3,) metres, of the figure of make_body."""
    found = {"neck": (0, 1.45, 0), "head": (0, 1.58, 0), "crown": (0, 1.7, 0), "pelvis": (0, 0.9, 0)}
    for side in ("left", "right"):
        for landmark, joint in SIDED.items():
            found[f"{side}_{landmark}"] = joints[side.title() + joint]
        wrist, elbow = (np.array(found[f"{side}_{name}"]) for name in ("wrist", "elbow"))
        found[f"{side}_hand"] = wrist + 0.6 * (wrist - elbow)
        found[f"{side}_toe"] = np.add(found[f"{side}_ankle"], (0, -0.05, 0.12))
    return found


def read_figure(mesh, joints, *, kind="front", unsure=(), parts=None):
    """The figure in a picture of the mesh from the front; what is `unsure` is known to be nothing."""
    low, high = mesh.bounds
    span = float((high - low)[:2].max()) / (1 - 2 * FRAME)
    middle = (low + high)[:2] / 2
    places = find_joints(joints)
    landmarks = np.zeros((len(LANDMARKS), 3))
    for number, name in enumerate(LANDMARKS):
        x, y, z = places[name]
        landmarks[number] = 0.5 + (x - middle[0]) / span, 0.5 - (y - middle[1]) / span, z / span
    half = (high - low)[:2] / 2 / span
    box = (0.5 - half[0], 0.5 - half[1], 0.5 + half[0], 0.5 + half[1])
    confidence = np.array([0.0 if name in unsure else 1.0 for name in LANDMARKS])
    parts = np.full((8, 8), PARTS.index("torso")) if parts is None else parts
    return Figure(kind, landmarks, confidence, box, (0.4, box[1], 0.6, 0.3), parts)


def places_of(fitted):
    names = (name.removeprefix("mixamorig:") for name in fitted.skeleton.names)
    return dict(zip(names, fitted.skeleton.positions, strict=True))


@pytest.mark.nightly_cases
@pytest.mark.parametrize(("drop", "spread"), [(45, 3), (10, 3), (80, 6)])
def test_joints_lie_where_the_picture_shows_them(drop, spread):
    mesh, joints = make_body(drop, spread)
    fitted = fit_skeleton(mesh, figure=read_figure(mesh, joints))
    at = places_of(fitted)
    gaps = {name: np.linalg.norm(at[name] - place) for name, place in joints.items()}
    assert max(gaps.values()) < 0.02 * 1.7, gaps
    assert at["Neck"][1] == pytest.approx(1.45, abs=0.005)
    assert at["HeadTop_End"][1] == pytest.approx(1.7, abs=0.005)
    assert fitted.warnings == () and fitted.metrics["figure_followed"] == 1


def test_a_hand_is_no_staff_and_no_tail():
    mesh, joints = make_body(60, 3)
    tip = 1.1 * joints["LeftHand"]
    staff = make_capsule(tip - (0, 0.8, 0), np.add(tip, (0, 0.6, 0)), 0.025)
    tail = make_capsule((-0.05, 0.85, 0), (-0.75, 0.6, 0), 0.04)
    dressed = join_parts([(mesh.positions, mesh.faces), staff, tail])
    at = places_of(fit_skeleton(dressed, figure=read_figure(dressed, joints)))
    for name in ("LeftHand", "RightHand", "LeftForeArm", "RightForeArm"):
        assert np.linalg.norm(at[name][:2] - joints[name][:2]) < 0.02 * 1.7, name


def test_an_unsure_hand_is_not_taken_for_a_prop():
    mesh, joints = make_body(80, 3)
    tail = make_capsule((-0.05, 0.85, 0), (-0.9, 0.9, 0), 0.05)
    dressed = join_parts([(mesh.positions, mesh.faces), tail])
    parts = np.full((64, 64), PARTS.index("torso"))
    parts[:, :22] = PARTS.index("prop")
    known = read_figure(dressed, joints, unsure=("right_wrist", "right_elbow", "right_hand"), parts=parts)
    hand = places_of(fit_skeleton(dressed, figure=known))["RightHand"]
    assert hand[0] > -0.45 and hand[1] < 1.2


@pytest.mark.nightly_cases
@pytest.mark.parametrize(
    ("upper", "lower"), [("right_arm", "prop"), ("right_arm", "right_arm"), ("prop", "prop")]
)
def test_an_arm_that_is_half_known_is_followed_where_the_picture_shows_it(upper, lower):
    mesh, joints = make_body(80, 3)
    tail = make_capsule((-0.05, 0.85, 0), (-0.9, 0.9, 0), 0.05)
    dressed = join_parts([(mesh.positions, mesh.faces), tail])
    parts = np.full((64, 64), PARTS.index("torso"))
    parts[:30, :38], parts[30:, :38] = PARTS.index(upper), PARTS.index(lower)
    known = read_figure(dressed, joints, parts=parts)
    unsure = [LANDMARKS.index(f"right_{name}") for name in ("elbow", "wrist", "hand")]
    confidence = np.where(np.isin(np.arange(len(LANDMARKS)), unsure), 0.2, known.confidence)
    fitted = fit_skeleton(dressed, figure=replace(known, confidence=confidence))
    is_followed = np.linalg.norm(places_of(fitted)["RightHand"] - joints["RightHand"]) < 0.02 * 1.7
    assert is_followed == (upper == "right_arm")
    assert ("mixamorig:RightHand" in fitted.hidden) == (upper == "prop")


@pytest.mark.nightly_cases
@pytest.mark.parametrize("part", ["left_arm", "torso"])
def test_a_plump_arm_that_the_picture_shows_is_not_held_before_the_trunk(part):
    mesh, joints = make_body(60, 3)
    arm = make_capsule(joints["LeftArm"], joints["LeftHand"], 0.18)
    belly = make_capsule((0, 0.95, 0), (0, 1.2, 0), 0.3)
    plump = join_parts([(mesh.positions, mesh.faces), arm, belly])
    parts = np.full((64, 64), PARTS.index("torso"))
    parts[:, 38:] = PARTS.index(part)
    fitted = fit_skeleton(plump, figure=read_figure(plump, joints, parts=parts))
    assert ("mixamorig:LeftHand" in fitted.hidden) == (part == "torso")


def test_an_arm_is_as_wide_as_its_sleeve_whatever_passes_for_its_hand():
    parts = np.zeros((100, 100), np.uint8)
    parts[10:50, 60:70] = PARTS.index("left_arm")
    parts[50:60, 30:70] = PARTS.index("left_hand")
    ends = np.zeros(2), np.ones(2)
    points = FigurePoints(np.zeros((20, 3)), np.ones(20), "front", parts, *ends, (0.0, 0.0, 1.0, 1.0))
    line = np.array(((0.65, 0.9), (0.65, 0.7), (0.65, 0.5), (0.65, 0.4)))
    assert points.measure_arm_width(1, line) == pytest.approx(0.1)


def test_what_the_picture_does_not_show_is_measured_on_the_mesh():
    mesh, joints = make_body(45, 3)
    without = places_of(fit_skeleton(mesh))
    unknown = read_figure(mesh, joints, unsure=LANDMARKS)
    assert all(
        np.array_equal(at, without[name])
        for name, at in places_of(fit_skeleton(mesh, figure=unknown)).items()
    )
    arm = ("left_shoulder", "left_elbow", "left_wrist", "left_hand")
    partly = places_of(fit_skeleton(mesh, figure=read_figure(mesh, joints, unsure=arm)))
    assert np.linalg.norm(partly["LeftHand"] - joints["LeftHand"]) < 0.05 * 1.7


def test_the_left_arm_is_where_x_is_positive_however_it_was_read():
    mesh, joints = make_body(45, 3)
    swapped = {
        {"Left": "Right", "Right": "Left"}[name[: -len(part)]] + part: place
        for name, place in joints.items()
        for part in (name.removeprefix("Left").removeprefix("Right"),)
    }
    at = places_of(fit_skeleton(mesh, figure=read_figure(mesh, swapped, kind="back")))
    assert max(np.linalg.norm(at[name] - place) for name, place in joints.items()) < 0.02 * 1.7


def test_an_arm_before_the_chest_lies_in_front_of_it():
    mesh, joints = make_body(45, 3)
    joints = dict(joints) | {
        "LeftForeArm": np.array((0.2, 1.1, 0.05)),
        "LeftHand": np.array((0.0, 1.1, 0.14)),
    }
    arm = [
        make_capsule(joints["LeftArm"], joints["LeftForeArm"], 0.04),
        make_capsule(joints["LeftForeArm"], joints["LeftHand"], 0.04),
    ]
    folded = join_parts([(mesh.positions, mesh.faces), *arm])
    at = places_of(fit_skeleton(folded, figure=read_figure(folded, joints)))
    assert at["LeftHand"][2] > 0.09 and np.linalg.norm(at["LeftHand"] - joints["LeftHand"]) < 0.05


@pytest.mark.nightly_cases
@pytest.mark.parametrize("kind", ["half_body", "bust"])
def test_limbs_outside_the_picture_are_complete_and_move_nothing(kind):
    mesh, joints = make_body(80, 3)
    kept = (mesh.positions[mesh.faces][:, :, 1] > 0.85).all(axis=1)
    chest = join_parts([(mesh.positions, mesh.faces[kept]), make_box((-0.1, 0.86, -0.08), (0.1, 1.3, 0.08))])
    legs = [f"{side}_{name}" for side in ("left", "right") for name in ("hip", "knee", "ankle", "toe")]
    arms = [f"{side}_{name}" for side in ("left", "right") for name in ("elbow", "wrist", "hand")]
    unsure = (*legs, "pelvis", *(arms if kind == "bust" else ()))
    used = np.unique(chest.faces, return_inverse=True)
    chest = Mesh(chest.positions[used[0]], used[1].reshape(-1, 3))
    fitted = fit_skeleton(chest, figure=read_figure(chest, joints, kind=kind, unsure=unsure))
    assert len(fitted.skeleton.names) == 25 and "legs are not in the picture" in fitted.warnings[0]
    at, (low, high) = places_of(fitted), chest.bounds
    assert all((low - 0.05 <= place).all() and (place <= high + 0.05).all() for place in at.values())
    assert at["Neck"][1] > at["Spine"][1] > at["Hips"][1] > at["LeftLeg"][1] > at["LeftFoot"][1]
    skin = compute_skin_weights(chest, fitted.skeleton, hidden=fitted.hidden)
    used = {fitted.skeleton.names[joint] for joint in skin.joints[skin.weights > 0]}
    assert not used & set(fitted.hidden)
    assert {"mixamorig:LeftUpLeg", "mixamorig:RightFoot"} <= set(fitted.hidden)
    assert ("mixamorig:LeftForeArm" in fitted.hidden) is (kind == "bust")


FORMLESS = {"kind": "other", "unsure": LANDMARKS}
BESIDE = make_capsule((-0.6, 0.75, 0), (0.1, 0.75, 0), 0.2)
"""A trunk that goes on to one side, as that of an animal seen from the side."""


@pytest.mark.parametrize(
    ("part", "hidden"),
    [
        (None, set()),
        (make_box((-0.14, 0, -0.08), (0.14, 0.85, 0.08)), {"UpLeg", "Leg", "Foot", "ToeBase"}),
        (make_box((-0.6, 0.75, -0.08), (0.6, 1.4, 0.08)), {"Arm", "ForeArm", "Hand"}),
        (BESIDE, {"UpLeg", "Leg", "Foot", "ToeBase", "Arm", "ForeArm", "Hand"}),
    ],
    ids=["legs and arms", "no legs", "no arms", "seen from the side"],
)
def test_what_is_no_human_form_has_only_the_limbs_of_its_outline(part, hidden):
    mesh, joints = make_body(60, 3)
    body = mesh if part is None else join_parts([(mesh.positions, mesh.faces), part])
    fitted = fit_skeleton(body, figure=read_figure(body, joints, **FORMLESS))
    assert set(fitted.hidden) == {f"mixamorig:{side}{name}" for side in ("Left", "Right") for name in hidden}
    assert places_of(fitted)["Neck"][1] == pytest.approx(1.45, abs=0.1)
