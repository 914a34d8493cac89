"""The views of a turnaround sheet, told apart by what is seen of each: front, back, and the sides.

The outline from behind is the mirror image of that from the front, and so are those of both sides. Trunk and
feet of a side view point aside. Which of front and back is which only the face tells, or what is drawn there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from ..figure import Figure
from ..types import BoolArray, FramedPicture
from .turn import measure_turn

_ROWS = 128
"""Height in pixels at which outlines are compared."""
_SHIFT = 16
"""How many pixels the middles of two outlines may be apart then."""
_MIRRORED = 0.84
"""IoU from which an outline is the mirror image of another."""
_TURNED, _FAR = 0.6, 1.5
"""Turn up to which a figure may face the viewer, and from which it does not, though its outline is another's
mirror image."""
_EVEN = 0.7
"""IoU of the outline from the front or behind with its own mirror image at least."""
_HEAD = 0.45
"""Share of the height, from above, in which a face is looked for."""
_MORE_DRAWN = 3.0
"""How many times as much is drawn there in front, where no face was found, if that is to tell."""


class View(NamedTuple):
    """One view of a sheet. face: confidence of the face that was found, 0 if none was."""

    picture: FramedPicture
    figure: Figure
    face: float = 0.0

    @property
    def is_half_turned(self) -> bool:
        """Whether BlazePose sees it from between front and side: an outline shows less of a turn."""
        return self.figure.kind == "three_quarter" and self.figure.source == "blazepose"


class Turnaround(NamedTuple):
    """names: `front`, and `left`, `right`, `back` where seen -> number of the view. left_out: the others."""

    names: dict[str, int]
    left_out: tuple[int, ...]


class _Seen(NamedTuple):
    """outline: (_ROWS, W). even: IoU with its own mirror image. turn: in no unit, negative for the left side.

    face: confidence of one. drawn: how much is drawn where faces are.
    """

    outline: BoolArray
    even: float
    turn: float
    face: float
    drawn: float
    is_half_turned: bool


def name_views(views: Sequence[View], front: int | None = None) -> Turnaround:
    """Name the views of one character. front: the number of the one that a person says is it."""
    seen = [_look_at(view) for view in views]
    names = {} if front is None else {"front": front}
    mirrored = _list_mirrored(seen)
    names |= _find_front_and_back(seen, mirrored, names)
    names |= _find_both_sides(seen, mirrored, set(names.values()))
    _find_one_side(seen, names)
    if "front" not in names:
        _choose_front(seen, names)
    used = set(names.values())
    return Turnaround(names, tuple(number for number in range(len(views)) if number not in used))


def _find_front_and_back(
    seen: Sequence[_Seen], mirrored: Sequence[tuple[int, int]], known: dict[str, int]
) -> dict[str, int]:
    """The pair that is most even of those that are not turned aside."""
    found: dict[str, int] = {}
    most = _EVEN
    for pair in mirrored:
        even = min(seen[number].even for number in pair)
        is_aside = max(abs(seen[number].turn) for number in pair) > _FAR
        if even > most and not is_aside and set(known.values()) <= set(pair):
            front = known["front"] if known else _find_face(seen, pair)
            found, most = {"front": front, "back": sum(pair) - front}, even
    return found


def _find_face(seen: Sequence[_Seen], numbers: Sequence[int]) -> int:
    """Which of these views shows a face: by the face itself, else by what is drawn, else the first one."""
    face = max(numbers, key=lambda number: seen[number].face)
    if seen[face].face > 0:
        return face
    *others, most = sorted(numbers, key=lambda number: seen[number].drawn)
    is_plain = all(seen[most].drawn < _MORE_DRAWN * seen[other].drawn for other in others)
    return min(numbers) if is_plain else most


def _find_both_sides(
    seen: Sequence[_Seen], mirrored: Sequence[tuple[int, int]], used: set[int]
) -> dict[str, int]:
    """The pair that is turned furthest of those that are turned to opposite sides. used: what has a name."""
    found: dict[str, int] = {}
    furthest = _least_turn(used)
    for left, right in (sorted(pair, key=lambda number: seen[number].turn) for pair in mirrored):
        turn = min(-seen[left].turn, seen[right].turn)
        is_half = seen[left].is_half_turned and seen[right].is_half_turned
        if turn > furthest and not is_half and not used & {left, right}:
            found, furthest = {"left": left, "right": right}, turn
    return found


def _find_one_side(seen: Sequence[_Seen], names: dict[str, int]) -> None:
    """Name what is turned aside and has no mirror image, the furthest first, as a side that is free."""
    least = _least_turn(set(names.values()))
    for number in sorted(set(range(len(seen))) - set(names.values()), key=lambda k: -abs(seen[k].turn)):
        side = "left" if seen[number].turn < 0 else "right"
        if abs(seen[number].turn) > least and side not in names and not seen[number].is_half_turned:
            names[side] = number


def _least_turn(used: set[int]) -> float:
    """From where a view is of a side: beside front and back, all that is left is."""
    return 0.0 if len(used) > 1 else _TURNED


def _choose_front(seen: Sequence[_Seen], names: dict[str, int]) -> None:
    """The view that shows most of a face of those that are not a side, else the least turned one."""
    rest = sorted(set(range(len(seen))) - set(names.values()))
    front = (
        _find_face(seen, rest) if rest else min(range(len(seen)), key=lambda number: abs(seen[number].turn))
    )
    for name in [name for name, number in names.items() if number == front]:
        del names[name]
    names["front"] = front


def _list_mirrored(seen: Sequence[_Seen]) -> list[tuple[int, int]]:
    """The pairs of views whose outlines are mirror images, the most alike first."""
    pairs = list(combinations(range(len(seen)), 2))
    alike = {pair: _compare_mirrored(*(seen[number].outline for number in pair)) for pair in pairs}
    return sorted((pair for pair in pairs if alike[pair] > _MIRRORED), key=lambda pair: -alike[pair])


def _look_at(view: View) -> _Seen:
    figure, (left, top, right, bottom) = view.figure, view.picture.box
    outline = view.picture.mask[top:bottom, left:right]
    scaled, drawn = _scale(outline), _measure_drawing(view.picture)
    even = _compare_mirrored(scaled, scaled)
    face = 0.0 if figure.kind == "back" else view.face
    return _Seen(scaled, even, measure_turn(figure), face, drawn, view.is_half_turned)


def _scale(outline: BoolArray) -> BoolArray:
    """An outline (H, W) at the height _ROWS."""
    width = max(1, round(outline.shape[1] * _ROWS / outline.shape[0]))
    return np.asarray(Image.fromarray(outline).resize((width, _ROWS)))


def _compare_mirrored(first: BoolArray, second: BoolArray) -> float:
    """Largest IoU of two outlines (_ROWS, W), the second one mirrored and moved aside a little."""
    width = max(first.shape[1], second.shape[1]) + 2 * _SHIFT
    fixed, moved = (_pad(outline, width) for outline in (first, second[:, ::-1]))
    shifts = (np.roll(moved, shift, axis=1) for shift in range(-_SHIFT, _SHIFT + 1))
    return max(float((fixed & shifted).sum() / (fixed | shifted).sum()) for shifted in shifts)


def _pad(outline: BoolArray, width: int) -> BoolArray:
    left = (width - outline.shape[1]) // 2
    return np.pad(outline, ((0, 0), (left, width - outline.shape[1] - left)))


def _measure_drawing(picture: FramedPicture) -> float:
    """How much is drawn inside the upper part of the outline, as mean difference to what is around it."""
    mask = picture.mask.copy()
    rows = np.flatnonzero(mask.any(axis=1))
    mask[rows[0] + round(_HEAD * len(rows)) :] = False
    reach = max(1, len(rows) // 40)
    inside = ndimage.binary_erosion(mask, iterations=2 * reach)
    gray = picture.rgba[..., :3].mean(axis=-1)
    drawn = np.abs(gray - ndimage.gaussian_filter(gray, reach))
    return float(drawn[inside].mean()) if inside.any() else 0.0
