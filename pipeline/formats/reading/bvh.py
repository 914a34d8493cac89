"""Reader of BVH (Biovision Hierarchy): a hierarchy of joints with offsets and channels, and rows of numbers.

Source: M. Meredith, S. Maddock, "Motion Capture File Formats Explained" (University of Sheffield, 2001).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from ...errors import FormatError
from ...mesh_extras import OwnClip
from ...types import Float64Array, Skeleton

_CHANNELS = {f"{axis}{kind}" for axis in "XYZ" for kind in ("position", "rotation")}
_MOST_NUMBERS = 50_000_000


@dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    channels: list[str] = field(default_factory=list)


class _Words:
    """The words of a file, in order."""

    def __init__(self, path: Path, words: list[str]) -> None:
        self._path, self._words, self.place = path, words, 0

    def take(self) -> str:
        """The next word."""
        if self.place >= len(self._words):
            raise FormatError(f"{self._path.name} is damaged: it ends in the middle")
        self.place += 1
        return self._words[self.place - 1]

    def expect(self, *wanted: str) -> str:
        """The next word, which must be one of these."""
        found = self.take()
        if found.upper() not in wanted:
            raise FormatError(
                f"{self._path.name} is damaged: expected {' or '.join(wanted)}, found {found[:40]!r}"
            )
        return found.upper()

    def number(self) -> float:
        """The next word as a finite number."""
        found = self.take()
        try:
            value = float(found)
        except ValueError:
            value = np.nan
        if not np.isfinite(value):
            raise FormatError(f"{self._path.name} is damaged: expected a number, found {found[:40]!r}")
        return value


def read_bvh(path: Path) -> tuple[Skeleton, OwnClip]:
    """Return the skeleton with all rotations zero, and its motion, in the file's unit and frame.

    FormatError if the file is damaged.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if not text.lstrip().upper().startswith("HIERARCHY"):
        raise FormatError(f"{path.name}: expected BVH, which begins with HIERARCHY; found {text[:20]!r}")
    words = _Words(path, text.split())
    words.take()
    joints = _read_hierarchy(words)
    words.expect("MOTION")
    words.expect("FRAMES:")
    count = int(words.number())
    words.expect("FRAME")
    words.expect("TIME:")
    step = words.number()
    values = _read_frames(path, words, text, count, sum(len(joint.channels) for joint in joints))
    if step <= 0:
        raise FormatError(f"{path.name} is damaged: its frame time is {step}")
    return _make_skeleton(joints), _make_clip(path.stem, joints, values, step)


def _read_hierarchy(words: _Words) -> list[_Joint]:
    """The joints in the file's order, which is that of their channels; end sites are joints without any."""
    joints: list[_Joint] = []
    above = -1
    while (kind := words.expect("ROOT", "JOINT", "END", "OFFSET", "CHANNELS", "}", "MOTION")) != "MOTION":
        if kind == "OFFSET":
            joints[above].offset = (words.number(), words.number(), words.number())
        elif kind == "CHANNELS":
            joints[above].channels = [_read_channel(words) for _ in range(int(words.number()))]
        elif kind == "}":
            above = joints[above].parent
        else:
            name = words.take()
            named = f"{joints[above].name}_End" if kind == "END" else name
            joints.append(_Joint(named, above))
            above = len(joints) - 1
            words.expect("{")
        if above < 0 and kind != "}":
            raise FormatError("the BVH file is damaged: an entry is outside of all joints")
    words.place -= 1
    return joints


def _read_channel(words: _Words) -> str:
    found = words.take()
    name = next((channel for channel in _CHANNELS if channel.lower() == found.lower()), None)
    if name is None:
        raise FormatError(f"the BVH file is damaged: unknown channel {found[:40]!r}")
    return name


def _read_frames(path: Path, words: _Words, text: str, count: int, width: int) -> Float64Array:
    """(count, width) numbers; a file that ends early has as many frames as are whole."""
    if count < 1 or not width or count * width > _MOST_NUMBERS:
        raise FormatError(f"{path.name} is damaged: it says {count} frames of {width} numbers")
    rest = text.split(None, words.place)[words.place :]
    try:
        values = np.array(rest[0].split() if rest else [], np.float64)
    except ValueError as error:
        raise FormatError(f"{path.name} is damaged: a frame has what is no number") from error
    whole = min(count, len(values) // width)
    if not whole or not np.isfinite(values).all():
        raise FormatError(
            f"{path.name} is damaged: its frames have {len(values)} numbers for {width} channels"
        )
    return np.asarray(values[: whole * width].reshape(whole, width))


def _make_skeleton(joints: list[_Joint]) -> Skeleton:
    rest = np.tile(np.eye(4), (len(joints), 1, 1))
    for number, joint in enumerate(joints):
        above = rest[joint.parent, :3, 3] if joint.parent >= 0 else np.zeros(3)
        rest[number, :3, 3] = above + joint.offset
    return Skeleton(tuple(joint.name for joint in joints), np.array([joint.parent for joint in joints]), rest)


def _make_clip(name: str, joints: list[_Joint], values: Float64Array, step: float) -> OwnClip:
    count = len(values)
    turns = np.tile((0.0, 0.0, 0.0, 1.0), (count, len(joints), 1))
    moves = np.tile([joint.offset for joint in joints], (count, 1, 1)).astype(np.float64)
    column = 0
    for number, joint in enumerate(joints):
        own = values[:, column : column + len(joint.channels)]
        column += len(joint.channels)
        for channel, one in zip(joint.channels, own.T, strict=True):
            if channel.endswith("position"):
                moves[:, number, "XYZ".index(channel[0])] = one
        angles = [place for place, channel in enumerate(joint.channels) if channel.endswith("rotation")]
        if angles:
            order = "".join(joint.channels[place][0] for place in angles)
            turns[:, number] = _compose(order, own[:, angles])
    return OwnClip(name, np.arange(count) * step, turns, moves)


def _compose(order: str, degrees: Float64Array) -> Float64Array:
    """Quaternions (T, 4) of rotations about these axes, the first outermost."""
    turn = Rotation.identity(len(degrees))
    for axis, column in zip(order, degrees.T, strict=True):
        turn = turn * Rotation.from_euler(axis.lower(), column[:, None], degrees=True)
    return turn.as_quat()
