"""Joints of any skeleton as ours: found by the tree and by where they lie."""

import numpy as np
import pytest
from character3d.pipeline.rigging.adopt_skeleton import adopt_skeleton, fold_weights
from character3d.pipeline.rigging.find_roles import find_roles
from character3d.pipeline.rigging.skeleton import FINGER_JOINTS, FINGERS, JOINTS, PREFIX, SIDES
from character3d.pipeline.types import Mesh

PLACES = {
    "Hips": (0, 0.95, 0),
    "Spine": (0, 1.05, 0),
    "Spine1": (0, 1.15, 0),
    "Spine2": (0, 1.25, 0),
    "Neck": (0, 1.45, 0),
    "Head": (0, 1.55, 0.02),
}
LEFT = {
    "Shoulder": (0.04, 1.4, 0),
    "Arm": (0.17, 1.4, 0),
    "ForeArm": (0.45, 1.4, -0.01),
    "Hand": (0.7, 1.4, 0),
    "UpLeg": (0.09, 0.9, 0),
    "Leg": (0.1, 0.5, 0.01),
    "Foot": (0.1, 0.08, -0.02),
    "ToeBase": (0.1, 0.02, 0.1),
}
PARENTS = {name: parent for name, parent, _, _ in JOINTS + FINGER_JOINTS}


def place_joints(*, fingers=False, without=()):
    """Our names, and places (3,) metres, of a person in the T-pose."""
    places = dict(PLACES)
    for side, sign in zip(SIDES, (1, -1), strict=True):
        places |= {side + part: (sign * x, y, z) for part, (x, y, z) in LEFT.items()}
        for number, finger in enumerate(FINGERS if fingers else ()):
            for joint in (1, 2, 3):
                reach = 0.03 * joint + (0.0 if finger == "Thumb" else 0.05)
                name = f"{side}Hand{finger}{joint}"
                places[name] = (sign * (0.7 + reach), 1.4, 0.05 - 0.02 * number)
    return {name: place for name, place in places.items() if name not in without}


def build_tree(places, seed=0):
    """Names, places (J, 3) and parents (J,) in another order, parents still before children."""
    rng, names = np.random.default_rng(seed), []
    left = set(places)
    while left:
        ready = sorted(name for name in left if find_parent(name, places) not in left)
        names.append(ready[rng.integers(len(ready))])
        left.remove(names[-1])
    parents = [find_parent(name, places) for name in names]
    indices = [names.index(parent) if parent else -1 for parent in parents]
    return names, np.array([places[name] for name in names], float), np.array(indices)


def find_parent(name, places):
    parent = PARENTS[name]
    while parent and parent not in places:
        parent = PARENTS[parent]
    return parent


def make_mesh():
    corners = np.array(((-0.9, 0, -0.2), (0.9, 0, 0.2), (0, 1.75, 0)), np.float32)
    return Mesh(corners, np.array(((0, 1, 2),)))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("fingers", [False, True])
def test_every_joint_is_found_by_its_place(fingers, seed):
    names, positions, parents = build_tree(place_joints(fingers=fingers), seed)
    found = find_roles(positions, parents)
    assert {name: names[joint] for name, joint in found.items()} == {name: name for name in names}


@pytest.mark.parametrize(
    "without", [("Spine1",), ("LeftShoulder", "RightShoulder"), ("LeftToeBase", "RightToeBase"), ("Neck",)]
)
def test_what_a_skeleton_lacks_is_completed(without):
    names, positions, parents = build_tree(place_joints(without=without))
    found = find_roles(positions, parents)
    assert {name: names[joint] for name, joint in found.items()} == {name: name for name in names}
    skeleton, movers = adopt_skeleton(make_mesh(), positions, parents)
    assert {name for name, *_ in JOINTS} == {name.removeprefix(PREFIX) for name in skeleton.names}
    assert [skeleton.names[mover] for mover in movers] == [PREFIX + name for name in names]
    whole = place_joints()
    for name in without:
        place = skeleton.positions[skeleton.index(PREFIX + name)]
        assert np.linalg.norm(place - whole[name]) < 0.09


def test_arms_of_five_joints_and_longer_spines():
    """A bone in the middle of the spine, two more in each hand: they move with ours above them."""
    names, positions, parents = (list(part) for part in build_tree(place_joints()))
    for side, sign in zip(SIDES, (1, -1), strict=True):
        for reach in (0.78, 0.84):
            parents.append(names.index(f"{side}Hand") if reach < 0.8 else len(names) - 1)
            names.append(f"{side}Hand")
            positions.append(np.array((sign * reach, 1.4, 0)))
    skeleton, movers = adopt_skeleton(make_mesh(), np.array(positions), np.array(parents))
    assert [skeleton.names[mover] for mover in movers] == [PREFIX + name for name in names]


def test_hair_and_tail_are_chains_of_their_own_and_weights_fold():
    names, positions, parents = (list(part) for part in build_tree(place_joints()))
    for root, places in {
        "Head": ((0.05, 1.7, -0.1), (0.1, 1.4, -0.2)),
        "Hips": ((0, 0.9, -0.3), (0, 0.6, -0.5)),
    }.items():
        parents += [names.index(root), len(names)]
        names += [root] * 2
        positions += [np.array(place) for place in places]
    adopted = adopt_skeleton(make_mesh(), np.array(positions), np.array(parents))
    own = [adopted.skeleton.names[mover].removeprefix(PREFIX) for mover in adopted.movers[-4:]]
    assert own == ["LeftHeadPartA1", "LeftHeadPartA2", "RightTailA1", "RightTailA2"]
    weights = np.eye(len(names), dtype=np.float32)
    folded = fold_weights(weights, adopted)
    assert (folded.sum(axis=1) == 1).all() and (folded.argmax(axis=1) == adopted.movers).all()


def test_handles_on_roots_of_their_own_are_no_hands():
    """Rigs of animators have joints beside the body, farther apart than the hands: they hang on nothing."""
    names, positions, parents = build_tree(place_joints())
    handles = np.array(((1.1, 1.4, 0), (-1.1, 1.4, 0), (0.4, 0, 0.3), (-0.4, 0, 0.3)))
    found = find_roles(np.concatenate((positions, handles)), np.append(parents, [-1] * 4))
    assert {name: names[joint] for name, joint in found.items()} == {name: name for name in names}


def test_what_is_no_person_keeps_its_joints():
    """A quadruped: four legs, a tail, a head in front; and a chain."""
    places = [(0, 1, 0), (0, 1, 0.6), (0, 1.3, 0.9)]
    parents = [-1, 0, 1]
    for x, z, root in ((0.2, 0, 0), (-0.2, 0, 0), (0.2, 0.6, 1), (-0.2, 0.6, 1)):
        parents += [root, len(places), len(places) + 1]
        places += [(x, 0.9, z), (x, 0.5, z), (x, 0, z)]
    for positions, above in ((places, parents), (((0, 0, 0), (0, 1, 0), (0, 2, 0)), (-1, 0, 1))):
        array = np.array(positions, float)
        assert find_roles(array, np.array(above)) == {}
        skeleton, movers = adopt_skeleton(make_mesh(), array, np.array(above))
        assert not skeleton.roles and skeleton.names[0] == "Joint0"
        np.testing.assert_allclose(skeleton.positions, array, atol=1e-6)
        np.testing.assert_array_equal(movers, np.arange(len(above)))
        np.testing.assert_array_equal(skeleton.parents, above)
