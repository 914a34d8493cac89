"""A tree of joints, and what it moves: part of types.py, from where others import them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .conventions import INFLUENCES
from .frozen import FloatArray, IntArray, freeze, require

_WEIGHT_TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of joints in rest pose; a parent comes before its children, and the root's parent is -1.

    names: J joint names. parents: (J,) int32.
    rest: (J, 4, 4) float32, each joint's transform in the mesh frame (column vectors), rotation and
    translation only. roles: humanoid role -> joint index (VRM 1.0 bone names, "leftUpperArm").
    """

    names: tuple[str, ...]
    parents: IntArray
    rest: FloatArray
    roles: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.names)
        freeze(self, "parents", np.int32, count)
        freeze(self, "rest", np.float32, count, 4, 4)
        late = np.flatnonzero((self.parents >= np.arange(count)) | (self.parents < -1))
        if len(late):
            name, parent = self.names[late[0]], self.parents[late[0]]
            require(self, "parents", False, f"each parent before its children, got {parent} for {name!r}")
        wanted = f"joint indices 0..{count - 1}, got {dict(self.roles)}"
        require(self, "roles", all(0 <= joint < count for joint in self.roles.values()), wanted)

    @property
    def positions(self) -> FloatArray:
        """(J, 3) float32 joint positions, meters."""
        return self.rest[:, :3, 3]

    def index(self, name: str) -> int:
        """Index of the joint called `name`; ValueError lists the known names."""
        if name not in self.names:
            raise ValueError(f"no joint {name!r}; this skeleton has {', '.join(self.names)}")
        return self.names.index(name)

    def list_below(self, joint: int) -> list[int]:
        """The joint and all below it, parents first."""
        below = [joint]
        for index, parent in enumerate(self.parents):
            if parent in below:
                below.append(index)
        return below


@dataclass(frozen=True, eq=False)
class SkinWeights:
    """joints: (V, 4) uint16 indices into the skeleton. weights: (V, 4) float32, 0..1, rows sum to 1.

    Both have 8 columns where that was asked for.
    """

    joints: IntArray
    weights: FloatArray

    def __post_init__(self) -> None:
        freeze(self, "joints", np.uint16, None, None)
        freeze(self, "weights", np.float32, *self.joints.shape)
        wanted = f"{' or '.join(map(str, INFLUENCES))} columns, got {self.influences}"
        require(self, "joints", self.influences in INFLUENCES, wanted)
        error = float(np.abs(self.weights.sum(axis=1) - 1).max(initial=0))
        require(
            self, "weights", error <= _WEIGHT_TOLERANCE, f"rows that sum to 1, got one off by {error:.2g}"
        )
        low = float(self.weights.min(initial=0))
        require(self, "weights", low >= 0, f"no negative weights, got {low:.2g}")

    @property
    def influences(self) -> int:
        """How many joints a vertex may have."""
        return self.joints.shape[1]
