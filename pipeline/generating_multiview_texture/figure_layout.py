"""The figure in the pixels of the front view: its head, its trunk and legs, what hangs in front of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..boxes import find_box
from ..figure import PARTS, Figure
from ..types import BoolArray, FloatArray, IntArray
from .masked_images import resize_mask

_Four = tuple[float, float, float, float]
_LEGS = ("left_leg", "right_leg", "left_foot", "right_foot")
_HANDS = ("left_hand", "right_hand")
_ARMS = ("left_arm", "right_arm")
_TRUNK = ("head", "torso", "clothes", *_LEGS)
"""What reads as head below the neck is a chin or a face on the belly."""
_HEAD_RADII = 1.45
"""Of the face, within which the head of a figure without human form is."""
_SEEN, _HAND_WIDTH = 0.5, 0.6
"""Confidence from which wrist and tip of a hand are where they were read; its radius, in its lengths."""
_AWAY = ("side", "back")


@dataclass(frozen=True, eq=False)
class FigureLayout:
    """Lengths are pixels, (H, W) that of the picture.

    head: down to the neck, with hair. trunk: with clothes and `legs`, without arms. arms: without hands.
    held: hands before the trunk. is_facing: whether the picture shows a front. head_box: left, top, right,
    bottom. face: center x, y, radii x, y, or None.
    """

    head: BoolArray
    trunk: BoolArray
    legs: BoolArray
    arms: BoolArray
    hands: BoolArray
    held: BoolArray
    is_facing: bool
    head_box: _Four = (0.0, 0.0, 0.0, 0.0)
    face: _Four | None = None

    @property
    def head_height(self) -> float:
        """Rows from the crown to the neck."""
        return self.head_box[3] - self.head_box[1]

    def resize(self, size: tuple[int, int]) -> FigureLayout:
        """The layout of the picture resized to rows, columns."""
        head, trunk, legs, arms, hands, held = (
            resize_mask(item, size)
            for item in (self.head, self.trunk, self.legs, self.arms, self.hands, self.held)
        )
        factor = size[0] / len(self.head)
        face = None if self.face is None else _scale(self.face, factor)
        return FigureLayout(
            head, trunk, legs, arms, hands, held, self.is_facing, _scale(self.head_box, factor), face
        )


def lay_out_figure(figure: Figure | None, subject: BoolArray, mask: BoolArray) -> FigureLayout:
    """Map the figure of a framed picture with the mask `subject` (S, S) to the silhouette `mask` (H, W).

    Without a figure, all is trunk.
    """
    if figure is None:
        none = np.zeros_like(mask)
        return FigureLayout(none, mask, none, none, none, none, True)
    scale, offset = _match_boxes(subject, mask)
    parts = _resample_parts(figure, scale, offset, mask)
    left, top, right, bottom = figure.head_box
    (left, top), (right, bottom) = (scale * point + offset for point in ((left, top), (right, bottom)))
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    across = np.abs(columns - (left + right) / 2) / (right - left)
    is_part = {name: mask & (parts == number) for number, name in enumerate(PARTS)}
    # Hats and horns; what hangs beside the head, as wings and a backpack do, is none of it.
    worn = (across < 0.5) & (rows < top + 0.35 * (bottom - top)) & (is_part["prop"] <= (across < 0.35))
    inside = (rows > top) & ~_join(is_part, (*_ARMS, *_HANDS, "prop")) & (across < 0.65)
    head = mask & (rows < bottom) & (is_part["head"] | is_part["hair"] | worn | inside)
    trunk, legs, arms, hands = (_join(is_part, names) & ~head for names in (_TRUNK, _LEGS, _ARMS, _HANDS))
    held = trunk & _draw_hands(figure, scale, offset, mask)
    face = None
    if figure.face is not None:
        x, y = scale * np.array(figure.face[:2]) + offset
        radii = scale * np.array(figure.face[2:])
        face = float(x), float(y), float(radii[0]), float(radii[1])
    if figure.kind == "other":
        head, trunk = np.zeros_like(mask), mask & ~_join(is_part, (*_ARMS, *_HANDS))
        if face is not None:
            head = mask & (np.hypot((columns - x) / radii[0], (rows - y) / radii[1]) < _HEAD_RADII)
    return FigureLayout(
        head,
        trunk & ~held,
        legs & ~held,
        arms,
        hands,
        held,
        figure.kind not in _AWAY,
        (float(left), float(top), float(right), float(bottom)),
        face,
    )


def _draw_hands(figure: Figure, scale: FloatArray, offset: FloatArray, mask: BoolArray) -> BoolArray:
    """The hands (H, W) between wrists and tips that were seen: parts are too coarse on the trunk."""
    hands = np.zeros_like(mask)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    for side in ("left", "right"):
        if min(figure.trust(f"{side}_{name}") for name in ("wrist", "hand")) < _SEEN:
            continue
        wrist, tip = (scale * figure[f"{side}_{name}"][:2] + offset for name in ("wrist", "hand"))
        along = tip - wrist
        length = max(float(np.hypot(*along)), 1.0)
        share = np.clip(((columns - wrist[0]) * along[0] + (rows - wrist[1]) * along[1]) / length**2, 0, 1)
        away = np.hypot(columns - wrist[0] - share * along[0], rows - wrist[1] - share * along[1])
        hands |= mask & (away < _HAND_WIDTH * length)
    return hands


def _join(is_part: dict[str, BoolArray], names: tuple[str, ...]) -> BoolArray:
    return np.logical_or.reduce([is_part[name] for name in names])


def _scale(values: _Four, factor: float) -> _Four:
    first, second, third, fourth = (factor * value for value in values)
    return first, second, third, fourth


def _match_boxes(subject: BoolArray, mask: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Scale and offset (x, y) from shares of the framed picture to pixels of the silhouette."""
    source, target = (np.array(find_box(item), np.float64) for item in (subject, mask))
    scale = (target[2:] - target[:2]) / (source[2:] - source[:2])
    return scale * len(subject), target[:2] - source[:2] * scale


def _resample_parts(figure: Figure, scale: FloatArray, offset: FloatArray, mask: BoolArray) -> IntArray:
    size = len(figure.parts)
    rows, columns = (
        np.clip(((np.arange(count) + 0.5 - offset[axis]) / scale[axis] * size).astype(int), 0, size - 1)
        for axis, count in ((1, mask.shape[0]), (0, mask.shape[1]))
    )
    return figure.parts[np.ix_(rows, columns)]
