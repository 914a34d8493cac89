"""Which joints of any skeleton are those of ours: by its chains, its symmetry, and where they lie.

The tree alone is read, no names. Feet are the tips of chains near the ground that are farthest apart, the
head is the highest tip in the middle, hands are the tips farthest apart of those that meet below it; hips and
chest are where these chains meet.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, permutations

import numpy as np

from ..types import Float64Array, Int64Array
from .skeleton import ARM_PARTS, FINGERS, LEG_PARTS, SIDES

_LOW, _MIDDLE = 0.25, 0.12
"""Shares of the skeleton's height: below which feet are, and how far beside the hips the head may be."""
_UPRIGHT = 0.5
"""Least rise from the hips to the head, as a share of the way."""
_SPINE = ("Spine", "Spine1", "Spine2")


@dataclass(frozen=True, eq=False)
class _Tree:
    positions: Float64Array
    parents: Int64Array

    def climb(self, joint: int) -> list[int]:
        """The chain from the first joint to this one."""
        chain = [joint]
        while self.parents[chain[-1]] >= 0:
            chain.append(int(self.parents[chain[-1]]))
        return chain[::-1]

    def find_children(self, joint: int) -> list[int]:
        return np.flatnonzero(self.parents == joint).tolist()

    def list_tips(self) -> list[int]:
        return [joint for joint in range(len(self.parents)) if not (self.parents == joint).any()]

    def find_meeting(self, one: int, other: int) -> int:
        """The last joint that the chains to two joints share; -1 if these hang on roots of their own."""
        shared = [a for a, b in zip(self.climb(one), self.climb(other), strict=False) if a == b]
        return shared[-1] if shared else -1

    def follow(self, joint: int) -> list[int]:
        """The longest chain that begins with a joint."""
        chains = [self.climb(tip) for tip in self.list_tips()]
        below = [chain[chain.index(joint) :] for chain in chains if joint in chain]
        return max(below, key=self._measure)

    def _measure(self, chain: list[int]) -> float:
        return float(np.linalg.norm(np.diff(self.positions[chain], axis=0), axis=1).sum())


def find_roles(positions: Float64Array, parents: Int64Array) -> dict[str, int]:
    """Return our names, without prefix, of the joints (J, 3), metres, of a standing person that faces +Z.

    parents: (J,), before their children, -1 for the first. Empty if the skeleton is no person's: without two
    legs and two arms of at least three joints, or a head. Neck, toes and fingers are found where they are.
    """
    tree = _Tree(np.asarray(positions, np.float64), np.asarray(parents, np.int64))
    ends = _find_ends(tree)
    if ends is None:
        return {}
    feet, hands, head = ends
    hips, chest = tree.find_meeting(*feet), tree.find_meeting(*hands)
    trunk = tree.positions[head] - tree.positions[hips]
    if trunk[1] < _UPRIGHT * np.linalg.norm(trunk):
        return {}
    found = {"Hips": hips} | _name_trunk(tree, _cut(tree, hips, head), chest)
    for side, foot, hand in zip(SIDES, feet, hands, strict=True):
        arm, leg = _cut(tree, chest, hand), _cut(tree, hips, foot)
        limbs = _name_limb(tree, arm, side, ARM_PARTS, 1), _name_limb(tree, leg, side, LEG_PARTS, 0)
        if not all(limbs):
            return {}
        found |= limbs[0] | limbs[1]
        found |= _name_fingers(tree, found[f"{side}Hand"], side)
    return found if "Head" in found else {}


def _find_ends(tree: _Tree) -> tuple[tuple[int, int], tuple[int, int], int] | None:
    """The tips of the feet and of the hands, left ones first, and of the head."""
    places, tips = tree.positions, tree.list_tips()
    low, height = float(places[:, 1].min()), float(np.ptp(places[:, 1]))
    feet = _find_widest(tree, [tip for tip in tips if places[tip, 1] <= low + _LOW * height])
    if feet is None:
        return None
    hips = tree.find_meeting(*feet)
    legs = {joint for foot in feet for joint in _cut(tree, hips, foot)}
    others = [tip for tip in tips if not legs & set(tree.climb(tip))]
    above = [tip for tip in others if abs(places[tip, 0] - places[hips, 0]) < _MIDDLE * height]
    if not above:
        return None
    head = max(above, key=lambda tip: float(places[tip, 1]))
    trunk = tree.climb(head)
    if hips not in trunk:
        return None
    hands = _find_widest(tree, [tip for tip in others if tip != head], trunk[trunk.index(hips) + 1 :])
    return (feet, hands, head) if hands else None


def _find_widest(tree: _Tree, tips: list[int], meetings: list[int] | None = None) -> tuple[int, int] | None:
    """The tips farthest apart from left to right, left one first, whose chains meet at one of `meetings`."""
    allowed = range(len(tree.parents)) if meetings is None else meetings
    best: tuple[int, int] | None = None
    widest = 0.0
    for left, right in permutations(tips, 2):
        width = float(tree.positions[left, 0] - tree.positions[right, 0])
        if width > widest and tree.find_meeting(left, right) in allowed:
            best, widest = (left, right), width
    return best


def _cut(tree: _Tree, start: int, tip: int) -> list[int]:
    """The chain from after `start` to a tip."""
    chain = tree.climb(tip)
    return chain[chain.index(start) + 1 :]


def _name_trunk(tree: _Tree, chain: list[int], chest: int) -> dict[str, int]:
    """Names of the joints above the hips: the spine up to the chest, then neck and head."""
    spine, above = chain[: chain.index(chest) + 1], chain[chain.index(chest) + 1 :]
    found = {"Spine2": spine[-1]}
    if len(spine) > 1:
        found["Spine"] = spine[0]
    if len(spine) > 2:
        halfway = tree.positions[[spine[0], spine[-1]], 1].mean()
        found["Spine1"] = min(spine[1:-1], key=lambda joint: abs(float(tree.positions[joint, 1] - halfway)))
    if len(above) == 1:
        return found | {"Head": above[0]}
    return found | dict(zip(("Neck", "Head"), above, strict=False))


def _name_limb(
    tree: _Tree, chain: list[int], side: str, parts: tuple[str, ...], before: int
) -> dict[str, int]:
    """Names of the joints of a chain whose two longest bones in a row are those of the upper and lower limb.

    before: how many of `parts` come before the upper limb. Empty if the chain is too short.
    """
    if len(chain) < 3:
        return {}
    bones = [float(np.linalg.norm(tree.positions[b] - tree.positions[a])) for a, b in pairwise(chain)]
    pairs = [one + other for one, other in pairwise(bones)]
    first = int(np.argmax(pairs)) - before
    return {
        side + part: chain[first + number]
        for number, part in enumerate(parts)
        if 0 <= first + number < len(chain)
    }


def _name_fingers(tree: _Tree, hand: int, side: str) -> dict[str, int]:
    """Names of five chains of at least two joints below a hand; the thumb is the one in front."""
    chains = [tree.follow(child) for child in tree.find_children(hand)]
    if len(chains) != len(FINGERS) or min(len(chain) for chain in chains) < 2:
        return {}
    in_front = sorted(chains, key=lambda chain: -float(tree.positions[chain[:2], 2].mean()))
    return {
        f"{side}Hand{finger}{number}": joint
        for finger, chain in zip(FINGERS, in_front, strict=True)
        for number, joint in enumerate(chain[:3], start=1)
    }
