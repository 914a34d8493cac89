"""The landmarks of a figure in the frame of the mesh that was made from its picture."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...figure import LANDMARKS, PARTS, Figure, mirrored_names
from ...types import Float64Array, IntArray, Mesh
from ..skeleton import ARM_PARTS, LEG_PARTS, SIDES

SURE = 0.4
"""Confidence from which a landmark is followed."""
CROPPED, FORMLESS = ("half_body", "bust"), "other"
"""Kinds of figures that end above their legs, and of those without human form."""
_NO_HAND = ("background", "head", "left_foot", "right_foot", "prop")
_LEGS = ("background", "left_leg", "right_leg", "left_foot", "right_foot")
ALL_LEGS = tuple(side + part for side in SIDES for part in LEG_PARTS)
ALL_ARMS = tuple(side + part for side in SIDES for part in ARM_PARTS[1:])
"""Names of joints, without prefix."""
_GAP_STEPS = 24
SIDE_NAMES = {1: "left", -1: "right"}
"""By the sign of x."""
_MAX_HAND_GAP = 0.12
"""Distance of a measured wrist from a landmark that is half known, as a share of the height."""
HALF_KNOWN = 0.15


@dataclass(frozen=True, eq=False)
class FigurePoints:
    """points: (20, 3) metres, in the order of LANDMARKS; z is relative to the pelvis. trust: (20,) 0..1.

    kind, parts: of the figure. low, high: (2,) metres, the corners of the figure's box, x and y. box: its
    shares of the framed picture, see Figure.
    """

    points: Float64Array
    trust: Float64Array
    kind: str
    parts: IntArray
    low: Float64Array
    high: Float64Array
    box: tuple[float, float, float, float]

    def at(self, name: str) -> Float64Array:
        """Return x, y and relative z (3,) of a landmark."""
        return self.points[LANDMARKS.index(name)]

    def sees(self, *names: str, least: float = SURE) -> bool:
        """Whether all of these landmarks can be followed: are known with a confidence of at least `least`."""
        return all(self.trust[LANDMARKS.index(name)] >= least for name in names)

    def list_hidden(self) -> list[str]:
        """Names, without prefix, of the joints of limbs that a picture ending above them does not show."""
        hidden = list(ALL_LEGS) if self.kind in CROPPED else []
        if self.kind == "bust":
            unseen = [side for side in SIDES if not self.sees(f"{side.lower()}_wrist")]
            hidden += [side + part for side in unseen for part in ARM_PARTS[1:]]
        return hidden

    def may_be_hand(self, wrist: Float64Array, side: int) -> bool:
        """Whether a measured wrist (3,) lies where the figure may have a hand; side: +1 left, -1 right."""
        number = LANDMARKS.index(f"{SIDE_NAMES[side]}_wrist")
        gap = float(np.linalg.norm(wrist[:2] - self.points[number, :2])) / float((self.high - self.low)[1])
        if self.trust[number] >= HALF_KNOWN and gap > _MAX_HAND_GAP:
            return False
        return self.find_part(wrist) not in _NO_HAND

    def shows_arm(self, line: Float64Array, side: int) -> bool:
        """Whether the picture shows that side's arm, or it and what it holds, at points (N, 3).

        side: +1 left, -1 right.
        """
        shown = self.find_parts(line)
        is_own = np.isin(shown, [f"{SIDE_NAMES[side]}_{part}" for part in ("arm", "hand")])
        return bool(is_own.any() and (is_own | (shown == "prop")).all())

    def find_leg_gap(self, left: Float64Array, right: Float64Array) -> float:
        """Return the height up to which the picture shows two legs side by side, metres; -inf if nowhere.

        left, right: (3, 3) hip, knee and ankle. Between the legs there may be clothes: a skirt, or a robe.
        """
        if self.kind in CROPPED or left[2, 0] <= right[2, 0]:
            return -np.inf
        lowest = float(max(left[2, 1], right[2, 1]))
        highest = float(min(left[0, 1], right[0, 1]))
        gap = -np.inf
        for y in np.linspace(lowest, highest, _GAP_STEPS):
            ends = [np.interp(-y, -line[:, 1], line[:, 0]) for line in (left, right)]
            if ends[0] <= ends[1] or self.find_part(np.array((np.mean(ends), y))) not in _LEGS:
                break
            gap = float(y)
        return gap

    def measure_arm_width(self, side: int, line: Float64Array) -> float:
        """Return the mean width, metres, that the picture shows along an arm's `line` (4, 2) to its wrist.

        side: +1 left, -1 right. Hands do not count: bare skin beside them may pass for more of them.
        """
        shown = self.parts == PARTS.index(f"{SIDE_NAMES[side]}_arm")
        scale = (self.high - self.low) / (self.box[2] - self.box[0], self.box[3] - self.box[1])
        area = float(shown.mean() * np.prod(scale))
        return area / max(float(np.linalg.norm(np.diff(line[:3], axis=0), axis=1).sum()), 1e-9)

    def find_part(self, point: Float64Array) -> str:
        """Return the part of PARTS that the picture shows at a point, x and y in metres."""
        return str(self.find_parts(point[None])[0])

    def find_parts(self, points: Float64Array) -> npt.NDArray[np.str_]:
        """Return (N,) the parts of PARTS that the picture shows at points (N, 2 or 3), metres."""
        left, top, right, bottom = self.box
        share = (points[:, :2] - self.low) / np.maximum(self.high - self.low, 1e-9)
        columns, rows = left + share[:, 0] * (right - left), bottom - share[:, 1] * (bottom - top)
        last = len(self.parts) - 1
        places = np.clip((np.stack((rows, columns)) * len(self.parts)).astype(int), 0, last)
        return np.array(PARTS)[self.parts[tuple(places)]]


def place_landmarks(figure: Figure, mesh: Mesh) -> FigurePoints:
    """Map the figure's landmarks to the mesh, whose front view fills the figure's box.

    Left is where +X is: the sides are exchanged where the figure is seen from behind, or read so.
    """
    low, high = (corner.astype(np.float64) for corner in mesh.bounds)
    left, top, right, bottom = figure.box
    scale = (high - low)[:2] / np.maximum((right - left, bottom - top), 1e-9)
    points = figure.landmarks.astype(np.float64)
    points[:, 0] = low[0] + (points[:, 0] - left) * scale[0]
    points[:, 1] = high[1] - (points[:, 1] - top) * scale[1]
    points[:, 2] *= scale[1]
    trust = figure.confidence.astype(np.float64)
    found = FigurePoints(points, trust, figure.kind, figure.parts, low[:2], high[:2], figure.box)
    return _sort_sides(found)


def _sort_sides(found: FigurePoints) -> FigurePoints:
    pairs = [(f"left_{name}", f"right_{name}") for name in ("shoulder", "hip")]
    known = [pair for pair in pairs if found.sees(*pair)]
    if sum(found.at(left)[0] - found.at(right)[0] for left, right in known) >= 0:
        return found
    order = mirrored_names(LANDMARKS)
    return replace(found, points=found.points[order], trust=found.trust[order])
