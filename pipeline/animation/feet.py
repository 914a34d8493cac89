"""Foot contacts: targets for the ankles with which no foot slides or sinks.

A foot in contact rolls over its sole without sliding: while its pitch changes by da, the ankle, h above the
ground, moves forward by h da; while it rolls over the toes, h is measured from their joint. Between contacts
the foot follows the clip. All in the frame of the T-pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..rigging.pose.posing import turn_about
from ..types import BoolArray, Float64Array, RiggedCharacter

_LEVEL_PITCH = 4.0
"""Degrees."""
_SWING_CLEARANCE = 0.012


@dataclass(frozen=True, eq=False)
class Sole:
    """The vertices of one foot in the T-pose.

    points: (N, 3) relative to the ankle, metres. toe_share: (N,) skin weight of the toes, 0..1.
    toe: (3,) joint of the toes relative to the ankle, metres.
    """

    points: Float64Array
    toe_share: Float64Array
    toe: Float64Array

    def measure_heights(self, feet: Float64Array, toes: Float64Array) -> tuple[Float64Array, Float64Array]:
        """Return heights (T,) and (T,) above the lowest point, metres, for turns (T, 3, 3) of foot and toes.

        The first is that of the ankle, the second that of the toes' joint times the lowest point's toe share.
        """
        rigid = self.points @ feet[:, 1, :].T
        bent = (self.points - self.toe) @ toes[:, 1, :].T + feet[:, 1, :] @ self.toe
        heights = rigid + self.toe_share[:, None] * (bent - rigid)
        lowest = heights.argmin(axis=0)
        ankle = -heights[lowest, np.arange(len(feet))]
        return ankle, self.toe_share[lowest] * (ankle + feet[:, 1, :] @ self.toe)


def measure_sole(character: RiggedCharacter, t_pose: Float64Array, side: str) -> Sole:
    """Return the sole of one foot; side: "left" or "right"; t_pose: (J, 3, 3) from `measure_t_pose`.

    If no vertex is bound to the foot, its sole is the point on the ground (y = 0) below its ankle.
    """
    skeleton, mesh, skin = character.skeleton, character.textured.mesh, character.skin
    ankle = skeleton.roles[side + "Foot"]
    turn, position = t_pose[ankle], skeleton.positions[ankle].astype(np.float64)
    descendants = skeleton.list_below(ankle)
    toe = skeleton.roles.get(side + "Toes", ankle)
    foot_share, toe_share = (
        (skin.weights * np.isin(skin.joints, joints)).sum(axis=1)
        for joints in (descendants, skeleton.list_below(toe) if toe != ankle else [])
    )
    bound = np.flatnonzero(foot_share >= 0.5)
    offset = turn @ (skeleton.positions[toe].astype(np.float64) - position)
    if not len(bound):
        return Sole(np.array(((0.0, -position[1], 0.0),)), np.zeros(1), offset)
    points = (mesh.positions[bound].astype(np.float64) - position) @ turn.T
    return Sole(points, toe_share[bound] / foot_share[bound], offset)


@dataclass(frozen=True, eq=False)
class Contact:
    """When one foot is on the ground, at T samples of one loop without its end.

    since: (T,) seconds since the foot touched down. stance: (T,) bool, on the ground. period: of the loop,
    seconds.
    """

    since: Float64Array
    stance: BoolArray
    period: float

    @property
    def swing(self) -> Float64Array:
        """(T,) progress of the swing phase, 0..1; 0 on the ground."""
        last = float(self.since[self.stance].max())
        return np.where(self.stance, 0.0, (self.since - last) / max(self.period - last, 1e-9))

    def blend(self, shift: Float64Array) -> Float64Array:
        """Return corrections (T, n): `shift` in stance, eased from its last to its first value in swing."""
        if not self.stance.any() or self.stance.all():
            return shift
        order = np.argsort(self.since, kind="stable")
        first, last = shift[order[0]], shift[order[self.stance.sum() - 1]]
        ease = (3 * self.swing**2 - 2 * self.swing**3)[:, None]
        return np.where(self.stance[:, None], shift, last + ease * (first - last))


def measure_pitch(feet: Float64Array) -> Float64Array:
    """Return the pitch (T,) of turns (T, 3, 3), radians; positive where the toes are lowered."""
    return np.arctan2(-feet[:, 1, 2], np.hypot(feet[:, 0, 2], feet[:, 2, 2]))


def level_feet(feet: Float64Array, contact: Contact) -> tuple[Float64Array, Float64Array]:
    """Return the turns (T, 3, 3) of a foot without roll, and their pitch (T,), radians.

    A nearly level foot is made level, and the yaw is constant in stance. A positive pitch lowers the toes.
    """
    forward, pitch = feet[:, :, 2], measure_pitch(feet)
    yaw = np.arctan2(forward[:, 0], forward[:, 2])
    if contact.stance.any():
        yaw = yaw + contact.blend((yaw[contact.stance].mean() - yaw)[:, None])[:, 0]
    pitch *= 1.0 - np.exp(-((pitch / np.radians(_LEVEL_PITCH)) ** 2))
    return turn_about("y", np.degrees(yaw)) @ turn_about("x", np.degrees(pitch)), pitch


@dataclass(frozen=True, eq=False)
class FootMotion:
    """The motion of one foot in the clip, at the samples of its Contact.

    ankle: (T, 3) metres. feet: (T, 3, 3) turns from `level_feet`. pitch, toe_pitch: (T,) of the foot and its
    toes, radians. height, toe_height: (T,) metres, see `Sole.measure_heights`.
    """

    ankle: Float64Array
    feet: Float64Array
    pitch: Float64Array
    toe_pitch: Float64Array
    height: Float64Array
    toe_height: Float64Array
    contact: Contact

    def roll(self) -> Float64Array:
        """Return (T, 2), how far rolling over the sole moves the ankle in x and z, metres; 0 when level."""
        order = np.argsort(self.contact.since, kind="stable")
        pitch, toe_pitch = self.pitch[order], self.toe_pitch[order]
        height, toe_height = self.height[order], self.toe_height[order]
        steps = np.diff(pitch) * _midpoints(height - toe_height) + np.diff(toe_pitch) * _midpoints(toe_height)
        rolled = np.concatenate(((0.0,), np.cumsum(steps)))
        level = np.abs(pitch) + 1e3 * ~self.contact.stance[order]
        rolled -= rolled[np.argmin(level)]
        heading = self.feet[order][:, (0, 2), 2]
        heading /= np.maximum(np.linalg.norm(heading, axis=1, keepdims=True), 1e-9)
        displacement = np.empty((len(order), 2))
        displacement[order] = rolled[:, None] * heading
        return displacement


def _midpoints(values: Float64Array) -> Float64Array:
    return (values[1:] + values[:-1]) / 2


def solve_ankles(motions: dict[str, FootMotion]) -> dict[str, Float64Array]:
    """Return side -> (T, 3), targets for the ankles with which feet in contact neither slide nor sink.

    The ground moves backwards at a constant speed, fitted to the clip's feet.
    """
    footprints = {side: motion.ankle[:, (0, 2)] - motion.roll() for side, motion in motions.items()}
    speed = float(np.mean([_fit_speed(footprints[side], motion.contact) for side, motion in motions.items()]))
    return {side: _solve_ankle(motion, footprints[side], speed) for side, motion in motions.items()}


def _fit_speed(footprints: Float64Array, contact: Contact) -> float:
    """Speed at which a foot in contact moves backwards, metres per second."""
    stance = contact.stance
    return 0.0 if stance.all() else -float(np.polyfit(contact.since[stance], footprints[stance, 1], 1)[0])


def _solve_ankle(motion: FootMotion, footprints: Float64Array, speed: float) -> Float64Array:
    contact = motion.contact
    ground = np.stack((np.zeros(len(footprints)), -speed * contact.since), axis=1)
    ground += (footprints - ground)[contact.stance].mean(axis=0)
    shift = np.insert(ground - footprints, 1, motion.height - motion.ankle[:, 1], axis=1)
    target = motion.ankle + contact.blend(shift)
    return target if contact.stance.all() else _clear_ground(motion, target)


def _clear_ground(motion: FootMotion, target: Float64Array) -> Float64Array:
    """Targets (T, 3) raised so that the foot does not touch the ground in its swing phase."""
    free = 4 * motion.contact.swing * (1 - motion.contact.swing)
    lowest = motion.height + _SWING_CLEARANCE * np.ptp(motion.ankle[:, 2]) * free
    gap = target[:, 1] - lowest
    lifted = target.copy()
    lifted[:, 1] = lowest + (gap + np.hypot(gap, _SWING_CLEARANCE * motion.height * free)) / 2
    return np.where(motion.contact.stance[:, None], target, lifted)
