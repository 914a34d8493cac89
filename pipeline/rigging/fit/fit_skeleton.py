"""Fitting of the humanoid skeleton to a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ...conventions import REST_POSES
from ...errors import RigError
from ...figure import Figure
from ...mesh.blades import drop_blades, find_blades
from ...mesh.pieces import split_pieces
from ...progress import Progress, ignore_progress, span_progress
from ...types import Float64Array, Mesh, Skeleton
from ..appendages import Appendage, add_joints, find_appendages, hold_blades
from ..skeleton import ARM_PARTS, LEG_PARTS, PREFIX, build_skeleton
from ..voxel_solid import VoxelSolid
from ..voxelize import voxelize_mesh
from .arms import Arm, find_armpit, fit_arm
from .descriptions import (
    NO_HUMANOID,
    STIFF_LEGS,
    describe_blades,
    describe_hidden,
    describe_mismatch,
    explain_no_humanoid,
)
from .figure_limbs import fold_leg, follow_arm, follow_leg, follow_torso, overlap_legs
from .figure_points import ALL_ARMS, ALL_LEGS, FORMLESS, HALF_KNOWN, FigurePoints, place_landmarks
from .fingers import fit_fingers
from .front_view import FrontView
from .hands import HandTip, find_hands
from .legs import Leg, fit_leg
from .lobes import are_arms, find_arms, find_legs
from .merge_joints import is_sure, merge_arm, merge_leg, merge_torso, merge_trunk
from .proportions import is_believable_arm, is_believable_leg, place_arm, place_leg, place_torso
from .see_joints import SeenJoints, see_joints
from .spine import place_spine
from .thin_sheets import strip_sheets
from .torso import Torso, measure_torso, move_neck

_MAX_SLENDERNESS = 10
"""Longest side over the second longest."""


@dataclass(frozen=True, eq=False)
class FittedSkeleton:
    """A skeleton fitted to a mesh, and what was measured on the way.

    pose: the recognized rest pose, one of REST_POSES (`No`: none of them).
    hidden: names of the joints of limbs that are not in the picture, or only on the trunk's surface; nothing
    is bound to them: they stay with chest and hips.
    legs_apart_below: height, metres, below which the picture shows two legs, although they may touch.
    metrics: arm_drop_left/right and leg_spread_left/right in degrees; arm_span, from fingertip to
    fingertip, and head_share, from the neck up, as shares of the height; neck_prominence, arms_found,
    legs_found, figure_followed, and joints_seen, 1 where the joint network is sure of what it sees.
    appendages: what hangs on the body and is no limb; their joints are the skeleton's last.
    solid: the interior of the mesh, without the pieces that a hand holds.
    """

    skeleton: Skeleton
    pose: str
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    legs_apart_below: float = float("-inf")
    appendages: tuple[Appendage, ...] = ()
    solid: VoxelSolid | None = None


def fit_skeleton(
    mesh: Mesh,
    *,
    figure: Figure | None = None,
    pose_type: str = "大-pose",
    fingers: bool = False,
    strict: bool = False,
    progress: Progress = ignore_progress,
) -> FittedSkeleton:
    """Fit a skeleton with Mixamo's joint names to a mesh that stands upright and faces +Z.

    The mesh may have any scale and position, several components, holes or inward winding. The limbs follow
    the mesh; a warning says where it contradicts `pose_type` or hides a part. With `fingers`, a hand whose
    fingers are separate gets finger joints (see `fit_fingers`); a warning says why others do not.
    `figure`, read in the picture that the mesh was made from, says where the joints are in x and y, as far as
    it is sure; their depth, and all else, comes from the mesh. Without a figure, or where it shows no
    body, both what is measured and what the joint network sees in views of the mesh count where they agree,
    else the network does where it is sure.
    A mesh that is not a humanoid gets what cannot be measured on it by average proportions, and a warning
    with the measurements; with `strict` it raises RigError instead. Raises ValueError for an unknown
    `pose_type`, and RigError for a mesh that encloses no volume, a bar or a pole.
    """
    if pose_type not in REST_POSES:
        raise ValueError(f"pose_type: expected one of {', '.join(REST_POSES)}, got {pose_type!r}")
    progress(0.0)
    blades = find_blades(split_pieces(mesh)) if figure is None and len(mesh.faces) else []
    unarmed = replace(mesh, faces=drop_blades(mesh.faces, blades))
    whole = voxelize_mesh(unarmed)
    _require_body(whole)
    solid = strip_sheets(whole)
    progress(0.2)
    points = None if figure is None else place_landmarks(figure, mesh)
    view = FrontView(solid)
    body, hands, limbs, problem, hidden, is_armless = _read_body(view, points)
    seen = see_joints(unarmed) if limbs is None and not hidden else None
    seen = seen if seen is not None and is_sure(seen) else None
    problem = "" if seen is not None else problem
    if problem and strict:
        raise RigError(f"the mesh is not a standing humanoid: {problem}")
    progress(0.4)
    is_legless = bool(hidden)
    arms, legs = _fit_limbs(view, body, hands, limbs, is_legless, span_progress(progress, 0.4, 0.8))
    trunk = place_spine(solid, body)
    if seen is not None:
        trunk = merge_trunk(trunk, seen, body.height)
        body, arms, legs = _merge_limbs(body, trunk, arms, legs, seen)
    if is_armless or (points is not None and points.kind == FORMLESS and not are_arms(arms, body)):
        hidden += ALL_ARMS
    positions = _collect_positions(trunk, arms, legs)
    found, notes = fit_fingers(mesh, arms, span_progress(progress, 0.8, 1.0)) if fingers else ({}, [])
    skeleton = build_skeleton(positions | found)
    pose = _classify_pose(body, arms, legs)
    notes = [*describe_hidden(body, arms, hidden), *notes]
    hidden += [side + part for side, arm in arms.items() if arm.is_held for part in ARM_PARTS[1:]]
    if limbs is not None and not is_legless and overlap_legs(body, *legs.values()):
        hidden += ALL_LEGS
        notes.append(STIFF_LEGS)
    if problem:
        notes.insert(0, NO_HUMANOID.format(problem))
    elif figure is None:
        notes += describe_mismatch(pose_type, pose, arms, legs)
    progress(1.0)
    metrics = _list_metrics(body, hands, arms, legs)
    metrics |= {"figure_followed": float(limbs is not None), "joints_seen": float(seen is not None)}
    apart = float("-inf") if limbs is None else limbs.find_leg_gap(legs["Left"].line, legs["Right"].line)
    names = tuple(PREFIX + name for name in hidden)
    if limbs is None:
        appendages = hold_blades(mesh, skeleton, blades)
        notes += describe_blades(appendages)
    else:
        appendages = find_appendages(whole, skeleton, limbs, hidden)
    skeleton = add_joints(skeleton, appendages)
    return FittedSkeleton(skeleton, pose, tuple(notes), metrics, names, apart, tuple(appendages), whole)


def _require_body(solid: VoxelSolid) -> None:
    """Raise RigError for a bar or a pole, in which no joint has a place."""
    sides = solid.size * (np.ptp(solid.indices, axis=0) + 1.0)
    _, middle, longest = np.sort(sides)
    if longest > _MAX_SLENDERNESS * middle:
        width, height, depth = sides
        raise RigError(
            f"the mesh is no figure: it is {width:.3g} m wide, {height:.3g} m high and {depth:.3g} m deep, "
            f"{longest / middle:.0f} times as long as thick; a figure is at most {_MAX_SLENDERNESS} times"
        )


class _Body(NamedTuple):
    """limbs: what the limbs follow, if anything. problem: why it is no humanoid, or "".

    hidden: joints of limbs that it lacks. is_armless: whether no arms can be told from it.
    """

    torso: Torso
    hands: tuple[HandTip | None, HandTip | None]
    limbs: FigurePoints | None
    problem: str
    hidden: list[str]
    is_armless: bool


def _read_body(view: FrontView, points: FigurePoints | None) -> _Body:
    """Torso and hands where the figure has them, else as measured; without human form by the outline."""
    torso = measure_torso(view.solid)
    is_formless = points is not None and points.kind == FORMLESS
    legged = find_legs(view, torso) if is_formless else None
    armed = find_arms(view, legged or torso) if is_formless else None
    torso, hands = _find_hands(view.solid, armed or legged or torso)
    followed = None if points is None or armed or legged else follow_torso(torso, points)
    problem = "" if followed else explain_no_humanoid(view.solid, torso, hands)
    hidden = [] if points is None else points.list_hidden()
    if is_formless and not legged:
        hidden += ALL_LEGS
    body = followed or (place_torso(torso) if problem else torso)
    return _Body(body, hands, points if followed else None, problem, hidden, is_formless and not armed)


def _find_hands(solid: VoxelSolid, torso: Torso) -> tuple[Torso, tuple[HandTip | None, HandTip | None]]:
    """Torso and hands; a neck that cannot be seen is placed above the armpits."""
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


def _fit_limbs(
    view: FrontView,
    torso: Torso,
    hands: tuple[HandTip | None, HandTip | None],
    points: FigurePoints | None,
    is_legless: bool,
    progress: Progress,
) -> tuple[dict[str, Arm], dict[str, Leg]]:
    """Arms and legs by side: where the figure has them, else as measured, else by average proportions."""
    arms, legs = {}, {}
    for number, (side, sign, hand) in enumerate(zip(("Left", "Right"), (1, -1), hands, strict=True)):
        arms[side] = _fit_arm(view, torso, hand, points, sign)
        progress(0.5 * number + 0.25)
        legs[side] = fold_leg(view, torso, sign) if is_legless else _fit_leg(view, torso, points, sign)
        progress(0.5 * number + 0.5)
    return arms, legs


def _merge_limbs(
    torso: Torso,
    trunk: Mapping[str, Float64Array],
    arms: dict[str, Arm],
    legs: dict[str, Leg],
    seen: SeenJoints,
) -> tuple[Torso, dict[str, Arm], dict[str, Leg]]:
    """What was measured, merged with what is seen."""
    signs = {"Left": 1, "Right": -1}
    arms = {side: merge_arm(arms[side], seen, torso.height, sign) for side, sign in signs.items()}
    legs = {side: merge_leg(legs[side], seen, torso.height, sign) for side, sign in signs.items()}
    return merge_torso(torso, trunk, legs), arms, legs


def _fit_arm(
    view: FrontView, torso: Torso, hand: HandTip | None, points: FigurePoints | None, side: int
) -> Arm:
    if points is not None and (followed := follow_arm(view, torso, points, side)):
        return followed
    measured = fit_arm(view.solid, torso, hand, side)
    is_arm = is_believable_arm(measured, torso, side)
    if points is None:
        return measured if is_arm else place_arm(view.solid, torso, side)
    if is_arm and measured.is_free and points.may_be_hand(measured.wrist, side):
        return measured
    half_known = follow_arm(view, torso, points, side, HALF_KNOWN)
    if half_known is not None and points.shows_arm(half_known.line[1:], side):
        return replace(half_known, is_held=False)
    return replace(place_arm(view.solid, torso, side), is_held=True)


def _fit_leg(view: FrontView, torso: Torso, points: FigurePoints | None, side: int) -> Leg:
    if points is not None and (followed := follow_leg(view, torso, points, side)):
        return followed
    measured = fit_leg(view.solid, torso, side)
    return measured if is_believable_leg(measured, torso) else place_leg(view.solid, torso, side)


def _collect_positions(
    trunk: Mapping[str, Float64Array], arms: Mapping[str, Arm], legs: Mapping[str, Leg]
) -> dict[str, Float64Array]:
    positions = dict(trunk)
    for side, arm in arms.items():
        upper = zip(ARM_PARTS, (arm.collar, arm.shoulder, arm.elbow, arm.wrist), strict=True)
        positions |= {side + part: joint for part, joint in upper}
    for side, leg in legs.items():
        lower = zip(
            (*LEG_PARTS, "Toe_End"), (leg.hip, leg.knee, leg.ankle, leg.toe_base, leg.toe_end), strict=True
        )
        positions |= {side + part: joint for part, joint in lower}
    return positions


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
