"""ufbx reads an FBX file, poses it, and reports in the shape that README.md of this folder states."""

import base64
import ctypes
import hashlib
import io
import json
import sys

import numpy as np
import ufbx
from PIL import Image

SPARE_REFERENCES = 1000


def to_matrix(matrix):
    return np.vstack([np.array(matrix).T, (0, 0, 0, 1)])


def keep_alive(scene):
    """ufbx 0.0.5's lists give away references that they do not own, and the process would end; with
    plenty of spare ones it does not."""
    for item in (scene, *scene.elements):
        for _ in range(SPARE_REFERENCES):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))
    return scene


def find_posed(node, pose, found):
    """The node's matrix in the posed world; ufbx 0.0.5 itself drops a pose given to create_anim."""
    if node.name not in found:
        parent = find_posed(node.parent, pose, found) if node.parent else np.eye(4)
        turn = np.eye(4)
        turn[:3, :3] = pose.get(node.name, np.eye(3))
        found[node.name] = parent @ to_matrix(node.node_to_parent) @ turn
    return found[node.name]


def blend_points(points, clusters, weights, pose):
    points = np.c_[points, np.ones(len(points))]
    found, blended = {}, np.zeros_like(points)
    for name, cluster in clusters.items():
        move = find_posed(cluster.bone_node, pose, found) @ to_matrix(cluster.geometry_to_bone)
        share = np.array([row.get(name, 0) for row in weights])
        blended += share[:, None] * (points @ move.T)
    return blended[:, :3]


def follow_clip(scene, stack, points, weights, time):
    """Skinned points, the joints where ufbx's own evaluation of the stack has them."""
    evaluated = keep_alive(ufbx.evaluate_scene(scene, stack.anim, time))
    joints = {node.name: to_matrix(node.node_to_world) for node in evaluated.nodes}
    points, blended = np.c_[points, np.ones(len(points))], np.zeros((len(points), 4))
    for cluster in evaluated.skin_deformers[0].clusters:
        name = cluster.bone_node.name
        share = np.array([row.get(name, 0) for row in weights])
        blended += share[:, None] * (points @ (joints[name] @ to_matrix(cluster.geometry_to_bone)).T)
    return blended[:, :3]


def main(model, ask, report):
    scene = keep_alive(ufbx.load_file(model))
    metres = scene.settings.unit_meters
    scale = np.diag([metres] * 3 + [1]), np.diag([1 / metres] * 3 + [1])
    (mesh,), (skin,) = scene.meshes, scene.skin_deformers
    indices = np.array(mesh.vertex_indices)
    names = [cluster.bone_node.name for cluster in skin.clusters]
    clusters = dict(zip(names, skin.clusters, strict=True))
    nodes = [node for node in scene.nodes if node.bone]
    weights = []
    for vertex in skin.vertices:
        rows = range(vertex.weight_begin, vertex.weight_begin + vertex.num_weights)
        weights.append({names[skin.weights[r].cluster_index]: skin.weights[r].weight for r in rows})
    to_world = to_matrix(next(node for node in scene.nodes if node.mesh).geometry_to_world)
    points = np.array(mesh.vertex_position.values)  # mesh.vertices has a wrong length in ufbx 0.0.5
    positions = points @ to_world[:3, :3].T + to_world[:3, 3]
    uvs = np.array(mesh.vertex_uv.values)[np.array(mesh.vertex_uv.indices)]
    normals = np.array(mesh.vertex_normal.values)[np.array(mesh.vertex_normal.indices)]
    axes = {"tangents": mesh.vertex_tangent, "bitangents": mesh.vertex_bitangent}
    posed = blend_points(points, clusters, weights, ask["pose"])
    texture = mesh.materials[0].fbx.diffuse_color.texture
    content = texture.content
    result = {
        "warnings": [warning.description for warning in scene.metadata.warnings],
        "vertex_count": len(points),
        "joints": {
            node.name: {
                "parent": node.parent.name if node.parent and node.parent.bone else None,
                "rest": (scale[0] @ to_matrix(node.node_to_world) @ scale[1]).tolist(),
                "inverse_bind": (
                    scale[0] @ to_matrix(clusters[node.name].geometry_to_bone) @ scale[1]
                ).tolist(),
            }
            for node in nodes
        },
        "positions": (positions[indices] * metres).reshape(-1, 3, 3).tolist(),
        "normals": normals.reshape(-1, 3, 3).tolist(),
        **{
            name: np.array(layer.values)[np.array(layer.indices)].reshape(-1, 3, 3).tolist()
            for name, layer in axes.items()
            if layer.exists
        },
        "uvs": (uvs * (1, -1) + (0, 1)).reshape(-1, 3, 2).tolist(),
        "weights": [weights[i] for i in indices],
        "posed": (posed[indices] * metres).reshape(-1, 3, 3).tolist(),
        "clips": {
            stack.name: [
                (follow_clip(scene, stack, points, weights, time)[indices] * metres)
                .reshape(-1, 3, 3)
                .tolist()
                for time in ask["times"]
            ]
            for stack in scene.anim_stacks
        },
        "texture": {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": Image.open(io.BytesIO(content)).size,
        },
        "textures": {
            slot.material_prop: base64.b64encode(slot.texture.content).decode()
            for slot in mesh.materials[0].textures
        },
    }
    with open(report, "w") as stream:
        json.dump(result, stream)


if __name__ == "__main__":
    with open(sys.argv[2]) as stream:
        main(sys.argv[1], json.load(stream), sys.argv[3])
