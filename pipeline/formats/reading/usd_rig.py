"""Skeletons, skins and clips of a USD stage, for usd_worker.py. Matrices are USD's, for row vectors.

Source: UsdSkel (openusd.org).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pxr import Usd, UsdGeom, UsdSkel

from .left_out import LeftOut

_MOST_KEYS = 10_000
_SAME_SCALE = 1e-3


class UsdRig:
    """The skeletons that skins of the stage use, as one.

    frame: (4, 4) what brings the stage into our frame. now: the moment at which the stage is read.
    """

    def __init__(self, stage: Any, places: Any, frame: Any, now: Any) -> None:
        self._stage, self._places, self._frame, self._now = stage, places, frame, now
        self._cache = UsdSkel.Cache()
        for prim in Usd.PrimRange(stage.GetPseudoRoot(), Usd.TraverseInstanceProxies()):
            if prim.IsA(UsdSkel.Root):
                self._cache.Populate(UsdSkel.Root(prim), Usd.TraverseInstanceProxies())
        self._starts: dict[str, int] = {}
        self._queries: list[Any] = []
        self._count = 0

    def query(self, prim: Any) -> tuple[Any, Any]:
        """The skin of a prim and its skeleton; None for both if it has none that can be read."""
        skin = self._cache.GetSkinningQuery(prim)
        bound = UsdSkel.BindingAPI(prim).GetInheritedSkeleton()
        if not skin or not skin.HasJointInfluences() or not bound:
            return None, None
        skeleton = self._cache.GetSkelQuery(bound)
        return (skin, skeleton) if skeleton else (None, None)

    def number(self, skeleton: Any) -> int:
        """The number of a skeleton's first joint in the whole."""
        path = str(skeleton.GetPrim().GetPath())
        if path not in self._starts:
            self._starts[path] = self._count
            self._queries.append(skeleton)
            self._count += len(skeleton.GetJointOrder())
        return self._starts[path]

    def describe(self, arrays: dict[str, Any]) -> dict[str, Any] | None:
        """Names and parents of the joints; their transforms go to `arrays`, (J, 4, 4) for columns."""
        if not self._count:
            return None
        names: list[str] = []
        parents: list[int] = []
        for skeleton in self._queries:
            start = len(names)
            above = [
                skeleton.GetTopology().GetParent(joint) for joint in range(len(skeleton.GetJointOrder()))
            ]
            names += [str(path).rpartition("/")[2] for path in skeleton.GetJointOrder()]
            parents += [start + parent if parent >= 0 else -1 for parent in above]
        rest = [
            self._place(query, query.ComputeJointSkelTransforms(self._now, True)) for query in self._queries
        ]
        arrays["skeleton"] = np.concatenate(rest)
        return {"names": names, "parents": parents}

    def describe_clips(self, arrays: dict[str, Any], left_out: LeftOut) -> list[dict[str, Any]]:
        """The motion of all skeletons as one clip; its keys and transforms go to `arrays`."""
        moves = [(query, query.GetAnimQuery()) for query in self._queries]
        found = [anim for _, anim in moves if anim]
        keys = sorted({time for anim in found for time in anim.GetJointTransformTimeSamples() or ()})
        if len(keys) < 2:
            return []
        times = np.array(keys if len(keys) <= _MOST_KEYS else np.linspace(keys[0], keys[-1], _MOST_KEYS))
        world = [
            np.concatenate([
                self._place(query, query.ComputeJointSkelTransforms(Usd.TimeCode(time), not anim))
                for query, anim in moves
            ])
            for time in times.tolist()
        ]  # fmt: skip
        for anim in found:
            _name_scales(anim, times.tolist(), left_out)
        arrays["clip0_times"] = (times - times[0]) / (self._stage.GetTimeCodesPerSecond() or 1.0)
        arrays["clip0_world"] = np.stack(world)
        return [{"name": found[0].GetPrim().GetName(), "moves": True}]

    def _place(self, skeleton: Any, transforms: Any) -> Any:
        """Transforms (J, 4, 4) of joints in their skeleton as those in our frame, for columns."""
        count = len(skeleton.GetJointOrder())
        local = np.tile(np.eye(4), (count, 1, 1)) if not transforms else np.array(transforms)
        own = np.array(self._places.GetLocalToWorldTransform(skeleton.GetPrim()))
        return np.swapaxes(local @ own @ self._frame, 1, 2)


def _name_scales(anim: Any, times: list[float], left_out: LeftOut) -> None:
    """Name the joints whose scale changes."""
    scales = [anim.ComputeJointLocalTransformComponents(Usd.TimeCode(time)) for time in times]
    known = [np.array(found[2], np.float64) for found in scales if found]
    if not known or len({len(own) for own in known}) > 1:
        return
    changed = np.ptp(np.stack(known), axis=0).max(axis=-1) > _SAME_SCALE
    for joint, is_changed in zip(anim.GetJointOrder(), changed, strict=False):
        if is_changed:
            left_out.name("scale animation of", str(joint).rpartition("/")[2])


def count_left_out(prim: Any, left_out: LeftOut) -> None:
    """Count a prim that is a camera, a light or a blend shape."""
    if prim.IsA(UsdGeom.Camera):
        left_out.count("camera")
    elif prim.IsA(UsdSkel.BlendShape):
        left_out.count("blend shape")
    elif prim.GetTypeName().endswith("Light"):
        left_out.count("light")
