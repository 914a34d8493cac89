"""Motion of files, put onto characters of other build, rest pose and axes: what limbs, feet and hands do."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.animation import load_clip, retarget_clip
from character3d.pipeline.errors import FormatError, RigError
from character3d.pipeline.formats import read_motions, write_fbx
from character3d.pipeline.formats.joint_roles import find_roles
from character3d.pipeline.formats.reading.motion_npz import make_skeleton
from character3d.pipeline.motion import add_motions, transfer_motion
from character3d.pipeline.motion.contacts import find_contacts
from character3d.pipeline.rigging.pose.posing import place_keys, rotations_to_turns, turns_to_rotations
from character3d.tests.humanoids import (
    ADULT,
    CHIBI,
    change_axes,
    degrees_between,
    make_humanoid,
    skin_points,
)
from character3d.tests.motions import (
    BONES,
    LYING,
    Performance,
    perform,
    rename,
    write_bvh,
    write_gltf_motion,
    write_smpl,
)
from scipy.spatial.transform import Rotation

SIDES = ("left", "right")


def write_fbx_motion(path, performed):
    """By the pack's own writer, whose files others read back in test_fbx_clips."""
    character = make_humanoid(ADULT, 20.0)
    clip = retarget_clip(load_clip("walk"), character)
    keys = turns_to_rotations(performed.skeleton, performed.turns)
    times = np.arange(len(performed)) / 30
    clip = replace(clip, name="Take", times=times, rotations=keys, translations=performed.hips, loop=False)
    write_fbx(path, replace(character, clips=(clip,)))


WRITERS = {
    "take.bvh": write_bvh,
    "z_up.bvh": lambda path, performed: write_bvh(path, performed, frame=LYING, scale=1.0),
    "bare.glb": write_gltf_motion,
    "take.vrma": lambda path, performed: write_gltf_motion(path, performed, has_roles=True),
    "take.fbx": write_fbx_motion,
    "smpl.npz": lambda path, performed: write_smpl(path, performed, 24),
    "smplh.npz": write_smpl,
    "smplx.npz": lambda path, performed: write_smpl(path, performed, layout="smplx"),
}


@pytest.fixture(scope="module")
def chibi():
    """A small one with a big head, arms hanging, and axes and names of no meaning."""
    made = make_humanoid(CHIBI, arm_drop=60)
    return replace(made, skeleton=change_axes(made.skeleton))


@pytest.fixture(scope="module")
def adult():
    return make_humanoid()


def follow(character, clip):
    """(T, J, 3) of the joints."""
    return place_keys(character.skeleton, clip.rotations, clip.translations, clip.mover)[..., :3, 3]


def measure_slide(character, clip, standing):
    """(N,) mm a second of what is lowest of each foot, between keys at which it stands."""
    placed = place_keys(character.skeleton, clip.rotations, clip.translations, clip.mover)
    points = np.array([skin_points(character, joints) for joints in placed])
    names, step, found = np.array(character.skeleton.names), float(clip.times[1]), []
    for side in SIDES:
        foot = [character.skeleton.roles[side + part] for part in ("Foot", "Toes")]
        foot += [joint for joint in range(len(names)) if character.skeleton.parents[joint] in foot]
        share = (character.skin.weights * np.isin(character.skin.joints, foot)).sum(axis=1)
        sole = points[:, share > 0.5]
        for key in np.flatnonzero(standing[side][1:] & standing[side][:-1]):
            height = np.minimum(sole[key, :, 1], sole[key + 1, :, 1])
            low = height < height.min() + 0.003
            moved = (sole[key + 1, low] - sole[key, low])[:, (0, 2)]
            found.append(1000 * np.linalg.norm(moved, axis=1).mean() / step)
    return np.array(found), points[..., 1].min()


@pytest.mark.parametrize("name", list(WRITERS))
def test_limbs_point_where_the_files_do(name, chibi, tmp_path):
    performed = perform(skeleton=make_skeleton(52) if name.endswith("npz") else None)
    WRITERS[name](tmp_path / name, performed)
    (motion,) = read_motions(tmp_path / name).motions
    clip = transfer_motion(motion, chibi)
    places = follow(chibi, clip)
    assert len(clip.times) == len(performed) and abs(clip.times[-1] - 1.5) < 1e-3
    for side in SIDES:
        for start, stop in BONES:
            joints = [chibi.skeleton.roles[side + part] for part in (start, stop)]
            own = places[:, joints[1]] - places[:, joints[0]]
            off = degrees_between(own, performed.direction(side + start, side + stop))
            limit = 2.0 if "Arm" in start else 10.0  # the legs also put the feet on the ground
            assert off.max() < limit, (side + start, off.max())


@pytest.mark.parametrize("name", ["take.bvh", "take.vrma"])
def test_joints_roll_as_the_files_do(name, adult, tmp_path):
    """The turn from rest to pose, between skeletons of one rest pose."""
    performed = perform(arm_drop=50.0)
    WRITERS[name](tmp_path / name, performed)
    clip = transfer_motion(read_motions(tmp_path / name).motions[0], adult)
    turns = rotations_to_turns(adult.skeleton, clip.rotations)
    for role in ("hips", "spine", "upperChest", "head", "leftUpperArm", "leftLowerArm", "rightHand"):
        joint = adult.skeleton.roles[role]
        between = np.swapaxes(performed.turns[:, performed.roles[role]], 1, 2) @ turns[:, joint]
        angle = np.degrees(np.arccos(np.clip((np.trace(between, axis1=1, axis2=2) - 1) / 2, -1, 1)))
        assert angle.max() < 1.0, (role, angle.max())


@pytest.fixture(scope="module")
def walking():
    """The bundled walk on the adult, going as fast as its feet do, twice over."""
    adult = make_humanoid()
    clip = retarget_clip(load_clip("walk"), adult)
    turns = rotations_to_turns(adult.skeleton, clip.rotations)[:-1]
    ankle = follow(adult, clip)[:-1, adult.skeleton.roles["leftFoot"]]
    speed = -np.median(np.diff(ankle[2:14, 2])) * 30
    turns = np.concatenate((turns, turns, turns[:1]))
    hips = np.concatenate((clip.translations[:-1], clip.translations[:-1], clip.translations[:1]))
    hips = hips.astype(float)
    hips[:, 2] += speed * np.arange(len(hips)) / 30
    performed = Performance(adult.skeleton, {}, hips)
    performed.turns = turns
    return performed, speed


def test_feet_that_stand_do_not_slide(walking, chibi, tmp_path):
    performed, _ = walking
    write_bvh(tmp_path / "walk.bvh", performed)
    (motion,) = read_motions(tmp_path / "walk.bvh").motions
    standing = find_contacts(motion)
    assert not standing.ground.any()
    assert all(0.45 < standing.stands[side].mean() < 0.75 for side in SIDES)
    clip = transfer_motion(motion, chibi)
    slide, lowest = measure_slide(chibi, clip, standing.stands)
    assert slide.mean() < 25 and np.percentile(slide, 95) < 110
    assert lowest > -0.004
    legs = [legs_of(made.skeleton) for made in (make_humanoid(), chibi)]
    way = clip.translations[-1] - clip.translations[0]
    assert abs(way[2] / (performed.hips[-1, 2] - performed.hips[0, 2]) - legs[1] / legs[0]) < 0.05
    still = transfer_motion(motion, chibi, root_motion="in place").translations
    assert np.linalg.norm((still[-1] - still[0])[[0, 2]]) < 0.02 * legs[1]
    assert np.ptp(still[:, 1]) == pytest.approx(np.ptp(clip.translations[:, 1]), abs=1e-4)


def legs_of(skeleton):
    hip, knee, ankle = (
        skeleton.positions[skeleton.roles["left" + part]] for part in ("UpperLeg", "LowerLeg", "Foot")
    )
    return np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee)


def test_a_walk_in_place_stands_on_ground_that_moves(walking, adult, tmp_path):
    performed, speed = walking
    performed.hips = performed.hips * (1, 1, 0)
    write_gltf_motion(tmp_path / "walk.glb", performed)
    (motion,) = read_motions(tmp_path / "walk.glb").motions
    contacts = find_contacts(motion)
    assert contacts.ground[1] == pytest.approx(-speed / legs_of(adult.skeleton), rel=0.1)
    clip = transfer_motion(motion, adult)
    assert clip.loop
    assert np.ptp(clip.translations[:, 2]) < 0.05


def test_hands_stay_out_of_the_trunk(adult, tmp_path):
    """Forearms that go through the belly of the capsule."""
    performed = perform(arm_drop=70.0)
    count = len(performed)
    share = (1 - np.cos(np.linspace(0, 2 * np.pi, count))) / 2
    local = {
        f"{side}LowerArm": Rotation.from_rotvec(
            np.outer(-sign * 100 * share, (0, 0, 1)), degrees=True
        ).as_matrix()
        for side, sign in (("left", 1), ("right", -1))
    }
    performed = Performance(performed.skeleton, local, performed.hips)
    write_bvh(tmp_path / "into.bvh", performed)
    (motion,) = read_motions(tmp_path / "into.bvh").motions
    before = performed.places[:, performed.roles["leftHand"]]
    hands = follow(adult, transfer_motion(motion, adult))[:, adult.skeleton.roles["leftHand"]]
    reach = np.linalg.norm(hands[:, [0, 2]], axis=1)
    assert np.linalg.norm(before[:, [0, 2]], axis=1).min() < 0.9 * ADULT["width"]
    assert reach.min() > ADULT["width"]


NAMES = {
    "Mixamo without separators": lambda role: "mixamorig" + MIXAMO[role],
    "SOMA": lambda role: SOMA.get(role, role),
    "Biovision": lambda role: BIOVISION.get(role, role[0].upper() + role[1:]),
    "SMPL": lambda role: SMPL_NAMES[role],
    "Biped": lambda role: name_biped(role),
}
MIXAMO = {
    "hips": "Hips", "spine": "Spine", "chest": "Spine1", "upperChest": "Spine2",
    "neck": "Neck", "head": "Head",
    **{side + role: side.capitalize() + name for side in SIDES for role, name in (
        ("Shoulder", "Shoulder"), ("UpperArm", "Arm"), ("LowerArm", "ForeArm"), ("Hand", "Hand"),
        ("UpperLeg", "UpLeg"), ("LowerLeg", "Leg"), ("Foot", "Foot"), ("Toes", "ToeBase"))},
}  # fmt: skip
SOMA = {
    **MIXAMO,
    **{side + "UpperLeg": side.capitalize() + "Leg" for side in SIDES},
    **{side + "LowerLeg": side.capitalize() + "Shin" for side in SIDES},
}
BIOVISION = {
    "hips": "Hips", "spine": "Chest", "chest": "Chest2", "upperChest": "Chest3",
    "neck": "Neck", "head": "Head",
    **{side + role: side.capitalize() + name for side in SIDES for role, name in (
        ("Shoulder", "Collar"), ("UpperArm", "Shoulder"), ("LowerArm", "Elbow"), ("Hand", "Wrist"),
        ("UpperLeg", "Hip"), ("LowerLeg", "Knee"), ("Foot", "Ankle"), ("Toes", "Toe"))},
}  # fmt: skip
SMPL_NAMES = {
    "hips": "Pelvis", "spine": "Spine1", "chest": "Spine2", "upperChest": "Spine3",
    "neck": "Neck", "head": "Head",
    **{side + role: f"{side[0].upper()}_{name}" for side in SIDES for role, name in (
        ("Shoulder", "Collar"), ("UpperArm", "Shoulder"), ("LowerArm", "Elbow"), ("Hand", "Wrist"),
        ("UpperLeg", "Hip"), ("LowerLeg", "Knee"), ("Foot", "Ankle"), ("Toes", "Foot"))},
}  # fmt: skip


def name_biped(role):
    """The name of a joint of 3ds Max's Biped."""
    table = {"hips": "Pelvis", "spine": "Spine", "chest": "Spine1", "upperChest": "Spine2",
             "neck": "Neck", "head": "Head"}  # fmt: skip
    parts = {
        "Shoulder": "Clavicle",
        "LowerArm": "Forearm",
        "UpperLeg": "Thigh",
        "LowerLeg": "Calf",
        "Toes": "Toe0",
    }
    side = next((side for side in SIDES if role.startswith(side)), "")
    part = role.removeprefix(side)
    return f"Bip01 {side[0].upper()} {parts.get(part, part)}" if side else f"Bip01 {table[role]}"


@pytest.mark.parametrize("family", list(NAMES))
def test_roles_are_found_by_name(family):
    skeleton = make_humanoid().skeleton
    named = replace(skeleton, names=rename(skeleton, NAMES[family]), roles={})
    assert find_roles(named) == dict(skeleton.roles)


def test_a_skeleton_of_no_humanoid_is_named():
    skeleton = make_humanoid().skeleton
    with pytest.raises(RigError, match=r"expected joints for hips.*found a, "):
        find_roles(
            replace(skeleton, names=tuple("a" * (n + 1) for n in range(len(skeleton.names))), roles={})
        )


def test_clips_of_the_same_name_are_replaced(adult, tmp_path):
    write_bvh(tmp_path / "take.bvh", perform())
    motions = read_motions(tmp_path / "take.bvh").motions
    once = add_motions(adult, motions)
    assert [clip.name for clip in add_motions(once, motions).clips] == ["take"]


HEAD = (
    "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n"
    "End Site\n{\nOFFSET 0 1 0\n}\n}\n"
)


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.txt", b"", "expected one of .bvh"),
        ("a.bvh", b"hello", "begins with HIERARCHY"),
        ("a.bvh", b"HIERARCHY\nROOT Hips\n{", "ends in the middle"),
        ("a.bvh", (HEAD + "MOTION\nFrames: 2\nFrame Time: 0.03\n1 2 x 4 5 6").encode(), "no number"),
        ("a.bvh", (HEAD + "MOTION\nFrames: 2\nFrame Time: 0.03\n1").encode(), "damaged"),
        ("a.bvh", (HEAD + "MOTION\nFrames: 2\nFrame Time: 0.03\n1 2 3 4 5 6").encode(), "expected joints"),
        ("a.bvh", (HEAD.replace("Zrot", "Wrot") + "MOTION").encode(), "unknown channel"),
        ("a.npz", b"PK\x03\x04", "cannot be read as .npz"),
        ("a.glb", b"glTF", "ends after 4 bytes"),
    ],
)
def test_bad_files_are_named(name, data, says, tmp_path):
    (tmp_path / name).write_bytes(data)
    with pytest.raises((FormatError, RigError), match=says):
        read_motions(tmp_path / name)


def test_pickled_arrays_are_not_opened(tmp_path):
    np.savez(tmp_path / "a.npz", poses=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FormatError, match="cannot be read"):
        read_motions(tmp_path / "a.npz")
