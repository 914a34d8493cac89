"""Fitting of the humanoid skeleton to a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ...conventions import REST_POSES
from ...errors import RigError
from ...progress import Progress, ignore_progress, span_progress
from ...types import Float64Array, Mesh, Skeleton
from ..skeleton import ARM_PARTS, LEG_PARTS, build_skeleton
from ..voxel_solid import VoxelSolid
from ..voxelize import voxelize_mesh
from .arms import Arm, find_armpit, fit_arm
from .fingers import fit_fingers
from .hands import HandTip, find_hands
from .legs import Leg, fit_leg
from .proportions import is_believable_arm, is_believable_leg, place_arm, place_leg, place_torso
from .thin_sheets import strip_sheets
from .torso import MIN_NECK_PROMINENCE, Torso, measure_torso, move_neck

# Average proportions, as shares of the torso's length; _SPINE_BACK, _NECK_BACK: of half the body's depth.
_SPINE_LEVELS = {"Hips": 0.202, "Spine": 0.362, "Spine1": 0.538, "Spine2": 0.736}
_SPINE_BACK = {"Hips": 0.116, "Spine": 0.29, "Spine1": 0.355, "Spine2": 0.575}
_NECK_BELOW, _NECK_BACK = 0.15, 0.1
_HEAD_ABOVE, _HEAD_AHEAD = 0.079, 0.02
_MAX_HEAD_ABOVE = 0.3
"""Share of the height from the neck to the top."""
_PELVIS_LEVEL = 0.15
_CHEST_DEPTH, _MAX_DEPTH, _MAX_BEHIND = 0.9, 1.1, 0.1
"""Shares of the pelvis' depth."""
_MAX_BODY_DEPTH, _MAX_BODY_WIDTH, _MIN_LONG_ARM = 0.85, 2.2, 0.2
"""Shares of the body's height."""
_NO_HUMANOID = (
    "no standing human figure was recognized; joints that could not be found were placed by average "
    "proportions. Look at the rig before you use it, or try a picture or mesh of the whole figure, upright, "
    "seen from the front, with arms and legs apart ({})"
)


@dataclass(frozen=True, eq=False)
class FittedSkeleton:
    """A skeleton fitted to a mesh, and what was measured on the way.

    pose: the recognized rest pose, one of REST_POSES (`No`: none of them).
    metrics: arm_drop_left/right and leg_spread_left/right in degrees; arm_span, from fingertip to
    fingertip, and head_share, from the neck up, as shares of the height; neck_prominence, arms_found,
    legs_found.
    """

    skeleton: Skeleton
    pose: str
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


def fit_skeleton(
    mesh: Mesh,
    *,
    pose_type: str = "大-pose",
    fingers: bool = False,
    strict: bool = False,
    progress: Progress = ignore_progress,
) -> FittedSkeleton:
    """Fit a skeleton with Mixamo's joint names to a mesh that stands upright and faces +Z.

    The mesh may have any scale and position, several components, holes or inward winding. The limbs follow
    the mesh; a warning says where it contradicts `pose_type` or hides a part. With `fingers`, a hand whose
    fingers are separate gets finger joints (see `fit_fingers`); a warning says why others do not.
    A mesh that is not a humanoid gets what cannot be measured on it by average proportions, and a warning
    with the measurements; with `strict` it raises RigError instead. Raises ValueError for an unknown
    `pose_type`, and RigError for a mesh that encloses no volume.
    """
    if pose_type not in REST_POSES:
        raise ValueError(f"pose_type: expected one of {', '.join(REST_POSES)}, got {pose_type!r}")
    progress(0.0)
    solid = strip_sheets(voxelize_mesh(mesh))
    progress(0.2)
    torso, hands = _measure_body(solid)
    problem = _explain_no_humanoid(solid, torso, hands)
    if problem and strict:
        raise RigError(f"the mesh is not a standing humanoid: {problem}")
    progress(0.4)
    body = place_torso(torso) if problem else torso
    arms, legs = _fit_limbs(solid, body, hands, span_progress(progress, 0.4, 0.8))
    positions = _collect_positions(solid, body, arms, legs)
    found, notes = fit_fingers(mesh, arms, span_progress(progress, 0.8, 1.0)) if fingers else ({}, [])
    skeleton = build_skeleton(positions | found)
    pose = _classify_pose(body, arms, legs)
    if problem:
        notes = [_NO_HUMANOID.format(problem), *notes]
    else:
        notes = [*_describe_hidden(torso, arms), *_describe_mismatch(pose_type, pose, arms, legs), *notes]
    progress(1.0)
    return FittedSkeleton(skeleton, pose, tuple(notes), _list_metrics(torso, hands, arms, legs))


def _measure_body(solid: VoxelSolid) -> tuple[Torso, tuple[HandTip | None, HandTip | None]]:
    """Torso and hands; a neck that cannot be seen is placed above the armpits."""
    torso = measure_torso(solid)
    hands = find_hands(solid, torso)
    if torso.has_neck:
        return torso, hands
    for _ in range(2):
        armpits = [
            find_armpit(solid, torso, hand.position, side)
            for side, hand in zip((1, -1), hands, strict=True)
            if hand
        ]
        levels = [armpit[1] for armpit in armpits if armpit is not None]
        if levels:
            torso = move_neck(torso, max(levels))
    return torso, find_hands(solid, torso)


def _explain_no_humanoid(
    solid: VoxelSolid, torso: Torso, hands: tuple[HandTip | None, HandTip | None]
) -> str:
    """Say, with measurements, why the body is no humanoid; "" if it is one.

    It has a neck and legs or arms, or else legs and long arms, is taller than deep and, without legs, stands
    on the ground below its middle, as a robe does.
    """
    width, height, depth = (float(value) for value in solid.size * (np.ptp(solid.indices, axis=0) + 1))
    arms = sum(hand is not None for hand in hands)
    reach = min(hand.reach if hand else 0.0 for hand in hands)
    stands = torso.has_legs or _is_on_ground(solid, torso)
    if torso.has_neck:
        is_body = torso.has_legs or arms == 2
    else:
        is_body = torso.has_legs and reach > _MIN_LONG_ARM * torso.height
    if is_body and stands and depth <= _MAX_BODY_DEPTH * height and width <= _MAX_BODY_WIDTH * height:
        return ""
    legs = "no pair of legs was found" + ("" if stands else " and nothing stands below its middle")
    return (
        f"{'two legs were found' if torso.has_legs else legs}, "
        f"neck prominence {torso.neck_prominence:.2f} (a neck has {MIN_NECK_PROMINENCE} or more), "
        f"{arms} of 2 arms are free of the body, the shorter by {reach:.2f} m; it is {width:.2f} m wide, "
        f"height {height:.2f} m, {depth:.2f} m deep (a body is at most {_MAX_BODY_WIDTH} times as wide and "
        f"{_MAX_BODY_DEPTH} times as deep as it is tall)"
    )


def _is_on_ground(solid: VoxelSolid, torso: Torso) -> bool:
    """Whether most rows of the lowest quarter have cells below the body's middle."""
    low = solid.indices[:, 1] < solid.indices[:, 1].min() + 0.25 * torso.height / solid.size
    near = np.abs(solid.centers[:, 0] - torso.middle) < 0.1 * torso.height
    return len(np.unique(solid.indices[low & near, 1])) > 0.5 * len(np.unique(solid.indices[low, 1]))


def _fit_limbs(
    solid: VoxelSolid,
    torso: Torso,
    hands: tuple[HandTip | None, HandTip | None],
    progress: Progress,
) -> tuple[dict[str, Arm], dict[str, Leg]]:
    """Arms and legs by side; those that cannot be measured are placed by average proportions."""
    arms, legs = {}, {}
    for number, (side, sign, hand) in enumerate(zip(("Left", "Right"), (1, -1), hands, strict=True)):
        arm = fit_arm(solid, torso, hand, sign)
        arms[side] = arm if is_believable_arm(arm, torso, sign) else place_arm(solid, torso, sign)
        progress(0.5 * number + 0.25)
        leg = fit_leg(solid, torso, sign)
        legs[side] = leg if is_believable_leg(leg, torso) else place_leg(solid, torso, sign)
        progress(0.5 * number + 0.5)
    return arms, legs


def _collect_positions(
    solid: VoxelSolid, torso: Torso, arms: Mapping[str, Arm], legs: Mapping[str, Leg]
) -> dict[str, Float64Array]:
    top = torso.ground + torso.height
    levels = {name: torso.crotch + share * torso.length for name, share in _SPINE_LEVELS.items()}
    positions = {name: _axis_point(solid, torso, y, _SPINE_BACK[name]) for name, y in levels.items()}
    chest = _axis_point(solid, torso, torso.neck - _NECK_BELOW * torso.length, _NECK_BACK)
    positions["Neck"] = np.array((chest[0], torso.neck, chest[2]))
    above = min(_HEAD_ABOVE * torso.length, _MAX_HEAD_ABOVE * (top - torso.neck))
    positions["Head"] = positions["Neck"] + (0.0, above, _HEAD_AHEAD * torso.length)
    positions["HeadTop_End"] = np.array((positions["Head"][0], top, positions["Head"][2]))
    for side, arm in arms.items():
        upper = zip(ARM_PARTS, (arm.collar, arm.shoulder, arm.elbow, arm.wrist), strict=True)
        positions |= {side + part: joint for part, joint in upper}
    for side, leg in legs.items():
        lower = zip(
            (*LEG_PARTS, "Toe_End"), (leg.hip, leg.knee, leg.ankle, leg.toe_base, leg.toe_end), strict=True
        )
        positions |= {side + part: joint for part, joint in lower}
    return positions


def _axis_point(solid: VoxelSolid, torso: Torso, y: float, back: float) -> Float64Array:
    """Joint (3,) of the spine at height y, behind the middle by `back`, a share of half the body's depth.

    Where the body is deeper than the pelvis and extends behind it, that is hair or a cape and left out.
    """
    depths = _axis_depths(solid, torso, y)
    pelvis = _axis_depths(solid, torso, torso.crotch + _PELVIS_LEVEL * torso.length)
    deep = float(np.ptp(pelvis))
    behind = float(pelvis.min() - depths.min())
    if np.ptp(depths) > _MAX_DEPTH * deep and behind > _MAX_BEHIND * deep:
        depths = depths[depths >= depths.max() - _CHEST_DEPTH * deep]
    half = 0.5 * float(np.ptp(depths))
    return np.array((torso.middle, y, depths.mean() - back * half))


def _axis_depths(solid: VoxelSolid, torso: Torso, y: float) -> Float64Array:
    """z (K,) of the cells around the body's axis at height y."""
    offset = np.abs(solid.centers[:, :2] - (torso.middle, y)).max(axis=1)
    return solid.centers[offset <= max(0.02 * torso.height, offset.min()), 2]


def _classify_pose(torso: Torso, arms: Mapping[str, Arm], legs: Mapping[str, Leg]) -> str:
    """Classify the rest pose by the angles of the arms, of the legs, and from the crotch to the ankles."""
    drops = [arm.drop for arm in arms.values()]
    drop, spread = float(np.mean(drops)), float(np.mean([leg.spread for leg in legs.values()]))
    if abs(drops[0] - drops[1]) > 35 or drop < -45:
        return "No"
    steps = [abs(leg.ankle[0] - torso.middle) / (torso.crotch - leg.ankle[1]) for leg in legs.values()]
    stride = float(np.degrees(np.arctan(np.mean(steps))))
    if (spread >= 10 or (stride >= 18 and spread >= 6)) and drop < 40:
        return "大-pose"
    return "T-pose" if -30 < drop <= 20 else "A-pose" if drop > 0 else "No"


def _describe_mismatch(
    pose_type: str, pose: str, arms: Mapping[str, Arm], legs: Mapping[str, Leg]
) -> list[str]:
    if pose_type in ("No", pose):
        return []
    drop = np.mean([arm.drop for arm in arms.values()])
    spread = np.mean([leg.spread for leg in legs.values()])
    seen = "no known rest pose" if pose == "No" else f"the {pose}"
    tilt = f"{abs(drop):.0f}° {'below' if drop >= 0 else 'above'}"
    return [
        f"pose_type is {pose_type}, but the mesh shows {seen} (arms {tilt} the horizontal, "
        f"legs {spread:.0f}° off the vertical); the skeleton follows the mesh"
    ]


def _describe_hidden(torso: Torso, arms: Mapping[str, Arm]) -> list[str]:
    warnings = []
    if not torso.has_legs:
        warnings.append("the legs are not separate; they were placed by average proportions")
    elif torso.has_hem:
        warnings.append("a skirt hides the crotch; the hips were placed by average proportions")
    if not torso.has_neck:
        warnings.append("no neck is visible; it was placed by average proportions")
    for side, arm in arms.items():
        if not arm.is_free:
            warnings.append(
                f"the {side.lower()} arm is not separate from the body; it was placed along the outline"
            )
        elif arm.is_fused:
            warnings.append(f"the {side.lower()} upper arm is fused with the torso")
    return warnings


def _list_metrics(
    torso: Torso,
    hands: tuple[HandTip | None, HandTip | None],
    arms: Mapping[str, Arm],
    legs: Mapping[str, Leg],
) -> dict[str, float]:
    metrics = {
        "neck_prominence": torso.neck_prominence,
        "head_share": (torso.ground + torso.height - torso.neck) / torso.height,
        "arm_span": float(arms["Left"].tip[0] - arms["Right"].tip[0]) / torso.height,
        "arms_found": float(sum(hand is not None for hand in hands)),
        "legs_found": 2.0 * torso.has_legs,
    }
    for side in ("Left", "Right"):
        metrics[f"arm_drop_{side.lower()}"] = arms[side].drop
        metrics[f"leg_spread_{side.lower()}"] = legs[side].spread
    return metrics
