"""Clips on characters: what the joints and the skinned mesh do, by kinematics of the tests' own."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.animation import (
    animate_character,
    load_clip,
    parse_clip,
    pose_character,
    retarget_clip,
)
from character3d.pipeline.conventions import CLIPS
from character3d.pipeline.rigging import normalize_to_t_pose
from character3d.pipeline.types import AnimationClip, Skeleton
from character3d.tests.humanoids import (
    ADULT,
    CHIBI,
    change_axes,
    degrees_between,
    make_humanoid,
    rig_elf,
    skin_points,
    walk_tree,
)
from scipy.spatial.transform import Rotation, Slerp

MAKERS = {
    "elf": rig_elf,
    "adult": make_humanoid,
    "t-pose": lambda: make_humanoid(arm_drop=0),
    "bow legs": lambda: make_humanoid(arm_drop=-30, leg_spread=14, knee_out=12),
    "chibi": lambda: make_humanoid(CHIBI, arm_drop=75),
}
AT_NIGHT = ("adult", "t-pose")
SIDES = (("left", 1), ("right", -1))
DEEPEST = {"run": 110, "jump": 120}
"""Degrees that a knee bends at most."""
FASTEST = {"run": 34, "jump": 34}
"""Degrees that a joint turns from key to key: the knee of a runner does 900 a second."""


@pytest.fixture(
    scope="module",
    params=[pytest.param(n, marks=[pytest.mark.nightly] if n in AT_NIGHT else []) for n in MAKERS],
)
def character(request):
    return animate_character(MAKERS[request.param](), CLIPS)


@pytest.fixture(scope="module")
def adult():
    return make_humanoid()


@pytest.fixture(scope="module")
def motions(character):
    """Clip name -> (K, J, 4, 4) joints and (K, V, 3) vertices at its keys."""
    motions = {}
    for clip in character.clips:
        keys = zip(clip.rotations, clip.translations, strict=True)
        joints = np.array([walk_tree(character.skeleton, *key) for key in keys])
        motions[clip.name] = joints, np.array([skin_points(character, world) for world in joints])
    return motions


def place(character, joints, role):
    return joints[:, character.skeleton.roles[role], :3, 3]


def heights(character):
    return float(np.ptp(character.textured.mesh.positions[:, 1]))


def share_of(character, words):
    """(V,) weight of the joints whose Mixamo names end in one of the words."""
    chosen = np.array([name.endswith(words) for name in character.skeleton.names])
    return (character.skin.weights * chosen[character.skin.joints]).sum(axis=1)


@pytest.mark.nightly_cases
def test_the_lowest_point_is_on_the_ground_at_every_key(character, motions):
    for name, (_, points) in motions.items():
        lowest = points[:, :, 1].min(axis=1) / heights(character)
        standing = stands_at(name, np.linspace(0, load_clip(name).duration, len(lowest)))
        assert np.abs(lowest[standing]).max() < 0.01 and lowest.min() > -0.01, name


def stands_at(name, times):
    """(T,) whether any foot is on the ground, as the clip says; always in one without contacts."""
    clip = load_clip(name)
    spans = clip.contacts.values()
    on = [(times - start) % clip.duration <= stop - start + 1e-9 for start, stop in spans]
    return np.any(on, axis=0) if on else np.ones(len(times), bool)


def test_running_and_jumping_leave_the_ground(character, motions):
    for name, least in (("run", 0.001), ("jump", 0.07)):
        lowest = motions[name][1][:, :, 1].min(axis=1) / heights(character)
        assert lowest.max() > least, name


def test_who_sits_has_the_hips_at_the_height_of_the_knees(character, motions):
    joints, _ = motions["sit"]
    hips, knees = place(character, joints, "leftUpperLeg"), place(character, joints, "leftLowerLeg")
    assert np.abs(hips[:, 1] - knees[:, 1]).max() < 0.08 * heights(character)


def test_loops_close_and_keys_are_sound(character):
    for clip, name in zip(character.clips, CLIPS, strict=True):
        assert clip.name == name and clip.loop
        assert clip.times[0] == 0 and (np.diff(clip.times) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(clip.rotations, axis=2), 1, atol=1e-6)
        np.testing.assert_allclose(clip.rotations[0], clip.rotations[-1], atol=1e-5)
        np.testing.assert_allclose(clip.translations[0], clip.translations[-1], atol=1e-5)
        steps = (Rotation.from_quat(keys[:-1]).inv() * Rotation.from_quat(keys[1:]) for keys in
                 np.swapaxes(clip.rotations, 0, 1))  # fmt: skip
        assert max(np.degrees(step.magnitude().max()) for step in steps) < FASTEST.get(name, 20)
        assert ((clip.rotations[1:] * clip.rotations[:-1]).sum(axis=2) > 0).all()


def test_knees_bend_forward_only(character, motions):
    """The knee is before the line from hip to ankle, seen along the axis of the pelvis."""
    for name, (joints, _) in motions.items():
        across = place(character, joints, "leftUpperLeg") - place(character, joints, "rightUpperLeg")
        for side, _ in SIDES:
            hip, knee, ankle = (place(character, joints, side + n) for n in ("UpperLeg", "LowerLeg", "Foot"))
            bend = degrees_between(knee - hip, ankle - knee)
            forward = np.einsum("ki,ki->k", np.cross(knee - hip, ankle - knee), across)
            assert bend.max() < DEEPEST.get(name, 100) and ((forward > 0) | (bend < 0.1)).all()


def test_elbows_bend_the_natural_way(character, motions):
    """The forearm goes towards the front of the arm, whose palm is down when it is spread."""
    t_pose = normalize_to_t_pose(character).skeleton.rest[:, :3, :3].astype(float)
    for joints, _ in motions.values():
        turns = joints[..., :3, :3] @ np.swapaxes(t_pose, 1, 2)
        for side, sign in SIDES:
            upper, lower = (turns[:, character.skeleton.roles[side + n]] for n in ("UpperArm", "LowerArm"))
            forearm = (np.swapaxes(upper, 1, 2) @ lower)[:, :, 0] * sign
            bend = np.degrees(np.arctan2(forearm[:, 2], sign * forearm[:, 0]))
            assert bend.min() > -0.1 and bend.max() < 150
            assert np.abs(forearm[:, 1]).max() < 0.2


@pytest.mark.nightly_cases
def test_no_vertex_flies(character, motions, request):
    """No edge grows by more than 4 % of the height; in the armpits of arms that hung on the body by 7 %, by 9
    where they are thrown up."""
    hung = "elf" in request.node.name
    mesh = character.textured.mesh
    edges = np.concatenate((mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]]))
    before = np.linalg.norm(np.diff(mesh.positions[edges], axis=1)[:, 0], axis=1)
    for name, (_, points) in motions.items():
        after = np.linalg.norm(points[:, edges[:, 0]] - points[:, edges[:, 1]], axis=2)
        grown = (after - before).max()
        limit = (0.09 if name in ("jump", "dance") else 0.07) if hung else 0.04
        assert grown < limit * heights(character), (name, grown)


def test_feet_in_contact_go_back_at_one_speed(character, motions):
    """What of a sole is on the ground between two keys moves with the ground."""
    clip, motion = character.clips[CLIPS.index("walk")], load_clip("walk")
    points, speeds = motions["walk"][1], {}
    for side, _ in SIDES:
        foot = share_of(character, (side.capitalize() + "Foot", side.capitalize() + "ToeBase")) > 0.99
        start, stop = motion.contacts[side + "Foot"]
        since = (clip.times[:-1] - start) % motion.duration
        moves = []
        for key in np.flatnonzero(since + clip.times[1] <= stop - start):
            pair = points[key : key + 2, foot]
            down = (pair[..., 1] < 0.005 * heights(character)).all(axis=0)
            if not down.any():
                continue
            moves.append((pair[1] - pair[0])[down].mean(axis=0) / clip.times[1])
        speeds[side] = np.array(moves)
    mean = -np.mean([moves[:, 2].mean() for moves in speeds.values()])
    assert 0.5 < mean / heights(character) * 1.7 < 1.6
    for moves in speeds.values():
        assert len(moves) >= 15
        assert np.abs(moves[:, 2] + mean).max() < 0.05 * mean
        assert np.abs(moves[:, 0]).max() < 0.01 * mean


@pytest.mark.parametrize("name", ["idle", "wave"])
def test_standing_feet_stay_where_they_are(character, motions, name):
    joints, _ = motions[name]
    for side, _ in SIDES:
        foot = joints[:, character.skeleton.roles[side + "Foot"]]
        assert np.abs(foot - foot[0]).max() < 5e-4


def test_the_walk_is_the_same_on_both_sides(motions, character, request):
    if "elf" in request.node.name:
        pytest.skip("the elf herself is not symmetric")
    joints, _ = motions["walk"]
    half = (len(joints) - 1) // 2
    assert len(joints) == 2 * half + 1
    for role in character.skeleton.roles:
        if role.startswith("left"):
            left = place(character, joints, role)[:half]
            right = place(character, joints, role.replace("left", "right"))[half:-1]
            assert np.abs(left * (-1, 1, 1) - right).max() < 1e-3


def test_the_walk_has_the_angles_of_gait(adult):
    """Winter 1991 and Perry 1992: ranges of hip and knee, the arms opposite to the legs."""
    clip = retarget_clip(load_clip("walk"), adult)
    joints = np.array(
        [walk_tree(adult.skeleton, *key) for key in zip(clip.rotations, clip.translations, strict=True)]
    )
    hip, knee, ankle, hand = (
        place(adult, joints, "left" + n) for n in ("UpperLeg", "LowerLeg", "Foot", "Hand")
    )
    thigh, shin = (np.degrees(np.arctan2(way[:, 2], -way[:, 1])) for way in (knee - hip, ankle - knee))
    share = clip.times / clip.times[-1]
    flexion = thigh - shin
    assert 55 < flexion.max() < 75 and 0.65 < share[flexion.argmax()] < 0.8
    assert flexion[share < 0.08].min() < 15 and 10 < flexion[(share > 0.1) & (share < 0.25)].max() < 25
    assert 20 < thigh.max() < 35 and -20 < thigh.min() < -4
    assert np.corrcoef(hand[:, 2], ankle[:, 2])[0, 1] < -0.8
    height = joints[:, adult.skeleton.roles["hips"], 1, 3]
    assert 0.005 < np.ptp(height) < 0.06


def test_t_pose_clip_shows_the_normalized_rest_pose(character, motions):
    posed = normalize_to_t_pose(character).textured.mesh.positions
    shown = motions["t_pose"][1][0]
    lift = shown[:, 1].min() - posed[:, 1].min()
    assert abs(lift) < 0.01 * heights(character)
    assert np.abs(shown - (0, lift, 0) - posed).max() < 1e-4


def test_t_pose_clip_spreads_the_arms(character, motions):
    joints, _ = motions["t_pose"]
    for side, sign in SIDES:
        shoulder, elbow, hand = (place(character, joints, side + n) for n in ("UpperArm", "LowerArm", "Hand"))
        assert degrees_between(elbow - shoulder, (sign, 0, 0)).max() < 1
        assert degrees_between(hand - elbow, (sign, 0, 0)).max() < 1


@pytest.mark.parametrize("name", CLIPS)
def test_names_and_axes_of_the_joints_do_not_matter(character, name):
    clip = load_clip(name)
    other = replace(character, skeleton=change_axes(character.skeleton))
    for mine, theirs in zip(
        pose_character(character, retarget_clip(clip, character), [0.0, 0.4]),
        pose_character(other, retarget_clip(clip, other), [0.0, 0.4]),
        strict=True,
    ):
        assert np.abs(mine.mesh.positions - theirs.mesh.positions).max() < 1e-4


def drop_roles(character, *missing):
    skeleton = character.skeleton
    roles = {role: joint for role, joint in skeleton.roles.items() if role not in missing}
    return replace(character, skeleton=Skeleton(skeleton.names, skeleton.parents, skeleton.rest, roles))


def test_what_turns_a_missing_part_of_the_trunk_turns_the_part_below(adult):
    clip = load_clip("walk")
    whole, short = (retarget_clip(clip, c) for c in (adult, drop_roles(adult, "upperChest")))
    joints, fewer = (
        np.array([walk_tree(adult.skeleton, *key) for key in zip(c.rotations, c.translations, strict=True)])
        for c in (whole, short)
    )
    turns, less = (
        item[..., :3, :3] @ np.swapaxes(adult.skeleton.rest[:, :3, :3], 1, 2) for item in (joints, fewer)
    )
    roles = adult.skeleton.roles
    assert np.abs(less[:, roles["chest"]] - turns[:, roles["upperChest"]]).max() < 1e-5
    assert np.abs(less[:, roles["head"]] - turns[:, roles["head"]]).max() < 1e-5


def test_toes_shoulders_and_neck_may_be_missing(adult):
    bare = drop_roles(
        adult, "leftToes", "rightToes", "leftShoulder", "rightShoulder", "neck", "chest", "upperChest"
    )
    for name in CLIPS:
        clip = retarget_clip(load_clip(name), bare)
        times = clip.times[::6]
        lowest = np.array([m.mesh.positions[:, 1].min() for m in pose_character(bare, clip, times)])
        assert np.abs(lowest[stands_at(name, times)]).max() < 0.01 * heights(bare), name


def test_joints_between_and_above_the_roles_go_along(adult):
    """A root above the hips and a twist joint in the thigh change nothing of what the mesh does."""
    skeleton, thigh = adult.skeleton, adult.skeleton.roles["leftUpperLeg"]
    rest = np.concatenate((np.eye(4)[None], skeleton.rest, skeleton.rest[thigh][None]))
    parents = np.concatenate(([-1], skeleton.parents + 1, [thigh + 1]))
    names = ("root", *skeleton.names, "twist")
    roles = {role: joint + 1 for role, joint in skeleton.roles.items()}
    skin = replace(adult.skin, joints=adult.skin.joints + 1)
    deeper = replace(adult, skeleton=Skeleton(names, parents, rest, roles), skin=skin)
    for name in ("walk", "t_pose"):
        mine, theirs = (
            pose_character(c, retarget_clip(load_clip(name), c), [0.3])[0].mesh.positions
            for c in (adult, deeper)
        )
        assert np.abs(mine - theirs).max() < 1e-4


@pytest.mark.nightly_cases
@pytest.mark.parametrize("width", [0.13, 0.22])
@pytest.mark.parametrize("name", ["idle", "walk"])
def test_hanging_arms_do_not_go_through_the_body(name, width):
    """Elbows, wrists and hands keep half the forearm's radius off the tube that is the trunk."""
    wide = make_humanoid({**ADULT, "width": width}, arm_drop=20)
    clip = retarget_clip(load_clip(name), wide)
    for rotations, translation in zip(clip.rotations, clip.translations, strict=True):
        joints = walk_tree(wide.skeleton, rotations, translation)[:, :3, 3]
        top, bottom = (joints[wide.skeleton.roles[role]] for role in ("neck", "hips"))
        for side, _ in SIDES:
            for part in ("LowerArm", "Hand"):
                joint = joints[wide.skeleton.roles[side + part]]
                share = np.clip((joint - bottom) @ (top - bottom) / ((top - bottom) @ (top - bottom)), 0, 1)
                assert np.linalg.norm(joint - bottom - share * (top - bottom)) > width + 0.018


def test_poses_between_keys_are_slerped(adult):
    clip = retarget_clip(load_clip("wave"), adult)
    times = np.array([0.011, 0.717, 1.9, 3.19])
    poses = pose_character(adult, clip, times)
    between = [
        Slerp(clip.times, Rotation.from_quat(keys))(times).as_quat()
        for keys in np.swapaxes(clip.rotations, 0, 1)
    ]
    rotations = np.swapaxes(between, 0, 1)
    for index, pose in enumerate(poses):
        root = [np.interp(times[index], clip.times, clip.translations[:, axis]) for axis in range(3)]
        expected = skin_points(adult, walk_tree(adult.skeleton, rotations[index], root))
        assert np.abs(pose.mesh.positions - expected).max() < 1e-5


def test_time_goes_around_in_loops_and_stops_elsewhere(adult):
    clip = retarget_clip(load_clip("walk"), adult)
    length = float(clip.times[-1])
    once, again = pose_character(adult, clip, [0.2, 0.2 + 3 * length])
    np.testing.assert_allclose(once.mesh.positions, again.mesh.positions, atol=1e-5)
    single = AnimationClip("once", clip.times[:5], clip.rotations[:5], clip.translations[:5], loop=False)
    last, beyond = pose_character(adult, single, [float(clip.times[4]), 9.0])
    np.testing.assert_allclose(last.mesh.positions, beyond.mesh.positions, atol=1e-6)


def test_clips_of_other_names_stay(adult):
    waving = animate_character(replace(adult, clips=()), ["wave", "walk"])
    for more, all_of_them in ((["walk"], ["wave", "walk"]), (["wave", "idle"], ["walk", "wave", "idle"])):
        assert [clip.name for clip in animate_character(waving, more).clips] == all_of_them


def test_unknown_names_list_the_known_ones(adult):
    with pytest.raises(ValueError, match=rf"expected one of {', '.join(CLIPS)}, got 'moonwalk'"):
        animate_character(adult, ["walk", "moonwalk"])
    data = {
        "description": "", "author": "", "duration": 1.0, "symmetric": False, "contacts": {},
        "place": {"times": [0.0], "shares": [[0, 0, 0]]},
        "tracks": {"tail": {"axes": "XYZ", "times": [0.0], "degrees": [[0, 0, 0]]}},
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"expected roles of hips, .*, got tail"):
        parse_clip("wag", data)
    with pytest.raises(ValueError, match="both feet or none, got leftFoot"):
        parse_clip("hop", data | {"tracks": {}, "contacts": {"leftFoot": [0.0, 0.5]}})
