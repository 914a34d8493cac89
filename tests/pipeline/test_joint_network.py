"""The joints that are seen in the surface of a mesh, and what becomes of those that were measured."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.rigging import fit_skeleton
from character3d.pipeline.rigging.fit import fit_skeleton as fitting
from character3d.pipeline.rigging.fit.joint_network import JOINTS
from character3d.pipeline.rigging.fit.merge_joints import is_sure, merge_arm
from character3d.pipeline.rigging.fit.see_joints import see_joints
from character3d.pipeline.types import Mesh
from character3d.tests.humanoids import make_humanoid

PLACES = {
    "LeftArm": "left_arm",
    "LeftForeArm": "left_fore_arm",
    "LeftHand": "left_hand",
    "LeftUpLeg": "left_up_leg",
    "RightLeg": "right_leg",
    "RightFoot": "right_foot",
    "RightHand": "right_hand",
    "Hips": "hips",
    "Neck": "neck",
}


@pytest.fixture(scope="module")
def humanoid():
    return make_humanoid()


@pytest.fixture(scope="module")
def mesh(humanoid):
    return humanoid.textured.mesh


@pytest.fixture(scope="module")
def seen(mesh):
    return see_joints(mesh)


def fit(mesh):
    skeleton = fit_skeleton(mesh).skeleton
    return {name.removeprefix("mixamorig:"): skeleton.positions[i] for i, name in enumerate(skeleton.names)}


def test_joints_are_seen_where_they_are(mesh, seen):
    joints, height = fit(mesh), np.ptp(mesh.positions[:, 1])
    assert is_sure(seen)
    gaps = {joint: np.linalg.norm(seen.at(place) - joints[joint]) / height for joint, place in PLACES.items()}
    assert max(gaps.values()) < 0.05, gaps


def test_a_mirrored_mesh_has_mirrored_joints(mesh, seen):
    mirrored = Mesh(mesh.positions * np.float32((-1, 1, 1)), mesh.faces[:, ::-1].copy())
    other = see_joints(mirrored)
    for name in JOINTS:
        twin = name.replace("left", "@").replace("right", "left").replace("@", "right")
        assert np.abs(other.at(twin) * (-1, 1, 1) - seen.at(name)).max() < 0.01 * np.ptp(mesh.positions[:, 1])


@pytest.mark.parametrize("scale, shift", [(100.0, (0, 0, 0)), (1.0, (3.0, -2.0, 5.0)), (1e-3, (0, 1, 0))])
def test_unit_and_place_do_not_matter(mesh, seen, scale, shift):
    moved = Mesh((mesh.positions * scale + shift).astype(np.float32), mesh.faces)
    found = (see_joints(moved).points - shift) / scale
    assert np.abs(found - seen.points).max() < 0.005


@pytest.mark.parametrize("flat", [(0, 1, 1), (0, 0, 0), (1e-9, 1e-9, 1e-9)], ids=["edge on", "point", "tiny"])
def test_what_shows_nothing_has_no_joints(mesh, flat):
    assert see_joints(Mesh(mesh.positions, np.zeros((0, 3), np.int32))) is None
    flattened = see_joints(Mesh(mesh.positions * np.float32(flat), mesh.faces))
    assert flattened is None or np.isfinite(flattened.points).all()


@pytest.fixture(scope="module")
def measured(mesh):
    """The joints, and the left arm, as they are measured without the network."""
    arms = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "see_joints", lambda _mesh: None)
        collect = fitting._collect_positions
        patch.setattr(fitting, "_collect_positions", lambda *found: arms.append(found[1]) or collect(*found))
        joints = fit(mesh)
        return joints, arms[0]["Left"]


def test_an_arm_measured_near_where_it_is_seen_goes_between_both(seen, measured):
    _, arm = measured
    merged = merge_arm(arm, seen, 1.7, 1)
    assert np.allclose(merged.wrist, 0.55 * arm.wrist + 0.45 * seen.at("left_hand"))


def test_an_arm_measured_elsewhere_goes_where_it_is_seen(seen, measured):
    _, arm = measured
    away = replace(arm, elbow=arm.elbow + 0.3, wrist=arm.wrist + 0.5, tip=arm.tip + 0.6)
    merged = merge_arm(away, seen, 1.7, 1)
    assert np.allclose(merged.wrist, seen.at("left_hand")) and np.allclose(
        merged.elbow, seen.at("left_fore_arm")
    )


def test_a_joint_that_is_not_seen_stays_where_it_was_measured(seen, measured):
    _, arm = measured
    doubted = replace(seen, trust=np.where(np.array(JOINTS) == "left_fore_arm", 0.4, seen.trust))
    away = replace(arm, elbow=arm.elbow + 0.3, wrist=arm.wrist + 0.5, tip=arm.tip + 0.6)
    merged = merge_arm(away, doubted, 1.7, 1)
    assert np.array_equal(merged.elbow, away.elbow) and np.allclose(merged.wrist, seen.at("left_hand"))


def test_a_doubted_trunk_changes_nothing(mesh, seen, measured, monkeypatch):
    doubted = replace(seen, trust=np.where(np.array(JOINTS) == "neck", 0.3, seen.trust))
    assert not is_sure(doubted)
    monkeypatch.setattr(fitting, "see_joints", lambda _mesh: doubted)
    unsure = fit(mesh)
    assert all((place == unsure[name]).all() for name, place in measured[0].items())
