"""Whether BlazePose's points lie on the parts of the body that the picture shows there."""

from __future__ import annotations

import numpy as np

from ..figure import LANDMARKS, PARTS
from ..types import IntArray
from .pose_hints import PoseHints

_ELSEWHERE = {
    "shoulder": ("leg", "foot", "hand"),
    "elbow": ("head", "foot"),
    "wrist": ("head", "leg", "foot"),
    "hip": ("head", "hair", "hand"),
    "knee": ("arm", "hand", "head", "hair"),
    "ankle": ("arm", "hand", "head", "hair", "torso"),
}
"""Parts on which a point of the limbs is not seen, even if another limb lies before it."""
_BELIEVED, _AROUND, _MOST = 0.3, 0.006, 0.35
"""Confidence of a point that counts; share of the side around it that is looked at; share of points that may
lie elsewhere: up to 0.27 where BlazePose is right, from 0.41 where it takes toys and monsters for people."""
_LIMBS = {index: name.split("_")[-1] for index, name in enumerate(LANDMARKS) if "_" in name}


def lies_elsewhere(hints: PoseHints, parts: IntArray) -> bool:
    """Whether too many of the points lie on other parts (N, N), which were read without them."""
    around, found = round(_AROUND * len(parts)), []
    for index, name in _LIMBS.items():
        if name not in _ELSEWHERE or hints.confidence[index] < _BELIEVED:
            continue
        column, row = hints.landmarks[index].astype(int)
        rows, columns = (slice(max(at - around, 0), at + around + 1) for at in (row, column))
        seen = parts[rows, columns]
        if (seen > 0).any():
            part = PARTS[np.bincount(seen[seen > 0]).argmax()].split("_")[-1]
            found.append(part in _ELSEWHERE[name])
    return bool(found) and float(np.mean(found)) > _MOST
