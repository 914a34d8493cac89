"""Clips as data: motion of any humanoid, keyed by humanoid role (VRM 1.0) from the T-pose.

The frame is that of VRM's normalised humanoids (VRMC_vrm_animation 1.0): in T-pose every joint's axes are
the mesh frame's own, so +X bends the trunk and the knees and lowers the toes, -X brings leg and arm
forward, +Y turns to the character's left. A clip's file gives Euler angles in degrees; between keys the
angles follow monotone cubic splines, which hold where two keys are alike. All clips loop.
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
from ..rigging.pose.posing import Transforms
from ..rigging.voxel_solid import Points

_FOLDER = Path(__file__).parent / "clips"

_NOT_MOVED = ("jaw", "Eye", "Thumb", "Index", "Middle", "Ring", "Little")
HUMANOID_PARENTS = {
    role: parent for role, parent in ROLE_PARENTS.items() if not any(word in role for word in _NOT_MOVED)
}
"""The roles that clips move, each after its parent."""


@dataclass(frozen=True, eq=False)
class Track:
    """Keys of one role. times: seconds. values: one row a key, degrees about `axes`, applied from the left
    in the turned frame (scipy's intrinsic "XZX"); for the hips' place, shares of the hips' height.
    """

    times: Sequence[float]
    values: Sequence[Sequence[float]]
    axes: str = ""


@dataclass(frozen=True, eq=False)
class HumanoidClip:
    """A loop of motion of no particular skeleton, as it is read from a clip's file.

    tracks: role -> Track; roles without one stay as in T-pose. place: of the hips, off their place in
    T-pose, in shares of their height over the ground. contacts: "leftFoot" / "rightFoot" -> the first and
    the last second of the loop at which that foot is on the ground; without contacts nothing holds the feet.
    """

    name: str
    description: str
    author: str
    duration: float
    tracks: Mapping[str, Track]
    place: Track
    contacts: Mapping[str, tuple[float, float]]

    def sample_turns(self, times: Points) -> dict[str, Transforms]:
        """Return role -> (T, 3, 3), each role's rotation in the mesh frame against its T-pose.

        times: (T,) seconds, in any turn of the loop.
        """
        turns: dict[str, Transforms] = {}
        for role, parent in HUMANOID_PARENTS.items():
            local = np.tile(np.eye(3), (len(times), 1, 1))
            if role in self.tracks:
                track = self.tracks[role]
                angles = self._sample(track, times)
                local = Rotation.from_euler(track.axes, angles, degrees=True).as_matrix()
            turns[role] = turns[parent] @ local if parent else local
        return turns

    def sample_place(self, times: Points) -> Points:
        """Return (T, 3), the hips' way from their place in T-pose in shares of their height."""
        return self._sample(self.place, times)

    def _sample(self, track: Track, times: Points) -> Points:
        values = np.asarray(track.values, np.float64)
        if len(values) == 1:
            return np.repeat(values, len(times), axis=0)
        knots = np.concatenate([np.asarray(track.times) + turn * self.duration for turn in (-2, -1, 0, 1)])
        return PchipInterpolator(knots, np.tile(values, (4, 1)))(np.asarray(times, np.float64))


def load_clip(name: str) -> HumanoidClip:
    """Read one of CLIPS; ValueError for others."""
    if name not in CLIPS:
        raise ValueError(f"clip: expected one of {', '.join(CLIPS)}, got {name!r}")
    return _read_clip(name)


@cache
def _read_clip(name: str) -> HumanoidClip:
    return parse_clip(name, json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))


def parse_clip(name: str, data: Mapping[str, Any]) -> HumanoidClip:
    """Make a clip from the content of a clip's file; ValueError for roles that clips do not move.

    "symmetric": the right limbs do what the left ones do, mirrored and half the duration later.
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
    """The other side's: turns about X stay, those about Y and Z change their sign."""
    signs = np.array([1.0 if axis.upper() == "X" else -1.0 for axis in track.axes])
    return Track(
        [time + delay for time in track.times], (np.asarray(track.values) * signs).tolist(), track.axes
    )
