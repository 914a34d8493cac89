"""Feet on the ground: where each ankle has to be so that no foot slides or sinks.

A foot in contact rolls over its own sole without sliding: while its pitch changes by da, the ankle, h above
the ground, moves on by h da. Between contacts it follows the clip. All in the frame of the T-pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rig.posing import Transforms, turn_about
from ..rig.solid import Points
from ..types import BoolArray, RiggedCharacter, Skeleton

_LEVEL_PITCH = 4.0
_SWING_CLEARANCE = 0.012


@dataclass(frozen=True, eq=False)
class Sole:
    """Vertices of one foot in T-pose.

    points: (N, 3) metres off the ankle. toe_share: (N,) weight of the toes.
    toe: (3,) the joint of the toes off the ankle.
    """

    points: Points
    toe_share: Points
    toe: Points

    def measure_heights(self, feet: Transforms, toes: Transforms) -> Points:
        """Return (T,) metres of the ankle above the lowest point, for turns (T, 3, 3) of foot and toes."""
        rigid = self.points @ feet[:, 1, :].T
        bent = (self.points - self.toe) @ toes[:, 1, :].T + feet[:, 1, :] @ self.toe
        return -(rigid + self.toe_share[:, None] * (bent - rigid)).min(axis=0)


def measure_sole(character: RiggedCharacter, t_pose: Transforms, side: str) -> Sole:
    """Return the sole of the foot of one side ("left"); t_pose: (J, 3, 3) from `measure_t_pose`.

    A foot that no vertex is bound to stands on the ground (y = 0) right below its ankle.
    """
    skeleton, mesh, skin = character.skeleton, character.textured.mesh, character.skin
    ankle = skeleton.roles[side + "Foot"]
    turn, place = t_pose[ankle], skeleton.positions[ankle].astype(np.float64)
    below = _list_below(skeleton, ankle)
    toe = skeleton.roles.get(side + "Toes", ankle)
    foot_share, toe_share = (
        (skin.weights * np.isin(skin.joints, joints)).sum(axis=1)
        for joints in (below, _list_below(skeleton, toe) if toe != ankle else [])
    )
    bound = np.flatnonzero(foot_share >= 0.5)
    offset = turn @ (skeleton.positions[toe].astype(np.float64) - place)
    if not len(bound):
        return Sole(np.array(((0.0, -place[1], 0.0),)), np.zeros(1), offset)
    points = (mesh.positions[bound].astype(np.float64) - place) @ turn.T
    return Sole(points, toe_share[bound] / foot_share[bound], offset)


def _list_below(skeleton: Skeleton, joint: int) -> list[int]:
    below = [joint]
    for index, parent in enumerate(skeleton.parents):
        if parent in below:
            below.append(index)
    return below


def level_feet(feet: Transforms) -> tuple[Transforms, Points]:
    """Return the turns (T, 3, 3) of a foot without roll and their pitch (T,), radians.

    A foot that is nearly level is made level. A positive pitch lowers the toes.
    """
    forward = feet[:, :, 2]
    yaw = np.arctan2(forward[:, 0], forward[:, 2])
    pitch = np.arctan2(-forward[:, 1], np.hypot(forward[:, 0], forward[:, 2]))
    pitch *= 1.0 - np.exp(-((pitch / np.radians(_LEVEL_PITCH)) ** 2))
    return turn_about("y", np.degrees(yaw)) @ turn_about("x", np.degrees(pitch)), pitch


@dataclass(frozen=True, eq=False)
class Step:
    """What the clip makes of one foot, T samples of one loop, the end left out.

    ankle: (T, 3) metres. feet: (T, 3, 3) turns from `level_feet`. pitch, height: (T,) radians, metres.
    since: (T,) seconds since the foot came down. stance: (T,) bool, on the ground.
    """

    ankle: Points
    feet: Transforms
    pitch: Points
    height: Points
    since: Points
    stance: BoolArray

    def roll(self) -> Points:
        """(T, 2) metres in x and z by which rolling over the sole moves the ankle, 0 where it is level."""
        order = np.argsort(self.since, kind="stable")
        pitch, height = self.pitch[order], self.height[order]
        steps = np.diff(pitch) * (height[1:] + height[:-1]) / 2
        rolled = np.concatenate(((0.0,), np.cumsum(steps)))
        level = np.abs(pitch) + 1e3 * ~self.stance[order]
        rolled -= rolled[np.argmin(level)]
        heading = self.feet[order][:, (0, 2), 2]
        heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
        way = np.empty((len(order), 2))
        way[order] = rolled[:, None] * heading
        return way


def plan_ankles(steps: dict[str, Step], period: float) -> dict[str, Points]:
    """Return side -> (T, 3), the ankles' places with which feet in contact neither slide nor sink.

    The ground moves back at one constant speed, that of the clip's feet.
    """
    prints = {side: step.ankle[:, (0, 2)] - step.roll() for side, step in steps.items()}
    speed = float(np.mean([_fit_speed(prints[side], step) for side, step in steps.items()]))
    return {side: _plan_ankle(step, prints[side], speed, period) for side, step in steps.items()}


def _fit_speed(prints: Points, step: Step) -> float:
    """Metres a second by which a foot in contact goes back."""
    since, z = step.since[step.stance], prints[step.stance, 1]
    return 0.0 if step.stance.all() else -float(np.polyfit(since, z, 1)[0])


def _plan_ankle(step: Step, prints: Points, speed: float, period: float) -> Points:
    stance, since = step.stance, step.since
    ground = np.stack((np.zeros(len(since)), -speed * since), axis=1)
    ground += (prints[stance] - ground[stance]).mean(axis=0)
    wanted = step.ankle.copy()
    wanted[:, (0, 2)] += ground - prints
    wanted[stance, 1] = step.height[stance]
    if stance.all():
        return wanted
    last = since[stance].max()
    share = np.clip((since - last) / (period - last), 0.0, 1.0)[~stance]
    order = np.argsort(since)
    shift = wanted - step.ankle
    first, final = shift[order[0]], shift[order[stance.sum() - 1]]
    ease = (share * share * (3 - 2 * share))[:, None]
    planned = wanted
    planned[~stance] = step.ankle[~stance] + final + ease * (first - final)
    free = 4 * share * (1 - share)
    lowest = step.height[~stance] + _SWING_CLEARANCE * float(np.ptp(step.ankle[:, 2])) * free
    gap = planned[~stance, 1] - lowest
    planned[~stance, 1] = lowest + (gap + np.hypot(gap, _SWING_CLEARANCE * free * lowest)) / 2
    return planned
