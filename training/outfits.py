"""What figures wear, carry and grow below the head: skirts, coats, sleeves, boots, wings, tails, staffs."""

from __future__ import annotations

import numpy as np
from bodies import Bodies
from body import PART, SIDES, Body
from heads import dress_head
from solids import Soup, make_sphere, smooth_path, turn_about, turn_euler

Rng = np.random.Generator
_SIGN = {"left": 1, "right": -1}


def dress(soup: Soup, body: Body, bodies: Bodies, rng: Rng) -> None:
    """Add a random outfit to the body's triangles."""
    style = body.proportions.style
    animal = rng.random() < {"person": 0.0, "anime": 0.08, "toon": 0.25, "chibi": 0.2, "mascot": 0.6}[style]
    robot = not animal and rng.random() < {"person": 0.02, "toon": 0.15, "mascot": 0.15}.get(style, 0.06)
    _trunk(soup, body, rng, robot)
    _limbs(soup, body, rng, robot)
    dress_head(soup, body, bodies, rng, animal, robot)
    if not body.pose.sits and rng.random() < (0.12 if robot else 0.42):
        _hang_cloth(soup, body, rng)
    if rng.random() < 0.12:
        _cape(soup, body, rng)
    if rng.random() < 0.11:
        _backpack(soup, body, rng)
    if rng.random() < 0.08:
        _wings(soup, body, rng)
    if rng.random() < (0.6 if animal else 0.07):
        _tail(soup, body, rng)
    if rng.random() < 0.2:
        _carry(soup, body, rng)


def _trunk(soup: Soup, body: Body, rng: Rng, robot: bool) -> None:
    hip, neck = body.joint["pelvis"][1], body.joint["neck"][1]
    if body.proportions.style == "mascot" and rng.random() < 0.3:
        _egg(soup, body, rng)
        return
    middle, half = (hip + neck) / 2, (neck - hip) / 2
    center, extent = body.slice_at(middle)
    if body.proportions.ball or (robot and rng.random() < 0.7):
        grow = rng.uniform(1.0, 1.5) if body.proportions.ball else rng.uniform(0.95, 1.15)
        radii = np.array(
            (extent[0] * grow, half * rng.uniform(1.15, 1.6), extent[1] * grow * rng.uniform(1, 1.3))
        )
        center[1] -= half * rng.uniform(0, 0.35)
        power = float(rng.uniform(3, 8)) if robot else 2.0
        soup.ellipsoid(center, radii, PART["torso"], body.turn["belly"], power)
    elif rng.random() < 0.12:  # a belly
        center, extent = body.slice_at(hip + 0.25 * (neck - hip))
        radii = np.array((extent[0] * rng.uniform(1, 1.2), half * 0.8, extent[1] * rng.uniform(1.1, 1.6)))
        soup.ellipsoid(center + (0, 0, 0.1 * extent[1]), radii, PART["torso"], body.turn["belly"])
    if rng.random() < 0.1:  # scarf or collar
        radius = body.slice_at(neck)[1] * rng.uniform(0.6, 1.0)
        ring = np.array((0, 0.12 * half, 0))
        at = body.joint["neck"]
        soup.ellipsoid(at + ring, (radius[0], 0.3 * radius[0], radius[1] * 1.2), PART["clothes"])


def _egg(soup: Soup, body: Body, rng: Rng) -> None:
    """A head that goes over into the trunk without a neck: penguins, owls, ghosts, plump bears."""
    top = body.head_center[1] + body.head_radii[1] * rng.uniform(0.95, 1.1)
    bottom = body.joint["pelvis"][1] - rng.uniform(0.1, 0.7) * (body.joint["pelvis"][1] - _lowest(body))
    shoulder = np.ptp([body.joint[f"{side}_upperarm"][0] for side in SIDES]) / 2
    across = max(shoulder * rng.uniform(0.95, 1.15), body.head_radii[0] * rng.uniform(1.0, 1.15))
    tall = (top - bottom) / 2
    center = (body.joint["pelvis"] + body.head_center) / 2
    center[1] = bottom + tall
    points, triangles = make_sphere()
    pear = 1 + rng.uniform(-0.1, 0.3) * -points[:, 1]
    points = points * (across, tall, across * rng.uniform(0.7, 1.15))
    points[:, [0, 2]] *= pear[:, None]
    points += center
    above = points[triangles].mean(axis=1)[:, 1] > body.joint["chin"][1]
    soup.add(points, triangles, np.where(above, PART["head"], PART["torso"]))


def _lowest(body: Body) -> float:
    return float(min(body.joint[f"{side}_foot"][1] for side in SIDES))


def _limbs(soup: Soup, body: Body, rng: Rng, robot: bool) -> None:
    def width(name: str) -> float:
        distances = np.linalg.norm(body.points[::3] - body.joint[name], axis=1)
        return float(np.median(np.partition(distances, 20)[:20]))

    wrist, ankle = width("left_hand"), width("left_foot")
    elbow, knee = width("left_forearm"), width("left_shin")
    style = body.proportions.style
    stub = style == "mascot" and rng.random() < 0.6
    sleeve = stub or robot or rng.random() < 0.22
    legs = stub or robot or rng.random() < 0.22
    power = float(rng.uniform(2, 7)) if robot else 2.0
    upper, lower, cuff = (
        rng.uniform(1.0, 1.5),
        rng.uniform(1.0, 1.6),
        rng.uniform(1.0, 3.2 if sleeve else 1.5),
    )
    thigh, calf, hem = rng.uniform(1.0, 1.4), rng.uniform(1.0, 1.5), rng.uniform(1.0, 2.4)
    mitten = rng.random() < {"mascot": 0.7, "toon": 0.35, "chibi": 0.35}.get(style, 0.04)
    shoe = rng.random() < {"mascot": 0.6, "toon": 0.55, "chibi": 0.5}.get(style, 0.2)
    pauldron = rng.random() < 0.08
    fist, sole = rng.uniform(1.2, 2.2), rng.uniform(1.1, 1.9)
    stretch, rise = rng.uniform(0.9, 1.5), rng.uniform(0.7, 1.3)
    size = rng.uniform(1.2, 2.2)
    for side in SIDES:
        j = {k.removeprefix(f"{side}_"): v for k, v in body.joint.items() if k.startswith(side)}
        if sleeve:
            radii = (elbow * upper * 1.1, elbow * upper, elbow * lower, wrist * cuff)
            path = np.stack([j["upperarm"], (j["upperarm"] + j["forearm"]) / 2, j["forearm"], j["hand"]])
            soup.loft(path, radii, PART[f"{side}_arm"], (0, 0, 1), power)
        if legs:
            path = np.stack([j["thigh"], (j["thigh"] + j["shin"]) / 2, j["shin"], j["foot"]])
            radii = (knee * thigh * 1.25, knee * thigh * 1.1, knee * calf, ankle * hem)
            soup.loft(path, radii, PART[f"{side}_leg"], (1, 0, 0), power)
        if mitten:
            r = wrist * fist
            middle = j["hand"] * 0.4 + j["tip"] * 0.6
            reach = max(r, float(np.linalg.norm(j["tip"] - j["hand"])) * 0.6)
            soup.ellipsoid(middle, (r, reach, r * 0.85), PART[f"{side}_hand"], body.turn[f"{side}_hand"])
        if shoe:
            length = float(np.linalg.norm(j["toe"] - j["foot"]))
            r = np.array(
                (max(ankle, 0.3 * length) * sole, max(ankle * rise, 0.25 * length), length * 0.85 * stretch)
            )
            middle = j["foot"] * 0.45 + j["toe"] * 0.55
            middle = middle + body.turn[f"{side}_foot"] @ np.array((0, 0.1 * r[1], 0.0))
            soup.ellipsoid(
                middle, r, PART[f"{side}_foot"], body.turn[f"{side}_foot"], float(power) if robot else 2.4
            )
        if pauldron:
            r = elbow * size
            soup.ellipsoid(j["upperarm"] + (0, 0.2 * r, 0), (r * 1.2, r * 0.8, r * 1.1), PART[f"{side}_arm"])


def _hang_cloth(soup: Soup, body: Body, rng: Rng) -> None:
    """A skirt, dress, coat or robe: closed and round, from the waist or the chest down to the hem."""
    hip, neck = body.joint["pelvis"][1], body.joint["neck"][1]
    sole = min(body.joint[f"{side}_toe"][1] for side in SIDES)
    high = str(rng.choice(("waist", "chest", "shoulder"), p=(0.55, 0.2, 0.25)))
    top = hip + {"waist": rng.uniform(0.25, 0.5), "chest": 0.7, "shoulder": 0.95}[high] * (neck - hip)
    drop = float(
        rng.choice(
            (rng.uniform(0.15, 0.45), rng.uniform(0.5, 0.85), rng.uniform(0.9, 1.02)), p=(0.45, 0.25, 0.3)
        )
    )
    hem = hip + (sole - hip) * drop
    flare, depth = rng.uniform(1.05, 1.5 + 1.6 * (1 - drop * 0.5)), rng.uniform(0.75, 1.1)
    (high_center, high_extent), (low_center, low_extent) = body.slice_at(top), body.slice_at(hip)
    path, radii = [], []
    for height in np.concatenate([np.linspace(top, hip, 5), np.linspace(hip, hem, 7)[1:]]):
        above = np.clip((height - hip) / max(top - hip, 1e-3), 0, 1)
        below = np.clip((hip - height) / max(hip - hem, 1e-3), 0, 1)
        center = low_center + above * (high_center - low_center)
        wide = low_extent + above * (high_extent - low_extent)
        wide = wide * (1.06 + 0.1 * below) * (1 + (flare - 1) * below)
        path.append((center[0], height, center[2]))
        radii.append((wide[0], max(wide[1], wide[0] * depth * min(below * 1.5, 1))))
    soup.loft(path, radii, PART["clothes"])


def _cape(soup: Soup, body: Body, rng: Rng) -> None:
    neck, hip = body.joint["neck"], body.joint["pelvis"]
    sole = min(body.joint[f"{side}_toe"][1] for side in SIDES)
    shoulder = abs(body.joint["left_upperarm"][0] - body.joint["right_upperarm"][0]) / 2
    back = body.slice_at((neck[1] + hip[1]) / 2)[1][1]
    end = neck[1] + (sole - neck[1]) * rng.uniform(0.4, 1.0)
    start = neck + (0, 0, -0.6 * back)
    path = smooth_path(
        (
            start,
            (start[0], (start[1] + end) / 2, hip[2] - 1.1 * back),
            (start[0], end, hip[2] - back * rng.uniform(1.2, 2.5)),
        )
    )
    t = np.linspace(0, 1, len(path))
    wide = shoulder * (0.8 + t * rng.uniform(0.1, 1.6))
    soup.loft(path, np.stack([wide, np.full_like(t, back * rng.uniform(0.12, 0.4))], axis=1), PART["clothes"])


def _backpack(soup: Soup, body: Body, rng: Rng) -> None:
    neck, hip = body.joint["neck"][1], body.joint["pelvis"][1]
    center, extent = body.slice_at((neck + hip) / 2)
    radii = np.array(
        (
            extent[0] * rng.uniform(0.6, 1.4),
            (neck - hip) * rng.uniform(0.3, 0.65),
            extent[1] * rng.uniform(0.5, 1.1),
        )
    )
    center = center - np.array((0, -0.1 * radii[1], extent[1] + 0.7 * radii[2]))
    soup.ellipsoid(center, radii, PART["prop"], body.turn["chest"], float(rng.uniform(2, 6)))


def _wings(soup: Soup, body: Body, rng: Rng) -> None:
    back = body.slice_at(body.joint["chest"][1])[1][1]
    start = body.joint["chest"] - (0, 0, back)
    span, rise = body.height * rng.uniform(0.2, 0.7), rng.uniform(-0.2, 0.9)
    chord, droop, sweep = span * rng.uniform(0.2, 0.55), rng.uniform(0.2, 0.9), rng.uniform(0.0, 0.6)
    for side in SIDES:
        s = _SIGN[side]
        tip = start + np.array((s * span, (rise - droop) * span, -sweep * span))
        path = smooth_path((start, start + (s * span * 0.5, rise * span, -sweep * span * 0.5), tip), 12)
        t = np.linspace(0, 1, len(path))
        wide = chord * (0.25 + np.sin(np.pi * np.clip(t * 0.95, 0, 1)))
        shape = np.stack([wide, np.full_like(t, 0.02 * span)], axis=1)
        soup.loft(path, shape, PART["prop"], turn_about((0, 0, 1), s * -20.0) @ np.array((0, 1.0, 0)), 3.0)


def _tail(soup: Soup, body: Body, rng: Rng) -> None:
    back = body.slice_at(body.joint["pelvis"][1])[1][1]
    start = body.joint["pelvis"] - (0, 0, back * 0.8)
    length, side, lift = body.height * rng.uniform(0.1, 0.6), rng.normal(0, 0.7), rng.uniform(-0.7, 0.9)
    end = start + length * np.array((side, lift, -0.5))
    path = smooth_path((start, start + length * np.array((side * 0.2, -0.2, -0.8)), end), 12)
    t = np.linspace(0, 1, len(path))
    bushy = rng.random() < 0.5
    width = (
        (0.25 + np.sin(np.pi * np.clip(t + 0.1, 0, 1)))
        if bushy
        else np.linspace(1, rng.uniform(0.15, 0.7), len(path))
    )
    soup.loft(path, width * length * rng.uniform(0.05, 0.2 if bushy else 0.12), PART["prop"])


def _carry(soup: Soup, body: Body, rng: Rng) -> None:
    side = str(rng.choice(SIDES))
    hand = body.joint[f"{side}_hand"] * 0.4 + body.joint[f"{side}_tip"] * 0.6
    kind = rng.choice(("staff", "sword", "shield", "gun"))
    way = turn_euler(rng.normal(0, 30), rng.normal(0, 25), rng.normal(0, 25)) @ np.array((0, 1.0, 0))
    long = body.height * rng.uniform(0.25, 1.1)
    thick = body.height * rng.uniform(0.006, 0.025)
    if kind == "staff":
        path = smooth_path((hand - way * long * rng.uniform(0.2, 0.7), hand + way * long * 0.6))
        soup.loft(path, thick, PART["prop"])
        if rng.random() < 0.6:
            soup.ellipsoid(path[-1], np.full(3, thick * rng.uniform(1.5, 6)), PART["prop"])
    elif kind == "sword":
        path = smooth_path((hand - way * long * 0.12, hand + way * long * rng.uniform(0.4, 1.0)))
        shape = np.stack([np.full(9, thick * rng.uniform(1, 5)), np.full(9, thick * 0.6)], axis=1)
        soup.loft(path, shape, PART["prop"], rng.normal(size=3))
    elif kind == "shield":
        radius = body.height * rng.uniform(0.08, 0.22)
        place = body.joint[f"{side}_forearm"] * 0.5 + hand * 0.5 + (0, 0, 0.2 * radius)
        soup.ellipsoid(
            place,
            (radius, radius * rng.uniform(1, 1.4), radius * 0.15),
            PART["prop"],
            turn_about((0, 1, 0), rng.normal(0, 30)),
        )
    else:
        way = turn_euler(rng.normal(0, 40), rng.uniform(-90, 90), 0) @ np.array((0, 0, 1.0))
        soup.loft(
            smooth_path((hand - way * long * 0.2, hand + way * long * 0.3)),
            thick * 2.5,
            PART["prop"],
            (1, 0.1, 0.2),
            5.0,
        )
