"""From a skeleton's own clip to a Motion: roles, upright, relative to the T-pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from ..errors import FormatError
from ..humanoid import SIDES
from ..mesh_extras import OwnClip
from ..orientation.frame import snap_to_axes
from ..rigging.pose.posing import place_joints
from ..rigging.pose.rest_pose import measure_t_pose, raise_shoulders, require_roles
from ..types import Float64Array, Skeleton
from .contacts import find_standing_height
from .motion import Motion

_STANDING = 0.5
"""Cosine between trunk and legs from which a pose counts as standing."""
_SAME_UP = 0.6
"""Mean cosine of the body's own up with the rest pose's, from which the motion has the same up."""
_MOST_SECONDS = 600.0


def normalize_clip(skeleton: Skeleton, clip: OwnClip) -> Motion:
    """Return what the clip does with the skeleton's humanoid roles.

    skeleton: with roles, in any rest pose, unit and frame. Where its rest pose is none in which a figure
    stands, the clip's most upright pose takes its place. RigError if it is no humanoid; FormatError for a
    clip of one pose, or of more than ten minutes.
    """
    if len(clip.times) < 2 or clip.times[-1] > _MOST_SECONDS:
        found = f"{len(clip.times)} in {clip.times[-1]:.1f} seconds"
        wanted = f"at least two poses within {_MOST_SECONDS:.0f} seconds"
        raise FormatError(f"the clip {clip.name!r}: expected {wanted}; found {found}")
    require_roles(skeleton)
    roles = dict(skeleton.roles)
    turned, placed = follow_clip(skeleton, clip)
    rest = skeleton.rest.astype(np.float64)
    axes, places = rest[:, :3, :3], rest[:, :3, 3]
    if _uprightness(places[None], roles)[0] < _STANDING:
        best = int(_uprightness(placed, roles).argmax())
        axes, places = turned[best], placed[best]
    upright, own = _stand_up(places, roles), _face_motion(placed, roles, places)
    axes, places = upright @ axes, places @ upright.T
    turns = own @ turned @ np.swapaxes(axes, 1, 2)
    placed = placed @ own.T
    built = replace(skeleton, rest=_join(axes, places))
    return _describe(clip, built, turns, placed)


def follow_clip(skeleton: Skeleton, clip: OwnClip) -> tuple[Float64Array, Float64Array]:
    """Return the axes (T, J, 3, 3) and positions (T, J, 3) of the joints in the file's frame."""
    rotations = clip.rotations.astype(np.float64)
    local = Rotation.from_quat(rotations.reshape(-1, 4)).as_matrix().reshape(*rotations.shape[:2], 3, 3)
    turned, placed = local.copy(), clip.translations.astype(np.float64)
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            turned[:, joint] = turned[:, parent] @ local[:, joint]
            placed[:, joint] = placed[:, parent] + np.einsum(
                "tij,tj->ti", turned[:, parent], placed[:, joint]
            )
    return turned, placed


def _describe(clip: OwnClip, built: Skeleton, turns: Float64Array, placed: Float64Array) -> Motion:
    """The motion of a skeleton that stands upright; turns (T, J, 3, 3) from rest, positions (T, J, 3)."""
    roles = built.roles
    t_pose = raise_shoulders(built, measure_t_pose(built))
    since = turns @ np.swapaxes(t_pose, 1, 2)
    posed = place_joints(built, t_pose, built.positions[0])[:, :3, 3]
    length = float(np.mean([_measure_leg(posed, roles, side) for side in SIDES]))
    if length < 1e-9:
        raise FormatError(f"the clip {clip.name!r}: the legs of its skeleton have no length")
    feet = {side: placed[:, roles[side + "Foot"]] for side in SIDES}
    tips = {side: placed[:, roles.get(side + "Toes", roles[side + "Foot"])] for side in SIDES}
    rises = {
        side: float(posed[roles[side + "Foot"], 1] - posed[roles.get(side + "Toes", roles[side + "Foot"]), 1])
        for side in SIDES
    }
    ground = find_standing_height(feet, tips, rises, length, float(posed[:, 1].min()))
    origin = np.array((*_middle(placed, roles)[0], ground))[[0, 3, 2]]
    rise = float(np.mean(list(rises.values())))
    above = origin + np.array((0.0, rise, 0.0))
    return Motion(
        clip.name,
        clip.times.astype(np.float64) - float(clip.times[0]),
        {role: since[:, joint] for role, joint in roles.items()},
        (_middle(placed, roles) - above) / length,
        {side: (feet[side] - origin - np.array((0.0, rises[side], 0.0))) / length for side in SIDES},
        {side: (tips[side] - origin) / length for side in SIDES},
    )


def _measure_leg(places: Float64Array, roles: Mapping[str, int], side: str) -> float:
    hip, knee, ankle = (places[roles[side + part]] for part in ("UpperLeg", "LowerLeg", "Foot"))
    return float(np.linalg.norm(knee - hip) + np.linalg.norm(ankle - knee))


def _middle(placed: Float64Array, roles: Mapping[str, int], part: str = "UpperLeg") -> Float64Array:
    """(T, 3), the middle between the joints of both sides."""
    return (placed[:, roles["left" + part]] + placed[:, roles["right" + part]]) / 2


def _find_axes(placed: Float64Array, roles: Mapping[str, int]) -> tuple[Float64Array, ...]:
    """Directions (T, 3) of the trunk upwards, of the legs upwards, and to the left."""
    middle, ankles, arms = (_middle(placed, roles, part) for part in ("UpperLeg", "Foot", "UpperArm"))
    across = placed[:, roles["leftUpperLeg"]] - placed[:, roles["rightUpperLeg"]]
    return _unit(arms - middle), _unit(middle - ankles), _unit(across)


def _unit(vectors: Float64Array) -> Float64Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _uprightness(placed: Float64Array, roles: Mapping[str, int]) -> Float64Array:
    """(T,) how far trunk and legs point the same way, and both thighs go along with their shins."""
    trunk, legs, across = _find_axes(placed, roles)
    straight = np.ones(len(placed))
    for side in SIDES:
        hip, knee, ankle = (placed[:, roles[side + part]] for part in ("UpperLeg", "LowerLeg", "Foot"))
        straight = np.minimum(straight, (_unit(hip - knee) * _unit(knee - ankle)).sum(axis=1))
        straight = np.minimum(straight, (_unit(hip - ankle) * legs).sum(axis=1))
    return np.minimum((trunk * legs).sum(axis=1), straight) - np.abs((across * legs).sum(axis=1))


def _stand_up(places: Float64Array, roles: Mapping[str, int]) -> Float64Array:
    """The rotation (3, 3) between axes that has a standing pose (J, 3) upright and facing +Z."""
    return snap_to_axes(_measure_frame(places, roles))


def _measure_frame(places: Float64Array, roles: Mapping[str, int]) -> Float64Array:
    """(3, 3), rows: the left, up and front of a pose (J, 3)."""
    trunk, legs, across = (direction[0] for direction in _find_axes(places[None], roles))
    up = _unit(trunk + legs)
    left = _unit(across - (across @ up) * up)
    return np.stack((left, up, np.cross(left, up)))


def _face_motion(placed: Float64Array, roles: Mapping[str, int], rest: Float64Array) -> Float64Array:
    """The rotation (3, 3) of the motion's frame: that of the rest pose unless its up is another.

    A motion with an up of its own faces +Z in its first pose.
    """
    upright = _stand_up(rest, roles)
    trunk, legs, _ = _find_axes(placed, roles)
    body = (trunk + legs).mean(axis=0) / 2
    if (upright @ body)[1] >= _SAME_UP or np.linalg.norm(body) < _SAME_UP:
        return upright
    first = _measure_frame(placed[0], roles)
    up = np.zeros(3)
    up[np.abs(body).argmax()] = np.sign(body[np.abs(body).argmax()])
    left = _unit(first[0] - (first[0] @ up) * up)
    return np.stack((left, up, np.cross(left, up)))


def _join(axes: Float64Array, places: Float64Array) -> Float64Array:
    rest = np.tile(np.eye(4), (len(places), 1, 1))
    rest[:, :3, :3], rest[:, :3, 3] = axes, places
    return rest
