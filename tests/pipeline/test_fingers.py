"""Fingers of figures of capsules whose hands are known, and none where a hand shows none."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton, pose_vertices, separate_limbs
from character3d.pipeline.rigging.fit.branches import find_branches
from character3d.pipeline.rigging.fit.hand_solid import crop_hand
from character3d.pipeline.rigging.voxel_solid import VoxelSolid
from character3d.pipeline.rigging.voxelize import list_corners
from character3d.pipeline.types import Mesh
from character3d.tests.capsules import join_capsules
from scipy.spatial.transform import Rotation

ELF = Path(__file__).resolve().parents[2] / "examples" / "elf.glb"
TRUNK = [
    ((0, 0.95, 0), (0, 1.3, 0), 0.12),
    ((0, 1.3, 0), (0, 1.5, 0), 0.05),
    ((0, 1.55, 0), (0, 1.61, 0), 0.09),
    ((-0.12, 1.36, 0), (0.12, 1.36, 0), 0.06),
]
# Across the palm, thumb side positive; along it; length; lean to the thumb's side.
HUMAN = {
    "Thumb": (0.026, 0.03, 0.075, 0.9),
    "Index": (0.03, 0.085, 0.085, 0.15),
    "Middle": (0.009, 0.09, 0.095, 0.02),
    "Ring": (-0.012, 0.088, 0.088, -0.1),
    "Pinky": (-0.032, 0.08, 0.07, -0.22),
}
CARTOON = {"Thumb": HUMAN["Thumb"], "Index": HUMAN["Index"]} | {
    "Middle": (0.0, 0.09, 0.09, 0.0),
    "Ring": (-0.03, 0.085, 0.08, -0.15),
}
THREE = {"Thumb": HUMAN["Thumb"], "Index": (0.016, 0.088, 0.085, 0.1), "Middle": (-0.016, 0.088, 0.08, -0.1)}
FINGER_RADIUS = 0.008


def list_limbs(drop, spread):
    arm, leg = np.radians(drop), np.radians(spread)
    limbs, wrists = list(TRUNK), {}
    for side, sign in (("Left", 1), ("Right", -1)):
        shoulder = np.array((sign * 0.165, 1.36, 0))
        out = np.array((sign * np.cos(arm), -np.sin(arm), 0))
        wrists[side] = (shoulder + 0.53 * out, out)
        limbs += [(shoulder, shoulder + 0.28 * out, 0.04)]
        limbs += [(shoulder + 0.28 * out, wrists[side][0] - 0.06 * out, 0.034)]
        limbs += [(wrists[side][0] - 0.06 * out, wrists[side][0] + 0.02 * out, 0.026)]
        hip = np.array((sign * 0.09, 0.9, 0))
        ankle = hip + 0.82 * np.array((sign * np.tan(leg), -1, 0))
        limbs += [
            (hip, ankle, 0.06),
            (ankle - np.array((0, 0.02, 0)), ankle + np.array((0, -0.02, 0.15)), 0.04),
        ]
    return limbs, wrists


def list_hand(wrist, out, palm_turn, fingers, radius=FINGER_RADIUS):
    """Capsules of a hand, thumb forward but for a turn about the arm in degrees; finger -> (knuckle, tip)."""
    thumbward = Rotation.from_rotvec(np.radians(palm_turn) * np.sign(out[0]) * out).apply((0.0, 0.0, 1.0))
    limbs, places = [], {}
    for finger, (aside, along, length, lean) in fingers.items():
        knuckle = wrist + along * out + aside * thumbward
        way = out + lean * thumbward
        end = knuckle + (length - radius) * way / np.linalg.norm(way)
        places[finger] = (knuckle, knuckle + length * way / np.linalg.norm(way))
        limbs += [(wrist, knuckle, 0.016), (knuckle, end, radius)]
    return limbs, places


def make_figure(drop=45, spread=3, palm_turn=0, left=HUMAN, right=HUMAN, extra=(), count=14):
    limbs, wrists = list_limbs(drop, spread)
    places = {}
    for side, fingers in (("Left", left), ("Right", right)):
        hand, places[side] = list_hand(*wrists[side], palm_turn, fingers)
        limbs += hand
    solid = join_capsules([*limbs, *extra], count)
    return Mesh(solid.vertices, solid.faces), places


def list_fingers(skeleton, side):
    stem = f"mixamorig:{side}Hand"
    return [
        name.removeprefix(stem)[:-1] for name in skeleton.names if name.startswith(stem) and name[-1] == "1"
    ]


def place(skeleton, name):
    return skeleton.positions[skeleton.index("mixamorig:" + name)].astype(float)


def bound_share(skeleton, skin, word):
    chosen = np.array([word in name for name in skeleton.names])
    return (skin.weights * chosen[skin.joints]).sum(axis=1)


@pytest.fixture(scope="module")
def figure():
    return make_figure()


@pytest.fixture(scope="module")
def fit_progress():
    """The fractions that `fitted` reported."""
    return []


@pytest.fixture(scope="module")
def skin_progress():
    """The fractions that `skin` reported."""
    return []


@pytest.fixture(scope="module")
def fitted(figure, fit_progress):
    return fit_skeleton(figure[0], pose_type="A-pose", fingers=True, progress=fit_progress.append)


@pytest.fixture(scope="module")
def plain(figure):
    """The same figure fitted without fingers."""
    return fit_skeleton(figure[0], pose_type="A-pose").skeleton


@pytest.fixture(scope="module")
def skin(figure, fitted, skin_progress):
    return compute_skin_weights(figure[0], fitted.skeleton, progress=skin_progress.append)


def assert_hands_match(found, places):
    """Five named fingers on each hand, with tips where the figure has them, and no warning about hands."""
    assert not any("hand" in text for text in found.warnings)
    for side, hand in places.items():
        assert list_fingers(found.skeleton, side) == list(HUMAN)
        for finger, (_, tip) in hand.items():
            assert np.linalg.norm(place(found.skeleton, f"{side}Hand{finger}4") - tip) < 0.006


def test_five_fingers_are_named_from_the_thumb(figure, fitted):
    assert_hands_match(fitted, figure[1])


@pytest.mark.nightly_cases
@pytest.mark.parametrize(("drop", "spread", "palm_turn"), [(45, 3, 90), (2, 3, 0), (15, 18, -40)])
def test_fingers_are_found_in_every_pose(drop, spread, palm_turn):
    mesh, places = make_figure(drop, spread, palm_turn)
    assert_hands_match(fit_skeleton(mesh, pose_type="No", fingers=True), places)


def test_joints_follow_each_finger_by_human_proportions(figure, fitted):
    for side, hand in figure[1].items():
        for finger, (knuckle, tip) in hand.items():
            joints = np.array([place(fitted.skeleton, f"{side}Hand{finger}{k}") for k in (1, 2, 3, 4)])
            way = (tip - knuckle) / np.linalg.norm(tip - knuckle)
            kept = joints[1:] if finger == "Thumb" else joints
            offset = kept - knuckle
            aside = np.linalg.norm(offset - np.outer(offset @ way, way), axis=1)
            assert aside.max() < (0.8 if finger == "Thumb" else 0.5) * FINGER_RADIUS, (side, finger, aside)
            steps = np.diff(joints @ way)
            assert (steps > 0).all()
            if finger != "Thumb":
                human = {"Index": 0.486, "Middle": 0.483, "Ring": 0.469, "Pinky": 0.464}[finger]
                assert np.isclose(steps[0] / steps.sum(), human, atol=0.03)
                assert abs(steps.sum() - np.linalg.norm(tip - knuckle)) < 0.02


def test_fingers_hang_on_their_hands_and_have_vrm_roles(fitted):
    skeleton = fitted.skeleton
    assert len(skeleton.names) == 65
    for side in ("Left", "Right"):
        for finger in HUMAN:
            chain = [skeleton.index(f"mixamorig:{side}Hand{finger}{k}") for k in (1, 2, 3, 4)]
            hand = skeleton.index(f"mixamorig:{side}Hand")
            assert skeleton.parents[chain].tolist() == [hand, *chain[:3]]
    assert skeleton.roles["leftLittleDistal"] == skeleton.index("mixamorig:LeftHandPinky3")
    assert skeleton.roles["rightThumbMetacarpal"] == skeleton.index("mixamorig:RightHandThumb1")


def test_fingers_are_only_added_on_request(fitted, plain):
    count = len(plain.names)
    assert not any("Index" in name for name in plain.names)
    assert fitted.skeleton.names[:count] == plain.names
    assert np.array_equal(fitted.skeleton.positions[:count], plain.positions)


@pytest.mark.nightly
def test_hands_of_fewer_fingers_take_the_first_names():
    mesh, places = make_figure(left=CARTOON, right=THREE)
    found = fit_skeleton(mesh, pose_type="A-pose", fingers=True)
    expected = {"Left": ["Thumb", "Index", "Middle", "Ring"], "Right": ["Thumb", "Index", "Middle"]}
    for side, names in expected.items():
        assert list_fingers(found.skeleton, side) == names
        for name, (_, tip) in zip(names, places[side].values(), strict=True):
            assert np.linalg.norm(place(found.skeleton, f"{side}Hand{name}4") - tip) < 0.006
    assert [text for text in found.warnings if "hand" in text] == [
        "the left hand shows 4 separate fingers; they were rigged as thumb, index, middle, ring",
        "the right hand shows 3 separate fingers; they were rigged as thumb, index, middle",
    ]


MITTEN = {name: HUMAN[name] for name in ("Thumb", "Middle")}
FIST = {"Middle": (0.0, 0.05, 0.02, 0.0)}


def test_hands_without_fingers_get_none():
    mesh, _ = make_figure(left=MITTEN, right=FIST)
    found = fit_skeleton(mesh, pose_type="A-pose", fingers=True)
    assert list_fingers(found.skeleton, "Left") == list_fingers(found.skeleton, "Right") == []
    assert [text for text in found.warnings if "hand" in text] == [
        f"the {side} hand shows no separate fingers; none were rigged" for side in ("left", "right")
    ]


@pytest.mark.nightly
def test_fused_fingers_are_not_rigged_and_the_other_hand_keeps_its_own():
    _, wrists = list_limbs(45, 3)
    _, hand = list_hand(*wrists["Left"], 0, HUMAN)
    webs = [
        (hand[a][0], hand[b][1] - 0.3 * (hand[b][1] - hand[b][0]), 0.007)
        for a, b in (("Middle", "Ring"), ("Ring", "Middle"))
    ]
    mesh, _ = make_figure(extra=webs)
    found = fit_skeleton(mesh, pose_type="A-pose", fingers=True)
    assert list_fingers(found.skeleton, "Left") == []
    assert list_fingers(found.skeleton, "Right") == list(HUMAN)
    assert [text for text in found.warnings if "hand" in text] == [
        "the left hand has fingers that touch or bend; none were rigged"
    ]


def test_a_hand_on_the_thigh_gets_none():
    _, wrists = list_limbs(70, 3)
    middle = wrists["Left"][0] + 0.1 * wrists["Left"][1]
    mesh, _ = make_figure(drop=70, extra=[(middle, (0.1, middle[1], 0.0), 0.03)])
    found = fit_skeleton(mesh, pose_type="A-pose", fingers=True)
    assert list_fingers(found.skeleton, "Left") == [] and list_fingers(found.skeleton, "Right") == list(HUMAN)
    assert any("left hand" in text and "free of the body" in text for text in found.warnings)


@pytest.mark.nightly
def test_a_mesh_made_from_a_picture_has_none_and_says_so():
    scene = trimesh.load(ELF, force="mesh", process=False)
    found = fit_skeleton(Mesh(scene.vertices, scene.faces), pose_type="No", fingers=True)
    assert not any("Index" in name for name in found.skeleton.names)
    for side in ("left", "right"):
        assert f"the {side} hand shows no separate fingers; none were rigged" in found.warnings


@pytest.mark.nightly
@pytest.mark.nightly_cases
@pytest.mark.parametrize("count", [6, 30])
def test_coarse_and_fine_meshes_show_the_same_fingers(count, fitted):
    mesh, _ = make_figure(count=count)
    again = fit_skeleton(mesh, pose_type="A-pose", fingers=True).skeleton
    assert again.names == fitted.skeleton.names
    tips = [index for index, name in enumerate(again.names) if name.endswith("4")]
    assert np.linalg.norm(again.positions[tips] - fitted.skeleton.positions[tips], axis=1).max() < 0.006


@pytest.mark.nightly
def test_scale_and_place_carry_over(figure, fitted):
    mesh, _ = figure
    shift = np.array((0.7, 0.0, -0.4))
    moved = fit_skeleton(
        Mesh(mesh.positions * 3 + shift, mesh.faces), pose_type="A-pose", fingers=True
    ).skeleton
    assert moved.names == fitted.skeleton.names
    tips = [index for index, name in enumerate(moved.names) if name.endswith("4")]
    gaps = moved.positions[tips] - (fitted.skeleton.positions[tips] * 3 + shift)
    assert np.linalg.norm(gaps, axis=1).max() < 3 * 0.006


def test_branches_part_where_the_fingers_do(figure):
    mesh, places = figure
    _, wrists = list_limbs(45, 3)
    wrist, out = wrists["Left"]
    hand = crop_hand(list_corners(mesh), wrist - 0.25 * out, wrist, places["Left"]["Middle"][1])
    assert hand is not None and hand.is_free
    branches = find_branches(hand)
    assert len(branches) == 5
    tips = np.array([tip for _, tip in places["Left"].values()])
    nearest = [np.linalg.norm(tips - branch.line[-1], axis=1).argmin() for branch in branches]
    assert sorted(nearest) == [0, 1, 2, 3, 4]
    assert all(branch.straightness > 0.9 and branch.flatness < 1.5 for branch in branches)


def test_a_thick_hand_takes_no_more_cells_than_a_slender_one():
    """A hand has 90 cells along its length, however it points; of a thick one that would be 4 million."""
    thick, slender = (join_capsules([((0.1, 1, 0), (0.6, 1, 0), radius)], 10) for radius in (0.05, 0.03))
    ends = np.array([(0.2, 1, 0), (0.57, 1, 0), (0.65, 1, 0)])
    hand = crop_hand(list_corners(Mesh(thick.vertices, thick.faces)), *ends)
    assert len(hand.solid.indices) == pytest.approx(120_000, rel=0.1) and hand.is_free
    assert hand.solid.cells.size < 2 * len(hand.solid.indices)
    wrist, tip = np.array((0.5, 1, 0)), np.array((0.65, 0.9, 0))
    corners = list_corners(Mesh(slender.vertices, slender.faces))
    hand = crop_hand(corners, np.array((0.25, 1, 0)), wrist, tip)
    assert hand.solid.size == pytest.approx(np.linalg.norm(tip - wrist) / 90)


def test_the_hand_is_cropped_where_it_ends():
    """What the coarse look keeps holds the whole hand: no less than the box of wrist and fingertip does."""
    mesh = join_capsules([((0.1, 1, 0), (0.5, 1, 0), 0.03), ((0.5, 1, 0), (0.6, 1.02, 0), 0.006)], 10)
    ends = np.array([(0.3, 1, 0), (0.48, 1, 0), (0.606, 1.02, 0)])
    hand = crop_hand(list_corners(Mesh(mesh.vertices, mesh.faces)), *ends)
    found = hand.solid.centers
    assert found[:, 0].max() == pytest.approx(0.606, abs=1.5 * hand.solid.size)
    assert found[:, 0].min() == pytest.approx(0.48 - 0.2 * hand.length, abs=1.5 * hand.solid.size)
    aside = np.linalg.norm(found[:, 1:] - (1, 0), axis=1)
    assert aside.max() < 0.03 + hand.solid.size and aside[found[:, 0] > 0.54].max() < 0.03


def test_neighbors_of_cells_are_those_a_step_away():
    cells = np.random.default_rng(1).random((7, 8, 6)) < 0.4
    solid = VoxelSolid(cells, np.zeros(3), 0.5)
    gaps = np.abs(solid.indices[:, None] - solid.indices[None])
    lengths = np.where(gaps.max(axis=2) == 1, 0.5 * np.linalg.norm(gaps, axis=2), 0.0)
    assert np.allclose(solid.graph.toarray(), lengths)
    assert solid.graph.has_sorted_indices and solid.graph.nnz == np.count_nonzero(lengths)


def free_vertices(mesh, knuckle, tip, start):
    """Vertices of one finger beyond a share of its length."""
    way = tip - knuckle
    offset = mesh.positions - knuckle
    along = offset @ way / (way @ way)
    aside = np.linalg.norm(offset - along[:, None] * way, axis=1)
    return (along > start) & (along < 1.1) & (aside < 1.2 * FINGER_RADIUS)


@pytest.mark.nightly
def test_weights_of_a_finger_stay_with_it(figure, fitted, skin):
    mesh, places = figure
    assert np.allclose(skin.weights.sum(axis=1), 1, atol=1e-5) and skin.weights.min() >= 0
    for side, hand in places.items():
        for finger, (knuckle, tip) in hand.items():
            mine = free_vertices(mesh, knuckle, tip, 0.4)
            assert mine.sum() > 30
            others = [other for other in HUMAN if other != finger]
            strangers = sum(bound_share(fitted.skeleton, skin, f"{side}Hand{other}") for other in others)
            assert strangers[mine].max() < 0.02
            assert bound_share(fitted.skeleton, skin, f"{side}Hand{finger}")[mine].min() > 0.98
            last = free_vertices(mesh, knuckle, tip, 0.9)
            assert bound_share(fitted.skeleton, skin, f"{side}Hand{finger}3")[last].min() > 0.9
    ends = [index for index, name in enumerate(fitted.skeleton.names) if name[-1] == "4"]
    assert not np.isin(skin.joints[skin.weights > 0], ends).any()


@pytest.mark.nightly
def test_the_rest_of_the_body_is_bound_as_without_fingers(figure, fitted, skin, plain):
    mesh, _ = figure
    bare = compute_skin_weights(mesh, plain)
    for side in ("Left", "Right"):
        before = bound_share(plain, bare, f"{side}Hand")
        after = bound_share(fitted.skeleton, skin, f"{side}Hand")
        assert (after > before - 0.03).all()
    handless = (bound_share(plain, bare, "Hand") == 0) & (bound_share(fitted.skeleton, skin, "Hand") == 0)
    assert handless.sum() > 1000
    assert np.array_equal(skin.joints[handless], bare.joints[handless])
    assert np.array_equal(skin.weights[handless], bare.weights[handless])


def test_curling_one_finger_moves_it_and_no_other(figure, fitted, skin):
    mesh, places = figure
    skeleton = fitted.skeleton
    knuckle, tip = places["Left"]["Index"]
    name = "mixamorig:LeftHandIndex"
    axis = np.cross(tip - knuckle, (0.3, 1.0, 0.2))
    axis /= np.linalg.norm(axis)
    turn = Rotation.from_rotvec(np.radians(40) * axis).as_matrix()
    rest = [skeleton.rest[skeleton.index(f"{name}{k}"), :3, :3] for k in (1, 2, 3)]
    turns = {f"{name}{k + 1}": own.T @ turn @ own for k, own in enumerate(rest)}
    posed = pose_vertices(mesh, skeleton, skin, turns)
    moved = np.linalg.norm(posed - mesh.positions, axis=1)
    assert moved[free_vertices(mesh, knuckle, tip, 0.9)].min() > 0.05
    for finger, ends in places["Left"].items():
        if finger != "Index":
            assert moved[free_vertices(mesh, *ends, 0.4)].max() < 0.002
    joint = place(skeleton, "LeftHandIndex3")
    last = free_vertices(mesh, knuckle, tip, 0.95)
    before, after = mesh.positions[last], posed[last]
    assert np.allclose(
        np.linalg.norm(before[:, None] - before, axis=2),
        np.linalg.norm(after[:, None] - after, axis=2),
        atol=0.001,
    )
    assert np.linalg.norm(before - joint, axis=1).max() < 0.05


@pytest.mark.nightly
def test_vertices_at_one_place_get_equal_weights(figure, fitted, skin):
    mesh, _ = figure
    doubled = Mesh(np.concatenate((mesh.positions, mesh.positions)), mesh.faces)
    again = compute_skin_weights(doubled, fitted.skeleton)
    count = len(mesh.positions)
    assert np.array_equal(again.joints[:count], again.joints[count:])
    assert np.array_equal(again.weights[:count], again.weights[count:])


def test_a_free_hand_with_fingers_is_not_cut(figure, fitted, skin):
    apart = separate_limbs(figure[0], fitted.skeleton, skin)
    assert apart.cut_faces == 0 and apart.skin is skin


def test_progress_never_falls(fitted, skin, fit_progress, skin_progress):
    for seen in (fit_progress, skin_progress):
        assert len(seen) > 5 and seen == sorted(seen) and (seen[0], seen[-1]) == (0.0, 1.0)
