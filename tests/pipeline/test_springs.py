"""Spring bones: which joints swing, what they stay out of, and how VRM and the preview move them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from character3d.pipeline.animation import load_clip, retarget_clip, swing_clip
from character3d.pipeline.animation.sampling import sample_rotations, sample_translations
from character3d.pipeline.formats import VrmMeta, encode_glb, encode_vrm, rename_character, write_vrm
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton
from character3d.pipeline.rigging.appendages import Appendage, add_joints
from character3d.pipeline.rigging.colliders import measure_colliders
from character3d.pipeline.rigging.pose.posing import place_keys, turn_about, turns_to_rotations
from character3d.pipeline.rigging.springs import SPRING_KINDS, find_springs, list_chains
from character3d.pipeline.types import AnimationClip, Material, RiggedCharacter, TexturedMesh
from character3d.tests.readers.compare import rename, write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_humanoid import make_humanoid

from .figures import make_body
from .test_vrm import read_tree

LINES = {
    "LeftTailA": ("Hips", ((0, 0.93, -0.08), (0.03, 0.85, -0.25), (0.05, 0.7, -0.4), (0.06, 0.6, -0.5))),
    "LeftHairA": ("Head", ((0.05, 1.7, -0.1), (0.06, 1.5, -0.17), (0.06, 1.3, -0.18), (0.06, 1.1, -0.19))),
    "RightHeadPartA": ("Head", ((-0.06, 1.7, 0.0), (-0.1, 1.9, 0.0))),
}


def make_animal():
    """The humanoid of the readers' tests with a tail, a strand of hair and an ear, which move no vertex."""
    human = make_humanoid()
    found = []
    for stem, (parent, line) in LINES.items():
        names = tuple(f"{stem}{end}" for end in (*range(1, len(line)), "_End"))
        found.append(Appendage(names, parent, np.array(line)))
    return replace(human, skeleton=add_joints(human.skeleton, found))


ANIMAL = make_animal()
SPRINGS = find_springs(ANIMAL)
META = VrmMeta("Animal", ("One",))


def turn_hips(degrees, character=ANIMAL, fps=30):
    """A clip that turns the whole body about the vertical, to degrees (T,)."""
    skeleton = character.skeleton
    turns = np.repeat(turn_about("y", degrees)[:, None], len(skeleton.names), axis=1)
    times = np.arange(len(degrees)) / fps
    place = np.repeat(skeleton.positions[:1], len(degrees), axis=0)
    return AnimationClip("turn", times, turns_to_rotations(skeleton, turns), place, loop=False)


def follow(character, clip, times):
    """Places (T, J, 3) of all joints."""
    rotations = sample_rotations(clip, times).astype(np.float32)
    placed = place_keys(character.skeleton, rotations, sample_translations(clip, times), clip.mover)
    return placed[..., :3, 3]


def test_chains_are_known_by_their_names_whatever_the_others_are_called():
    stems = [chain.name for chain in SPRINGS.chains]
    assert stems == list(LINES)
    for profile in ("unreal", "unity", "vrm"):
        renamed = find_springs(rename_character(ANIMAL, profile))
        assert [chain.name for chain in renamed.chains] == stems
    assert list_chains(make_humanoid().skeleton) == []
    assert [chain.settings for chain in SPRINGS.chains] == [
        SPRING_KINDS[stem] for stem in ("Tail", "Hair", "HeadPart")
    ]


def test_what_a_hand_holds_does_not_swing():
    human = make_humanoid()
    staff = Appendage(("LeftHandPropA1", "LeftHandPropA_End"), "LeftHand", np.array(((1, 1, 0), (1, 2, 0))))
    assert list_chains(add_joints(human.skeleton, [staff])) == []


def test_colliders_are_those_of_head_trunk_arms_and_legs():
    parts = {collider.part: collider for collider in SPRINGS.colliders}
    assert set(parts) == {
        *("head", "upperChest", "hips", "leftUpperArm", "leftUpperLeg", "leftLowerLeg"),
        *("rightUpperArm", "rightUpperLeg", "rightLowerLeg"),
    }
    ends = np.stack((parts["leftUpperLeg"].start, parts["leftUpperLeg"].end))
    joints = [ANIMAL.skeleton.roles[role] for role in ("leftUpperLeg", "leftLowerLeg")]
    assert ends == pytest.approx(ANIMAL.skeleton.positions[joints])


def test_colliders_are_as_thick_as_the_body():
    mesh, _ = make_body(45, 3)
    skeleton = fit_skeleton(mesh).skeleton
    skin = compute_skin_weights(mesh, skeleton)
    textured = TexturedMesh(mesh.with_uvs(np.zeros((len(mesh.positions), 2))), Material(np.ones((2, 2, 4))))
    found = measure_colliders(RiggedCharacter(textured, skeleton, skin))
    radii = {collider.part: collider.radius for collider in found}
    for part, radius in {"UpperArm": 0.042, "UpperLeg": 0.072, "LowerLeg": 0.055}.items():
        for side in ("left", "right"):
            assert radii[side + part] == pytest.approx(radius, rel=0.2)
    assert radii["head"] == pytest.approx(0.09, rel=0.2)
    assert radii["hips"] == pytest.approx(0.0975, rel=0.25)  # of the trunk, whose depth is 0.75 of 13 cm


def test_no_chain_touches_a_collider_at_rest():
    for chain in SPRINGS.chains:
        ends = ANIMAL.skeleton.positions[list(chain.joints[1:])].astype(float)
        assert len(chain.colliders) >= 5
        for number in chain.colliders:
            collider = SPRINGS.colliders[number]
            assert (collider.measure_distances(ends) - collider.radius - chain.radii).min() > -1e-9


def test_a_collider_that_a_chain_lies_in_is_left_out_for_it_alone():
    line = ((0, 1.6, 0.0), (0, 1.62, 0.01), (0, 1.64, 0.02))  # in the middle of the head
    inner = Appendage(("LeftHairB1", "LeftHairB2", "LeftHairB_End"), "Head", np.array(line))
    springs = find_springs(replace(ANIMAL, skeleton=add_joints(ANIMAL.skeleton, [inner])))
    parts = [{springs.colliders[number].part for number in chain.colliders} for chain in springs.chains]
    assert ["head" in kept for kept in parts] == [True, True, True, False]


def test_what_stands_still_stays_at_rest():
    clip = turn_hips(np.zeros(60))
    swung = swing_clip(ANIMAL, clip)
    moved = np.linalg.norm(follow(ANIMAL, swung, clip.times) - ANIMAL.skeleton.positions[None], axis=2)
    assert moved.max() < 0.015  # hair, which gravity pulls; a fiftieth of its length
    still = [chain for chain in SPRINGS.chains if not chain.gravity.any()]
    assert len(still) == 2
    for chain in still:
        assert moved[:, list(chain.joints)].max() < 1e-5


def test_chains_lag_behind_keep_their_lengths_and_settle():
    clip = turn_hips(np.r_[np.linspace(0, 90, 16), np.full(60, 90)])
    swung = swing_clip(ANIMAL, clip)
    stiff, soft = (follow(ANIMAL, made, clip.times) for made in (clip, swung))
    others = [joint for joint in range(len(ANIMAL.skeleton.names)) if joint not in _list_joints()]
    assert np.abs(soft[:, others] - stiff[:, others]).max() < 1e-5
    for chain in SPRINGS.chains:
        line = ANIMAL.skeleton.positions[list(chain.joints)]
        lengths = np.linalg.norm(np.diff(soft[:, list(chain.joints)], axis=1), axis=2)
        assert np.abs(lengths - np.linalg.norm(np.diff(line, axis=0), axis=1)).max() < 1e-5
    tip = ANIMAL.skeleton.index("mixamorig:LeftTailA_End")
    behind = np.linalg.norm(soft[:, tip] - stiff[:, tip], axis=1)
    assert behind[8:16].max() > 0.05 and behind[-1] < 0.002
    assert np.array_equal(swing_clip(ANIMAL, clip).rotations, swung.rotations)


def _list_joints():
    return {joint for chain in SPRINGS.chains for joint in chain.joints}


def test_no_collider_is_entered():
    """The left leg swings back to where the tail is."""
    skeleton = ANIMAL.skeleton
    leg = skeleton.roles["leftUpperLeg"]
    turns = np.tile(np.eye(3), (60, len(skeleton.names), 1, 1))
    below = [joint for joint in range(len(skeleton.names)) if _is_below(skeleton, joint, leg)]
    share = np.r_[np.linspace(0, 1, 30), np.ones(30)]
    turns[:, below] = (turn_about("x", 65 * share) @ turn_about("z", -9 * share))[:, None]
    place = np.repeat(skeleton.positions[:1], 60, axis=0)
    clip = AnimationClip("kick", np.arange(60) / 30, turns_to_rotations(skeleton, turns), place, loop=False)
    gaps = [measure_gaps(made, SPRINGS.chains[0], clip.times) for made in (clip, swing_clip(ANIMAL, clip))]
    assert gaps[0].min() < -0.02
    assert gaps[1].min() > -0.002


def measure_gaps(clip, chain, times):
    """Distances (T, C, J - 1) of the ends of the chain's bones from the colliders that it stays out of."""
    rotations = sample_rotations(clip, times).astype(np.float32)
    placed = place_keys(ANIMAL.skeleton, rotations, sample_translations(clip, times), clip.mover)
    ends = placed[..., :3, 3][:, list(chain.joints[1:])]
    gaps = []
    for number in chain.colliders:
        collider = SPRINGS.colliders[number]
        # The ends in the frame in which the collider rests.
        back = ANIMAL.skeleton.rest[collider.joint] @ np.linalg.inv(placed[:, collider.joint])
        at = np.einsum("tij,tbj->tbi", back[:, :3, :3], ends) + back[:, None, :3, 3]
        gaps.append(collider.measure_distances(at.reshape(-1, 3)).reshape(len(times), -1))
        gaps[-1] -= collider.radius + chain.radii
    return np.stack(gaps, axis=1)


def _is_below(skeleton, joint, above):
    while joint >= 0 and joint != above:
        joint = int(skeleton.parents[joint])
    return joint == above


def test_a_loop_stays_closed_and_other_characters_keep_their_clips():
    clip = retarget_clip(load_clip("walk"), ANIMAL)
    swung = swing_clip(ANIMAL, clip)
    assert np.array_equal(swung.times, clip.times)
    assert np.abs(swung.rotations[0] - swung.rotations[-1]).max() < 1e-5
    tail = ANIMAL.skeleton.index("mixamorig:LeftTailA1")
    steps = np.abs(np.diff(swung.rotations[:, tail], axis=0)).max(axis=1)
    assert steps[-1] < 1.5 * steps.max() and steps.max() < 0.2
    human = make_humanoid()
    plain = retarget_clip(load_clip("walk"), human)
    assert swing_clip(human, plain) is plain


def test_the_extension_follows_its_schema():
    """The words of VRMC_springBone's schemas, and that every index leads to something."""
    tree = read_tree(encode_vrm(ANIMAL, META))
    assert tree["extensionsUsed"] == ["VRMC_vrm", "VRMC_springBone"]
    content = tree["extensions"]["VRMC_springBone"]
    assert content["specVersion"] == "1.0"
    assert set(content) == {"specVersion", "colliders", "colliderGroups", "springs"}
    for collider in content["colliders"]:
        ((kind, shape),) = collider["shape"].items()
        assert set(shape) == {"sphere": {"offset", "radius"}, "capsule": {"offset", "radius", "tail"}}[kind]
        assert shape["radius"] > 0 and collider["node"] < len(tree["nodes"])
    assert [group["colliders"] for group in content["colliderGroups"]] == [
        [number] for number in range(len(content["colliders"]))
    ]
    used = []
    for spring in content["springs"]:
        assert set(spring["colliderGroups"]) <= set(range(len(content["colliderGroups"])))
        nodes = [joint["node"] for joint in spring["joints"]]
        used += nodes
        for above, below in pairwise(nodes):
            assert below in tree["nodes"][above]["children"]
        for joint in spring["joints"][:-1]:
            assert 0 <= joint["dragForce"] <= 1 and joint["hitRadius"] >= 0 and joint["stiffness"] > 0
            assert joint["gravityPower"] >= 0 and joint["gravityDir"] == [0, -1, 0]
        assert set(spring["joints"][-1]) == {"node"}
    assert len(set(used)) == len(used)
    names = [tree["nodes"][node]["name"].removeprefix("mixamorig:") for node in used]
    assert names[:4] == ["LeftTailA1", "LeftTailA2", "LeftTailA3", "LeftTailA_End"]


def test_without_chains_there_is_no_such_extension_and_other_files_have_plain_joints():
    assert read_tree(encode_vrm(make_humanoid(), META))["extensionsUsed"] == ["VRMC_vrm"]
    tree = read_tree(encode_glb(ANIMAL))
    assert "extensions" not in tree
    assert "mixamorig:LeftTailA3" in {node["name"] for node in tree["nodes"]}


@pytest.fixture(scope="module")
def swung(tmp_path_factory):
    """What three-vrm does with the VRM: still for 1 s, then a turn by 90 degrees in 0.5 s, then still."""
    require_reader("three-vrm")
    folder = tmp_path_factory.mktemp("swung")
    write_vrm(folder / "a.vrm", ANIMAL, META)
    radians = np.radians(np.r_[np.zeros(60), np.linspace(0, 90, 31), np.full(120, 90)])
    ask = write_ask(folder / "ask.json", swing={"bone": "hips", "radians": radians.tolist()})
    report = run_reader("three-vrm", folder / "report.json", folder / "a.vrm", ask)
    assert report["warnings"] == []
    names = [rename("three-vrm", ANIMAL.skeleton.names[joint]) for joint in sorted(_list_joints())]
    assert all(set(step) == set(names) for step in report["swung"])
    return np.array([[step[name] for name in names] for step in report["swung"]])


def test_three_vrm_swings_them_and_they_settle(swung):
    joints = sorted(_list_joints())
    rest = ANIMAL.skeleton.positions[joints].astype(float)
    assert np.linalg.norm(swung[59] - rest, axis=1).max() < 0.015
    hips = ANIMAL.skeleton.positions[0].astype(float)
    turned = (rest - hips) @ turn_about("y", 90.0).T + hips
    tip = joints.index(ANIMAL.skeleton.index("mixamorig:LeftTailA_End"))
    assert np.linalg.norm(swung[90, tip] - turned[tip]) > 0.05
    assert np.linalg.norm(swung[-1] - turned, axis=1).max() < 0.015
    assert np.abs(swung[-1] - swung[-2]).max() < 1e-4
    for chain in SPRINGS.chains:
        columns = [joints.index(joint) for joint in chain.joints]
        lengths = np.linalg.norm(np.diff(swung[:, columns], axis=1), axis=2)
        assert np.ptp(lengths, axis=0).max() < 1e-4


def test_three_vrm_and_the_preview_move_them_alike(swung):
    """Both by the same algorithm, ours from the clip and three-vrm's from the file."""
    clip = turn_hips(np.r_[np.zeros(60), np.linspace(0, 90, 31), np.full(120, 90)], fps=60)
    ours = follow(ANIMAL, swing_clip(ANIMAL, clip), clip.times)[:, sorted(_list_joints())]
    assert np.abs(ours - swung)[40:].max() < 0.008  # they put it out of legs in different orders
