"""Motion of the SMPL family: SMPL, SMPL-H and SMPL-X parameters in .npz files, as AMASS has them.

Sources: M. Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015); J. Romero et al., "Embodied
Hands" (2017); G. Pavlakos et al., "Expressive Body Capture" (2019); N. Mahmood et al., "AMASS" (2019). The
models themselves are not needed: a motion is rotations from their zero pose.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ...errors import FormatError
from ...humanoid import FINGERS
from ...mesh_extras import OwnClip
from ...types import Float64Array, Skeleton
from .motion import MotionFile

_BODY: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("", (0.0, 0.0, 0.0)),
    "left_hip": ("pelvis", (0.07, -0.09, 0.0)),
    "right_hip": ("pelvis", (-0.07, -0.09, 0.0)),
    "spine1": ("pelvis", (0.0, 0.11, -0.02)),
    "left_knee": ("left_hip", (0.03, -0.38, 0.0)),
    "right_knee": ("right_hip", (-0.03, -0.38, 0.0)),
    "spine2": ("spine1", (0.0, 0.13, 0.0)),
    "left_ankle": ("left_knee", (-0.01, -0.40, -0.04)),
    "right_ankle": ("right_knee", (0.01, -0.40, -0.04)),
    "spine3": ("spine2", (0.0, 0.06, 0.02)),
    "left_foot": ("left_ankle", (0.03, -0.06, 0.12)),
    "right_foot": ("right_ankle", (-0.03, -0.06, 0.12)),
    "neck": ("spine3", (0.0, 0.21, -0.04)),
    "left_collar": ("spine3", (0.08, 0.12, -0.03)),
    "right_collar": ("spine3", (-0.08, 0.12, -0.03)),
    "head": ("neck", (0.0, 0.07, 0.05)),
    "left_shoulder": ("left_collar", (0.09, 0.03, -0.01)),
    "right_shoulder": ("right_collar", (-0.09, 0.03, -0.01)),
    "left_elbow": ("left_shoulder", (0.26, -0.01, -0.03)),
    "right_elbow": ("right_shoulder", (-0.26, -0.01, -0.03)),
    "left_wrist": ("left_elbow", (0.25, 0.01, 0.0)),
    "right_wrist": ("right_elbow", (-0.25, 0.01, 0.0)),
}
"""Joint -> the joint above it, and its place relative to it in the zero pose of an average adult, metres."""
_ROLES = {
    "hip": "UpperLeg", "knee": "LowerLeg", "ankle": "Foot", "foot": "Toes", "collar": "Shoulder",
    "shoulder": "UpperArm", "elbow": "LowerArm", "wrist": "Hand",
}  # fmt: skip
_TRUNK = {"pelvis": "hips", "spine1": "spine", "spine2": "chest", "spine3": "upperChest"}
_HAND_ORDER = ("Index", "Middle", "Little", "Ring", "Thumb")
_BEFORE_HANDS = {24: (22, 1), 52: (22, 15), 55: (25, 15)}
"""Number of rotations -> how many come before the hands, and of how many joints each hand has."""
_RATES = ("mocap_framerate", "mocap_frame_rate", "framerate", "fps")
_RATE = 30.0
_MOST_FRAMES, _MOST_BYTES = 200_000, 1 << 30


def read_npz_motion(path: Path) -> MotionFile:
    """Read the rotations `poses`, or `root_orient`, `pose_body` and `pose_hand`, and `trans`.

    The frame is the file's: +Z up in AMASS. FormatError if the file is damaged or has none of these.
    """
    arrays = _load(path)
    poses = _join_poses(path, arrays)
    count = len(poses)
    places = np.asarray(arrays.get("trans", np.zeros((count, 3))), np.float64).reshape(-1, 3)
    if len(places) != count:
        raise FormatError(f"{path.name} is damaged: trans has {len(places)} rows for {count} poses")
    rate = next((float(np.ravel(arrays[name])[0]) for name in _RATES if name in arrays), _RATE)
    if not (np.isfinite(poses).all() and np.isfinite(places).all() and rate > 0):
        raise FormatError(f"{path.name} is damaged: it has values that are not finite, or a rate of {rate}")
    skeleton = make_skeleton(poses.shape[1])
    local = np.tile(_local_places(skeleton), (count, 1, 1))
    local[:, 0] += places
    turns = Rotation.from_rotvec(poses[:, : len(skeleton.names)].reshape(-1, 3)).as_quat()
    clip = OwnClip(path.stem, np.arange(count) / rate, turns.reshape(count, -1, 4), local)
    return MotionFile(skeleton, (clip,))


def _load(path: Path) -> dict[str, Any]:
    """The arrays of numbers; pickled ones are not opened."""
    arrays: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(item.file_size for item in archive.infolist()) > _MOST_BYTES:
                raise FormatError(f"{path.name} unpacks to more than {_MOST_BYTES >> 20} MB")
        with np.load(path, allow_pickle=False) as file:
            for name in ("poses", "root_orient", "pose_body", "pose_hand", "trans", *_RATES):
                if name in file.files:
                    arrays[name] = file[name]
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise FormatError(f"{path.name} cannot be read as .npz ({error})") from error
    return arrays


def _join_poses(path: Path, arrays: Mapping[str, Any]) -> Float64Array:
    """(T, N, 3) axis-angle rotations of the body and, where there are any, of the hands, in their order."""
    if "poses" in arrays:
        poses = np.asarray(arrays["poses"], np.float64)
    elif "root_orient" in arrays and "pose_body" in arrays:
        parts = [arrays[name] for name in ("root_orient", "pose_body", "pose_hand") if name in arrays]
        flat = [np.asarray(part, np.float64).reshape(len(part), -1) for part in parts]
        if len({len(part) for part in flat}) > 1:
            raise FormatError(f"{path.name} is damaged: its rotations have different numbers of frames")
        poses = np.concatenate(flat, axis=1)
    else:
        wanted = "poses, or root_orient and pose_body"
        raise FormatError(f"{path.name}: expected {wanted}, as SMPL's motions have; found no such arrays")
    size = poses.size // max(len(poses), 1)
    if not 0 < len(poses) <= _MOST_FRAMES or size % 3 or size < 3 * len(_BODY):
        raise FormatError(f"{path.name}: expected frames of 22 rotations or more; found {np.shape(poses)}")
    poses = poses.reshape(len(poses), -1, 3)
    before, fingers = _BEFORE_HANDS.get(poses.shape[1], (len(_BODY), 0))
    return np.concatenate((poses[:, : len(_BODY)], poses[:, before : before + 2 * fingers]), axis=1)


def make_skeleton(count: int) -> Skeleton:
    """Return the skeleton in the zero pose, with fingers where there are so many rotations, metres."""
    joints = dict(_BODY)
    if count >= len(_BODY) + 30:
        for side, sign in (("left", 1.0), ("right", -1.0)):
            joints |= _place_fingers(side, sign)
    names = tuple(joints)
    parents = np.array([names.index(above) if above else -1 for above, _ in joints.values()])
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    for number, (_, place) in enumerate(joints.values()):
        rest[number, :3, 3] = place + (rest[parents[number], :3, 3] if number else np.zeros(3))
    return Skeleton(names, parents, rest, _name_roles(names))


def _place_fingers(side: str, sign: float) -> dict[str, tuple[str, tuple[float, float, float]]]:
    found = {}
    for finger in _HAND_ORDER:
        forward = {"Index": 0.025, "Middle": 0.0, "Ring": -0.02, "Little": -0.035, "Thumb": 0.03}[finger]
        above, place = f"{side}_wrist", (sign * (0.03 if finger == "Thumb" else 0.09), 0.0, forward)
        for part in FINGERS[finger]:
            found[f"{side}{finger}{part}"] = (above, place)
            above, place = f"{side}{finger}{part}", (sign * 0.03, 0.0, 0.0)
    return found


def _name_roles(names: tuple[str, ...]) -> dict[str, int]:
    roles = {}
    for joint, name in enumerate(names):
        side, _, part = name.partition("_")
        role = _TRUNK.get(name, side + _ROLES[part] if part in _ROLES else name)
        roles[role] = joint
    return roles


def _local_places(skeleton: Skeleton) -> Float64Array:
    """(J, 3) the place of each joint relative to the one above it."""
    places = skeleton.positions.astype(np.float64)
    local = places.copy()
    below = skeleton.parents >= 0
    local[below] -= places[skeleton.parents[below]]
    return local
