"""A character whose rest pose becomes the T-pose."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.animation import load_clip, retarget_clip
from character3d.pipeline.errors import RigError
from character3d.pipeline.rigging import normalize_to_t_pose, pose_vertices
from character3d.pipeline.rigging.pose.rest_pose import measure_t_pose
from character3d.pipeline.rigging.skeleton import PREFIX, build_skeleton
from character3d.pipeline.types import Skeleton
from character3d.tests.humanoids import (
    ADULT,
    CHIBI,
    change_axes,
    degrees_between,
    make_humanoid,
    place_joints,
    rig_elf,
    skin_points,
    walk_tree,
)
from scipy.spatial.transform import Rotation

MAKERS = {
    "elf": rig_elf,
    "adult": make_humanoid,
    "arms up, bow legs": lambda: make_humanoid(arm_drop=-30, leg_spread=14, knee_out=12),
    "chibi": lambda: make_humanoid(CHIBI, arm_drop=75),
}


@pytest.fixture(scope="module", params=list(MAKERS))
def character(request):
    return MAKERS[request.param]()


@pytest.fixture(scope="module")
def posed(character):
    return normalize_to_t_pose(character)


def way(skeleton, start, stop):
    return skeleton.positions[skeleton.roles[stop]] - skeleton.positions[skeleton.roles[start]]


def measure_bones(skeleton):
    """(J - 1,) metres from each joint to its parent."""
    return np.linalg.norm(skeleton.positions[1:] - skeleton.positions[skeleton.parents[1:]], axis=1)


def bound_to(character, role, least=0.999):
    """(V,) bool: vertices that this role's joint moves alone, or by the share `least`."""
    share = (character.skin.weights * (character.skin.joints == character.skeleton.roles[role])).sum(axis=1)
    return share >= least


def test_limbs_lie_as_in_the_t_pose(posed):
    for side, sign in (("left", 1), ("right", -1)):
        for start, stop in (("UpperArm", "LowerArm"), ("LowerArm", "Hand")):
            assert degrees_between(way(posed.skeleton, side + start, side + stop), (sign, 0, 0)) < 1e-3
        for start, stop in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot")):
            assert degrees_between(way(posed.skeleton, side + start, side + stop), (0, -1, 0)) < 1e-3
        toes = way(posed.skeleton, side + "Foot", side + "Toes") * (1, 0, 1)
        assert degrees_between(toes, (0, 0, 1)) < 1e-3


def test_the_mesh_goes_with_the_joints_and_stands_on_the_ground(character, posed):
    """The forearm's own vertices lie along X, and no bone changes its length."""
    assert abs(posed.textured.mesh.positions[:, 1].min()) < 1e-6
    for side, sign in (("left", 1), ("right", -1)):
        joints = posed.skeleton.positions
        elbow, wrist = (joints[posed.skeleton.roles[side + part]] for part in ("LowerArm", "Hand"))
        arm = posed.textured.mesh.positions[bound_to(character, side + "LowerArm", 0.7)]
        assert len(arm) > 20
        assert np.abs(arm[:, 1] - elbow[1]).max() < 0.1 and np.abs(arm[:, 2] - elbow[2]).max() < 0.1
        assert sign * (arm[:, 0].mean() - elbow[0]) > 0.2 * sign * (wrist[0] - elbow[0])
    np.testing.assert_allclose(measure_bones(posed.skeleton), measure_bones(character.skeleton), atol=1e-6)


def test_a_second_time_changes_nothing(posed):
    again = normalize_to_t_pose(posed)
    assert np.abs(again.textured.mesh.positions - posed.textured.mesh.positions).max() < 1e-5
    assert np.abs(again.skeleton.rest - posed.skeleton.rest).max() < 1e-5


def test_who_stands_beside_the_origin_comes_back_to_it(character, posed):
    """T-pose and clips have the origin between the feet, wherever the mesh came from."""
    aside = np.array((0.4, 0.0, -0.3), np.float32)
    rest = character.skeleton.rest.copy()
    rest[:, :3, 3] += aside
    mesh = replace(character.textured.mesh, positions=character.textured.mesh.positions + aside)
    moved = replace(
        character,
        skeleton=replace(character.skeleton, rest=rest),
        textured=replace(character.textured, mesh=mesh),
    )
    back = normalize_to_t_pose(moved)
    assert np.abs(back.skeleton.positions - posed.skeleton.positions).max() < 1e-5
    feet = [posed.skeleton.roles[side + part] for side in ("left", "right") for part in ("Foot", "Toes")]
    assert np.abs(back.skeleton.positions[feet].mean(axis=0)[[0, 2]]).max() < 1e-5
    for clip in (load_clip("idle"), load_clip("walk")):
        expected, found = (retarget_clip(clip, one).translations for one in (character, moved))
        assert np.abs(expected - found).max() < 1e-5


def test_the_joints_are_oriented_as_the_fit_orients_them(posed):
    names = [name.removeprefix(PREFIX) for name in posed.skeleton.names]
    built = build_skeleton(dict(zip(names, posed.skeleton.positions, strict=True)))
    assert np.abs(built.rest - posed.skeleton.rest).max() < 1e-4
    assert (built.names, built.roles) == (posed.skeleton.names, posed.skeleton.roles)


def test_names_and_axes_of_the_joints_do_not_matter(character, posed):
    other = replace(character, skeleton=change_axes(character.skeleton))
    turned = normalize_to_t_pose(other)
    assert np.abs(turned.textured.mesh.positions - posed.textured.mesh.positions).max() < 1e-5
    assert np.abs(turned.skeleton.positions - posed.skeleton.positions).max() < 1e-5
    np.testing.assert_allclose(np.linalg.det(turned.skeleton.rest[:, :3, :3]), 1, atol=1e-5)


def test_normals_turn_with_the_mesh():
    character = make_humanoid(arm_drop=60)
    mesh = character.textured.mesh
    normals = np.tile((0.0, -1.0, 0.0), (len(mesh.positions), 1))
    dressed = replace(character, textured=replace(character.textured, mesh=replace(mesh, normals=normals)))
    posed = normalize_to_t_pose(dressed)
    hand = posed.textured.mesh.normals[bound_to(character, "leftHand")]
    expected = Rotation.from_euler("z", 60, degrees=True).apply((0.0, -1.0, 0.0))
    np.testing.assert_allclose(hand, np.tile(expected, (len(hand), 1)), atol=1e-5)


def test_clips_show_the_same_motion(character):
    """What one joint alone moves is moved to the same places, before and after."""
    clip = retarget_clip(load_clip("walk"), character)
    posed = normalize_to_t_pose(replace(character, clips=(clip,)))
    alone = character.skin.weights[:, 0] > 0.9999
    for key in (0, 7, 20):
        before, after = (
            skin_points(c, walk_tree(c.skeleton, c.clips[0].rotations[key], c.clips[0].translations[key]))
            for c in (replace(character, clips=(clip,)), posed)
        )
        assert alone.sum() > 100
        assert np.abs(before - after)[alone].max() < 1e-5


@pytest.mark.parametrize(
    "fingers", [("Thumb", "Index", "Middle", "Ring", "Pinky"), ("Thumb", "Index", "Middle")]
)
def test_palms_are_turned_down_where_fingers_show_them(fingers):
    """The hands' planes are turned by 50 degrees about the arms; both come back."""
    places = place_joints(ADULT, 40, 3)
    for side in ("Left", "Right"):
        along = places[side + "Hand"] - places[side + "ForeArm"]
        along /= np.linalg.norm(along)
        across = Rotation.from_rotvec(np.radians(50) * along).apply((0.0, 0.0, 1.0))
        for offset, finger in enumerate(fingers):
            for number in range(1, 5):
                spot = (0.06 + 0.02 * number) * along + 0.015 * (2 - offset) * across
                places[f"{side}Hand{finger}{number}"] = places[side + "Hand"] + spot
    skeleton = build_skeleton(places)
    turns = measure_t_pose(skeleton)
    for side, sign in (("left", 1), ("right", -1)):
        hand, forearm = (turns[skeleton.roles[side + part]] for part in ("Hand", "LowerArm"))
        index, middle = (way(skeleton, side + "Hand", f"{side}{n}Proximal") for n in ("Index", "Middle"))
        assert degrees_between(sign * np.cross(hand @ index, hand @ middle), (0, 1, 0)) < 1e-2
        twist = Rotation.from_matrix(hand @ forearm.T).as_rotvec(degrees=True)
        assert abs(twist[0]) == pytest.approx(25, abs=1)


def test_a_trunk_that_leans_sideways_is_made_upright():
    places = place_joints(ADULT, 0, 0)
    lean = Rotation.from_euler("z", 12, degrees=True).as_matrix()
    for name in places:
        if not name.endswith(("Leg", "Foot", "ToeBase", "Toe_End", "Hips")):
            places[name] = places["Hips"] + lean @ (places[name] - places["Hips"])
    skeleton = build_skeleton(places)
    turns = measure_t_pose(skeleton)
    assert degrees_between(turns[skeleton.roles["spine"]] @ way(skeleton, "spine", "neck"), (0, 1, 0)) < 1e-3
    assert np.allclose(turns[skeleton.roles["hips"]], np.eye(3))


def test_what_is_missing_is_named():
    character = make_humanoid()
    roles = {r: j for r, j in character.skeleton.roles.items() if r not in ("leftHand", "rightFoot")}
    skeleton = Skeleton(character.skeleton.names, character.skeleton.parents, character.skeleton.rest, roles)
    with pytest.raises(RigError, match=r"missing: leftHand, rightFoot$"):
        normalize_to_t_pose(replace(character, skeleton=skeleton))


def test_skinning_is_the_textbook_formula(character):
    """Against four weighted sums, with joints turned at random."""
    skeleton, mesh = character.skeleton, character.textured.mesh
    turns = Rotation.random(len(skeleton.names), random_state=3).as_matrix()
    local = [
        (skeleton.rest[j] if p < 0 else np.linalg.inv(skeleton.rest[p]) @ skeleton.rest[j])[:3, :3] @ turns[j]
        for j, p in enumerate(skeleton.parents)
    ]
    world = walk_tree(skeleton, Rotation.from_matrix(local).as_quat(), skeleton.positions[0])
    named = dict(zip(skeleton.names, turns, strict=True))
    posed = pose_vertices(mesh, skeleton, character.skin, named)
    assert np.abs(posed - skin_points(character, world)).max() < 1e-5
