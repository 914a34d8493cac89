"""Clips: motion of any humanoid, keyed by humanoid role (VRM 1.0) and relative to the T-pose.

The frame is that of VRM's normalized humanoids (VRMC_vrm_animation 1.0): in the T-pose, every joint's axes
are those of the mesh frame. +X bends the trunk and the knees and lowers the toes, -X moves legs and arms
forward, +Y turns to the character's left. A clip's file holds Euler angles in degrees; between keys they
follow monotone cubic splines (PCHIP), which are constant between equal keys. All clips loop.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

from ..conventions import CLIPS
from ..humanoid import ROLE_PARENTS
from ..types import Float64Array

_FOLDER = Path(__file__).parent / "clips"

_NOT_MOVED = ("jaw", "Eye", "Thumb", "Index", "Middle", "Ring", "Little")
HUMANOID_PARENTS = {
    role: parent for role, parent in ROLE_PARENTS.items() if not any(word in role for word in _NOT_MOVED)
}
"""The roles that clips move -> their parents, parents first."""


@dataclass(frozen=True, eq=False)
class Track:
    """Keys of one role.

    times: seconds. values: one row per key, degrees about `axes`, scipy's intrinsic Euler angles such as
    "XZX"; for the position of the hips, shares of their height above the ground.
    """

    times: Sequence[float]
    values: Sequence[Sequence[float]]
    axes: str = ""


@dataclass(frozen=True, eq=False)
class HumanoidClip:
    """A looping motion of no particular skeleton, as read from a clip's file.

    tracks: role -> Track; roles without one stay as in the T-pose. place: displacement of the hips from the
    T-pose, in shares of their height above the ground. contacts: "leftFoot" / "rightFoot" -> the first and
    the last second of the loop at which that foot is on the ground; without contacts the feet are free.
    """

    name: str
    description: str
    author: str
    duration: float
    tracks: Mapping[str, Track]
    place: Track
    contacts: Mapping[str, tuple[float, float]]

    def sample_turns(self, times: Float64Array) -> dict[str, Float64Array]:
        """Return role -> (T, 3, 3), the rotations from the T-pose in the mesh frame.

        times: (T,) seconds, in any cycle of the loop.
        """
        turns: dict[str, Float64Array] = {}
        for role, parent in HUMANOID_PARENTS.items():
            local = np.tile(np.eye(3), (len(times), 1, 1))
            if role in self.tracks:
                track = self.tracks[role]
                angles = self._sample(track, times)
                local = Rotation.from_euler(track.axes, angles, degrees=True).as_matrix()
            turns[role] = turns[parent] @ local if parent else local
        return turns

    def sample_place(self, times: Float64Array) -> Float64Array:
        """Return (T, 3), the displacement of the hips from the T-pose in shares of their height."""
        return self._sample(self.place, times)

    def _sample(self, track: Track, times: Float64Array) -> Float64Array:
        values = np.asarray(track.values, np.float64)
        if len(values) == 1:
            return np.repeat(values, len(times), axis=0)
        knots = np.concatenate([np.asarray(track.times) + cycle * self.duration for cycle in (-2, -1, 0, 1)])
        return PchipInterpolator(knots, np.tile(values, (4, 1)))(np.asarray(times, np.float64))


def load_clip(name: str) -> HumanoidClip:
    """Read one of CLIPS; raises ValueError for other names."""
    if name not in CLIPS:
        raise ValueError(f"clip: expected one of {', '.join(CLIPS)}, got {name!r}")
    return _read_clip(name)


@cache
def _read_clip(name: str) -> HumanoidClip:
    return parse_clip(name, json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def parse_clip(name: str, data: Mapping[str, Any]) -> HumanoidClip:
    """Build a clip from the content of a clip's file.

    With "symmetric", the right limbs mirror the left ones half a cycle later. Raises ValueError for roles
    that clips do not move, and for contacts of only one foot.
    """
    tracks = {
        role: Track(item["times"], item["degrees"], item["axes"]) for role, item in data["tracks"].items()
    }
    unknown = sorted(set(tracks) - set(HUMANOID_PARENTS))
    if unknown:
        raise ValueError(
            f"clip {name}: expected roles of {', '.join(HUMANOID_PARENTS)}, got {', '.join(unknown)}"
        )
    contacts = {foot: (float(start), float(stop)) for foot, (start, stop) in data["contacts"].items()}
    if len(contacts) == 1 and not data["symmetric"]:
        raise ValueError(f"clip {name}: expected contacts of both feet or none, got {', '.join(contacts)}")
    half = data["duration"] / 2
    if data["symmetric"]:
        lefts = [role for role in tracks if role.startswith("left")]
        tracks |= {role.replace("left", "right", 1): _mirror_track(tracks[role], half) for role in lefts}
        contacts |= {"rightFoot": (contacts["leftFoot"][0] + half, contacts["leftFoot"][1] + half)}
    return HumanoidClip(
        name=name,
        description=data["description"],
        author=data["author"],
        duration=float(data["duration"]),
        tracks=tracks,
        place=Track(data["place"]["times"], data["place"]["shares"]),
        contacts=contacts,
    )


def _mirror_track(track: Track, delay: float) -> Track:
    """Mirror a track to the other side: angles about X stay, those about Y and Z change sign."""
    signs = np.array([1.0 if axis.upper() == "X" else -1.0 for axis in track.axes])
    return Track(
        [time + delay for time in track.times], (np.asarray(track.values) * signs).tolist(), track.axes
    )
