"""Blender imports an FBX, GLB or USDZ file with its defaults and reports as README.md here states."""

import hashlib
import json
import sys
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

# Blender is Z up and its importer turns our front (+Z) to -Y; this turns it back.
TO_OUR_FRAME = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=float)


def to_array(matrix):
    return np.array([list(row) for row in matrix])


def world_points(item, mesh):
    points = np.array([list(vertex.co) for vertex in mesh.vertices])
    world = TO_OUR_FRAME @ to_array(item.matrix_world)
    return points @ world[:3, :3].T + world[:3, 3]


def find_rest(armature, bone):
    """Scale lies on the armature object: it is taken out of the joint's axes."""
    world = TO_OUR_FRAME @ to_array(armature.matrix_world @ bone.matrix_local)
    world[:3, :3] /= np.linalg.norm(world[:3, :3], axis=0)
    return world


def pose_points(item, armature, pose):
    armature.animation_data_clear()
    for bone in armature.pose.bones:
        bone.matrix_basis = Matrix()
    for name, rotation in pose.items():
        armature.pose.bones[name].matrix_basis = Matrix(rotation).to_4x4()
    bpy.context.view_layer.update()
    evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
    return world_points(evaluated, evaluated.to_mesh())


def follow_clip(item, armature, action, times):
    """Points at `times`, seconds into the clip; the importers put its start at different frames."""
    scene, animation = bpy.context.scene, armature.animation_data
    for track in animation.nla_tracks:
        track.mute = True
    animation.action, animation.action_slot = action, action.slots[0]
    start = min(curve.range()[0] for curve in list_curves(action))
    rate = scene.render.fps / scene.render.fps_base
    points = []
    for time in times:
        frame = start + time * rate
        scene.frame_set(int(frame), subframe=frame - int(frame))
        evaluated = item.evaluated_get(bpy.context.evaluated_depsgraph_get())
        points.append(world_points(evaluated, evaluated.to_mesh()))
    return points


def list_curves(action):
    return [curve for strip in action.layers[0].strips for bag in strip.channelbags for curve in bag.fcurves]


def read_weights(item):
    names = [group.name for group in item.vertex_groups]
    return [{names[g.group]: g.weight for g in vertex.groups} for vertex in item.data.vertices]


def read_texture(material):
    principled = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    image = principled.inputs["Base Color"].links[0].from_node.image
    content = image.packed_file.data
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": list(image.size)}


def import_gltf(filepath):
    bpy.ops.import_scene.gltf(filepath=filepath, disable_bone_shape=True)


IMPORTERS = {".fbx": bpy.ops.import_scene.fbx, ".glb": import_gltf, ".usdz": bpy.ops.wm.usd_import}


def import_model(model):
    bpy.ops.wm.read_factory_settings(use_empty=True)
    IMPORTERS[Path(model).suffix](filepath=model)


def main(model, ask, report):
    import_model(model)
    (item,) = (entry for entry in bpy.data.objects if entry.type == "MESH")
    (armature,) = (entry for entry in bpy.data.objects if entry.type == "ARMATURE")
    mesh = item.data
    upright = np.array([list(item.matrix_world @ vertex.co) for vertex in mesh.vertices])
    corners = np.array([loop.vertex_index for loop in mesh.loops])
    weights = read_weights(item)
    uvs = np.array([list(entry.uv) for entry in mesh.uv_layers[0].data])
    turn = (TO_OUR_FRAME @ to_array(item.matrix_world))[:3, :3]
    normals = np.array([list(entry.vector) for entry in mesh.corner_normals]) @ turn.T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    rest = {bone.name: find_rest(armature, bone) for bone in armature.data.bones}
    result = {
        "warnings": [],
        "vertex_count": len(mesh.vertices),
        "dimensions": list(item.dimensions),
        "blender_bounds": [upright.min(axis=0).tolist(), upright.max(axis=0).tolist()],
        "joints": {
            bone.name: {
                "parent": bone.parent.name if bone.parent else None,
                "rest": rest[bone.name].tolist(),
                "inverse_bind": np.linalg.inv(rest[bone.name]).tolist(),
            }
            for bone in armature.data.bones
        },
        "positions": world_points(item, mesh)[corners].reshape(-1, 3, 3).tolist(),
        "normals": normals.reshape(-1, 3, 3).tolist(),
        "uvs": (uvs * (1, -1) + (0, 1)).reshape(-1, 3, 2).tolist(),
        "weights": [weights[i] for i in corners],
        "texture": read_texture(mesh.materials[0]),
        "clips": {
            action.name.removeprefix(f"{armature.name}|").removesuffix("|BaseLayer"): [
                points[corners].reshape(-1, 3, 3).tolist()
                for points in follow_clip(item, armature, action, ask["times"])
            ]
            for action in bpy.data.actions
        },
        "posed": pose_points(item, armature, ask["pose"])[corners].reshape(-1, 3, 3).tolist(),
    }
    with open(report, "w") as stream:
        json.dump(result, stream)


if __name__ == "__main__":
    with open(sys.argv[2]) as stream:
        main(sys.argv[1], json.load(stream), sys.argv[3])
