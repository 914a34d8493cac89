"""Random proportions and random poses: from grown-ups over toons and chibis to mascots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bodies import GROUPS
from numpy.typing import NDArray
from solids import turn_euler

Rng = np.random.Generator
STYLES = ("person", "anime", "toon", "chibi", "mascot")
STYLE_SHARES = (0.16, 0.22, 0.24, 0.22, 0.16)
TOY_SHARES = (0.02, 0.08, 0.2, 0.25, 0.45)


_RANGES = {
    "head share": ((0, 0), (0.13, 0.24), (0.22, 0.4), (0.34, 0.52), (0.25, 0.68)),
    "leg length": ((0.9, 1.1), (0.85, 1.25), (0.5, 1.0), (0.4, 0.85), (0.2, 0.7)),
    "leg width": ((0.9, 1.15), (0.7, 1.1), (0.8, 1.7), (0.8, 1.6), (1.0, 2.6)),
    "arm length": ((0.93, 1.07), (0.85, 1.1), (0.65, 1.05), (0.5, 0.85), (0.3, 0.9)),
    "arm width": ((0.9, 1.15), (0.65, 1.05), (0.8, 1.7), (0.7, 1.5), (0.9, 2.4)),
    "trunk length": ((0.93, 1.07), (0.85, 1.1), (0.7, 1.05), (0.6, 0.95), (0.6, 1.1)),
    "trunk width": ((0.9, 1.15), (0.75, 1.05), (0.8, 1.5), (0.75, 1.3), (1.1, 2.6)),
    "hand": ((0.9, 1.2), (0.7, 1.1), (1.0, 2.2), (0.7, 1.6), (0.8, 2.2)),
    "foot": ((0.95, 1.3), (0.8, 1.4), (1.0, 2.2), (0.9, 2.0), (1.0, 2.4)),
}
"""Limits of each trait for each of STYLES: the head's share of the height, all else times the body's."""


_HEAD_BACK = {"anime": -0.05, "toon": 0.03, "chibi": 0.08, "mascot": -0.05}


@dataclass
class Proportions:
    """scale (17, 3): of each group across, along, and in depth. thickness (17,): of clothes, in decimeters.

    head_share: height of the head over that of the figure, 0 to keep the body's own. roundness: of the head.
    chin: how much of the head's height sinks into the shoulders. flat: how much of nose and chin is smoothed
    away. ball: how much the trunk is one. head_depth: over the head's width, 0 to keep the body's own.
    head_back: how far the head's center is behind the neck, in half depths of the head; NaN: the body's own.
    """

    style: str
    scale: NDArray
    thickness: NDArray
    head_share: float
    roundness: float
    head_width: float
    head_depth: float
    head_back: float
    chin: float
    flat: float
    ball: float


def random_proportions(rng: Rng, shares: tuple[float, ...] = STYLE_SHARES) -> Proportions:
    """Draw a style, by its share, and everything that follows from it."""
    style = str(rng.choice(STYLES, p=shares))
    scale, thickness = np.ones((len(GROUPS), 3)), np.zeros(len(GROUPS))
    drawn = {name: rng.uniform(*limits[STYLES.index(style)]) for name, limits in _RANGES.items()}
    trunk_width = drawn["trunk width"]
    depth = float(rng.uniform(0.88, 1.15)) if style != "mascot" else float(rng.uniform(0.95, 1.35))
    for index, group in enumerate(GROUPS):
        if group in ("pelvis", "belly", "chest"):
            taper = {"pelvis": 1.0, "belly": rng.uniform(0.9, 1.25), "chest": rng.uniform(0.85, 1.15)}[group]
            scale[index] = trunk_width * taper, drawn["trunk length"], trunk_width * depth * taper
        elif "arm" in group:
            scale[index] = drawn["arm width"], drawn["arm length"], drawn["arm width"]
        elif "thigh" in group or "shin" in group:
            scale[index] = drawn["leg width"], drawn["leg length"], drawn["leg width"]
        elif "hand" in group:
            across = drawn["hand"] * drawn["arm width"] ** 0.5
            scale[index] = across, drawn["hand"], across
        elif "foot" in group:
            scale[index] = drawn["foot"], max(0.7, drawn["foot"]) * 0.9, drawn["foot"]
    bell = rng.uniform(0.8, 1.5) if style in ("toon", "chibi", "mascot") else rng.uniform(0.9, 1.1)
    for group in ("left_shin", "right_shin", "left_forearm", "right_forearm"):
        scale[GROUPS.index(group), [0, 2]] *= bell if "shin" in group else np.sqrt(bell)
    neck = GROUPS.index("neck")
    narrow = rng.uniform(0.7, 1.1)
    scale[neck] = (
        narrow,
        rng.uniform(0.05, 1.0) if style not in ("person", "anime") else rng.uniform(0.8, 1.15),
        narrow,
    )
    for names, most in (
        (("pelvis", "belly", "chest"), 0.5),
        (("left_upperarm", "right_upperarm"), 0.35),
        (("left_forearm", "right_forearm"), 0.3),
        (("left_thigh", "right_thigh"), 0.35),
        (("left_shin", "right_shin"), 0.4),
        (("left_foot", "right_foot"), 0.35),
        (("left_hand", "right_hand"), 0.12),
    ):
        amount = rng.uniform(0, most) * (rng.random() < 0.7)
        thickness[[GROUPS.index(name) for name in names]] = amount
    cartoon = style in ("toon", "chibi", "mascot")
    return Proportions(
        style,
        scale,
        thickness,
        drawn["head share"],
        roundness=float(rng.uniform(0.3, 1)) if cartoon else float(rng.uniform(0, 0.4)),
        head_width=float(rng.uniform(0.95, 1.4)) if cartoon else float(rng.uniform(0.95, 1.12)),
        head_depth=float(rng.uniform(0.82, 1.15)) if cartoon else 0.0,
        head_back=float(rng.normal(_HEAD_BACK[style], 0.17)) if style != "person" else np.nan,
        chin={"person": 0.0, "anime": rng.uniform(0, 0.05)}.get(
            style, rng.uniform(0, 0.3 if style == "mascot" else 0.14)
        ),
        flat=float(rng.uniform(0, 0.7)) if style != "person" else 0.0,
        ball=float(rng.uniform(0.5, 1)) if style == "mascot" and rng.random() < 0.7 else 0.0,
    )


@dataclass
class Pose:
    """Directions of limb segments in the body's frame; rotations of the trunk's groups, (3, 3) each.

    A direction may be None: the arm then reaches for `reach` (a name that figures.py knows).
    """

    trunk: dict[str, NDArray]
    directions: dict[str, NDArray]
    reach: dict[str, str]
    feet_follow: dict[str, bool]
    sits: bool
    name: str


def limb(side: str, out: float, forward: float) -> NDArray:
    """Direction `out` degrees from straight down to the side, `forward` degrees from that to the front."""
    sign = 1 if side == "left" else -1
    a, f = np.deg2rad(out), np.deg2rad(forward)
    return np.array((sign * np.sin(a) * np.cos(f), -np.cos(a) * np.cos(f), np.sin(f)))


def random_pose(rng: Rng, standing: bool = False) -> Pose:
    """Draw trunk, arms and legs; with `standing` mostly a pose to rig in: A, T or relaxed, both legs down."""
    calm = rng.random() < (0.85 if standing else 0.6)
    sway = 3 if calm else 12
    pelvis = turn_euler(rng.normal(0, sway * 0.6), rng.normal(0, sway * 0.4), rng.normal(0, sway * 0.3))
    belly = pelvis @ turn_euler(
        rng.normal(0, sway * 0.4), rng.normal(0, sway * 0.4), rng.normal(0, sway * 0.3)
    )
    chest = belly @ turn_euler(
        rng.normal(0, sway * 0.4), rng.normal(0, sway * 0.4), rng.normal(0, sway * 0.3)
    )
    head = chest @ turn_euler(rng.normal(0, sway * 1.5), rng.normal(2, sway * 0.8), rng.normal(0, sway * 0.7))
    trunk = {"pelvis": pelvis, "belly": belly, "chest": chest, "neck": chest, "head": head}
    pose = Pose(trunk, {}, {}, {"left": False, "right": False}, False, "")
    _pose_arms(pose, rng, _STANDING_ARMS if standing else _ARMS)
    _pose_legs(pose, rng, _STANDING_LEGS if standing else _LEGS)
    return pose


_ARMS = {
    "relaxed": 0.26,
    "a": 0.2,
    "t": 0.1,
    "up": 0.04,
    "hips": 0.08,
    "pocket": 0.05,
    "chest": 0.08,
    "head": 0.03,
    "hold": 0.09,
    "front": 0.02,
    "free": 0.05,
}


_STANDING_ARMS = {"relaxed": 0.24, "a": 0.28, "t": 0.3, "up": 0.02, "hips": 0.03, "hold": 0.06, "free": 0.07}


def _pose_arms(pose: Pose, rng: Rng, shares: dict[str, float]) -> None:
    same = rng.random() < 0.65
    names = [str(rng.choice(list(shares), p=list(shares.values()))) for _ in range(2)]
    state = rng.bit_generator.state
    for side, name in zip(("left", "right"), (names[0], names[0] if same else names[1]), strict=True):
        if same and rng.random() < 0.5:
            rng.bit_generator.state = state  # exactly mirrored
        out, forward, bend, turn = {
            "relaxed": (rng.uniform(4, 28), rng.normal(0, 8), rng.uniform(0, 30), rng.uniform(-20, 70)),
            "a": (rng.uniform(28, 62), rng.normal(0, 6), rng.uniform(0, 15), rng.uniform(-60, 60)),
            "t": (rng.uniform(72, 98), rng.normal(0, 6), rng.uniform(0, 10), rng.uniform(-90, 90)),
            "up": (rng.uniform(105, 170), rng.normal(0, 12), rng.uniform(0, 70), rng.uniform(-180, 180)),
            "hold": (rng.uniform(8, 45), rng.normal(5, 18), rng.uniform(55, 130), rng.uniform(-50, 60)),
            "front": (rng.uniform(0, 25), rng.uniform(50, 90), rng.uniform(0, 60), rng.uniform(-60, 60)),
            "free": (rng.uniform(5, 160), rng.normal(0, 40), rng.uniform(0, 120), rng.uniform(-180, 180)),
        }.get(name, (20, 0, 0, 0))
        pose.reach[side] = name if name in ("hips", "pocket", "chest", "head") else ""
        upper = limb(side, out, float(np.clip(forward, -80, 88)))
        pose.directions[f"{side}_upperarm"] = upper
        pose.directions[f"{side}_forearm"] = bend_arm(side, upper, bend, turn)
    pose.name = names[0]


def bend_arm(side: str, upper: NDArray, bend: float, turn: float) -> NDArray:
    """The forearm: `bend` degrees off the upper arm, towards the front, turned inwards about it by `turn`."""
    sign = 1 if side == "left" else -1
    hinge = np.array((0, 0, 1.0)) - upper * upper[2]
    hinge /= np.linalg.norm(hinge) + 1e-6
    inward = np.cross(upper, hinge) * sign
    inward = inward if inward[0] * sign < 0 or abs(inward[0]) < 0.2 else -inward
    t, b = np.deg2rad(turn), np.deg2rad(bend)
    return upper * np.cos(b) + (hinge * np.cos(t) + inward * np.sin(t)) * np.sin(b)


_LEGS = {
    "stand": 0.52,
    "wide": 0.12,
    "walk": 0.1,
    "run": 0.05,
    "lift": 0.05,
    "chair": 0.05,
    "plush": 0.06,
    "crossed": 0.02,
    "contrapposto": 0.03,
}


_STANDING_LEGS = {
    "stand": 0.58,
    "wide": 0.2,
    "walk": 0.08,
    "lift": 0.03,
    "chair": 0.03,
    "crouch": 0.05,
    "contrapposto": 0.03,
}


def _pose_legs(pose: Pose, rng: Rng, shares: dict[str, float]) -> None:
    name = str(rng.choice(list(shares), p=list(shares.values())))
    first = str(rng.choice(("left", "right")))
    spread, knee = rng.uniform(0, 9), rng.choice((0.0, rng.uniform(0, 10)))
    tilt = knee / 2 + rng.normal(0, 2.5)
    for side in ("left", "right"):
        lead = side == first
        out, forward, bend, inward = {
            "stand": (spread, tilt, knee, 0.0),
            "wide": (spread + rng.uniform(8, 22), tilt, knee, rng.uniform(0, 10)),
            "contrapposto": (
                spread * (0.3 if lead else 1.5),
                0.0 if lead else 8.0,
                2.0 if lead else 14.0,
                0.0,
            ),
            "walk": (
                spread * 0.5,
                rng.uniform(8, 35) if lead else -rng.uniform(5, 25),
                rng.uniform(0, 35),
                0.0,
            ),
            "run": (
                spread * 0.5,
                rng.uniform(35, 85) if lead else -rng.uniform(5, 35),
                rng.uniform(40, 110),
                0.0,
            ),
            "lift": (
                spread,
                rng.uniform(30, 95) if lead else tilt,
                rng.uniform(40, 130) if lead else knee,
                0.0,
            ),
            "crouch": (spread + rng.uniform(0, 10), rng.uniform(20, 60), rng.uniform(45, 105), 0.0),
            "chair": (spread + rng.uniform(0, 12), rng.uniform(65, 92), rng.uniform(60, 95), 0.0),
            "plush": (spread + rng.uniform(4, 30), rng.uniform(68, 90), rng.uniform(-3, 15), 0.0),
            "crossed": (rng.uniform(45, 70), rng.uniform(40, 65), rng.uniform(105, 135), 60.0),
        }[name]
        sign = 1 if side == "left" else -1
        sits = name in ("plush", "chair")  # then `out` turns about the vertical
        if sits:
            o, f = np.deg2rad(out), np.deg2rad(forward)
            thigh = np.array((sign * np.sin(o) * np.sin(f), -np.cos(f), np.cos(o) * np.sin(f)))
        else:
            thigh = limb(side, out, forward)
        back = np.array((-sign * np.sin(np.deg2rad(inward)), 0, -np.cos(np.deg2rad(inward))))
        if sits:
            back = np.array((0, -1.0, 0))
        hinge = back - thigh * (thigh @ back)
        hinge /= np.linalg.norm(hinge) + 1e-6
        b = np.deg2rad(bend)
        pose.directions[f"{side}_thigh"] = thigh
        pose.directions[f"{side}_shin"] = thigh * np.cos(b) + hinge * np.sin(b)
        pose.feet_follow[side] = name in ("plush", "run", "crossed") or (name == "lift" and lead)
    pose.sits = name in ("chair", "plush", "crossed")
    pose.name += "_" + name
