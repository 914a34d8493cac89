"""Skeleton and skin of bodies whose joints are known: capsules in the poses of the wire contract."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from character3d.pipeline.errors import RigError
from character3d.pipeline.rigging import (
    compute_skin_weights,
    fit_skeleton,
    pose_joints,
    pose_vertices,
    separate_limbs,
)
from character3d.pipeline.rigging.skeleton import build_skeleton, measure_tree_distances
from character3d.pipeline.rigging.skin.contact_cuts import label_regions
from character3d.pipeline.types import Mesh
from character3d.tests.humanoids import rig_elf
from scipy.spatial import cKDTree

from .figures import join_parts, make_body, make_capsule

LIMB_PARTS = ("Shoulder", "Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "ToeBase", "Toe_End")
TRUNK = ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head", "HeadTop_End")


def bound_share(skeleton, skin, words):
    """(V,) weight bound to joints whose names hold one of the words."""
    chosen = np.array([any(word in name for word in words) for name in skeleton.names])
    return (skin.weights * chosen[skin.joints]).sum(axis=1)


def turn_about(axis, degrees):
    x, y, z = axis
    angle = np.radians(degrees)
    skew = np.array(((0, -z, y), (z, 0, -x), (-y, x, 0)))
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def test_a_large_head_leaves_the_chest_to_the_trunk():
    """The elf's head is twice as thick as her chest: nothing below the shoulders follows it."""
    elf = rig_elf()
    mesh, skeleton = elf.textured.mesh, elf.skeleton
    shoulders = skeleton.positions[skeleton.index("mixamorig:LeftArm"), 1]
    chest = mesh.positions[:, 1] < shoulders
    assert bound_share(skeleton, elf.skin, ("Neck", "Head"))[chest].max() < 0.3


@cache
def fit_body(drop, spread, pose_type="No"):
    return fit_skeleton(make_body(drop, spread)[0], pose_type=pose_type)


@pytest.fixture(scope="module")
def body():
    return make_body()


@pytest.fixture(scope="module")
def fit_progress():
    """The fractions that `fitted` reported."""
    return []


@pytest.fixture(scope="module")
def skin_progress():
    """The fractions that `skin` reported."""
    return []


@pytest.fixture(scope="module")
def fitted(body, fit_progress):
    return fit_skeleton(body[0], pose_type="A-pose", progress=fit_progress.append)


@pytest.fixture(scope="module")
def skin(body, fitted, skin_progress):
    return compute_skin_weights(body[0], fitted.skeleton, progress=skin_progress.append)


def test_names_tree_and_roles(fitted):
    skeleton = fitted.skeleton
    limbs = {side + part for side in ("Left", "Right") for part in LIMB_PARTS}
    assert {name.removeprefix("mixamorig:") for name in skeleton.names} == limbs | set(TRUNK)
    assert all(name.startswith("mixamorig:") for name in skeleton.names)
    parent = {
        name.removeprefix("mixamorig:"): skeleton.names[at].removeprefix("mixamorig:") if at >= 0 else None
        for name, at in zip(skeleton.names, skeleton.parents, strict=True)
    }
    assert parent["Hips"] is None and parent["HeadTop_End"] == "Head"
    assert parent["LeftShoulder"] == parent["Neck"] == "Spine2"
    assert (parent["RightHand"], parent["RightUpLeg"], parent["LeftToe_End"]) == (
        "RightForeArm",
        "Hips",
        "LeftToeBase",
    )
    assert all(at < index for index, at in enumerate(skeleton.parents))
    assert skeleton.roles["leftUpperArm"] == skeleton.index("mixamorig:LeftArm")
    assert skeleton.roles["upperChest"] == skeleton.index("mixamorig:Spine2")
    assert len(skeleton.roles) == 6 + 2 * 8


@pytest.mark.parametrize(("drop", "spread"), [(45, 3), (0, 3), (15, 18), (75, 2)])
def test_joints_lie_where_the_body_was_bent(drop, spread):
    _, joints = make_body(drop, spread)
    skeleton = fit_body(drop, spread).skeleton
    gaps = {
        n: np.linalg.norm(skeleton.positions[skeleton.index("mixamorig:" + n)] - p) for n, p in joints.items()
    }
    assert max(gaps.values()) < 0.075 * 1.7, gaps
    assert np.mean(list(gaps.values())) < 0.035 * 1.7, gaps


def test_distances_in_the_tree_are_numbers_of_bones():
    """A root with two children, the first with a child of its own."""
    distances = measure_tree_distances(np.array([-1, 0, 0, 1]))
    assert distances.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1], [1, 2, 0, 3], [2, 1, 3, 0]]


def test_left_is_positive_x_and_symmetric(fitted):
    skeleton = fitted.skeleton
    for part in LIMB_PARTS:
        left, right = (
            skeleton.positions[skeleton.index(f"mixamorig:{side}{part}")] for side in ("Left", "Right")
        )
        assert left[0] > 0 > right[0]
        assert np.allclose(left * (-1, 1, 1), right, atol=0.02)
    assert np.abs(skeleton.positions[[skeleton.index("mixamorig:" + n) for n in TRUNK], 0]).max() < 0.01


def test_rest_is_rigid_and_y_runs_along_the_limbs(fitted):
    """The shins' axes lean as Mixamo's do: their knees are a little bent in the T-pose."""
    skeleton = fitted.skeleton
    turns = skeleton.rest[:, :3, :3]
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-5)
    assert np.allclose(np.linalg.det(turns), 1, atol=1e-5)
    for bone, child, off in (
        ("LeftArm", "LeftForeArm", 0.0),
        ("RightForeArm", "RightHand", 0.0),
        ("RightUpLeg", "RightLeg", 0.0),
        ("LeftLeg", "LeftFoot", 2.5),
    ):
        a, b = skeleton.index("mixamorig:" + bone), skeleton.index("mixamorig:" + child)
        way = skeleton.positions[b] - skeleton.positions[a]
        cosine = turns[a][:, 1] @ way / np.linalg.norm(way)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))) == pytest.approx(off, abs=0.05)


@pytest.mark.parametrize(("side", "sign"), [("Left", 1), ("Right", -1)])
def test_arms_have_the_axes_of_mixamos(side, sign):
    skeleton = fit_body(2, 3, "T-pose").skeleton
    for part in ("Arm", "ForeArm", "Hand"):
        axes = skeleton.rest[skeleton.index(f"mixamorig:{side}{part}"), :3, :3]
        assert axes[:, 2] @ (0, -1, 0) > 0.9 and axes[:, 0] @ (0, 0, -sign) > 0.9, part


def test_toes_point_forward(fitted):
    skeleton = fitted.skeleton
    ankle, toe = (skeleton.positions[skeleton.index(f"mixamorig:Left{part}")] for part in ("Foot", "Toe_End"))
    assert toe[2] - ankle[2] > 0.1 and abs(toe[0] - ankle[0]) < 0.04


@pytest.mark.nightly_cases
@pytest.mark.parametrize(
    ("drop", "spread", "pose"), [(2, 3, "T-pose"), (45, 3, "A-pose"), (75, 2, "A-pose"), (15, 18, "大-pose")]
)
def test_pose_is_recognized_and_a_wrong_pose_type_is_reported(drop, spread, pose):
    other = "T-pose" if pose != "T-pose" else "A-pose"
    unnamed, right, wrong = (fit_body(drop, spread, asked) for asked in ("No", pose, other))
    assert unnamed.pose == right.pose == wrong.pose == pose
    assert unnamed.warnings == right.warnings == ()
    (warning,) = wrong.warnings
    assert warning.startswith(f"pose_type is {other}, but the mesh shows the {pose} (arms ")


def test_unknown_pose_type_names_the_known_ones(body):
    with pytest.raises(ValueError, match=r"A-pose.*'Y-pose'"):
        fit_skeleton(body[0], pose_type="Y-pose")


def test_scale_and_translation_carry_over(body, fitted):
    mesh, _ = body
    shift = np.array((0.7, 0.0, -0.4))
    moved = fit_skeleton(Mesh(mesh.positions * 3 + shift, mesh.faces), pose_type="A-pose").skeleton
    assert np.allclose(moved.positions, fitted.skeleton.positions * 3 + shift, atol=0.01 * 3 * 1.7)


def test_arms_against_the_body_are_reported():
    mesh, _ = make_body(arm_drop=88, leg_spread=2)
    glued = join_parts(
        [
            (mesh.positions, mesh.faces),
            *(make_capsule((s * 0.14, 0.75, 0), (s * 0.14, 1.2, 0), 0.05) for s in (-1, 1)),
        ]
    )
    warnings = fit_skeleton(glued, pose_type="A-pose").warnings
    said = "the arms are not separate", "both upper arms are fused"
    assert sum(text.startswith(said) for text in warnings) == 1, warnings


def test_open_surface_is_refused():
    with pytest.raises(RigError, match="closed"):
        fit_skeleton(Mesh([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)]))


def test_weights_sum_to_one_and_end_joints_carry_none(body, fitted, skin):
    assert skin.joints.shape == skin.weights.shape == (len(body[0].positions), 4)
    assert np.allclose(skin.weights.sum(axis=1), 1, atol=1e-5) and skin.weights.min() >= 0
    used = {fitted.skeleton.names[joint] for joint in skin.joints[skin.weights > 0]}
    assert not any(name.endswith("_End") for name in used)
    assert len(used) == len(fitted.skeleton.names) - 3


def test_each_limb_follows_its_own_bone(body, fitted, skin):
    mesh, joints = body
    for name, following in (
        ("LeftArm", "LeftForeArm"),
        ("RightForeArm", "RightHand"),
        ("LeftUpLeg", "LeftLeg"),
    ):
        middle = (joints[name] + joints[following]) / 2
        points = mesh.positions
        way = (joints[following] - joints[name]) / np.linalg.norm(joints[following] - joints[name])
        near = (np.abs((points - middle) @ way) < 0.05) & (np.linalg.norm(points - middle, axis=1) < 0.1)
        assert near.sum() >= 20, name
        assert bound_share(fitted.skeleton, skin, [f":{name}"])[near].min() > 0.8


@pytest.mark.nightly_cases
@pytest.mark.parametrize(("drop", "spread"), [(45, 3), (80, 1), (15, 18)])
def test_no_vertex_follows_a_limb_of_the_other_side(drop, spread):
    mesh, _ = make_body(drop, spread)
    skeleton = fit_body(drop, spread).skeleton
    skin = compute_skin_weights(mesh, skeleton)
    left, right = (bound_share(skeleton, skin, [side]) for side in (":Left", ":Right"))
    x = mesh.positions[:, 0]
    assert right[x > 0.02].max() < 0.05 and left[x < -0.02].max() < 0.05
    assert np.minimum(left, right)[np.abs(x) > 0.005].max() == 0


def test_hand_beside_the_thigh_stays_apart():
    mesh, joints = make_body(arm_drop=80, leg_spread=4)
    skeleton = fit_skeleton(mesh, pose_type="No").skeleton
    skin = compute_skin_weights(mesh, skeleton)
    arms = bound_share(skeleton, skin, ["Arm", "Hand"])
    legs = bound_share(skeleton, skin, ["Leg", "Foot", "Toe"])
    assert np.minimum(arms, legs).max() == 0
    hand = np.linalg.norm(mesh.positions - joints["LeftHand"], axis=1) < 0.06
    assert arms[hand].min() > 0.99


def test_vertices_at_one_place_get_equal_weights(body, fitted, skin):
    mesh, _ = body
    doubled = Mesh(np.concatenate((mesh.positions, mesh.positions)), mesh.faces)
    again = compute_skin_weights(doubled, fitted.skeleton)
    count = len(mesh.positions)
    assert np.array_equal(again.joints[:count], again.joints[count:])
    assert np.array_equal(again.weights[:count], again.weights[count:])
    assert np.allclose(again.weights[:count], skin.weights, atol=1e-5)


def test_pose_without_turns_is_rest(body, fitted, skin):
    mesh, _ = body
    assert np.allclose(pose_vertices(mesh, fitted.skeleton, skin, {}), mesh.positions, atol=1e-5)
    assert np.allclose(pose_joints(fitted.skeleton, {}), fitted.skeleton.rest, atol=1e-5)


def test_turning_a_forearm_moves_only_that_arm(body, fitted, skin):
    mesh, joints = body
    skeleton = fitted.skeleton
    posed = pose_vertices(mesh, skeleton, skin, {"mixamorig:LeftForeArm": turn_about((0, 0, 1), 60)})
    moved = np.linalg.norm(posed - mesh.positions, axis=1)
    elbow, wrist = (
        skeleton.positions[skeleton.index(f"mixamorig:Left{part}")] for part in ("ForeArm", "Hand")
    )
    assert moved[mesh.positions[:, 0] < 0.1].max() < 1e-3
    hand = mesh.positions[:, 0] > joints["LeftHand"][0]
    before, after = mesh.positions[hand] - elbow, posed[hand] - elbow
    assert np.allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), atol=0.01)
    turned = pose_joints(skeleton, {"mixamorig:LeftForeArm": turn_about((0, 0, 1), 60)})
    way = turned[skeleton.index("mixamorig:LeftHand"), :3, 3] - elbow
    assert np.isclose(way @ (wrist - elbow) / np.linalg.norm(way) ** 2, 0.5, atol=0.01)


def test_unknown_joint_is_named(body, fitted, skin):
    with pytest.raises(ValueError, match="no joint 'Tail'"):
        pose_vertices(body[0], fitted.skeleton, skin, {"Tail": np.eye(3)})


def test_progress_never_falls(fitted, skin, fit_progress, skin_progress):
    for seen in (fit_progress, skin_progress):
        assert len(seen) > 5 and seen == sorted(seen) and (seen[0], seen[-1]) == (0.0, 1.0)


def test_progress_can_cancel(body):
    class CancelError(Exception):
        pass

    def cancel(fraction):
        if fraction > 0.3:
            raise CancelError

    with pytest.raises(CancelError):
        fit_skeleton(body[0], progress=cancel)


@pytest.mark.nightly
def test_same_mesh_same_rig(body, fitted, skin):
    again = fit_skeleton(body[0], pose_type="A-pose").skeleton
    assert np.array_equal(again.rest, fitted.skeleton.rest)
    repeated = compute_skin_weights(body[0], again)
    assert np.array_equal(repeated.joints, skin.joints) and np.array_equal(repeated.weights, skin.weights)


def fuse_parts(mesh):
    """One closed surface around overlapping parts, so that parts that touch are fused."""
    from character3d.pipeline.rigging.voxelize import voxelize_mesh
    from skimage.measure import marching_cubes

    solid = voxelize_mesh(mesh)
    points, faces, _, _ = marching_cubes(np.pad(solid.cells, 1).astype(np.float32), 0.5)
    return Mesh((points - 1) * solid.size + solid.origin, faces[:, ::-1])


def count_open_edges(mesh):
    """Number of directed edges without an opposite, with coincident vertices merged."""
    _, place = np.unique(mesh.positions, axis=0, return_inverse=True)
    faces = place.reshape(-1)[mesh.faces]
    edges = [tuple(edge) for a, b in ((0, 1), (1, 2), (2, 0)) for edge in faces[:, [a, b]].tolist()]
    counts = {}
    for a, b in edges:
        counts[(a, b)] = counts.get((a, b), 0) + 1
        counts[(b, a)] = counts.get((b, a), 0) - 1
    return sum(value > 0 for value in counts.values())


@pytest.fixture(scope="module")
def fused():
    """An arm hangs beside the thigh, and a lump joins them."""
    mesh, _ = make_body(arm_drop=80, leg_spread=2)
    lump = make_capsule((0.12, 0.84, 0), (0.26, 0.84, 0), 0.04)
    mesh = fuse_parts(join_parts([(mesh.positions, mesh.faces), lump]))
    skeleton = fit_skeleton(mesh, pose_type="A-pose").skeleton
    return mesh, skeleton, compute_skin_weights(mesh, skeleton)


def stretch_of_faces(mesh, posed):
    corners = mesh.faces[:, [0, 1, 2, 0]]
    before, after = (
        np.linalg.norm(np.diff(points[corners], axis=1), axis=2).max(axis=1)
        for points in (mesh.positions, posed)
    )
    return after - before


def count_added(mesh, apart):
    """Vertices of the closing faces, three to each."""
    return 3 * (len(apart.mesh.faces) - (len(mesh.faces) - apart.cut_faces))


def test_a_fused_arm_is_cut_free_and_closed(fused):
    mesh, skeleton, skin = fused
    lift = {"mixamorig:LeftArm": turn_about((1, 0, 0), 90)}
    assert count_open_edges(mesh) == 0
    assert stretch_of_faces(mesh, pose_vertices(mesh, skeleton, skin, lift)).max() > 0.3
    apart = separate_limbs(mesh, skeleton, skin)
    assert 0 < apart.cut_faces < 0.05 * len(mesh.faces)
    assert count_open_edges(apart.mesh) == 0
    assert np.allclose(apart.skin.weights.sum(axis=1), 1, atol=1e-5)
    posed = pose_vertices(apart.mesh, skeleton, apart.skin, lift)
    assert stretch_of_faces(apart.mesh, posed).max() < 0.1
    stay = len(apart.mesh.positions) - count_added(mesh, apart)
    assert set(map(tuple, apart.mesh.positions[:stay].tolist())) <= set(map(tuple, mesh.positions.tolist()))
    assert np.array_equal(np.unique(apart.mesh.faces), np.arange(len(apart.mesh.positions)))


def test_cut_mesh_keeps_uvs_and_normals(fused):
    mesh, skeleton, skin = fused
    uvs = np.random.default_rng(0).uniform(size=(len(mesh.positions), 2)).astype(np.float32)
    dressed = Mesh(mesh.positions, mesh.faces, normals=np.tile((0.0, 0.0, 1.0), (len(uvs), 1)), uvs=uvs)
    apart = separate_limbs(dressed, skeleton, skin)
    cut, stay = apart.mesh, len(apart.mesh.positions) - count_added(mesh, apart)
    own = dict(zip(map(tuple, mesh.positions.tolist()), uvs.tolist(), strict=True))
    assert [own[tuple(place)] for place in cut.positions[:stay].tolist()] == cut.uvs[:stay].tolist()
    assert np.ptp(cut.uvs[stay:].reshape(-1, 3, 2), axis=1).max() == 0
    assert np.allclose(np.linalg.norm(cut.normals, axis=1), 1, atol=1e-4)


def test_what_closes_a_cut_has_the_color_of_its_part_and_not_of_the_contact(fused):
    mesh, skeleton, skin = fused
    apart = separate_limbs(mesh, skeleton, skin)
    stay = len(apart.mesh.positions) - count_added(mesh, apart)
    near, _ = cKDTree(apart.mesh.positions[stay:]).query(mesh.positions)
    is_arm = label_regions(skeleton, mesh.positions, skin.joints[:, 0]) != 0
    uvs = np.where(near[:, None] < 0.006, (0.0, 0.0), np.where(is_arm[:, None], (1.0, 0.0), (0.0, 1.0)))
    painted = separate_limbs(replace(mesh, uvs=uvs.astype(np.float32)), skeleton, skin, colors=uvs)
    closing = painted.mesh.uvs[stay::3]
    assert (closing.sum(axis=1) == 0).mean() < 0.2
    arm = label_regions(skeleton, painted.mesh.positions[stay::3], painted.skin.joints[stay::3, 0]) != 0
    assert (closing[arm, 1] == 0).mean() > 0.9 and (closing[~arm, 0] == 0).mean() > 0.9


def test_a_free_body_is_not_cut(body, fitted, skin):
    apart = separate_limbs(body[0], fitted.skeleton, skin)
    assert apart.cut_faces == 0 and apart.mesh is body[0] and apart.skin is skin


def test_fingers_belong_to_the_arm(fitted):
    """Else a cut would take them off the hand."""
    places = {
        name.removeprefix("mixamorig:"): place
        for name, place in zip(fitted.skeleton.names, fitted.skeleton.positions, strict=True)
    }
    tips = {f"LeftHandIndex{number}": places["LeftHand"] + (0.02 * number, 0, 0) for number in (1, 2, 3, 4)}
    skeleton = build_skeleton(places | tips)
    joints = np.array([skeleton.index(f"mixamorig:Left{part}") for part in ("ForeArm", "Hand", "HandIndex2")])
    assert list(label_regions(skeleton, skeleton.positions[joints], joints)) == [1, 1, 1]
