"""Random figures as a viewer sees them: depth of first and last surface, parts and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bodies import Bodies
from body import SIDES, Body, random_body
from heads import skull_top
from numpy.typing import NDArray
from outfits import dress
from proportions import STYLE_SHARES
from raster import rasterize
from solids import turn_euler

SIZE = 128
MARGIN = 0.08
_LIMB_JOINTS = ("upperarm", "forearm", "hand", "tip", "thigh", "shin", "foot", "toe")


@dataclass(frozen=True, eq=False)
class Sample:
    """All lengths are shares of the side of the square that frames the subject; depth towards the viewer.

    front, back (128, 128) float32, NaN where the figure is not; part (128, 128) uint8; landmarks (20, 3): x
    and y from the upper left corner, depth from the pelvis; yaw in degrees; style by name.
    """

    front: NDArray
    back: NDArray
    part: NDArray
    landmarks: NDArray
    yaw: float
    style: str


def random_sample(
    bodies: Bodies, rng: np.random.Generator, shares: tuple[float, ...] = STYLE_SHARES
) -> Sample:
    """Draw a figure, a view and, now and then, a cut at thighs, hips or chest. shares: of STYLES."""
    body = random_body(bodies, rng, shares=shares)
    soup = body.soup()
    dress(soup, body, bodies, rng)
    points, triangles, labels = soup.merged()
    landmarks = _landmarks(body, skull_top(points, labels, triangles, body))
    yaw = _random_yaw(rng)
    turn = turn_euler(0, 0, rng.normal(0, 2)) @ turn_euler(0, rng.normal(0, 2), 0) @ turn_euler(yaw, 0, 0)
    points, landmarks = points @ turn.T.astype(np.float32), landmarks @ turn.T
    return _view(points, triangles, labels, landmarks, body, rng, yaw)


def _random_yaw(rng: np.random.Generator) -> float:
    kind = rng.choice(4, p=(0.6, 0.29, 0.06, 0.05))
    sign = rng.choice((-1, 1))
    return float(
        (rng.normal(0, 6), sign * rng.uniform(12, 60), sign * rng.uniform(65, 100), 180 + rng.normal(0, 15))[
            kind
        ]
    )


def _landmarks(body: Body, crown: NDArray) -> NDArray:
    """The twenty landmarks in the body's frame, in the order of pipeline.figure.LANDMARKS."""
    joint, up = body.joint, body.turn["head"][:, 1]
    chin = body.head_center - up * body.head_radii[1]
    middle = (joint["neck"] + joint["head"]) / 2
    share = np.clip((chin[1] - joint["neck"][1]) / (joint["head"][1] - joint["neck"][1] + 1e-6), 0.0, 0.5)
    neck = joint["neck"] + share * (joint["head"] - joint["neck"])
    neck = np.array((middle[0] if share > 0 else neck[0], neck[1], neck[2]))
    places = [crown, (crown + chin) / 2, neck, joint["pelvis"]]
    places += [joint[f"{side}_{name}"] for side in SIDES for name in _LIMB_JOINTS]
    return np.array(places)


def _view(
    points: NDArray,
    triangles: NDArray,
    labels: NDArray,
    landmarks: NDArray,
    body: Body,
    rng: np.random.Generator,
    yaw: float,
) -> Sample:
    seen = points[triangles[:, 0]]
    low, high = seen.min(axis=0), seen.max(axis=0)
    cut = -np.inf
    pick = rng.random()
    if pick < 0.12 and not body.pose.sits:
        hip, knee = landmarks[3, 1], landmarks[[9, 17], 1].max()
        neck = landmarks[2, 1]
        cut = (
            hip + rng.uniform(-0.9, 0.25) * (hip - knee)
            if pick < 0.085
            else hip + rng.uniform(0.3, 0.75) * (neck - hip)
        )
        kept = seen[seen[:, 1] > cut]
        if len(kept) > 500:
            low, high = kept.min(axis=0), kept.max(axis=0)
            low[1] = cut
    side = max(high[0] - low[0], high[1] - low[1]) / (1 - 2 * MARGIN)
    center = (low + high) / 2

    def place(p: NDArray) -> NDArray:
        return np.stack(
            [
                0.5 + (p[:, 0] - center[0]) / side,
                0.5 - (p[:, 1] - center[1]) / side,
                (p[:, 2] - landmarks[3, 2]) / side,
            ],
            axis=1,
        )

    pixels = (place(points) * (SIZE, SIZE, 1)).astype(np.float32)
    front, back, part = rasterize(pixels, triangles, labels, SIZE)
    empty = ~np.isfinite(front)
    if np.isfinite(cut):
        empty |= (np.arange(SIZE)[:, None] + 0.5) / SIZE > 0.5 - (cut - center[1]) / side
    front[empty], back[empty], part[empty] = np.nan, np.nan, 0
    return Sample(front, back, part, place(landmarks).astype(np.float32), yaw, body.proportions.style)
