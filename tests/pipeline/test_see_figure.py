"""The figure in the front view of a mesh, and what it corrects of the joints that were measured."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS
from character3d.pipeline.preprocessing.see_figure import see_figure
from character3d.pipeline.rigging import fit_skeleton
from character3d.pipeline.types import Mesh
from character3d.tests.humanoids import make_humanoid

ARM = {"elbow": 0.25, "wrist": 0.5, "hand": 0.6}


@pytest.fixture(scope="module")
def mesh():
    return make_humanoid().textured.mesh


@pytest.fixture(scope="module")
def seen(mesh):
    return see_figure(mesh)


def fit(mesh, figure=None):
    skeleton = fit_skeleton(mesh, seen=figure).skeleton
    return {name.removeprefix("mixamorig:"): skeleton.positions[i] for i, name in enumerate(skeleton.names)}


def move(figure, mesh, places):
    """The figure with landmarks at these x, y, metres."""
    low, high = mesh.bounds
    left, top, right, bottom = figure.box
    landmarks, confidence = figure.landmarks.copy(), figure.confidence.copy()
    for name, place in places.items():
        share = (place[:2] - low[:2]) / (high - low)[:2]
        number = LANDMARKS.index(name)
        landmarks[number, :2] = left + share[0] * (right - left), bottom - share[1] * (bottom - top)
        confidence[number] = 1
    return replace(figure, landmarks=landmarks, confidence=confidence)


def shorten_arm(joints, side="Left"):
    shoulder, wrist = joints[f"{side}Arm"], joints[f"{side}Hand"]
    return {f"{side.lower()}_{name}": shoulder + share * (wrist - shoulder) for name, share in ARM.items()}


def test_the_outline_shows_the_figure(mesh, seen):
    assert seen.kind == "front" and seen.source == "outline"
    joints, height = fit(mesh), np.ptp(mesh.positions[:, 1])
    low, high = mesh.bounds
    left, top, right, bottom = seen.box
    for name, joint in (("left_wrist", "LeftHand"), ("right_knee", "RightLeg"), ("left_ankle", "LeftFoot")):
        share = (seen[name][:2] - (left, top)) / (right - left, bottom - top)
        place = low[0] + share[0] * (high - low)[0], high[1] - share[1] * (high - low)[1]
        assert np.linalg.norm(place - joints[joint][:2]) < 0.05 * height


@pytest.mark.parametrize("flat", [(0, 1, 1), (0, 0, 0), (1e-9, 1e-9, 1e-9)], ids=["edge on", "point", "tiny"])
def test_what_shows_nothing_from_the_front_has_no_figure(mesh, flat):
    flattened = Mesh(mesh.positions * np.float32(flat), mesh.faces)
    assert see_figure(flattened) is None
    assert see_figure(Mesh(mesh.positions, np.zeros((0, 3), np.int32))) is None


def test_where_both_agree_the_measured_joints_stay(mesh, seen):
    measured, found = fit(mesh), fit(mesh, seen)
    assert all((measured[name] == found[name]).all() for name in measured)


def test_an_arm_that_is_seen_elsewhere_goes_there_and_the_rest_stays(mesh, seen):
    measured = fit(mesh)
    places = shorten_arm(measured)
    found = fit(mesh, move(seen, mesh, places))
    for joint, landmark in (("LeftForeArm", "left_elbow"), ("LeftHand", "left_wrist")):
        assert np.linalg.norm(found[joint] - places[landmark]) < 0.03
    assert (found["RightHand"] == measured["RightHand"]).all()
    assert (found["LeftFoot"] == measured["LeftFoot"]).all()


@pytest.mark.parametrize("kind, trust", [("sitting", 1.0), ("front", 0.5)])
def test_a_figure_that_is_unsure_or_does_not_stand_corrects_nothing(mesh, seen, kind, trust):
    measured = fit(mesh)
    told = move(seen, mesh, shorten_arm(measured))
    told = replace(told, kind=kind, confidence=np.minimum(told.confidence, trust))
    assert all((measured[name] == place).all() for name, place in fit(mesh, told).items())
