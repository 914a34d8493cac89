"""A motion of no particular skeleton: what its humanoid roles do, relative to the T-pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from ..humanoid import SIDES
from ..types import Float64Array


@dataclass(frozen=True, eq=False)
class Motion:
    """Rotations of humanoid roles in the frame of conventions.py, and where the pelvis goes.

    times: (T,) seconds from 0, increasing, at least two. turns: role -> (T, 3, 3), rotation from the T-pose
    of `measure_t_pose`, with shoulders that follow the arms. pelvis: (T, 3), the middle between the hip
    joints, in lengths of the leg (thigh and shin), above the height at which the ankles stand. ankles, toes:
    side -> (T, 3), their joints in the same measure, each above the height at which it stands.
    """

    name: str
    times: Float64Array
    turns: Mapping[str, Float64Array]
    pelvis: Float64Array
    ankles: Mapping[str, Float64Array]
    toes: Mapping[str, Float64Array]

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.times[-1])

    def resample(self, times: Float64Array) -> Motion:
        """The motion at other times (N,), seconds of its own; rotations slerped, positions linear."""
        inside = np.clip(times, 0.0, self.duration)

        def place(values: Float64Array) -> Float64Array:
            return np.stack([np.interp(inside, self.times, column) for column in values.T], axis=1)

        turns = {
            role: Slerp(self.times, Rotation.from_matrix(turn))(inside).as_matrix()
            for role, turn in self.turns.items()
        }
        ankles, toes = ({side: place(way[side]) for side in SIDES} for way in (self.ankles, self.toes))
        return replace(
            self, times=times - times[0], turns=turns, pelvis=place(self.pelvis), ankles=ankles, toes=toes
        )

    def repeat(self, cycles: int) -> Motion:
        """The motion of a loop several times on end, going on from where it went."""
        count = len(self.times) - 1
        way = (self.pelvis[-1] - self.pelvis[0]) * (1.0, 0.0, 1.0)

        def chain(values: Float64Array, step: Float64Array) -> Float64Array:
            rows = [values[:count] + number * step for number in range(cycles)]
            return np.concatenate((*rows, values[-1:] + (cycles - 1) * step))

        still = np.zeros((3, 3))
        return replace(
            self,
            times=chain(self.times, np.array(self.duration)),
            turns={role: chain(turn, still) for role, turn in self.turns.items()},
            pelvis=chain(self.pelvis, way),
            ankles={side: chain(self.ankles[side], way) for side in SIDES},
            toes={side: chain(self.toes[side], way) for side in SIDES},
        )
