"""Pieces that move as one, and what lies behind a contact or far from all bones."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from character3d.pipeline.mesh.components import find_components
from character3d.pipeline.rigging.skeleton import PREFIX, build_skeleton
from character3d.pipeline.rigging.skin.bone_distances import list_bones, scale_distances
from character3d.pipeline.rigging.skin.contact_cuts import cut_contacts
from character3d.pipeline.rigging.skin.mirror_pieces import mirror_distances
from character3d.pipeline.rigging.skin.piece_parts import separate_pieces
from character3d.pipeline.rigging.skin.rigid_pieces import hold_pieces
from character3d.pipeline.rigging.skin.skinning import compute_skin_weights
from character3d.pipeline.types import Mesh
from character3d.tests.capsules import join_capsules
from scipy import sparse

LIMBS = {
    "Shoulder": (0.04, 1.38, 0.0),
    "Arm": (0.18, 1.38, 0.0),
    "ForeArm": (0.44, 1.38, 0.0),
    "Hand": (0.68, 1.38, 0.0),
    "UpLeg": (0.1, 0.9, 0.0),
    "Leg": (0.1, 0.5, 0.0),
    "Foot": (0.1, 0.1, 0.0),
    "ToeBase": (0.1, 0.03, 0.12),
    "Toe_End": (0.1, 0.03, 0.2),
}
"""Joints of the left side, metres."""


def make_boxes(*boxes, is_open=()):
    """Boxes (center, sides), subdivided twice, of one mesh, labeled in their order; open ones lack a face."""
    meshes = []
    for number, (center, sides) in enumerate(boxes):
        box = trimesh.creation.box(sides).subdivide().subdivide().apply_translation(center)
        if number in is_open:
            box.update_faces(np.arange(len(box.faces)) > 0)
        meshes.append(box)
    whole = trimesh.util.concatenate(meshes)
    pieces = find_components(Mesh(whole.vertices, whole.faces))
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    order = np.argsort(pieces.labels[pieces.inverse[starts]])
    return replace(pieces, labels=order[pieces.labels])


@pytest.fixture(scope="module")
def skeleton():
    """A figure in T-pose, 1.7 m tall."""
    joints = {
        name: np.array((0.0, y, 0.0))
        for name, y in zip(
            ("Hips", "Spine", "Spine1", "Spine2", "Neck", "Head", "HeadTop_End"),
            (0.95, 1.05, 1.17, 1.28, 1.43, 1.5, 1.7),
            strict=True,
        )
    }
    for side, sign in (("Left", 1), ("Right", -1)):
        for name, place in LIMBS.items():
            joints[side + name] = np.array((sign * place[0], *place[1:]))
    return build_skeleton(joints)


def number_of(bones, skeleton, name):
    return [bone.joint for bone in bones].index(skeleton.index(PREFIX + name))


def share(bones, skeleton, pieces, **weights):
    """(P, B) the weights of each piece by the names of joints, noisy around their mean."""
    table = np.zeros((len(pieces.points), len(bones)))
    noise = np.where(np.arange(len(table)) % 2, 0.05, -0.05)
    for label in range(int(pieces.labels.max()) + 1):
        own = pieces.labels == label
        first, second = weights[f"piece{label}"]
        table[own, number_of(bones, skeleton, first[0])] = first[1] + noise[own]
        table[own, number_of(bones, skeleton, second)] = 1 - first[1] - noise[own]
    return table


BODY = ((0, 0.85, 0), (1.8, 1.7, 0.3))
"""With all bones of the figure in it."""


def test_armor_is_its_joints_and_a_sleeve_bends(skeleton):
    """A closed part of a thigh is the thigh's; what bends at the knee, and an open sleeve, are left alone."""
    bones = list_bones(skeleton)
    part = (0.2, 0.3, 0.2)
    pieces = make_boxes(BODY, ((2, 0, 0), part), ((3, 0, 0), part), ((4, 0, 0), part), is_open=(3,))
    thigh = ("LeftUpLeg", 0.85)
    weights = share(
        bones,
        skeleton,
        pieces,
        piece0=(("Hips", 0.5), "Spine"),
        piece1=(thigh, "LeftLeg"),
        piece2=(("LeftUpLeg", 0.55), "LeftLeg"),
        piece3=(thigh, "LeftLeg"),
    )
    held = hold_pieces(weights, pieces, skeleton, bones)
    assert (held[pieces.labels == 1, number_of(bones, skeleton, "LeftUpLeg")] == 1).all()
    assert np.array_equal(held[pieces.labels != 1], weights[pieces.labels != 1])


def test_a_button_moves_as_one_with_the_shirt(skeleton):
    bones = list_bones(skeleton)
    pieces = make_boxes(BODY, ((0, 1, 0.2), (0.03, 0.03, 0.01)))
    halves = {"piece0": (("Hips", 0.5), "Spine"), "piece1": (("Spine", 0.6), "Spine1")}
    weights = share(bones, skeleton, pieces, **halves)
    held = hold_pieces(weights, pieces, skeleton, bones)
    button = held[pieces.labels == 1]
    assert np.allclose(button, weights[pieces.labels == 1].mean(axis=0)) and np.ptp(button, axis=0).max() == 0


def test_patches_of_one_surface_are_not_pieces(skeleton):
    """Open details that are most of the mesh, such as unmerged charts, keep their own weights."""
    bones = list_bones(skeleton)
    boxes = [((0, 0.1 * row, 0), (0.05,) * 3) for row in range(18)]
    pieces = make_boxes(*boxes, is_open=range(18))
    halves = {f"piece{number}": (("Hips", 0.5), "Spine") for number in range(18)}
    weights = share(bones, skeleton, pieces, **halves)
    assert np.array_equal(hold_pieces(weights, pieces, skeleton, bones), weights)


def test_the_balls_of_a_robot_are_the_limbs(skeleton):
    """A ball around the shoulder, half the collarbone's by its distances, turns with the arm."""
    bones = list_bones(skeleton)
    at = skeleton.positions[skeleton.index(PREFIX + "LeftArm")]
    plates = [((0, 0.3 * row, 0), (0.2, 0.25, 0.2)) for row in range(6)]
    pieces = make_boxes((at, (0.12, 0.12, 0.12)), *plates)
    names = {f"piece{number + 1}": (("Spine", 0.8), "Hips") for number in range(6)}
    weights = share(bones, skeleton, pieces, piece0=(("LeftShoulder", 0.55), "LeftArm"), **names)
    held = hold_pieces(weights, pieces, skeleton, bones)
    assert (held[pieces.labels == 0, number_of(bones, skeleton, "LeftArm")] == 1).all()


def test_a_socket_beside_a_shoulder_is_not_a_ball(skeleton):
    bones = list_bones(skeleton)
    at = skeleton.positions[skeleton.index(PREFIX + "LeftArm")]
    plates = [((0, 0.3 * row, 0), (0.2, 0.25, 0.2)) for row in range(6)]
    pieces = make_boxes((at, (0.05, 0.2, 0.2)), *plates)
    names = {f"piece{number + 1}": (("Spine", 0.8), "Hips") for number in range(6)}
    weights = share(bones, skeleton, pieces, piece0=(("LeftShoulder", 0.55), "LeftArm"), **names)
    held = hold_pieces(weights, pieces, skeleton, bones)
    assert np.array_equal(held[pieces.labels == 0], weights[pieces.labels == 0])


def separate(weights, pieces, bones, along_arm=None):
    """(P, B) bool, which bones have been put far from which points."""
    along = np.zeros(len(weights), bool) if along_arm is None else along_arm
    return separate_pieces(np.ones(weights.shape), weights, pieces, bones, along) > 1


def test_a_helmet_is_the_head_and_a_robe_is_not_one_part(skeleton):
    """A closed piece of one part is far from other bones; not what is open, mixed or most of a limb."""
    bones = list_bones(skeleton)
    helmet, cape, robe = ((2, 0, 0), (0.4, 0.4, 0.4)), ((3, 0, 0), (0.4,) * 3), ((4, 0, 0), (0.4,) * 3)
    pieces = make_boxes(BODY, helmet, cape, robe, is_open=(2,))
    weights = share(
        bones,
        skeleton,
        pieces,
        piece0=(("Hips", 0.8), "LeftUpLeg"),
        piece1=(("Head", 0.7), "Spine2"),
        piece2=(("Spine2", 0.8), "Head"),
        piece3=(("Hips", 0.5), "RightUpLeg"),
    )
    is_far = separate(weights, pieces, bones)
    assert not is_far[pieces.labels != 1].any()
    head = [bone.part == "head" for bone in bones]
    assert (is_far[pieces.labels == 1] == ~np.array(head)).all()


def test_a_breastplate_is_the_trunk_and_a_shirt_bends_at_its_sleeves(skeleton):
    bones = list_bones(skeleton)
    pieces = make_boxes(BODY, ((2, 0, 0), (0.6, 0.5, 0.3)), ((4, 0, 0), (0.8, 0.2, 0.2)))
    weights = share(
        bones,
        skeleton,
        pieces,
        piece0=(("Hips", 0.5), "Spine"),
        piece1=(("Spine2", 0.8), "LeftArm"),
        piece2=(("LeftForeArm", 0.9), "LeftArm"),
    )
    trunk = np.array([bone.part in ("trunk", "collar") for bone in bones])
    plate = pieces.labels == 1
    assert (separate(weights, pieces, bones)[plate] == ~trunk).all()
    sleeve = plate & (pieces.points[:, 0] > 2.25)
    assert not separate(weights, pieces, bones, sleeve)[plate].any()


def test_what_encloses_the_bones_of_a_part_is_that_parts(skeleton):
    """A helmet over the shoulders, a trunk without arms, trousers with a belt: near other bones, too."""
    bones = list_bones(skeleton)
    pieces = make_boxes(
        ((0, 1.55, 0), (0.6, 0.5, 0.4)),
        ((0, 1.13, 0), (0.3, 0.6, 0.2)),
        ((0, 0.46, 0), (0.4, 0.92, 0.5)),
        ((0, 2.2, 0), (0.2, 0.3, 0.2)),
    )
    even = np.full((len(pieces.points), len(bones)), 1 / len(bones))
    is_far = separate(even, pieces, bones)
    for label, kept in enumerate(({"head"}, {"trunk", "collar"}, {"trunk", "collar", "leg"})):
        own = np.array([bone.part in kept for bone in bones])
        assert (is_far[pieces.labels == label] == ~own).all(), kept
    assert not is_far[pieces.labels == 3].any()


def test_a_trunk_keeps_arms_that_bend_its_sleeves(skeleton):
    bones = list_bones(skeleton)
    pieces = make_boxes(((0, 1.13, 0), (0.5, 0.6, 0.2)), ((0, 2.2, 0), (0.2, 0.3, 0.2)))
    even = np.full((len(pieces.points), len(bones)), 1 / len(bones))
    trunk = pieces.labels == 0
    is_far = separate(even, pieces, bones, trunk & (np.abs(pieces.points[:, 0]) > 0.2))[trunk]
    arms = np.array([bone.part == "arm" for bone in bones])
    assert not is_far[:, arms].any() and is_far[:, [bone.part == "leg" for bone in bones]].all()


def test_a_bolt_belongs_to_what_it_touches_and_a_finger_to_its_hand(skeleton):
    """Both are near a thigh that hangs beside them and touch the chest; the finger is the hand's."""
    bones = list_bones(skeleton)
    size = (0.04, 0.04, 0.04)
    pieces = make_boxes(
        BODY, ((2, 1, 0), (0.4, 0.4, 0.4)), ((2.2, 1, 0), size), ((2.2, 1.1, 0), size), is_open=(2, 3)
    )
    weights = share(
        bones,
        skeleton,
        pieces,
        piece0=(("Hips", 0.5), "Spine"),
        piece1=(("Spine2", 0.9), "Spine1"),
        piece2=(("LeftUpLeg", 0.9), "Spine"),
        piece3=(("LeftHand", 0.9), "LeftForeArm"),
    )
    is_far = separate(weights, pieces, bones)
    trunk = np.array([bone.part in ("trunk", "collar") for bone in bones])
    assert (is_far[pieces.labels == 2] == ~trunk).all()
    assert not is_far[pieces.labels == 3].any()


def test_a_ball_belongs_to_what_its_socket_touches_and_a_pad_on_both_to_neither(skeleton):
    """All are nearest to the thigh: an open socket on the trunk, a ball in it, and a pad over both limbs."""
    bones = list_bones(skeleton)
    pieces = make_boxes(
        BODY,
        ((2, 1, 0), (0.3, 0.3, 0.3)),
        ((2, 0.6, 0), (0.3, 0.3, 0.3)),
        ((2.192, 1, 0), (0.08, 0.12, 0.12)),
        ((2.249, 1, 0), (0.03, 0.06, 0.06)),
        ((2, 0.8, 0.157), (0.1, 0.24, 0.01)),
        is_open=(3,),
    )
    thigh = ("LeftUpLeg", 0.7), "Hips"
    weights = share(
        bones,
        skeleton,
        pieces,
        piece0=(("Hips", 0.5), "Spine"),
        piece1=(("Spine2", 1.0), "Hips"),
        piece2=(("LeftUpLeg", 1.0), "Hips"),
        piece3=thigh,
        piece4=(("LeftUpLeg", 1.0), "Hips"),
        piece5=(("LeftUpLeg", 0.54), "Hips"),
    )
    is_far = separate(weights, pieces, bones)
    trunk = np.array([bone.part in ("trunk", "collar") for bone in bones])
    assert (is_far[np.isin(pieces.labels, (3, 4))] == ~trunk).all()
    assert not is_far[pieces.labels == 5].any()


def test_distances_of_pieces_that_mirror_each_other_are_mirrored(skeleton):
    """Of a ring and its twin, and of a body that is its own; not of what one side alone has."""
    bones = list_bones(skeleton)
    size = (0.1, 0.2, 0.2)
    pieces = make_boxes(BODY, ((0.2, 1.38, 0), size), ((-0.2, 1.38, 0), size), ((0.7, 1.38, 0), size))
    given = np.random.default_rng(0).uniform(1, 2, (len(pieces.points), len(bones)))
    made = mirror_distances(given, pieces, skeleton, bones)
    twin = np.array(
        [np.abs(pieces.points - point).sum(axis=1).argmin() for point in pieces.points * (-1, 1, 1)]
    )
    names = [skeleton.names[bone.joint] for bone in bones]
    swapped = [name.replace("Left", "\0").replace("Right", "Left").replace("\0", "Right") for name in names]
    other = [names.index(name) for name in swapped]
    alone = pieces.labels == 3
    assert np.array_equal(made[~alone], (given + given[np.ix_(twin, other)])[~alone] / 2)
    assert np.array_equal(made[alone], given[alone])


def test_a_bone_without_one_on_the_other_side_keeps_its_distances(skeleton):
    """A prop in the right hand is not near the left one."""
    bones = [bone for bone in list_bones(skeleton) if "LeftHand" not in skeleton.names[bone.joint]]
    pieces = make_boxes(BODY)
    given = np.random.default_rng(0).uniform(1, 2, (len(pieces.points), len(bones)))
    made = mirror_distances(given, pieces, skeleton, bones)
    is_alone = [skeleton.names[bone.joint] == PREFIX + "RightHand" for bone in bones]
    assert ((made == given).all(axis=0) == is_alone).all() and any(is_alone)


def test_distances_are_continuous_and_alike_outside():
    away = np.array((0.0, 0.02, 0.04, 0.1, 0.3))
    thin, thick = (scale_distances(away, radius, 0.1) for radius in (0.04, 0.1))
    assert thin[2] == thick[3] == 1 and np.allclose(thin[:2], (0, 0.5))
    assert np.allclose(np.diff(thin[3:]), np.diff(thick[3:])) and np.allclose(np.diff(thin[2:4]), 0.6)


def test_what_no_bone_reaches_any_more_is_not_cut_off():
    """Cells 0-1 of the rest, 2 of an arm, 3-4 of the rest behind it, in one row."""
    steps = np.arange(4)
    half = sparse.coo_matrix((np.ones(4), (steps, steps + 1)), shape=(5, 5))
    graph, labels = (half + half.T).tocsr(), np.array((0, 0, 1, 0, 0))
    apart = cut_contacts(graph, labels, np.array((0, 2, 4)))
    assert apart.nnz == 4 and apart[1, 2] == apart[2, 3] == 0
    kept = cut_contacts(graph, labels, np.array((0, 2)))
    assert kept.nnz == 6 and kept[1, 2] == 0 and kept[2, 3] == 1


def test_what_a_thin_arm_holds_is_the_arms(skeleton):
    """A wide shield at the hand, nearer to the thick trunk than to the hand if both count in radii."""
    limbs = [((0, 0.95, 0), (0, 1.3, 0), 0.17), ((0, 1.3, 0), (0, 1.6, 0), 0.08)]
    for sign in (1, -1):
        limbs.append(((sign * 0.1, 1.38, 0), (sign * 0.75, 1.38, 0), 0.04))
        limbs.append(((sign * 0.1, 0.9, 0), (sign * 0.1, 0.06, 0), 0.06))
    body = join_capsules(limbs, 12)
    shield = trimesh.creation.box((0.04, 0.5, 0.7)).subdivide().subdivide().subdivide()
    shield.apply_translation((0.76, 1.38, 0))
    whole = trimesh.util.concatenate((body, shield))
    skin = compute_skin_weights(Mesh(whole.vertices, whole.faces), skeleton)
    names = np.array(["LeftHand" in name or "LeftForeArm" in name for name in skeleton.names])
    assert (skin.weights * names[skin.joints]).sum(axis=1)[len(body.vertices) :].min() > 0.9
