"""Feet on the ground: where each ankle has to be so that no foot slides or sinks.

A foot in contact rolls over its own sole without sliding: while its pitch changes by da, the ankle, h above
the ground, moves on by h da; over toes that stay behind, h counts from their joint. Between contacts it
follows the clip. All in the frame of the T-pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rigging.pose.posing import Transforms, turn_about
from ..rigging.voxel_solid import Points
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

    def measure_heights(self, feet: Transforms, toes: Transforms) -> tuple[Points, Points]:
        """Return metres above the lowest point, (T,) each, for turns (T, 3, 3) of foot and toes.

        First of the ankle; then of the joint of the toes as far as the lowest point is bound to them.
        """
        rigid = self.points @ feet[:, 1, :].T
        bent = (self.points - self.toe) @ toes[:, 1, :].T + feet[:, 1, :] @ self.toe
        heights = rigid + self.toe_share[:, None] * (bent - rigid)
        lowest = heights.argmin(axis=0)
        ankle = -heights[lowest, np.arange(len(feet))]
        return ankle, self.toe_share[lowest] * (ankle + feet[:, 1, :] @ self.toe)


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


@dataclass(frozen=True, eq=False)
class Contact:
    """When one foot is on the ground, at T samples of one loop whose end is left out.

    since: (T,) seconds since the foot came down. stance: (T,) bool, still on the ground. period: seconds.
    """

    since: Points
    stance: BoolArray
    period: float

    @property
    def flight(self) -> Points:
        """(T,) the share of the way through the air, 0 on the ground."""
        last = float(self.since[self.stance].max())
        return np.where(self.stance, 0.0, (self.since - last) / max(self.period - last, 1e-9))

    def carry(self, shift: Points) -> Points:
        """Return corrections (T, n) that are `shift` on the ground and lead over from its end in the air."""
        if not self.stance.any() or self.stance.all():
            return shift
        order = np.argsort(self.since, kind="stable")
        first, last = shift[order[0]], shift[order[self.stance.sum() - 1]]
        ease = (3 * self.flight**2 - 2 * self.flight**3)[:, None]
        return np.where(self.stance[:, None], shift, last + ease * (first - last))


def measure_pitch(feet: Transforms) -> Points:
    """Return (T,) radians by which turns (T, 3, 3) lower the toes."""
    return np.arctan2(-feet[:, 1, 2], np.hypot(feet[:, 0, 2], feet[:, 2, 2]))


def level_feet(feet: Transforms, contact: Contact) -> tuple[Transforms, Points]:
    """Return the turns (T, 3, 3) of a foot without roll and their pitch (T,), radians.

    A foot that is nearly level is made level; one in contact does not turn on the ground. A positive pitch
    lowers the toes.
    """
    forward, pitch = feet[:, :, 2], measure_pitch(feet)
    yaw = np.arctan2(forward[:, 0], forward[:, 2])
    if contact.stance.any():
        yaw = yaw + contact.carry((yaw[contact.stance].mean() - yaw)[:, None])[:, 0]
    pitch *= 1.0 - np.exp(-((pitch / np.radians(_LEVEL_PITCH)) ** 2))
    return turn_about("y", np.degrees(yaw)) @ turn_about("x", np.degrees(pitch)), pitch


@dataclass(frozen=True, eq=False)
class Step:
    """What the clip makes of one foot at the samples of its Contact.

    ankle: (T, 3) metres. feet: (T, 3, 3) turns from `level_feet`. pitch, toe_pitch: (T,) radians of the foot
    and of its toes. height, toe_height: (T,) metres, see `Sole.measure_heights`.
    """

    ankle: Points
    feet: Transforms
    pitch: Points
    toe_pitch: Points
    height: Points
    toe_height: Points
    contact: Contact

    def roll(self) -> Points:
        """(T, 2) metres in x and z by which rolling over the sole moves the ankle, 0 where it is level."""
        order = np.argsort(self.contact.since, kind="stable")
        pitch, toe_pitch = self.pitch[order], self.toe_pitch[order]
        height, toe_height = self.height[order], self.toe_height[order]
        steps = np.diff(pitch) * _middle(height - toe_height) + np.diff(toe_pitch) * _middle(toe_height)
        rolled = np.concatenate(((0.0,), np.cumsum(steps)))
        level = np.abs(pitch) + 1e3 * ~self.contact.stance[order]
        rolled -= rolled[np.argmin(level)]
        heading = self.feet[order][:, (0, 2), 2]
        heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
        way = np.empty((len(order), 2))
        way[order] = rolled[:, None] * heading
        return way


def _middle(values: Points) -> Points:
    return (values[1:] + values[:-1]) / 2


def plan_ankles(steps: dict[str, Step]) -> dict[str, Points]:
    """Return side -> (T, 3), the ankles' places with which feet in contact neither slide nor sink.

    The ground moves back at one constant speed, that of the clip's feet.
    """
    prints = {side: step.ankle[:, (0, 2)] - step.roll() for side, step in steps.items()}
    speed = float(np.mean([_fit_speed(prints[side], step.contact) for side, step in steps.items()]))
    return {side: _plan_ankle(step, prints[side], speed) for side, step in steps.items()}


def _fit_speed(prints: Points, contact: Contact) -> float:
    """Metres a second by which a foot in contact goes back."""
    stance = contact.stance
    return 0.0 if stance.all() else -float(np.polyfit(contact.since[stance], prints[stance, 1], 1)[0])


def _plan_ankle(step: Step, prints: Points, speed: float) -> Points:
    contact = step.contact
    ground = np.stack((np.zeros(len(prints)), -speed * contact.since), axis=1)
    ground += (prints - ground)[contact.stance].mean(axis=0)
    shift = np.insert(ground - prints, 1, step.height - step.ankle[:, 1], axis=1)
    planned = step.ankle + contact.carry(shift)
    return planned if contact.stance.all() else _clear_ground(step, planned)


def _clear_ground(step: Step, planned: Points) -> Points:
    """Ankles' places (T, 3) at which the foot does not touch the ground on its way through the air."""
    free = 4 * step.contact.flight * (1 - step.contact.flight)
    lowest = step.height + _SWING_CLEARANCE * np.ptp(step.ankle[:, 2]) * free
    gap = planned[:, 1] - lowest
    lifted = planned.copy()
    lifted[:, 1] = lowest + (gap + np.hypot(gap, _SWING_CLEARANCE * step.height * free)) / 2
    return np.where(step.contact.stance[:, None], planned, lifted)
