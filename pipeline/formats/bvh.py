"""Writer of BVH (Biovision Hierarchy): a character's clip on its skeleton in the T-pose, in centimetres.

Source: M. Meredith, S. Maddock, "Motion Capture File Formats Explained" (University of Sheffield, 2001).
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..types import Float64Array, RiggedCharacter, Skeleton
from .clip_turns import turn_clip

_UNITS_PER_METRE = 100.0
_RATE = 30.0
_TURNS = "Zrotation Xrotation Yrotation"
_MOVES = "Xposition Yposition Zposition"
_END = 0.05
"""Length of the end of a chain, metres."""


def encode_bvh(character: RiggedCharacter, clip: str) -> bytes:
    """Return the file with the character's clip of that name, at 30 frames a second.

    All rotations are 0 in the T-pose, +Y is up. FormatError if it has no such clip.
    """
    turned = turn_clip(character, clip)
    skeleton, order = turned.skeleton, list[int]()
    lines = ["HIERARCHY", *_describe_joint(skeleton, 0, 0, turned.mover, order)]
    count = max(round(float(turned.times[-1]) * _RATE), 1) + 1
    keys = np.abs(turned.times[:, None] - np.arange(count) / _RATE).argmin(axis=0)
    flat = Rotation.from_matrix(turned.local[keys][:, order].reshape(-1, 3, 3))
    angles = flat.as_euler("ZXY", degrees=True).reshape(count, len(order), 3)
    angles = np.degrees(np.unwrap(np.radians(angles), axis=0))
    split = order.index(turned.mover)
    parts = (angles[:, :split], turned.moves[keys, None] * _UNITS_PER_METRE, angles[:, split:])
    rows = np.concatenate(parts, axis=1).reshape(count, -1)
    lines += ["MOTION", f"Frames: {count}", f"Frame Time: {1 / _RATE:.7f}"]
    lines += [" ".join(f"{value:.5f}" for value in row) for row in rows]
    return ("\n".join(lines) + "\n").encode()


def _describe_joint(skeleton: Skeleton, joint: int, depth: int, mover: int, order: list[int]) -> list[str]:
    """The lines of a joint and all below it; `order` learns the joints with channels."""
    tab, parent = "\t" * depth, int(skeleton.parents[joint])
    order.append(joint)
    place = skeleton.positions[joint].astype(np.float64)
    offset = place - skeleton.positions[parent] if parent >= 0 else place
    kind = "JOINT" if parent >= 0 else "ROOT"
    channels = f"6 {_MOVES} {_TURNS}" if joint == mover else f"3 {_TURNS}"
    lines = [f"{tab}{kind} {'_'.join(skeleton.names[joint].split())}", f"{tab}{{"]
    lines += [f"{tab}\tOFFSET {_write_offset(offset)}", f"{tab}\tCHANNELS {channels}"]
    children = np.flatnonzero(skeleton.parents == joint).tolist()
    for child in children:
        lines += _describe_joint(skeleton, child, depth + 1, mover, order)
    if not children:
        end = offset / max(float(np.linalg.norm(offset)), 1e-9) * _END
        lines += [f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {_write_offset(end)}", f"{tab}\t}}"]
    return [*lines, f"{tab}}}"]


def _write_offset(offset: Float64Array) -> str:
    return " ".join(f"{value * _UNITS_PER_METRE:.5f}" for value in offset)
