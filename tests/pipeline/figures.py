"""Figures put together from capsules and boxes, with joints that are known."""

from functools import cache

import numpy as np
from character3d.pipeline.types import Mesh


def make_capsule(start, end, radius, flat=1.0):
    """A closed, outward-wound tube with round ends; flat scales its depth (z)."""
    start, end = np.array(start, float), np.array(end, float)
    along = (end - start) / np.linalg.norm(end - start)
    side = np.cross(along, (0.0, 0.0, 1.0) if abs(along[2]) < 0.9 else (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    front = np.cross(along, side)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    ring = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * front
    tilts = np.linspace(-np.pi / 2, 0, 6)[1:]
    steps = int(np.linalg.norm(end - start) / 0.025)
    bottom = [start + radius * (np.cos(tilt) * ring + np.sin(tilt) * along) for tilt in tilts]
    tube = [start + share * (end - start) + radius * ring for share in np.linspace(0, 1, steps + 1)[1:-1]]
    top = [end + radius * (np.cos(tilt) * ring - np.sin(tilt) * along) for tilt in tilts[::-1]]
    rows = bottom + tube + top
    points = np.concatenate([(start - radius * along)[None], *rows, (end + radius * along)[None]])
    faces, count = [], len(turn)
    for k in range(count):
        following = (k + 1) % count
        faces.append((0, 1 + following, 1 + k))
        faces.append((len(points) - 1, len(points) - 1 - count + k, len(points) - 1 - count + following))
        for row in range(len(rows) - 1):
            a, b = 1 + row * count + k, 1 + row * count + following
            faces += [(a, b, a + count), (b, b + count, a + count)]
    points[:, 2] *= flat
    corners = points[np.array(faces)]
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return points, np.array(faces) if volume > 0 else np.array(faces)[:, ::-1]


def join_parts(parts):
    points, faces, start = [], [], 0
    for part_points, part_faces in parts:
        points.append(part_points)
        faces.append(part_faces + start)
        start += len(part_points)
    return Mesh(np.concatenate(points), np.concatenate(faces))


@cache
def make_body(arm_drop=45.0, leg_spread=3.0):
    """A figure 1.7 m tall; returns the mesh and its joints (left side and trunk)."""
    arm = np.radians(arm_drop)
    leg = np.radians(leg_spread)
    joints = {}
    parts = [
        make_capsule((0, 0.92, 0), (0, 1.28, 0), 0.13, 0.75),
        make_capsule((0, 1.3, 0), (0, 1.5, 0), 0.05),
        make_capsule((0, 1.55, 0), (0, 1.61, 0), 0.09),
        make_capsule((-0.12, 1.35, 0), (0.12, 1.35, 0), 0.06),
    ]
    for side, sign in (("Left", 1), ("Right", -1)):
        shoulder = np.array((sign * 0.165, 1.345, 0))
        out = np.array((sign * np.cos(arm), -np.sin(arm), 0))
        elbow, wrist, tip = shoulder + 0.28 * out, shoulder + 0.53 * out, shoulder + 0.70 * out
        parts += [make_capsule(shoulder, wrist, 0.042), make_capsule(wrist, tip, 0.032)]
        hip = np.array((sign * 0.09, 0.9, 0))
        down = np.array((sign * np.sin(leg), -np.cos(leg), 0))
        length = 0.82 / np.cos(leg)
        knee, ankle = hip + 0.5 * length * down, hip + length * down
        parts += [make_capsule(hip, knee, 0.072), make_capsule(knee, ankle, 0.055)]
        parts.append(make_capsule(ankle - (0, 0.04, 0), ankle + np.array((0, -0.04, 0.15)), 0.04))
        names = ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot")
        joints |= dict(
            zip((side + n for n in names), (shoulder, elbow, wrist, hip, knee, ankle), strict=True)
        )
    return join_parts(parts), joints


def make_box(low, high):
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
    faces = [tri for a, b, c, d in quads for tri in ((a, b, c), (a, c, d))]
    return np.array(low) + corners * (np.array(high) - np.array(low)), np.array(faces)
