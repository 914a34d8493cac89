"""Defects of real meshes, applied to anny's bodies: damage, detached components, clothes and hair.

Each alteration takes a person and a random generator and returns (positions (V, 3), faces (F, 3)).
Lengths are shares of the person's height.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import fast_simplification
import numpy as np
from bench_data_people import Person

Arrays = tuple[np.ndarray, np.ndarray]
Alteration = Callable[[Person, np.random.Generator], Arrays]

_FACES = 4_000
_NOISE = 0.003
_HOLE_COUNT, _HOLE_RADIUS = 14, 0.022
_GAP = 0.006
_DETACHED = ("Neck", "Head", "LeftHand", "RightHand", "LeftLeg", "RightLeg")


def keep_mesh(person: Person, rng: np.random.Generator) -> Arrays:
    """The body unchanged."""
    return person.positions, person.faces


def decimate_mesh(person: Person, rng: np.random.Generator) -> Arrays:
    """The body decimated to 4,000 faces."""
    return fast_simplification.simplify(
        person.positions.astype(np.float32), person.faces.astype(np.int32), target_count=_FACES
    )


def add_noise(person: Person, rng: np.random.Generator) -> Arrays:
    """Gaussian noise on every vertex, with a standard deviation of 0.3 % per axis."""
    return person.positions + rng.normal(0, _NOISE * _height(person), person.positions.shape), person.faces


def cut_holes(person: Person, rng: np.random.Generator) -> Arrays:
    """14 holes, 4.4 % wide, at random points."""
    centers = person.positions[person.faces].mean(axis=1)
    kept = np.ones(len(centers), bool)
    for place in centers[rng.choice(len(centers), _HOLE_COUNT, replace=False)]:
        kept &= np.linalg.norm(centers - place, axis=1) > _HOLE_RADIUS * _height(person)
    return person.positions, person.faces[kept]


def turn_inside_out(person: Person, rng: np.random.Generator) -> Arrays:
    """All faces wound inwards."""
    return person.positions, person.faces[:, ::-1]


def mix_winding(person: Person, rng: np.random.Generator) -> Arrays:
    """Every face wound at random."""
    turned = rng.uniform(size=len(person.faces)) < 0.5
    return person.positions, np.where(turned[:, None], person.faces[:, ::-1], person.faces)


def detach_parts(person: Person, rng: np.random.Generator) -> Arrays:
    """Head, hands and shanks detached, left open, and moved outwards by 0.6 %."""
    names = list(person.joints)
    owner = _own_vertices(person, [[f"mixamorig:{part}"] for part in _DETACHED])
    corner = owner[person.faces].max(axis=1)
    points, faces, start = [], [], 0
    for part in range(-1, len(_DETACHED)):
        used, renumbered = np.unique(person.faces[corner == part], return_inverse=True)
        way = np.zeros(3)
        if part >= 0:
            at = names.index(f"mixamorig:{_DETACHED[part]}")
            places = list(person.joints.values())
            way = places[at] - places[person.parents[at]]
            way *= _GAP * _height(person) * (1 + (_DETACHED[part] == "Head")) / np.linalg.norm(way)
        points.append(person.positions[used] + way)
        faces.append(renumbered.reshape(-1, 3) + start)
        start += len(used)
    return np.concatenate(points), np.concatenate(faces)


def _own_vertices(person: Person, groups: list[list[str]]) -> np.ndarray:
    """(V,) index of the group whose joints and their descendants hold most of the vertex's weight, or -1."""
    names, owner = list(person.joints), np.full(len(person.positions), -1)
    for number, group in enumerate(groups):
        chosen = np.zeros(len(names), bool)
        for index, name in enumerate(names):
            parent = person.parents[index]
            chosen[index] = name in group or (parent >= 0 and chosen[parent])
        owner[person.weights[:, chosen].sum(axis=1) > 0.5] = number
    return owner


def add_cape(person: Person, rng: np.random.Generator) -> Arrays:
    """A closed cape 1.2 % thick behind the back, from the shoulders to the calves, wider than the body."""
    height, neck = _height(person), person.joints["mixamorig:Neck"]
    top, low = neck[1] - 0.02 * height, 0.12 * height
    back = person.positions[person.positions[:, 1] > 0.4 * height][:, 2].min()
    return _add_part(person, _slab(top, low, (0.11 * height, 0.22 * height), back, 0.012 * height, neck[0]))


def add_cape_sheet(person: Person, rng: np.random.Generator) -> Arrays:
    """The cape as an open sheet, 1 % behind the back."""
    height, neck = _height(person), person.joints["mixamorig:Neck"]
    back = person.positions[person.positions[:, 1] > 0.4 * height][:, 2].min() - 0.01 * height
    points, faces = _slab(
        neck[1] - 0.02 * height, 0.12 * height, (0.11 * height, 0.22 * height), back, 0.0, neck[0]
    )
    half = len(points) // 2
    return _add_part(person, (points[:half], faces[(faces < half).all(axis=1)]))


def add_hair(person: Person, rng: np.random.Generator) -> Arrays:
    """Closed hair to the waist, 4 % thick, behind head and back."""
    height, neck = _height(person), person.joints["mixamorig:Neck"]
    hips, head = person.joints["mixamorig:Spine"], person.joints["mixamorig:Head"]
    top = person.positions[:, 1].max()
    skull = person.positions[person.positions[:, 1] > head[1]]
    width = 0.4 * np.ptp(skull[:, 0])
    back = min(
        skull[:, 2].min() + 0.01 * height, person.positions[person.positions[:, 1] > hips[1]][:, 2].min()
    )
    high = 0.75 * top + 0.25 * head[1]
    return _add_part(person, _slab(high, hips[1], (width, 1.1 * width), back, 0.04 * height, neck[0]))


def add_skirt(person: Person, rng: np.random.Generator) -> Arrays:
    """A closed cone from the waist to the knees."""
    return _add_part(person, _cone(person, person.joints["mixamorig:LeftLeg"][1], closed=True))


def add_skirt_sheet(person: Person, rng: np.random.Generator) -> Arrays:
    """The skirt as an open sheet around the legs."""
    return _add_part(person, _cone(person, person.joints["mixamorig:LeftLeg"][1], closed=False))


def add_robe(person: Person, rng: np.random.Generator) -> Arrays:
    """A closed cone from the waist to the ankles."""
    return _add_part(person, _cone(person, 0.5 * person.joints["mixamorig:LeftFoot"][1], closed=True))


def add_tail(person: Person, rng: np.random.Generator) -> Arrays:
    """A closed tube from the hips, back and up to one side, 45 % long."""
    height, hips = _height(person), person.joints["mixamorig:Hips"]
    t = np.linspace(0, 1, 24)
    line = hips + height * np.stack((0.16 * t**2, 0.12 * t**2 - 0.1 * t, -0.42 * t), axis=1)
    return _add_part(person, _tube(line, height * (0.022 - 0.012 * t)))


def _height(person: Person) -> float:
    return float(np.ptp(person.positions[:, 1]))


def _add_part(person: Person, part: Arrays) -> Arrays:
    points, faces = part
    return (
        np.concatenate((person.positions, points)),
        np.concatenate((person.faces, faces + len(person.positions))),
    )


def _slab(
    top: float, low: float, halves: tuple[float, float], front: float, thick: float, middle: float
) -> Arrays:
    """A slab perpendicular to z; its half width grows from `top` to `low`. Front vertices come first."""
    rows, columns = np.linspace(0, 1, 41), np.linspace(-1, 1, 21)
    half = halves[0] + (halves[1] - halves[0]) * rows
    x, y = middle + half[:, None] * columns, np.broadcast_to((top + (low - top) * rows)[:, None], (41, 21))
    layers = [np.stack((x, y, np.full_like(x, z)), axis=2).reshape(-1, 3) for z in (front, front - thick)]
    a = (np.arange(40)[:, None] * 21 + np.arange(20)).ravel()
    grid = np.concatenate((np.stack((a, a + 21, a + 1), 1), np.stack((a + 1, a + 21, a + 22), 1)))
    rim = np.concatenate(
        (np.arange(20), 20 + 21 * np.arange(40), 860 - np.arange(20), 840 - 21 * np.arange(40))
    )
    ahead = np.roll(rim, -1)
    side = np.concatenate(
        (np.stack((rim, ahead, rim + 861), 1), np.stack((ahead, ahead + 861, rim + 861), 1))
    )
    return np.concatenate(layers), np.concatenate((grid, grid[:, ::-1] + 861, side))


def _cone(person: Person, low: float, *, closed: bool) -> Arrays:
    """A cone around the legs from the waist to the height `low`."""
    waist = person.joints["mixamorig:Spine"]
    near = person.positions[np.abs(person.positions[:, 1] - waist[1]) < 0.02 * _height(person)]
    near = near[np.abs(near[:, 0] - waist[0]) < 0.14 * _height(person)]
    radii = 0.5 * np.ptp(near[:, [0, 2]], axis=0) + 0.01 * _height(person)
    feet = person.positions[(person.positions[:, 1] < low) & (person.sides != 0)]
    wide = max(0.13 * _height(person), np.abs(feet[:, 0] - waist[0]).max() if len(feet) else 0.0)
    rows, turn = np.linspace(0, 1, 30), np.linspace(0, 2 * np.pi, 48, endpoint=False)
    x = radii[0] + (wide + 0.01 * _height(person) - radii[0]) * rows
    z = radii[1] + (0.75 * wide - radii[1]) * rows
    middle = near[:, 2].mean()
    points = [
        np.stack((waist[0] + a * np.cos(turn), np.full(48, y), middle + b * np.sin(turn)), 1)
        for a, b, y in zip(x, z, waist[1] + (low - waist[1]) * rows, strict=True)
    ]
    return _ring_faces(points, closed=closed)


def _tube(line: np.ndarray, radii: np.ndarray) -> Arrays:
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    ways = np.gradient(line, axis=0)
    points = []
    for place, way, radius in zip(line, ways, radii, strict=True):
        side = np.cross(way, (0.0, 1.0, 0.1))
        side /= np.linalg.norm(side)
        other = np.cross(side, way) / np.linalg.norm(way)
        points.append(place + radius * (np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * other))
    return _ring_faces(points, closed=True)


def _ring_faces(rings: list[np.ndarray], *, closed: bool) -> Arrays:
    """Faces between rings, wound outwards; `closed` adds a center at both ends."""
    count, total = len(rings[0]), len(rings) * len(rings[0])
    here = np.arange(total - count).reshape(-1, count)
    ahead = np.roll(here, -1, axis=1)
    a, b = here.ravel(), ahead.ravel()
    faces = [np.stack((a, b, a + count), 1), np.stack((b, b + count, a + count), 1)]
    points = list(rings)
    if closed:
        ring, last = np.arange(count), np.arange(total - count, total)
        points += [rings[0].mean(axis=0)[None], rings[-1].mean(axis=0)[None]]
        faces.append(np.stack((np.roll(ring, -1), ring, np.full(count, total)), 1))
        faces.append(np.stack((last, np.roll(last, -1), np.full(count, total + 1)), 1))
    joined, built = np.concatenate(points), np.concatenate(faces)
    corners = joined[built]
    volume = np.einsum(
        "ij,ij->",
        corners[:, 0] - corners.mean((0, 1)),
        np.cross(corners[:, 1] - corners.mean((0, 1)), corners[:, 2] - corners.mean((0, 1))),
    )
    return joined, built if volume > 0 else built[:, ::-1]


ALTERATIONS: Mapping[str, Alteration] = {
    "as it is": keep_mesh,
    "decimated": decimate_mesh,
    "noisy": add_noise,
    "holed": cut_holes,
    "inside out": turn_inside_out,
    "mixed winding": mix_winding,
    "in pieces": detach_parts,
    "cape": add_cape,
    "cape sheet": add_cape_sheet,
    "hair to the waist": add_hair,
    "skirt": add_skirt,
    "skirt sheet": add_skirt_sheet,
    "robe": add_robe,
    "tail": add_tail,
}
