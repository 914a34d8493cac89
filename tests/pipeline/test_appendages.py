"""Tails and props have joints of their own; arms that are fused with the body keep their place."""

import numpy as np
import pytest
from character3d.pipeline.figure import PARTS
from character3d.pipeline.formats.joint_names import rename_joints
from character3d.pipeline.rigging import (
    SeparatedMesh,
    compute_skin_weights,
    find_fused_arms,
    fit_skeleton,
    hold_limbs,
    pose_vertices,
    separate_limbs,
)
from character3d.pipeline.rigging.pose.posing import turn_about
from character3d.pipeline.types import SkinWeights

from .figures import join_parts, make_body, make_box, make_capsule
from .test_fit_figure import read_figure
from .test_rigging import fuse_parts


def show_prop(columns):
    """Parts of a picture with a prop in these of its 64 columns, and the trunk elsewhere."""
    parts = np.full((64, 64), PARTS.index("torso"))
    parts[:, columns] = PARTS.index("prop")
    return parts


def bind(mesh, joints, parts):
    fitted = fit_skeleton(mesh, figure=read_figure(mesh, joints, parts=parts))
    return fitted, compute_skin_weights(mesh, fitted.skeleton, appendages=fitted.appendages)


@pytest.fixture(scope="module")
def wizard():
    """A body with a staff in its left hand and a tail at its right; the vertices of both."""
    mesh, joints = make_body(45, 3)
    hand = joints["LeftHand"] + 0.1 * (joints["LeftHand"] - joints["LeftForeArm"])
    up = np.array((0, 0.7, 0))
    staff = make_capsule(hand - up, hand + up, 0.03)
    tail = make_capsule((-0.05, 0.88, -0.05), (-0.8, 0.35, -0.05), 0.05)
    count = len(mesh.positions)
    dressed = join_parts([(mesh.positions, mesh.faces), staff, tail])
    parts = show_prop(np.r_[0:20, 50:64])
    fitted, skin = bind(dressed, joints, parts)
    staff_at = np.arange(count, count + len(staff[0]))
    return dressed, fitted, skin, staff_at, np.arange(staff_at[-1] + 1, len(dressed.positions))


def test_what_a_hand_holds_goes_with_it_whole(wizard):
    mesh, fitted, skin, staff, _ = wizard
    assert {made.parent for made in fitted.appendages if "Prop" in made.names[0]} == {"LeftHand"}
    turns = {"mixamorig:LeftArm": turn_about("x", 70), "mixamorig:LeftForeArm": turn_about("z", 40)}
    posed = pose_vertices(mesh, fitted.skeleton, skin, turns)[staff]
    ends = mesh.positions[staff][:, 1].argsort()[[0, -1]]
    before, after = (np.linalg.norm(np.diff(at[ends], axis=0)) for at in (mesh.positions[staff], posed))
    assert after == pytest.approx(before, rel=0.02)


def test_a_tail_has_a_chain_of_joints_below_the_hips_and_no_leg_moves_it(wizard):
    mesh, fitted, skin, _, tail = wizard
    (made,) = (made for made in fitted.appendages if made.parent == "Hips")
    assert made.names == ("RightTailA1", "RightTailA2", "RightTailA3", "RightTailA_End")
    assert made.line[-1] == pytest.approx((-0.8, 0.35, -0.05), abs=0.08)
    far = tail[mesh.positions[tail, 0] < -0.35]
    moved = {fitted.skeleton.names[joint] for joint in skin.joints[far][skin.weights[far] > 0.01]}
    assert moved == {f"mixamorig:{name}" for name in made.names[:3]} | moved & {"mixamorig:Hips"}


def test_other_programs_see_their_own_names_beside_the_joints_of_a_tail(wizard):
    skeleton = wizard[1].skeleton
    assert set(skeleton.roles) == set(rename_joints(skeleton, "vrm").roles)
    names = rename_joints(skeleton, "unreal").names
    assert "mixamorig:RightTailA_End" in names and "mixamorig:RightTailA1" in names
    assert rename_joints(skeleton, "mixamo").names == skeleton.names


def test_a_body_without_appendages_has_none():
    mesh, joints = make_body(45, 3)
    assert fit_skeleton(mesh, figure=read_figure(mesh, joints)).appendages == ()


def test_legs_of_which_one_hides_the_other_stay_with_the_hips():
    mesh, joints = make_body(45, 3)
    crossed = dict(joints)
    for name in ("LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot"):
        crossed[name] = joints[name] * (0.1, 1, 1)
    mesh = join_parts([(mesh.positions, mesh.faces), make_box((-0.13, 0, -0.08), (0.13, 0.85, 0.08))])
    fitted = fit_skeleton(mesh, figure=read_figure(mesh, crossed))
    assert any("one leg is before the other" in warning for warning in fitted.warnings)
    skin = compute_skin_weights(mesh, fitted.skeleton, hidden=fitted.hidden)
    low = mesh.positions[:, 1] < 0.6
    assert (skin.joints[low, 0] == fitted.skeleton.index("mixamorig:Hips")).all()


@pytest.mark.nightly
def test_an_arm_that_is_mere_relief_on_the_body_moves_with_the_chest():
    mesh, _ = make_body(80, 3)
    slab = make_box((0.05, 0.6, -0.15), (0.45, 1.35, 0.03))
    clothed = fuse_parts(join_parts([(mesh.positions, mesh.faces), slab]))
    skeleton = fit_skeleton(mesh).skeleton
    skin = compute_skin_weights(clothed, skeleton)
    fused = find_fused_arms(separate_limbs(clothed, skeleton, skin), skeleton)
    assert fused == ("left arm",)
    held = hold_limbs(skeleton, skin, fused)
    used = {skeleton.names[joint] for joint in held.joints[held.weights > 0]}
    parts = ("Arm", "ForeArm", "Hand")
    assert not used & {f"mixamorig:Left{part}" for part in parts}
    assert used >= {f"mixamorig:Right{part}" for part in parts}


def test_an_arm_whose_hand_is_in_a_pocket_moves_with_the_chest():
    mesh, _ = make_body(80, 3)
    pocket = make_box((0.05, 0.6, -0.15), (0.45, 0.86, 0.06))
    clothed = fuse_parts(join_parts([(mesh.positions, mesh.faces), pocket]))
    skeleton = fit_skeleton(mesh, pose_type="A-pose").skeleton
    separated = separate_limbs(clothed, skeleton, compute_skin_weights(clothed, skeleton))
    assert find_fused_arms(separated, skeleton) == ("left arm",)


def test_faces_that_fold_over_a_cut_at_an_arms_side_count_as_the_flat_area():
    skeleton = fit_skeleton(make_body(80, 3)[0]).skeleton
    turns, sizes = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.tile((1.0, 0.3), 12)
    rim = np.stack((np.zeros(24), sizes * np.cos(turns), sizes * np.sin(turns)), axis=1)
    star = np.concatenate(([(0.0, 1.5, 0.0)], rim))
    fan = np.array([(0, 1 + at, 1 + (at + 1) % 24) for at in range(24)])
    area = 12 * 0.3 * np.sin(np.pi / 12)
    (points, faces), joint = make_box((1, 0, 0), (2, 2 * area, 0)), skeleton.index("mixamorig:LeftForeArm")

    def is_fused(turn):
        mesh = join_parts([(points, faces), (star @ turn.T, fan)])
        count = len(mesh.positions)
        skin = SkinWeights(np.full((count, 4), joint), np.tile((1.0, 0.0, 0.0, 0.0), (count, 1)))
        return find_fused_arms(SeparatedMesh(mesh, skin, 0, 24), skeleton) == ("left arm",)

    sideways, forward = np.eye(3), np.eye(3)[[2, 1, 0]]
    assert not is_fused(sideways) and is_fused(forward)


def test_an_arm_that_touches_the_body_is_cut_from_it():
    mesh, _ = make_body(80, 3)
    lump = make_capsule((0.12, 0.84, 0), (0.26, 0.84, 0), 0.04)
    touching = fuse_parts(join_parts([(mesh.positions, mesh.faces), lump]))
    skeleton = fit_skeleton(touching).skeleton
    separated = separate_limbs(touching, skeleton, compute_skin_weights(touching, skeleton))
    assert separated.closing_faces > 0 and find_fused_arms(separated, skeleton) == ()
