"""Finger joints of hands whose fingers are separate.

Lengths of the bones, from X-rays: A. Buryanov, V. Kotiuk, "Proportions of Hand Segments", Int. J. Morphol.
28(3), 2010. Lengths of the fingers outside the palm: G. N. Chatzioglou, Y. Pinar, F. Govsa, "Biometric
analysis hand parameters in young adults", Anat. Cell Biol. 57(2), 2024.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...progress import Progress, span_progress
from ...types import Float64Array, Mesh
from ..skeleton import FINGERS
from ..voxelize import list_corners
from .arms import Arm
from .branches import Branch, find_branches
from .hand_solid import crop_hand


@dataclass(frozen=True)
class _Proportions:
    """Millimetres.

    bones: from the knuckle (thumb: from the wrist) to the tip, including soft tissue. free: outside the palm.
    """

    bones: tuple[float, float, float]
    free: float


_HUMAN = {
    "Thumb": _Proportions((46.22, 31.57, 21.67 + 5.67), 49.5),
    "Index": _Proportions((39.78, 22.38, 15.82 + 3.84), 63.9),
    "Middle": _Proportions((44.63, 26.33, 17.40 + 3.95), 70.7),
    "Ring": _Proportions((41.37, 25.65, 17.30 + 3.95), 65.5),
    "Pinky": _Proportions((32.74, 18.11, 15.96 + 3.73), 53.3),
}
_MIN_FINGERS = 3
_BASE_SHARE = 0.4
"""Share of a branch that gives its direction at the base."""
_MIN_THUMB_LEAD, _MAX_BASE_SPREAD = 0.06, 0.18
"""Shares of the hand's length."""
_MIN_STRAIGHTNESS = 0.8
_MAX_FLATNESS = 1.8
_MIN_RELATIVE_SCALE = 0.85


def fit_fingers(
    mesh: Mesh, arms: Mapping[str, Arm], progress: Progress
) -> tuple[dict[str, Float64Array], list[str]]:
    """Return the positions (3,) of the finger joints by name (side + FINGER_PARTS), and warnings.

    Five branches of a hand are the thumb to the little finger; four are thumb, index, middle and ring, three
    are thumb, index and middle, so that clips for five fingers still close the hand. Fewer are not taken
    for fingers.
    """
    positions: dict[str, Float64Array] = {}
    warnings = []
    corners = list_corners(mesh)
    for number, (side, arm) in enumerate(arms.items()):
        part = span_progress(progress, number / len(arms), (number + 1) / len(arms))
        found, reason = _fit_hand(corners, arm, part)
        positions |= {f"{side}Hand{name}": position for name, position in found.items()}
        if reason:
            warnings.append(f"the {side.lower()} hand {reason}")
    return positions, warnings


def _fit_hand(
    corners: tuple[Float64Array, Float64Array], arm: Arm, progress: Progress
) -> tuple[dict[str, Float64Array], str]:
    hand = crop_hand(corners, arm.elbow, arm.wrist, arm.tip) if arm.is_free else None
    if hand is None or not hand.is_free:
        return {}, "is not free of the body; no fingers were rigged"
    branches = sorted(find_branches(hand, progress), key=lambda branch: -branch.length)[: len(FINGERS)]
    if len(branches) < _MIN_FINGERS:
        return {}, "shows no separate fingers; none were rigged"
    ordered = _order_branches(branches, arm.wrist)
    if not _are_separate(ordered, hand.length):
        return {}, "has fingers that touch or bend; none were rigged"
    scales = _scale_fingers(ordered)
    positions: dict[str, Float64Array] = {}
    for finger, branch, scale in zip(FINGERS, ordered, scales, strict=False):
        joints = _place_joints(branch, finger, scale, arm.wrist)
        positions |= {f"{finger}{number + 1}": joint for number, joint in enumerate(joints)}
    if len(ordered) < len(FINGERS):
        names = ", ".join(FINGERS[: len(ordered)]).lower()
        return positions, f"shows {len(ordered)} separate fingers; they were rigged as {names}"
    return positions, ""


def _order_branches(branches: list[Branch], wrist: Float64Array) -> list[Branch]:
    """The thumb, whose base is nearest to the forearm, then the others across the palm away from it."""
    thumb = min(branches, key=lambda branch: branch.base)
    others = [branch for branch in branches if branch is not thumb]
    bases = np.array([branch.line[0] for branch in others])
    forward = bases.mean(axis=0) - wrist
    offset = bases - bases.mean(axis=0)
    offset -= np.outer(offset @ forward, forward) / (forward @ forward)
    across = np.linalg.svd(offset)[2][0]
    away = bases.mean(axis=0) - thumb.line.mean(axis=0)
    ranks = np.argsort(bases @ across * np.sign(across @ away), kind="stable")
    return [thumb, *(others[rank] for rank in ranks)]


def _are_separate(ordered: list[Branch], length: float) -> bool:
    """Whether the thumb branches off first, the others close together, and all are straight and round.

    Fingers that touch form one broad branch, or branch off too late.
    """
    thumb, *others = ordered
    bases = [branch.base for branch in others]
    return (
        min(bases) - thumb.base >= _MIN_THUMB_LEAD * length
        and max(bases) - min(bases) <= _MAX_BASE_SPREAD * length
        and min(branch.straightness for branch in ordered) >= _MIN_STRAIGHTNESS
        and max(branch.flatness for branch in others) <= _MAX_FLATNESS
    )


def _scale_fingers(ordered: list[Branch]) -> list[float]:
    """Metres per millimetre of the human hand; a finger that branches off late is scaled like the others."""
    scales = [branch.length / _HUMAN[finger].free for finger, branch in zip(FINGERS, ordered, strict=False)]
    least = _MIN_RELATIVE_SCALE * sorted(scales[1:])[-2]
    return [scales[0], *(max(scale, least) for scale in scales[1:])]


def _place_joints(branch: Branch, finger: str, scale: float, wrist: Float64Array) -> list[Float64Array]:
    """Four joints from root to tip, on the centerline and its straight extension into the palm."""
    lengths = scale * np.array(_HUMAN[finger].bones)
    if finger == "Thumb":
        knuckle, *rest = _split_line(branch, lengths[1:])
        inward = wrist - knuckle
        return [knuckle + lengths[0] * inward / np.linalg.norm(inward), knuckle, *rest]
    return _split_line(branch, lengths)


def _split_line(branch: Branch, lengths: Float64Array) -> list[Float64Array]:
    """The tip and the points at cumulative `lengths` before it, on the line extended straight at its base."""
    line = branch.line
    ahead = line[round(_BASE_SHARE * (len(line) - 1))] - line[0]
    root = line[0] - ahead / np.linalg.norm(ahead) * max(lengths.sum() - branch.length, 1e-9)
    line = np.concatenate((root[None], line))
    back = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line[::-1], axis=0), axis=1))))
    wanted = np.append(np.cumsum(lengths[::-1])[::-1], 0.0)
    return list(np.stack([np.interp(wanted, back, line[::-1, axis]) for axis in range(3)], axis=1))
