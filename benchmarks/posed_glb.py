"""Reads a character's .glb file and poses it, with numpy alone: beside the pack's own writer, not through it.

Linear blend skinning as glTF 2.0 (section 3.7.3.3) has it; linear interpolation of the keys.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]

_TYPES = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_SIZES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@dataclass(frozen=True)
class Glb:
    """The only mesh of a file, with texture, joints and clips where it has them.

    positions (V, 3), faces (F, 3), uvs (V, 2) or None, texture (H, W, 4) sRGB 0..1 or None. joints (V, 4)
    indices into `names`, weights (V, 4). parents: -1 for the root. rest (local) and inverse_bind: (J, 4, 4).
    clips: name -> times (T,), and per joint the keys of its rotation (T, 4) and translation (T, 3).
    """

    positions: Array
    faces: Array
    uvs: Array | None
    texture: Array | None
    joints: Array
    weights: Array
    names: list[str]
    parents: list[int]
    rest: Array
    inverse_bind: Array
    clips: Mapping[str, tuple[Array, Mapping[int, Mapping[str, Array]]]]

    def place_joints(self, local: Array) -> Array:
        """World transforms (J, 4, 4) of local ones; parents stand before their children."""
        world = local.copy()
        for joint, parent in enumerate(self.parents):
            if parent >= 0:
                world[joint] = world[parent] @ local[joint]
        return world

    def skin(self, world: Array) -> Array:
        """Positions (V, 3) for joints at `world` (J, 4, 4)."""
        moves = (world @ self.inverse_bind)[:, :3]
        points = np.concatenate([self.positions, np.ones((len(self.positions), 1))], axis=1)
        moved = np.zeros((len(points), 3))
        for k in range(4):
            moved += self.weights[:, k, None] * np.einsum("vij,vj->vi", moves[self.joints[:, k]], points)
        return moved

    def sample(self, clip: str, count: int) -> Iterator[Array]:
        """Positions (V, 3) at `count` moments of one loop of the clip."""
        times, tracks = self.clips[clip]
        for moment in np.arange(count) * float(times[-1]) / count:
            local = self.rest.copy()
            for joint, keys in tracks.items():
                if "rotation" in keys:
                    local[joint, :3, :3] = quaternion_matrix(interpolate(times, keys["rotation"], moment))
                if "translation" in keys:
                    local[joint, :3, 3] = interpolate(times, keys["translation"], moment)
            yield self.skin(self.place_joints(local))

    def joint(self, name: str) -> Array | None:
        """Where the joint whose name ends with `name` rests (3,); None if there is none."""
        found = self.find(name)
        return None if found is None else self.place_joints(self.rest)[found, :3, 3]

    def find(self, name: str) -> int | None:
        """The joint whose name, without its prefix, is `name`."""
        return next((k for k, full in enumerate(self.names) if full.rsplit(":", 1)[-1] == name), None)

    def turn(self, turns: Mapping[str, Array]) -> Array:
        """Positions (V, 3) with joints turned about where they rest, by (3, 3) in the mesh's frame."""
        world = self.place_joints(self.rest)
        for name, turn in turns.items():
            top = self.find(name)
            if top is None:
                continue
            move = np.eye(4)
            move[:3, :3] = turn
            move[:3, 3] = world[top, :3, 3] - turn @ world[top, :3, 3]
            for joint in range(len(self.names)):
                if joint == top or top in self.ancestors(joint):
                    world[joint] = move @ world[joint]
        return self.skin(world)

    def ancestors(self, joint: int) -> Iterator[int]:
        """The joints above one, from its parent to the root."""
        while (joint := self.parents[joint]) >= 0:
            yield joint


def interpolate(times: Array, values: Array, moment: float) -> Array:
    """Values (T, N) at one moment, linearly."""
    return np.array([np.interp(moment, times, values[:, k]) for k in range(values.shape[1])])


def quaternion_matrix(quaternion: Array) -> Array:
    """The turn (3, 3) of x, y, z, w of any length."""
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    )


def read_glb(path: Path) -> Glb:
    """Read a file with one mesh of one primitive."""
    tree, chunk = _split(path.read_bytes())

    def read(index: int) -> Array:
        accessor = tree["accessors"][index]
        view = tree["bufferViews"][accessor["bufferView"]]
        kind, size = np.dtype(_TYPES[accessor["componentType"]]), _SIZES[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        stride = view.get("byteStride", kind.itemsize * size)
        shape, steps = (accessor["count"], size), (stride, kind.itemsize)
        return np.ndarray(shape, kind, chunk, start, steps).copy()

    (primitive,) = tree["meshes"][0]["primitives"]
    data = {name: read(index) for name, index in primitive["attributes"].items()}
    count = len(data["POSITION"])
    names, parents, rest, bind, nodes = _read_joints(tree, read)
    return Glb(
        positions=data["POSITION"].astype(float),
        faces=read(primitive["indices"]).reshape(-1, 3).astype(int),
        uvs=data.get("TEXCOORD_0"),
        texture=_read_texture(tree, chunk),
        joints=data.get("JOINTS_0", np.zeros((count, 4), int)),
        weights=data.get("WEIGHTS_0", np.zeros((count, 4))).astype(float),
        names=names,
        parents=parents,
        rest=rest,
        inverse_bind=bind,
        clips={clip["name"]: _read_clip(clip, read, nodes) for clip in tree.get("animations", [])},
    )


def _split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON and the binary chunk of a file."""
    if content[:4] != b"glTF":
        raise ValueError("not a .glb file")
    (length,) = struct.unpack_from("<I", content, 12)
    return json.loads(content[20 : 20 + length]), content[28 + length :]


def _read_joints(
    tree: dict[str, Any], read: Any
) -> tuple[list[str], list[int], Array, Array, dict[int, int]]:
    """Names, parents, local rest and inverse bind transforms of the skin's joints; node -> joint."""
    if "skins" not in tree:
        return [], [], np.zeros((0, 4, 4)), np.zeros((0, 4, 4)), {}
    skin = tree["skins"][0]
    order = {node: joint for joint, node in enumerate(skin["joints"])}
    parents = [-1] * len(order)
    for node, joint in order.items():
        for child in tree["nodes"][node].get("children", []):
            if child in order:
                parents[order[child]] = joint
    assert all(parent < joint for joint, parent in enumerate(parents))
    rest = np.stack([_local(tree["nodes"][node]) for node in order])
    bind = read(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1).astype(float)
    return [tree["nodes"][node]["name"] for node in order], parents, rest, bind, order


def _local(node: dict[str, Any]) -> Array:
    """The transform (4, 4) of a node with rotation and translation."""
    local = np.eye(4)
    local[:3, :3] = quaternion_matrix(np.array(node.get("rotation", (0.0, 0.0, 0.0, 1.0))))
    local[:3, 3] = node.get("translation", (0.0, 0.0, 0.0))
    return local


def _read_clip(clip: dict[str, Any], read: Any, nodes: dict[int, int]) -> Any:
    """The times of a clip, and its keys by joint and path."""
    times, tracks = np.zeros(1), {}
    for channel in clip["channels"]:
        sampler = clip["samplers"][channel["sampler"]]
        times = read(sampler["input"])[:, 0].astype(float)
        target = channel["target"]
        tracks.setdefault(nodes[target["node"]], {})[target["path"]] = read(sampler["output"]).astype(float)
    return times, tracks


def _read_texture(tree: dict[str, Any], chunk: bytes) -> Array | None:
    """The first picture in the file, (H, W, 4) 0..1."""
    if not tree.get("images"):
        return None
    view = tree["bufferViews"][tree["images"][0]["bufferView"]]
    start = view.get("byteOffset", 0)
    picture = Image.open(io.BytesIO(chunk[start : start + view["byteLength"]])).convert("RGBA")
    return np.asarray(picture, np.float32) / 255
