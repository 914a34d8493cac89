"""What every rigging method answers for a mesh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..pipeline.types import FloatArray, Skeleton, SkinWeights


@dataclass(frozen=True, eq=False)
class PredictedRig:
    """A skeleton in the mesh's own pose, and its skin.

    turns: joint name -> rotation (3, 3) to the T-pose, for joints that are not in it yet. metrics:
    joints_outside, the number of joints outside the mesh's bounds. legs_apart_below: see FittedSkeleton.
    """

    skeleton: Skeleton
    skin: SkinWeights
    turns: Mapping[str, FloatArray]
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    legs_apart_below: float = float("-inf")
