"""Names of the pieces of a curve skeleton by their place: spine, neck, head, tail, leg_front_left…"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ...orientation.form import ANIMAL, QUADRUPED
from ...types import Float64Array
from .curve_tree import Piece

ROOT, SPINE, NECK, HEAD, TAIL = "root", "spine", "neck", "head", "tail"
LEG, LIMB, PART = "leg", "limb", "part"
_LOW, _DOWN = 0.25, 0.5
"""Shares: of the height, below which a foot is; of its length, that a leg goes down."""
_ASIDE, _ACROSS = 0.1, 0.5
"""Shares: of the longest side, how far aside a limb ends; of its length, that it goes aside."""
_FAR = 0.08
"""Share of the length before or behind the middle from which a piece ends in head or tail."""


def name_pieces(pieces: Sequence[Piece], rows: Float64Array, kind: str, middle: Float64Array) -> list[str]:
    """A name for each piece, all different; rows: (3, 3) left, up and front. middle: (3,) of the body.

    A thing has parts alone. An animal has legs that end low, a head that reaches farthest to the front, a
    tail that reaches farthest back, other limbs, and a spine and a neck between them.
    """
    if kind not in (QUADRUPED, ANIMAL):
        return _make_unique([PART if piece.is_tip else SPINE for piece in pieces])
    local = [(piece.points - middle) @ rows.T for piece in pieces]
    everything = np.concatenate(local)
    low, size = everything.min(axis=0), np.ptp(everything, axis=0)
    names = [
        _find_limb(points, low, size) if piece.is_tip else SPINE
        for points, piece in zip(local, pieces, strict=True)
    ]
    _choose_ends(names, local, size)
    _name_necks(names, pieces)
    feet = [points[-1, 2] for points, name in zip(local, names, strict=True) if name == LEG]
    return _make_unique([_add_side(name, points, feet) for name, points in zip(names, local, strict=True)])


def _find_limb(points: Float64Array, low: Float64Array, size: Float64Array) -> str:
    """LEG, LIMB or PART; coordinates are left, up and front."""
    tip, way = points[-1], points[-1] - points[0]
    length = max(float(np.linalg.norm(way)), 1e-12)
    if tip[1] <= low[1] + _LOW * size[1] and -way[1] >= _DOWN * length:
        return LEG
    return LIMB if abs(tip[0]) > _ASIDE * size.max() and abs(way[0]) > _ACROSS * length else PART


def _choose_ends(names: list[str], local: Sequence[Float64Array], size: Float64Array) -> None:
    """Mark the head and the tail among the parts that reach farthest to the front and back."""
    for name, sign in ((HEAD, 1), (TAIL, -1)):
        reach = {number: sign * points[-1, 2] for number, points in enumerate(local) if names[number] == PART}
        best = max(reach, key=lambda number: float(reach[number]), default=None)
        if best is not None and reach[best] >= _FAR * size[2]:
            names[best] = name


def _name_necks(names: list[str], pieces: Sequence[Piece]) -> None:
    """The pieces between the head and the first that carries a leg or a limb too are its neck."""
    for number in reversed(range(len(pieces))):
        if names[number] != SPINE:
            continue
        children = {names[child] for child, piece in enumerate(pieces) if piece.parent == number}
        if children & {HEAD, NECK} and not children & {LEG, LIMB, SPINE, TAIL}:
            names[number] = NECK


def _add_side(name: str, points: Float64Array, feet: Sequence[float]) -> str:
    side = "left" if points[-1, 0] > 0 else "right"
    if name == LIMB:
        return f"{name}_{side}"
    if name != LEG:
        return name
    spread = max(feet) - min(feet)
    if len(feet) < 3 or spread < 1e-9:
        return f"{name}_{side}"
    share = (points[-1, 2] - min(feet)) / spread
    end = "front" if share > 0.6 else "back" if share < 0.4 else "middle"
    return f"{name}_{end}_{side}"


def _make_unique(names: Sequence[str]) -> list[str]:
    """The names, with letters after those that occur more than once."""
    often, seen, found = Counter(names), Counter[str](), []
    for name in names:
        letter = "abcdefghijklmnopqrstuvwxyz"[seen[name] % 26]
        seen[name] += 1
        found.append(f"{name}_{letter}" if often[name] > 1 else name)
    return found
