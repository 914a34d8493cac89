"""Random figures as a mesh shows them from the front: both surfaces, their parts, and the joints inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pack  # noqa: F401
from bodies import GROUPS, Bodies
from body import PART, SIDES, Body, random_body
from character3d.pipeline.rigging.fit.joint_network import JOINTS, SIDE
from heads import skull_top
from numpy.typing import NDArray
from outfits import dress
from raster import rasterize
from solids import Soup, turn_euler

MARGIN = 0.08
_ROBOTS = 0.2
_LEGS = ("thigh", "shin")
_SPINE = (
    *(("hips", 0.02, 0.02), ("spine", 0.2, 0.02), ("spine1", 0.45, 0.0), ("spine2", 0.66, -0.02)),
    ("neck", 0.95, -0.01),
)
"""Share of the way from between the hips to MakeHuman's neck, and how far ahead, in the same length."""
_HEAD = 0.14
_ENDS = {
    "arm": "upperarm",
    "fore_arm": "forearm",
    "hand": "hand",
    "hand_end": "tip",
    "leg": "shin",
    "foot": "foot",
}
_RODS = {"upperarm": "forearm", "forearm": "hand", "thigh": "shin", "shin": "foot"}


@dataclass(frozen=True, eq=False)
class Surface:
    """All lengths are shares of the side of the square that frames the figure; depth towards the viewer.

    front, back (128, 128) float32, NaN where the figure is not, from the middle of its depth;
    front_part, back_part (128, 128) uint8; joints (27, 3): x and y from the upper left corner, and depth, NaN
    where it is not known.
    """

    front: NDArray
    back: NDArray
    front_part: NDArray
    back_part: NDArray
    joints: NDArray


def random_surface(bodies: Bodies, rng: np.random.Generator) -> Surface:
    """Draw a figure that stands, squeeze and coarsen it now and then, and look at it from about the front."""
    body = random_body(bodies, rng, standing=True)
    soup = _leave_out(body, bodies, rng) if rng.random() < _ROBOTS else body.soup()
    dress(soup, body, bodies, rng)
    points, triangles, labels = soup.merged()
    joints = _collect_joints(body, skull_top(points, labels, triangles, body))
    squeeze = random_squeeze(rng)
    points, joints = points * np.float32(squeeze), joints * squeeze
    if rng.random() < 0.35:
        points = coarsen(points, body.height * rng.uniform(0.01, 0.045), rng)
    turn = random_turn(rng)
    return look(points @ turn.T.astype(np.float32), triangles, labels, joints @ turn.T)


def _leave_out(body: Body, bodies: Bodies, rng: np.random.Generator) -> Soup:
    """A body of separate pieces: some of its limbs are rods, or nothing."""
    soup, owner = Soup(), bodies.owner[body.triangles[:, 0]]
    kept = np.ones(len(owner), bool)
    for name, end in _RODS.items():
        if rng.random() > 0.5:
            continue
        radius = body.height * rng.uniform(0.004, 0.025) if rng.random() < 0.6 else 0.0
        for side in SIDES:
            kept &= owner != GROUPS.index(f"{side}_{name}")
            line = np.stack([body.joint[f"{side}_{name}"], body.joint[f"{side}_{end}"]])
            if radius:
                soup.loft(line, radius, PART[f"{side}_{'leg' if name in _LEGS else 'arm'}"], (0.3, 0.2, 1.0))
    soup.add(body.points, body.triangles[kept], body.labels[kept])
    return soup


def _collect_joints(body: Body, crown: NDArray) -> NDArray:
    """The joints (27, 3) as riggers place them, of those of MakeHuman's rig."""
    joint = body.joint
    hips = 0.5 * (joint["left_thigh"] + joint["right_thigh"])
    neck = joint["neck"]
    spine = neck - hips
    length = float(np.linalg.norm(spine))
    ahead = np.array((0.0, 0.0, length))
    found = {name: hips + share * spine + back * ahead for name, share, back in _SPINE}
    found |= {"head": neck + _HEAD * (crown - neck), "head_top": crown}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        limb = {
            name.removeprefix(f"{side}_"): place for name, place in joint.items() if name.startswith(side)
        }
        moved = {name: limb[end] for name, end in _ENDS.items()}
        moved["shoulder"] = _find_collar(joint, limb["upperarm"])
        moved["up_leg"] = limb["thigh"] + length * np.array((sign * 0.025, -0.03, 0.01))
        foot = limb["toe"] - limb["foot"]
        moved["toe_base"] = limb["foot"] + (0.8, 1.0, 0.8) * foot
        moved["toe_end"] = limb["foot"] + (1.25, 1.0, 1.25) * foot
        found |= {f"{side}_{name}": place for name, place in moved.items()}
    return np.array([found[name] for name in JOINTS])


def _find_collar(joint: dict[str, NDArray], shoulder: NDArray) -> NDArray:
    middle = 0.5 * (joint["left_upperarm"] + joint["right_upperarm"])
    out = shoulder - middle
    return middle + 0.45 * out + (0.0, 0.15 * float(np.linalg.norm(out)), 0.0)


def coarsen(points: NDArray, cell: float, rng: np.random.Generator) -> NDArray:
    """As few polygons show it: points that are near each other become one."""
    shift = rng.uniform(0, cell, 3)
    return (np.round((points - shift) / cell) * cell + shift).astype(np.float32)


def random_squeeze(rng: np.random.Generator) -> NDArray:
    """Factors (3,) of width, height and depth."""
    return np.array((rng.uniform(0.85, 1.2), 1, rng.uniform(0.7, 1.45))) if rng.random() < 0.5 else np.ones(3)


def random_turn(rng: np.random.Generator) -> NDArray:
    """Rotation (3, 3) by which a figure is seen from about the front."""
    yaw = float(rng.normal(0, 8) if rng.random() < 0.6 else rng.uniform(-50, 50))
    return turn_euler(yaw, rng.normal(0, 3), rng.normal(0, 2))


def look(points: NDArray, triangles: NDArray, labels: NDArray, joints: NDArray) -> Surface:
    """Frame the figure in the square, and rasterize its first and last surface."""
    seen = points[triangles[:, 0]]
    low, high = seen.min(axis=0), seen.max(axis=0)
    side = max(high[0] - low[0], high[1] - low[1]) / (1 - 2 * MARGIN)
    origin = (low + high) / 2

    def place(p: NDArray) -> NDArray:
        return (p - origin) * (1, -1, 1) / side + (0.5, 0.5, 0)

    pixels = (place(points) * (SIDE, SIDE, 1)).astype(np.float32)
    front, back, front_part = rasterize(pixels, triangles, labels, SIDE)
    _, _, back_part = rasterize(pixels * np.float32((1, 1, -1)), triangles, labels, SIDE)
    empty = ~np.isfinite(front)
    front[empty], back[empty] = np.nan, np.nan
    return Surface(front, back, front_part, back_part, place(joints).astype(np.float32))
