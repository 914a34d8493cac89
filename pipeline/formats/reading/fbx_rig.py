"""Skeleton, skin, blend shapes and clips of an FBX file, for fbx_worker.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fbx_lists import hold, list_items, read_array, read_matrix
from .left_out import LeftOut

_RATE, _MOST_KEYS = 30.0, 10_000
"""Keys a second, and at most, at which clips are sampled."""
_MOST_INFLUENCES = 8
_OF_JOINTS = {"Lcl Scaling": "scale animation of"}
_OF_OTHERS = {
    "Lcl Translation": "animation of",
    "Lcl Rotation": "animation of",
    "Lcl Scaling": "animation of",
    "DeformPercent": "morph animation of",
}
"""Properties whose animation is left out, of joints and what is above them, and of all else."""
_SAME = 1e-3
"""Relative difference of values that are taken for one."""


def read_morphs(mesh: Any, node: Any, count: int) -> dict[str, Any]:
    """What each channel of blend shapes adds to the vertices where the scene has them, (V, 3) by its key."""
    channels = list_channels(mesh)
    if not channels:
        return {}
    linear = _read_maps(mesh, node, count)
    return {
        f"morph_{number}": np.einsum("vij,vj->vi", linear, _read_deltas(channel, count))
        for number, channel in enumerate(channels)
    }


def list_channels(mesh: Any) -> list[Any]:
    """The channels of blend shapes that have a shape."""
    deformers = list_items(mesh.blend_deformers)
    channels = [channel for deformer in deformers for channel in list_items(deformer.channels)]
    return [channel for channel in channels if channel.target_shape is not None]


def _read_deltas(channel: Any, count: int) -> Any:
    """(count, 3) what a blend shape adds to the vertices of its mesh."""
    deltas = np.zeros((count, 3))
    shape = channel.target_shape
    if not len(shape.offset_vertices):
        return deltas
    vertices, offsets = read_array(shape.offset_vertices), read_array(shape.position_offsets)
    is_sound = vertices < count
    deltas[vertices[is_sound]] = offsets[is_sound]
    return deltas


def _read_maps(mesh: Any, node: Any, count: int) -> Any:
    """The linear maps (V, 3, 3) that place the vertices: those of their joints, or the node's."""
    linear = np.tile(read_matrix(node.geometry_to_world)[:3, :3], (count, 1, 1))
    if clusters := _list_clusters(mesh):
        vertex, cluster, weight = _list_weights(clusters, count)
        places = [read_matrix(item.bone_node.node_to_world) for item in clusters]
        binds = [read_matrix(item.geometry_to_bone) for item in clusters]
        maps = (np.stack(places) @ np.stack(binds))[:, :3, :3]
        total, blended = np.bincount(vertex, weight, count), np.zeros((count, 3, 3))
        np.add.at(blended, vertex, weight[:, None, None] * maps[cluster])
        linear[total > 0] = blended[total > 0] / total[total > 0, None, None]
    return linear


def _list_clusters(mesh: Any) -> list[Any]:
    """The joints of a mesh's skins, each with the vertices that it moves."""
    clusters = [item for skin in list_items(mesh.skin_deformers) for item in list_items(skin.clusters)]
    return [cluster for cluster in clusters if cluster.bone_node and len(cluster.vertices)]


def _list_weights(clusters: list[Any], count: int) -> tuple[Any, Any, Any]:
    """Vertex, number of the cluster, and weight, (N,) each, of all influences."""
    vertices = [read_array(cluster.vertices) for cluster in clusters]
    number = np.repeat(np.arange(len(clusters)), [len(own) for own in vertices])
    vertex, weight = np.concatenate(vertices), np.concatenate([read_array(item.weights) for item in clusters])
    is_sound = (vertex < count) & (weight > 0)
    return vertex[is_sound], number[is_sound], weight[is_sound]


class FbxRig:
    """The joints of a scene, parents first, and what they move."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        bound = {
            cluster.bone_node.typed_id for cluster in list_items(scene.skin_clusters) if cluster.bone_node
        }
        nodes = sorted(list_items(scene.nodes), key=lambda node: node.node_depth)
        self._joints = [node for node in nodes if node.typed_id in bound or node.bone is not None]
        if not self._joints and not len(scene.meshes):  # a file of mere motion may have plain nodes
            self._joints = [node for node in nodes if node.parent is not None]
        self._number = {node.typed_id: number for number, node in enumerate(self._joints)}
        self._nodes = nodes

    def describe(self, arrays: dict[str, Any]) -> dict[str, Any] | None:
        """Names and parents of the joints; their transforms go to `arrays`."""
        if not self._joints:
            return None
        parents = [self._find_joint(node.parent) for node in self._joints]
        arrays["skeleton"] = np.stack([read_matrix(node.node_to_world) for node in self._joints])
        arrays["binds"] = self._read_binds()
        return {"names": [node.name for node in self._joints], "parents": parents}

    def describe_clips(self, arrays: dict[str, Any], left_out: LeftOut) -> list[dict[str, Any]]:
        """Names of the clips and what they move; keys and transforms of the joints go to `arrays`.

        left_out: learns what the clips do beside moving and turning joints.
        """
        found = []
        stacks = [stack for stack in list_items(self._scene.anim_stacks) if _list_props(stack)]
        for number, stack in enumerate(stacks):
            begin, end = _find_range(stack)
            times = np.linspace(begin, end, min(round((end - begin) * _RATE) + 1, _MOST_KEYS))
            moves = self._is_moved(stack)
            found.append({"name": stack.name, "moves": moves})
            if moves:
                self._name_left_out(stack, left_out)
                arrays[f"clip{number}_times"] = times - times[0]
                arrays[f"clip{number}_world"] = self._follow(stack.anim, times)
        return found

    def _read_binds(self) -> Any:
        """(J, 4, 4) what takes the mesh with the most joints to each of its joints; else NaN."""
        binds = np.full((len(self._joints), 4, 4), np.nan)
        skins = [list(list_items(skin.clusters)) for skin in list_items(self._scene.skin_deformers)]
        for cluster in max(skins, key=len, default=[]):
            if cluster.bone_node is not None:
                binds[self._number[cluster.bone_node.typed_id]] = read_matrix(cluster.geometry_to_bone)
        return binds

    def read_influences(self, mesh: Any, node: Any, count: int) -> dict[str, Any]:
        """Joints and weights (V, K) of the vertices, the strongest first; empty if no joint moves them."""
        clusters = _list_clusters(mesh)
        if not clusters:
            above = self._find_joint(node)
            both = {"joints": np.full((count, 1), above), "weights": np.ones((count, 1))}
            return both if above >= 0 else {}
        vertex, cluster, weight = _list_weights(clusters, count)
        order = np.lexsort((-weight, vertex))
        vertex, cluster, weight = vertex[order], cluster[order], weight[order]
        column = np.arange(len(vertex)) - np.searchsorted(vertex, vertex)
        kept = column < _MOST_INFLUENCES
        numbers = np.array([self._number[item.bone_node.typed_id] for item in clusters])
        joints, weights = (np.zeros((count, _MOST_INFLUENCES), kind) for kind in (np.int64, np.float64))
        joints[vertex[kept], column[kept]] = numbers[cluster[kept]]
        weights[vertex[kept], column[kept]] = weight[kept]
        return {"joints": joints, "weights": weights}

    def _find_joint(self, node: Any) -> int:
        """The number of the node, or of the one nearest above it, that is a joint; -1 if there is none."""
        while node is not None:
            if node.typed_id in self._number:
                return self._number[node.typed_id]
            node = node.parent
        return -1

    def _is_moved(self, stack: Any) -> bool:
        """Whether a clip has keys for a joint or a node above one."""
        moved = {node.element_id for node in self._list_above()}
        return any(prop.element.element_id in moved for prop in _list_props(stack))

    def _name_left_out(self, stack: Any, left_out: LeftOut) -> None:
        """Scales of joints, blend shapes and other nodes that a clip changes."""
        moved = {node.element_id for node in self._list_above()}
        for prop in _list_props(stack):
            kinds = _OF_JOINTS if prop.element.element_id in moved else _OF_OTHERS
            if prop.prop_name in kinds and _has_change(prop):
                left_out.name(kinds[prop.prop_name], prop.element.name)

    def _list_above(self) -> list[Any]:
        """The joints and all nodes above them, parents first."""
        above: set[int] = set()
        for node in self._joints:
            while node is not None and node.typed_id not in above:
                above.add(node.typed_id)
                node = node.parent
        return [node for node in self._nodes if node.typed_id in above]

    def _follow(self, anim: Any, times: Any) -> Any:
        """(T, J, 4, 4) transforms of the joints at these times, seconds."""
        import ufbx

        world: dict[int, Any] = {}
        for node in self._list_above():
            local = np.stack([_compose(ufbx.evaluate_transform(anim, node, float(time))) for time in times])
            world[node.typed_id] = local if node.parent is None else world[node.parent.typed_id] @ local
        return np.stack([world[node.typed_id] for node in self._joints], axis=1)


def _find_range(stack: Any) -> tuple[float, float]:
    """When a clip begins and ends, seconds: as it says, or else from its first key to its last."""
    if stack.time_end > stack.time_begin:
        return float(stack.time_begin), float(stack.time_end)
    curves = [curve for prop in _list_props(stack) for curve in list_items(prop.anim_value.curves)]
    keys = [curve.keyframes for curve in curves if curve is not None and len(curve.keyframes)]
    ends = [hold(own[place]).time for own in keys for place in (0, len(own) - 1)]
    return min(ends, default=0.0), max(ends, default=0.0)


def _has_change(prop: Any) -> bool:
    """Whether the keys of a property differ."""
    for curve in list_items(prop.anim_value.curves):
        if curve is not None:
            values = [hold(curve.keyframes[place]).value for place in range(len(curve.keyframes))]
            if values and max(values) - min(values) > _SAME * max(map(abs, values)):
                return True
    return False


def _list_props(stack: Any) -> list[Any]:
    """What a clip moves, as a property and the curves for it."""
    return [prop for layer in list_items(stack.layers) for prop in list_items(layer.anim_props)]


def _compose(transform: Any) -> Any:
    """(4, 4) of a translation, a quaternion and a scale."""
    move, turn, scale = transform.translation, transform.rotation, transform.scale
    x, y, z, w = turn.x, turn.y, turn.z, turn.w
    made = np.eye(4)
    made[:3, :3] = np.array(
        (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
    ) * (scale.x, scale.y, scale.z)
    made[:3, 3] = move.x, move.y, move.z
    return made
