"""Finger joints, where the mesh shows separate fingers.

The proportions are of hands in X-rays: A. Buryanov, V. Kotiuk, "Proportions of Hand Segments", Int. J.
Morphol. 28(3), 2010. How much of a finger stands free of the palm: G. N. Chatzioglou, Y. Pinar, F. Govsa,
"Biometric analysis hand parameters in young adults", Anat. Cell Biol. 57(2), 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...progress import Progress, span_progress
from ...types import Mesh
from ..skeleton import FINGERS
from ..voxel_solid import Points
from .arms import Arm
from .branches import Branch, find_branches
from .hand_solid import crop_hand


@dataclass(frozen=True)
class _Proportions:
    """Millimetres. bones: from the knuckle (the thumb: from the wrist) to the tip, flesh included."""

    bones: tuple[float, float, float]
    free: float


_HUMAN = {
    "Thumb": _Proportions((46.22, 31.57, 21.67 + 5.67), 49.5),
    "Index": _Proportions((39.78, 22.38, 15.82 + 3.84), 63.9),
    "Middle": _Proportions((44.63, 26.33, 17.40 + 3.95), 70.7),
    "Ring": _Proportions((41.37, 25.65, 17.30 + 3.95), 65.5),
    "Pinky": _Proportions((32.74, 18.11, 15.96 + 3.73), 53.3),
}
_FEWEST = 3
_FOOT_SHARE = 0.4
_THUMB_BEFORE = 0.06
_PALM_SPREAD = 0.18
_STRAIGHT = 0.8
_FLATTEST = 1.8
_LEAST_SCALE = 0.85


def fit_fingers(
    mesh: Mesh, arms: Mapping[str, Arm], progress: Progress
) -> tuple[dict[str, Points], list[str]]:
    """Places (3,) of finger joints, keyed as in FINGER_PARTS with the side before, and warnings.

    Five branches of a hand are thumb to little finger; four are thumb, index, middle and ring, three
    thumb, index and middle, so that clips for five fingers still close the hand. Fewer are no fingers.
    """
    places: dict[str, Points] = {}
    warnings = []
    for number, (side, arm) in enumerate(arms.items()):
        part = span_progress(progress, number / len(arms), (number + 1) / len(arms))
        found, reason = _fit_hand(mesh, arm, part)
        places |= {f"{side}Hand{name}": place for name, place in found.items()}
        if reason:
            warnings.append(f"the {side.lower()} hand {reason}")
    return places, warnings


def _fit_hand(mesh: Mesh, arm: Arm, progress: Progress) -> tuple[dict[str, Points], str]:
    hand = crop_hand(mesh, arm.elbow, arm.wrist, arm.tip) if arm.is_free else None
    if hand is None or not hand.is_free:
        return {}, "is not free of the body; no fingers were rigged"
    branches = sorted(find_branches(hand, progress), key=lambda branch: -branch.length)[: len(FINGERS)]
    if len(branches) < _FEWEST:
        return {}, "shows no separate fingers; none were rigged"
    ordered = _order_branches(branches, arm.wrist)
    if not _is_open(ordered, hand.length):
        return {}, "has fingers that touch or bend; none were rigged"
    scales = _scale_fingers(ordered)
    places: dict[str, Points] = {}
    for finger, branch, scale in zip(FINGERS, ordered, scales, strict=False):
        joints = _place_joints(branch, finger, scale, arm.wrist)
        places |= {f"{finger}{number + 1}": joint for number, joint in enumerate(joints)}
    if len(ordered) < len(FINGERS):
        names = ", ".join(FINGERS[: len(ordered)]).lower()
        return places, f"shows {len(ordered)} separate fingers; they were rigged as {names}"
    return places, ""


def _order_branches(branches: list[Branch], wrist: Points) -> list[Branch]:
    """The thumb, whose foot is nearest to the forearm, and the others across the palm away from it."""
    thumb = min(branches, key=lambda branch: branch.base)
    others = [branch for branch in branches if branch is not thumb]
    feet = np.array([branch.line[0] for branch in others])
    forward = feet.mean(axis=0) - wrist
    offset = feet - feet.mean(axis=0)
    offset -= np.outer(offset @ forward, forward) / (forward @ forward)
    across = np.linalg.svd(offset)[2][0]
    away = feet.mean(axis=0) - thumb.line.mean(axis=0)
    ranks = np.argsort(feet @ across * np.sign(across @ away), kind="stable")
    return [thumb, *(others[rank] for rank in ranks)]


def _is_open(ordered: list[Branch], length: float) -> bool:
    """Whether the thumb parts before the others, these near each other, and all are straight and round.

    Fingers that touch show as one broad branch, or part too late.
    """
    thumb, *others = ordered
    bases = [branch.base for branch in others]
    return (
        min(bases) - thumb.base >= _THUMB_BEFORE * length
        and max(bases) - min(bases) <= _PALM_SPREAD * length
        and min(branch.straightness for branch in ordered) >= _STRAIGHT
        and max(branch.flatness for branch in others) <= _FLATTEST
    )


def _scale_fingers(ordered: list[Branch]) -> list[float]:
    """Metres per millimetre of the human hand; one finger that parts late is as large as its neighbours."""
    scales = [branch.length / _HUMAN[finger].free for finger, branch in zip(FINGERS, ordered, strict=False)]
    least = _LEAST_SCALE * sorted(scales[1:])[-2]
    return [scales[0], *(max(scale, least) for scale in scales[1:])]


def _place_joints(branch: Branch, finger: str, scale: float, wrist: Points) -> list[Points]:
    """Four joints from root to tip: along the centreline, and before it straight on into the palm."""
    lengths = scale * np.array(_HUMAN[finger].bones)
    if finger == "Thumb":
        knuckle, *rest = _cut_line(branch, lengths[1:])
        way = wrist - knuckle
        return [knuckle + lengths[0] * way / np.linalg.norm(way), knuckle, *rest]
    return _cut_line(branch, lengths)


def _cut_line(branch: Branch, lengths: Points) -> list[Points]:
    """Points before the tip, by cumulated lengths from there, and the tip; the line runs on straight."""
    line = branch.line
    ahead = line[round(_FOOT_SHARE * (len(line) - 1))] - line[0]
    root = line[0] - ahead / np.linalg.norm(ahead) * max(lengths.sum() - branch.length, 1e-9)
    line = np.concatenate((root[None], line))
    back = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line[::-1], axis=0), axis=1))))
    wanted = np.append(np.cumsum(lengths[::-1])[::-1], 0.0)
    return list(np.stack([np.interp(wanted, back, line[::-1, axis]) for axis in range(3)], axis=1))
