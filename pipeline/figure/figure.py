"""The figure in a picture: its kind, its landmarks, its head and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..types import FloatArray, IntArray, freeze, require

KINDS = ("front", "three_quarter", "side", "back", "sitting", "half_body", "bust", "other")
"""The first four stand; `half_body` ends at hips or thighs, `bust` at the chest; `other`: not human."""

_SIDED = ("shoulder", "elbow", "wrist", "hand", "hip", "knee", "ankle", "toe")
LANDMARKS = (
    *("crown", "head", "neck", "pelvis"),
    *(f"{side}_{name}" for side in ("left", "right") for name in _SIDED),
)
"""Left is the character's own left. `crown`: top of the skull with its hair, without hat, horns or ears.
`head`: its center. `neck`: where it is narrowest, between chin and collarbones. `hand`: the tip."""

PARTS = (
    *("background", "head", "hair", "torso", "left_arm", "right_arm", "left_hand", "right_hand"),
    *("left_leg", "right_leg", "left_foot", "right_foot", "clothes", "prop"),
)
"""`clothes` hang free of the limbs (skirt, coat, robe, cape). `prop` is all else: wing, tail, hat, staff."""

_SOLE, _ROWS = 0.135, (0.02, 0.98)
"""Height of a sole at least, as a share of the figure's, between these quantiles of its rows: the shorter
foot of figures that stand has up to 0.12, of plush animals that sit from 0.146."""


def shows_soles(parts: IntArray) -> bool:
    """Whether both feet in parts (N, N) are so tall that they are soles of legs that point to the viewer."""
    height = int((parts > 0).any(axis=1).sum())
    feet = [np.nonzero(parts == PARTS.index(f"{side}_foot"))[0] for side in ("left", "right")]
    return all(len(rows) and float(np.ptp(np.quantile(rows, _ROWS))) > _SOLE * height for rows in feet)


def mirrored_names(names: tuple[str, ...]) -> list[int]:
    """For each name the index of the same thing on the other side of the body."""
    swap = {"left": "right", "right": "left"}
    return [names.index("_".join(swap.get(word, word) for word in name.split("_"))) for name in names]


@dataclass(frozen=True, eq=False)
class Figure:
    """All lengths are shares of the framed picture's side, from its upper left corner; y points down.

    landmarks: (20, 3) float32, in the order of LANDMARKS: x, y, and depth towards the viewer from the pelvis.
    confidence: (20,) float32, 0..1. depth_confidence: (20,) float32, 0..1, of depths that were seen from a
    side; 0: guessed. box: left, top, right, bottom of the subject (alpha of one half or more). head_box: the
    same of the head with hair, without hat, horns or ears. face: center x, y and radii x, y of the face's
    ellipse; None if no face is seen. face_features: (3, 4) of right eye, left eye and mouth: x, y, half the
    width and the height (0: no mouth was found); None if no two eyes were. parts: (N, N) uint8 indices into
    PARTS over the whole framed picture. yaw: degrees that the body is turned to its own left, as seen; 0
    faces the viewer, 180 away. source: what read its landmarks: `blazepose`, `outline` or `hand` (a person
    corrected it).
    """

    kind: str
    landmarks: FloatArray
    confidence: FloatArray
    box: tuple[float, float, float, float]
    head_box: tuple[float, float, float, float]
    parts: IntArray
    face: tuple[float, float, float, float] | None = None
    yaw: float = 0.0
    source: str = "outline"
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    face_features: FloatArray | None = None
    depth_confidence: FloatArray = field(default_factory=lambda: np.zeros(len(LANDMARKS), np.float32))

    def __post_init__(self) -> None:
        side = np.shape(self.parts)[0]
        freeze(self, "landmarks", np.float32, len(LANDMARKS), 3)
        freeze(self, "confidence", np.float32, len(LANDMARKS))
        freeze(self, "depth_confidence", np.float32, len(LANDMARKS))
        freeze(self, "parts", np.uint8, side, side)
        freeze(self, "face_features", np.float32, 3, 4)
        require(self, "kind", self.kind in KINDS, f"one of {', '.join(KINDS)}, got {self.kind!r}")
        require(self, "landmarks", bool(np.isfinite(self.landmarks).all()), "finite values")

    def __getitem__(self, name: str) -> FloatArray:
        """x, y and depth (3,) of the landmark called `name`."""
        return self.landmarks[LANDMARKS.index(name)]

    def trust(self, name: str) -> float:
        """Confidence of the landmark called `name`."""
        return float(self.confidence[LANDMARKS.index(name)])
