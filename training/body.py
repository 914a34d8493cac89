"""A body of `bodies` in random proportions and pose, with its landmarks: what hair and clothes are put on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from bodies import GROUPS, JOINTS, Bodies
from numpy.typing import NDArray
from proportions import STYLE_SHARES, Pose, Proportions, random_pose, random_proportions
from raster import skin
from solids import Soup, turn_about, turn_between

PART = {
    name: index
    for index, name in enumerate(
        (
            *("background", "head", "hair", "torso", "left_arm", "right_arm", "left_hand", "right_hand"),
            *("left_leg", "right_leg", "left_foot", "right_foot", "clothes", "prop"),
        )
    )
}
_PART_OF = {"pelvis": "torso", "belly": "torso", "chest": "torso", "neck": "torso", "head": "head"}
_LIMB_OF = {
    "upperarm": "arm",
    "forearm": "arm",
    "hand": "hand",
    "thigh": "leg",
    "shin": "leg",
    "foot": "foot",
}
GROUP_PART = np.array(
    [PART[_PART_OF.get(g) or f"{g.split('_')[0]}_{_LIMB_OF[g.split('_')[1]]}"] for g in GROUPS], np.int32
)
_JOINT = {name: index for index, name in enumerate(JOINTS)}
SIDES = ("left", "right")
_MODELED = (0.34, 0.18, 0.24, 0.14, 0.1)
"""Shares of the styles among meshes to be rigged."""


@dataclass(eq=False)
class Body:
    """A posed body. joint: places by JOINTS' names, and `chin`; turn: rotation of each group.

    head: center, half extents and rotation of the head's box; extents of the trunk's slices by `slice_at`.
    """

    proportions: Proportions
    pose: Pose
    points: NDArray
    triangles: NDArray
    labels: NDArray
    joint: dict[str, NDArray]
    turn: dict[str, NDArray]
    head_center: NDArray
    head_radii: NDArray
    trunk: NDArray
    height: float
    index: int
    head_map: tuple[NDArray, NDArray]

    def soup(self) -> Soup:
        """The body's triangles, to which more can be added."""
        soup = Soup()
        soup.add(self.points, self.triangles, self.labels)
        return soup

    def slice_at(self, y: float) -> tuple[NDArray, NDArray]:
        """Center (3,) and half extents in x and z of the trunk near the height y."""
        near = self.trunk[np.argsort(np.abs(self.trunk[:, 1] - y))[:120]]
        low, high = np.quantile(near[:, [0, 2]], (0.03, 0.97), axis=0)
        center = (low + high) / 2
        return np.array((center[0], y, center[1])), np.maximum((high - low) / 2, 0.05)

    def on_head(self, u: NDArray) -> NDArray:
        """A place given in half extents of the head (x left, y up, z front) from its center."""
        return self.head_center + (np.asarray(u, float) * self.head_radii) @ self.turn["head"].T


def random_body(
    bodies: Bodies,
    rng: np.random.Generator,
    standing: bool = False,
    shares: tuple[float, ...] = STYLE_SHARES,
) -> Body:
    """Draw body, proportions and pose, and skin them; `standing`: as meshes are modeled to be rigged.

    shares: of STYLES, for those that need not stand so.
    """
    index = int(rng.integers(len(bodies.vertices)))
    proportions = random_proportions(rng, _MODELED if standing else shares)
    if standing and rng.random() < 0.4:
        vary_segments(proportions, rng)
    pose = random_pose(rng, standing)
    rest, joints = bodies.vertices[index].copy(), bodies.joints[index].astype(float)
    used, owner = bodies.used, bodies.owner
    rest += bodies.normals[index] * (bodies.weights @ proportions.thickness)[:, None].astype(np.float32)
    head = used[owner[used] == GROUPS.index("head")]
    low, high = rest[head].min(axis=0), rest[head].max(axis=0)
    center, radii = (low + high) / 2, (high - low) / 2
    place = {name: joints[_JOINT[name]] for name in JOINTS}
    scale = scale_groups(proportions, place, radii)
    round_head(rest, head, center, radii, proportions)
    matrices, offsets, posed = pose_groups(place, scale, proportions, pose, center, radii)
    points = skin(rest, bodies.weights, matrices.astype(np.float32), offsets.astype(np.float32))
    head_index = GROUPS.index("head")
    head_center = matrices[head_index] @ center + offsets[head_index]
    labels = GROUP_PART[owner[bodies.triangles[:, 0]]]
    trunk = points[used[owner[used] <= GROUPS.index("chest")]]
    turn = {name: posed[f"turn_{name}"] for name in GROUPS}
    head_radii = radii * scale[head_index]
    return Body(
        *(proportions, pose, points, bodies.triangles, labels, posed, turn, head_center, head_radii, trunk),
        height=float(np.ptp(points[used, 1])),
        index=index,
        head_map=(matrices[head_index], offsets[head_index]),
    )


def vary_segments(proportions: Proportions, rng: np.random.Generator) -> None:
    """Lengthen and widen each segment of the limbs on its own, left and right alike; in place."""
    for name in ("upperarm", "forearm", "hand", "thigh", "shin", "foot"):
        length, width = rng.uniform(0.7, 1.4), rng.uniform(0.7, 1.5)
        for side in SIDES:
            proportions.scale[GROUPS.index(f"{side}_{name}")] *= (width, length, width)


def scale_groups(proportions: Proportions, place: dict[str, NDArray], radii: NDArray) -> NDArray:
    """Scales of all groups; the head's follow from its share of the figure's height."""
    scale = proportions.scale.copy()

    def along(group: str) -> float:
        return float(scale[GROUPS.index(group), 1])

    def length(a: str, b: str) -> float:
        return float(np.linalg.norm(place[a] - place[b]))

    body = length("left_thigh", "left_shin") * along("left_thigh")
    body += length("left_shin", "left_foot") * along("left_shin") + 0.8 * along("left_foot")
    body += (place["neck"][1] - place["pelvis"][1]) * along("chest")
    body += length("neck", "head") * along("neck") * 0.4
    share = proportions.head_share
    size = share / (1 - share) * body / (2 * radii[1]) if share else 1.0
    depth = proportions.head_depth * proportions.head_width * radii[0] / radii[2] or 1.0
    scale[GROUPS.index("head")] = np.array((proportions.head_width, 1, depth)) * size
    return scale


def round_head(
    rest: NDArray, head: NDArray, center: NDArray, radii: NDArray, proportions: Proportions
) -> None:
    """Draw the head towards an ellipsoid, and smooth nose and chin away; in place."""
    relative = (rest[head] - center) / radii
    distance = np.linalg.norm(relative, axis=1, keepdims=True)
    factor = 1 - proportions.roundness + proportions.roundness / np.clip(distance, 0.3, 1)
    relative *= factor
    front = relative[:, 2] > 0
    limit = np.sqrt(np.clip(1 - (relative[:, :2] ** 2).sum(axis=1), 0.05, 1)) * 0.85
    flat = np.minimum(relative[:, 2], limit)
    relative[front, 2] += proportions.flat * (flat - relative[:, 2])[front]
    rest[head] = center + relative * radii


def pose_groups(
    place: dict[str, NDArray],
    scale: NDArray,
    proportions: Proportions,
    pose: Pose,
    center: NDArray,
    radii: NDArray,
) -> tuple[NDArray, NDArray, dict[str, NDArray]]:
    """Matrix (17, 3, 3) and offset (17, 3) of each group, and the posed joints and rotations by name."""
    matrices, offsets, posed = np.zeros((17, 3, 3)), np.zeros((17, 3)), {}

    def put(group: str, origin: NDArray, turn: NDArray, frame: NDArray) -> None:
        g = GROUPS.index(group)
        matrices[g] = turn @ frame @ np.diag(scale[g]) @ frame.T
        offsets[g] = origin - matrices[g] @ place.get(group, center)
        posed[group], posed[f"turn_{group}"] = origin, turn

    def follow(group: str, point: NDArray) -> NDArray:
        g = GROUPS.index(group)
        return matrices[g] @ point + offsets[g]

    eye = np.eye(3)
    put("pelvis", np.zeros(3), pose.trunk["pelvis"], eye)
    for group, parent in (("belly", "pelvis"), ("chest", "belly"), ("neck", "chest")):
        put(group, follow(parent, place[group]), pose.trunk[group], eye)
    bottom = np.array((center[0], center[1] - radii[1], place["head"][2]))
    g = GROUPS.index("head")
    sink = proportions.chin * 2 * radii[1] * scale[g, 1]
    chin = follow("neck", bottom) - np.array((0, sink, 0))
    turn = pose.trunk["head"]
    matrices[g] = turn @ np.diag(scale[g])
    if np.isfinite(proportions.head_back):
        ahead = (center[2] - bottom[2] + proportions.head_back * radii[2]) * scale[g, 2]
        chin[2] = posed["neck"][2] - ahead
    offsets[g] = chin - matrices[g] @ bottom
    posed["head"], posed["turn_head"], posed["chin"] = follow("head", place["head"]), turn, chin
    posed["top"] = follow("head", place["top"])
    for side in SIDES:
        _pose_limb(side, ("upperarm", "forearm", "hand", "tip"), "chest", place, scale, pose, put, follow)
        _pose_limb(side, ("thigh", "shin", "foot", "toe"), "pelvis", place, scale, pose, put, follow)
        posed[f"{side}_tip"] = follow(f"{side}_hand", place[f"{side}_tip"])
        posed[f"{side}_toe"] = follow(f"{side}_foot", place[f"{side}_toe"])
    return matrices, offsets, posed


def _pose_limb(side, names, parent, place, scale, pose, put, follow) -> None:  # noqa: ANN001
    first, second, end, tip = (f"{side}_{name}" for name in names)
    root = pose.trunk[parent]
    origin = follow(parent, place[first])
    one = place[second] - place[first]
    two = place[end] - place[second]
    lengths = [
        float(np.linalg.norm(one)) * scale[GROUPS.index(first), 1],
        float(np.linalg.norm(two)) * scale[GROUPS.index(second), 1],
    ]
    if parent == "chest" and pose.reach[side]:
        a, b = _reach(side, pose.reach[side], origin, lengths, follow, place)
    else:
        a, b = root @ pose.directions[first], root @ pose.directions[second]
    turn_one, turn_two = turn_between(one, a), turn_between(two, b)
    put(first, origin, turn_one, _frame(one))
    put(second, origin + a / np.linalg.norm(a) * lengths[0], turn_two, _frame(two))
    last = origin + a / np.linalg.norm(a) * lengths[0] + b / np.linalg.norm(b) * lengths[1]
    if parent == "chest":
        put(end, last, turn_two, _frame(place[tip] - place[end]))
    else:
        outward = turn_about((0, 1, 0), (12 if side == "left" else -12))
        put(end, last, turn_two if pose.feet_follow[side] else root @ outward, np.eye(3))


def _frame(along: NDArray) -> NDArray:
    y = along / np.linalg.norm(along)
    z = np.array((0, 0, 1.0)) - y * y[2]
    z /= np.linalg.norm(z)
    return np.stack([np.cross(y, z), y, z], axis=1)


def _reach(side, name, origin, lengths, follow, place) -> tuple[NDArray, NDArray]:  # noqa: ANN001
    """Directions of both segments so that the wrist comes to hips, pocket, chest or head (two-bone IK)."""
    sign = 1 if side == "left" else -1
    hip = follow("pelvis", place[f"{side}_thigh"])
    chest = follow("chest", place["neck"] + np.array((0, -0.9, 0.0)))
    out = abs(origin[0] - chest[0])
    target, pole = {
        "hips": (np.array((origin[0] * 0.95, hip[1] + 0.5 * out, origin[2] + 0.3 * out)), (sign, 0, -0.5)),
        "pocket": (np.array((hip[0] + sign * 0.5 * out, hip[1], hip[2] + 0.5 * out)), (sign, -0.2, -0.6)),
        "chest": (chest + np.array((sign * 0.25, -0.6, 1.3)) * out, (sign, -0.8, 0)),
        "head": (np.array((origin[0], origin[1] + 1.5 * out, origin[2])), (sign, 0.3, 0.1)),
    }[name]  # fmt: skip
    line = target - origin
    distance = float(np.clip(np.linalg.norm(line), abs(lengths[0] - lengths[1]) + 1e-3, sum(lengths) * 0.995))
    line = line / (np.linalg.norm(line) + 1e-9)
    bend = np.asarray(pole, float) - line * (line @ np.asarray(pole, float))
    bend /= np.linalg.norm(bend) + 1e-9
    cosine = (lengths[0] ** 2 + distance**2 - lengths[1] ** 2) / (2 * lengths[0] * distance)
    cosine = float(np.clip(cosine, -1, 1))
    a = line * cosine + bend * np.sqrt(1 - cosine**2)
    return a, line * distance - a * lengths[0]
