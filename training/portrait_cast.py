"""Who is in the pictures of `portraits.py`: traits, proportions, pose, clothes and colors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from bodies import GROUPS, between
from proportions import Pose, Proportions, bend_arm, limb

Color = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Character:
    """clothes, hair: names of MakeHuman's; colors of the clothes' connected parts, largest first.

    animal: colors of fur, inner ears, snout, nose and paws; tail: its length in decimeters; lips, brows,
    blush: how strong; azimuth: of the view, in radians.
    """

    name: str
    traits: dict[str, dict[str, float]]
    proportions: Proportions
    pose: Pose
    skin: Color
    clothes: tuple[tuple[str, list[Color]], ...]
    hair: tuple[str, Color]
    iris: Color = (0.3, 0.2, 0.12)
    targets: dict[str, float] = field(default_factory=dict)
    animal: list[Color] = field(default_factory=list)
    mascot: bool = False
    tail: float = 4.0
    lips: float = 0.6
    brows: float = 1.0
    blush: float = 0.12
    azimuth: float = 0.0


def traits(
    gender: float, age: float, weight: float = 0.5, muscle: float = 0.5, race: str = "caucasian"
) -> dict:
    """gender: 0 female, 1 male; age: 0 baby, 1/3 child, 2/3 young, 1 old; weight, muscle: 0..1."""
    return {
        "gender": between(("female", "male"), gender),
        "age": between(("baby", "child", "young", "old"), age),
        "muscle": between(("minmuscle", "averagemuscle", "maxmuscle"), muscle),
        "weight": between(("minweight", "averageweight", "maxweight"), weight),
        "height": {"": 1.0},
        "proportions": {"idealproportions": 1.0},
        "race": {race: 1.0},
    }


def proportions(head: float = 0.0, **changes: float) -> Proportions:
    """head: its share of the height, 0 for the body's own; changes: by name, 1 is none."""
    scale = np.ones((len(GROUPS), 3))
    girth = changes.get("girth", 1.0)
    for index, group in enumerate(GROUPS):
        part = group.split("_")[-1]
        length = {"thigh": "legs", "shin": "legs", "upperarm": "arms", "forearm": "arms"}.get(part, "trunk")
        scale[index] = girth, changes.get(length, 1.0), girth
        if part in ("hand", "foot"):
            scale[index] = changes.get(f"{part}s", 1.0)
    scale[GROUPS.index("neck")] = 1, changes.get("neck", 1.0), 1
    roundness = changes.get("round", 0.0)
    depth = 0.95 if roundness else 0.0
    back = 0.0 if roundness else np.nan
    return Proportions(
        *("person", scale, np.zeros(len(GROUPS)), head, roundness),
        *(changes.get("wide", 1.0), depth, back, changes.get("sink", 0.0), roundness * 0.7, 0.0),
    )


def pose(left: tuple[float, float], right: tuple[float, float], legs: float = 4.0) -> Pose:
    """left, right: degrees of the arm off the body, and of the elbow's bend; legs: of each."""
    eye = np.eye(3)
    directions = {}
    for side, (out, bend) in (("left", left), ("right", right)):
        upper = limb(side, out, 0.0)
        directions[f"{side}_upperarm"], directions[f"{side}_forearm"] = (
            upper,
            bend_arm(side, upper, bend, 30.0),
        )
        directions[f"{side}_thigh"] = directions[f"{side}_shin"] = limb(side, legs, 0.0)
    no = {"left": "", "right": ""}
    trunk = dict.fromkeys(("pelvis", "belly", "chest", "neck", "head"), eye)
    return Pose(trunk, directions, no, {"left": False, "right": False}, False, "")


_WHITE, _BLACK = (0.93, 0.93, 0.91), (0.11, 0.11, 0.13)
_FUR, _BROWN = (0.91, 0.5, 0.2), (0.4, 0.2, 0.1)
_SMILE = {"mouth/mouth-angles-up": 0.9}
_WIDE = _SMILE | {f"eyes/{side}-eye-scale-incr": 0.7 for side in "lr"}
_WIDEST = _SMILE | {f"eyes/{side}-eye-scale-incr": 1.5 for side in "lr"}
CAST = (
    Character(
        "clerk",
        traits(0.0, 0.67),
        proportions(0.155),
        pose((20, 14), (20, 14), 3),
        (0.93, 0.74, 0.63),
        (
            ("female_elegantsuit01", [(0.78, 0.2, 0.27), (0.17, 0.18, 0.25)]),
            ("shoes03", [_BLACK] * 2 + [(0.72, 0.53, 0.46)] * 2 + [_BLACK]),
        ),
        ("long01", (0.36, 0.2, 0.11)),
        (0.25, 0.42, 0.3),
        _WIDE,
    ),
    Character(
        "builder",
        traits(1.0, 0.7, 0.6, 0.6, "asian"),
        proportions(0.16, hands=1.08, feet=1.1),
        pose((38, 12), (38, 12), 7),
        (0.82, 0.6, 0.46),
        (
            ("male_worksuit01", [(0.2, 0.36, 0.6), (0.88, 0.83, 0.7), (0.85, 0.7, 0.3)]),
            ("shoes01", [(0.45, 0.27, 0.14)] * 2 + [(0.8, 0.8, 0.78)]),
            ("fedora01/fedora", [(0.5, 0.38, 0.26)]),
        ),
        ("short04", (0.12, 0.09, 0.08)),
        targets=_SMILE,
        azimuth=0.12,
    ),
    Character(
        "player",
        traits(0.1, 0.4, 0.5),
        proportions(0.2, feet=1.1),
        pose((16, 18), (52, 25), 8),
        (0.95, 0.78, 0.66),
        (
            ("female_casualsuit02", [(0.13, 0.2, 0.4), (0.95, 0.75, 0.16), (0.13, 0.2, 0.4)]),
            ("shoes05", [_WHITE] * 2 + [(0.9, 0.9, 0.95)]),
        ),
        ("ponytail01", (0.75, 0.45, 0.18)),
        (0.2, 0.45, 0.7),
        _WIDE,
        azimuth=-0.15,
    ),
    Character(
        "chibi",
        traits(0.3, 0.5, 0.45, race="african"),
        proportions(0.38, legs=0.7, arms=0.72, trunk=0.75, neck=0.5, feet=1.15, round=0.35, wide=1.1),
        pose((40, 10), (40, 10), 5),
        (0.56, 0.37, 0.27),
        (
            ("male_casualsuit05", [(0.25, 0.5, 0.47), (0.24, 0.22, 0.3), _WHITE, (0.9, 0.4, 0.35)]),
            ("shoes02", [(0.85, 0.3, 0.28)] * 2 + [_WHITE]),
        ),
        ("afro01", (0.3, 0.17, 0.12)),
        (0.32, 0.2, 0.1),
        _WIDEST,
    ),
    Character(
        "elder",
        traits(1.0, 0.97, 0.95, 0.35),
        proportions(0.17, girth=1.12, legs=0.88),
        pose((24, 14), (24, 14), 5),
        (0.9, 0.7, 0.6),
        (
            ("male_elegantsuit01", [(0.42, 0.33, 0.27), (0.36, 0.28, 0.23)]),
            ("shoes04", [(0.2, 0.12, 0.08)] * 2 + [_BLACK]),
        ),
        ("short02", (0.8, 0.8, 0.8)),
        (0.3, 0.4, 0.55),
        _SMILE,
        blush=0.04,
        brows=1.3,
        lips=0.3,
    ),
    Character(
        "fox",
        traits(1.0, 0.55, 0.75),
        proportions(
            0.36,
            legs=0.6,
            arms=0.75,
            trunk=0.85,
            girth=1.2,
            neck=0.3,
            hands=1.1,
            feet=1.3,
            round=1.0,
            wide=1.15,
        ),
        pose((42, 12), (42, 12), 6),
        _FUR,
        (
            ("male_casualsuit04", [(0.25, 0.33, 0.55), (0.3, 0.62, 0.42)]),
            ("shoes06", [_WHITE] * 2 + [(0.3, 0.62, 0.42)]),
        ),
        ("", _BROWN),
        animal=[_FUR, (0.98, 0.86, 0.76), (0.99, 0.96, 0.92), (0.07, 0.06, 0.07), _BROWN],
        mascot=True,
        tail=4.5,
    ),
)
