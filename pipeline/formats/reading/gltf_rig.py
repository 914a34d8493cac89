"""The skeleton of a glTF file, what it moves, and its clips (sections 3.7.3 and 3.11)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import FormatError
from ...mesh_extras import OwnClip
from ...types import Float64Array, Int64Array, Skeleton
from .gltf_accessors import read_numbers
from .gltf_channels import Channel, sample_channel
from .gltf_container import GltfFile
from .gltf_nodes import GltfNodes, compose
from .gltf_primitives import Primitive
from .left_out import LeftOut
from .model import Influences
from .rig import make_clip, make_skeleton

_WIDTHS = {"translation": 3, "rotation": 4, "scale": 3}
_TYPES = {3: "VEC3", 4: "VEC4"}
_MOST_KEYS = 10_000
_SAME_SCALE = 1e-3
_RATE = 30.0
"""Keys a second between which a cubic spline is taken for straight."""


class GltfRig:
    """The joints of all skins that the scene shows, as one skeleton in the pose of its nodes.

    has_bare: whether, without any skin, all nodes without a mesh are joints, as in files of mere motion.
    """

    def __init__(self, file: GltfFile, nodes: GltfNodes, *, has_bare: bool = False) -> None:
        self._file, self._nodes = file, nodes
        shown = [node for index in nodes.world if "mesh" in (node := file.item("nodes", index))]
        skins = {node["skin"] for node in shown if file.get(node, "skin", int) is not None}
        self._joints = {skin: nodes.skin_joints(skin) for skin in sorted(skins)}
        used = {joint for joints in self._joints.values() for joint in joints}
        if has_bare and not used:
            used = {index for index in nodes.world if "mesh" not in file.item("nodes", index)}
        self._order = [index for index in nodes.world if index in used]
        self._number = {index: number for number, index in enumerate(self._order)}

    def read_skeleton(self) -> Skeleton | None:
        """The skeleton, or None if the scene has no skin."""
        if not self._order:
            return None
        world = np.stack([self._nodes.world[index] for index in self._order])
        if not np.isfinite(world).all():
            return None
        names = [self._file.item("nodes", index).get("name") for index in self._order]
        named = [str(name or f"joint {number + 1}") for number, name in enumerate(names)]
        return make_skeleton(named, self._find_parents(), world)

    def number(self, index: int) -> int | None:
        """The number of the joint that a node is, or None."""
        return self._number.get(index)

    def read_binds(self) -> Float64Array:
        """(J, 4, 4) what takes the mesh of the skin with the most joints to each of its joints; else NaN."""
        binds = np.full((len(self._order), 4, 4), np.nan)
        if self._joints:
            skin, joints = max(self._joints.items(), key=lambda item: len(item[1]))
            described = self._file.item("skins", skin)
            if "inverseBindMatrices" in described:
                matrices = read_numbers(self._file, described["inverseBindMatrices"], "MAT4")
                for joint, matrix in zip(joints, matrices, strict=False):
                    binds[self._number[joint]] = matrix.reshape(4, 4).T
        return binds

    def read_influences(self, index: int, primitive: Primitive) -> Influences | None:
        """The joints and weights of a primitive that the node shows; without a skin, the joint above."""
        skin = self._file.item("nodes", index).get("skin")
        if skin is not None and primitive.joints is not None and primitive.weights is not None:
            numbers = np.array([self._number[joint] for joint in self._joints[skin]])
            return Influences(numbers[primitive.joints], primitive.weights)
        joint = self._find_joint(index)
        if joint is None:
            return None
        count = len(primitive.positions)
        return Influences(np.full((count, 1), self._number[joint]), np.ones((count, 1)))

    def read_clips(self, warnings: list[str], left_out: LeftOut) -> tuple[OwnClip, ...]:
        """The clips that move the skeleton; the others, and those that cannot be read, are named.

        left_out: learns what these clips do beside moving and turning joints.
        """
        clips, others = [], []
        for number, animation in enumerate(self._file.items("animations")):
            name = f"animation {number + 1}"
            try:
                name = self._file.get(animation, "name", str, name)
                clip = self._read_clip(name, animation, left_out)
            except FormatError as error:
                warnings.append(f"the clip {name!r} is left out: {error}")
                continue
            except (ValueError, TypeError, AttributeError):
                warnings.append(f"the clip {name!r} is left out: its keys cannot be read")
                continue
            if clip is None:
                others.append(name)
            else:
                clips.append(clip)
        if others:
            warnings.append(f"clips that move no joint are left out: {', '.join(others)}")
        return tuple(clips)

    def _read_clip(self, name: str, animation: dict[str, Any], left_out: LeftOut) -> OwnClip | None:
        moved = self._list_moved()
        every = self._read_channels(animation, left_out)
        channels = [item for item in every if item[0] in moved]
        if not channels:
            return None
        for index, path, channel in every:
            if index not in moved:
                left_out.name("animation of", self._name_node(index))
            elif path == "scale" and self._is_scaled(index, channel):
                left_out.name("scale animation of", self._name_node(index))
        times = _choose_times([channel for *_, channel in channels])
        local: dict[int, dict[str, Float64Array]] = {}
        for index, path, channel in channels:
            local.setdefault(index, {})[path] = sample_channel(channel, times)
        world: dict[int, Float64Array] = {}
        for index in moved:
            parent = world.get(self._nodes.parents.get(index, -1), np.eye(4))
            world[index] = parent @ self._place_node(index, local.get(index, {}))
        placed = [np.broadcast_to(world[index], (len(times), 4, 4)) for index in self._order]
        return make_clip(name, times, self._find_parents(), np.stack(placed, axis=1))

    def _is_scaled(self, index: int, channel: Channel) -> bool:
        """Whether a channel's scales differ from the node's own, as those of most exporters do not."""
        own = self._file.numbers(self._file.item("nodes", index), "scale", 3, [1, 1, 1])
        values = channel.values[:, channel.values.shape[1] // 2]
        return not np.allclose(values, own, rtol=_SAME_SCALE, atol=0)

    def _name_node(self, index: int) -> str:
        return str(self._file.item("nodes", index).get("name") or f"node {index + 1}")

    def _read_channels(self, animation: dict[str, Any], left_out: LeftOut) -> list[tuple[int, str, Channel]]:
        """Node, path and keys of the channels that move nodes."""
        file, found = self._file, []
        samplers = file.get(animation, "samplers", list, [])
        for channel in file.get(animation, "channels", list, []):
            target = file.get(channel, "target", dict, {})
            path, index = file.get(target, "path", str, ""), file.get(target, "node", int, -1)
            if path == "weights" and index in self._nodes.world:
                left_out.name("morph animation of", self._name_node(index))
            if path not in _WIDTHS or index not in self._nodes.world:
                continue
            number = file.get(channel, "sampler", int, -1)
            if not 0 <= number < len(samplers):
                raise file.damaged(f"it names sampler {number} of {len(samplers)}")
            found.append((index, path, self._read_sampler(samplers[number], _WIDTHS[path])))
        return found

    def _read_sampler(self, sampler: dict[str, Any], width: int) -> Channel:
        file = self._file
        mode = file.get(sampler, "interpolation", str, "LINEAR")
        times = read_numbers(file, sampler.get("input"), "SCALAR")[:, 0]
        values = read_numbers(file, sampler.get("output"), _TYPES[width])
        rows = 3 * len(times) if mode == "CUBICSPLINE" else len(times)
        if not len(times) or len(values) != rows or not (np.diff(times) > 0).all():
            raise file.damaged(f"a clip has {len(times)} keys and {len(values)} values, or keys out of order")
        return Channel(times, values.reshape(len(times), -1, width), mode)

    def _place_node(self, index: int, sampled: dict[str, Float64Array]) -> Float64Array:
        """The node's transform at the keys, (T, 4, 4) or (4, 4)."""
        node, file = self._file.item("nodes", index), self._file
        if not sampled:
            return self._nodes.local(index)
        defaults = {"translation": [0, 0, 0], "rotation": [0, 0, 0, 1], "scale": [1, 1, 1]}
        count = len(next(iter(sampled.values())))
        parts = [
            sampled[path]
            if path in sampled
            else np.tile(file.numbers(node, path, len(value), value), (count, 1))
            for path, value in defaults.items()
        ]
        return compose(*parts)

    def _list_moved(self) -> list[int]:
        """The joints and all nodes above them, parents first."""
        above = set(self._order)
        for joint in self._order:
            while (joint := self._nodes.parents.get(joint, -1)) >= 0 and joint not in above:
                above.add(joint)
        return [index for index in self._nodes.world if index in above]

    def _find_parents(self) -> Int64Array:
        """(J,) the number of the joint above each joint, -1 for none."""
        above = [self._find_joint(self._nodes.parents.get(index, -1)) for index in self._order]
        return np.array([-1 if joint is None else self._number[joint] for joint in above])

    def _find_joint(self, index: int) -> int | None:
        """The node, or the one nearest above it, that is a joint."""
        while index >= 0 and index not in self._number:
            index = self._nodes.parents.get(index, -1)
        return index if index >= 0 else None


def _choose_times(channels: list[Channel]) -> Float64Array:
    """The keys of all channels, and more between those of splines."""
    times = np.unique(np.concatenate([channel.times for channel in channels]))
    if any(channel.mode == "CUBICSPLINE" for channel in channels):
        count = min(int((times[-1] - times[0]) * _RATE) + 1, _MOST_KEYS)
        times = np.unique(np.concatenate((times, np.linspace(times[0], times[-1], count))))
    if len(times) > _MOST_KEYS:
        times = np.linspace(times[0], times[-1], _MOST_KEYS)
    return times
