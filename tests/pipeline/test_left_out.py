"""What a file has that we have no place for is named in one sentence."""

import base64
import json

import numpy as np
import pytest
from character3d.pipeline.formats import read_mesh

TRIANGLE = np.array([(0, 0, 0), (1, 0, 0), (0, 1, 0)], np.float32)


def write_gltf(path, nodes, animation=None, **more):
    """A triangle with a skin of joint 1; animation: channels as (node, path, values (2, k))."""
    blobs = [TRIANGLE, np.zeros((3, 4), np.uint8), np.tile((1.0, 0, 0, 0), (3, 1)).astype(np.float32)]
    kinds = [(5126, "VEC3"), (5121, "VEC4"), (5126, "VEC4")]
    samplers, channels = [], []
    for node, what, values in animation or ():
        samplers.append({"input": len(blobs), "output": len(blobs) + 1})
        channels.append({"sampler": len(channels), "target": {"node": node, "path": what}})
        blobs += [np.array((0, 1), np.float32), np.array(values, np.float32)]
        width = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[np.array(values).shape[-1]]
        kinds += [(5126, "SCALAR"), (5126, width)]
    data, views = b"", []
    for blob in blobs:
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": blob.nbytes})
        data += blob.tobytes()
    accessors = [
        {"bufferView": number, "componentType": kind, "type": width, "count": len(blob)}
        for number, (blob, (kind, width)) in enumerate(zip(blobs, kinds, strict=True))
    ]
    attributes = {"POSITION": 0, "JOINTS_0": 1, "WEIGHTS_0": 2}
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": list(range(len(nodes)))}],
        "nodes": nodes,
        "meshes": [{"primitives": [{"attributes": attributes, "targets": [{"POSITION": 0}]}]}],
        "skins": [{"joints": [1]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [
            {
                "byteLength": len(data),
                "uri": "data:application/octet-stream;base64," + base64.b64encode(data).decode(),
            }
        ],
        **more,
    }
    if channels:
        tree["animations"] = [{"name": "Walk", "samplers": samplers, "channels": channels}]
    path.write_text(json.dumps(tree))
    return path


BODY = [{"mesh": 0, "skin": 0, "name": "Body"}, {"name": "Bone"}]


def test_cameras_lights_extensions_and_other_scenes_of_gltf(tmp_path):
    lamp = {"extensions": {"KHR_lights_punctual": {"light": 0}}}
    loaded = read_mesh(
        write_gltf(
            tmp_path / "a.gltf",
            [*BODY, {"camera": 0}, {"camera": 0}, lamp, {"mesh": 0}],
            scenes=[{"nodes": [0, 1, 2, 3, 4]}, {"nodes": [5]}],
            cameras=[{"type": "perspective", "perspective": {"yfov": 1, "znear": 1}}],
            extensionsUsed=["KHR_lights_punctual", "KHR_materials_clearcoat", "KHR_texture_transform"],
        )
    )
    assert loaded.warnings == (
        "a.gltf: left out: 2 cameras, 1 light, 1 mesh outside the scene, "
        "extensions 'KHR_materials_clearcoat'",
    )


def test_scales_morphs_and_other_nodes_that_a_gltf_clip_moves(tmp_path):
    turns = [(0, 0, 0, 1), (0, 0, 1, 0)]
    moves = [
        (1, "rotation", turns),
        (1, "scale", [(1, 1, 1), (1, 2, 1)]),
        (2, "translation", [(0, 0, 0), (1, 0, 0)]),
        (0, "weights", [[0], [1]]),
    ]
    loaded = read_mesh(write_gltf(tmp_path / "a.gltf", [*BODY, {"name": "Prop"}], moves))
    assert [clip.name for clip in loaded.surface.extras.rig.clips] == ["Walk"]
    assert loaded.warnings == (
        "a.gltf: left out: morph animation of 'Body', scale animation of 'Bone', animation of 'Prop'",
    )


def test_scales_that_stay_those_of_the_joint_are_no_loss(tmp_path):
    moves = [(1, "rotation", [(0, 0, 0, 1), (0, 0, 1, 0)]), (1, "scale", [(2, 2, 2), (2, 2, 2)])]
    nodes = [BODY[0], {"name": "Bone", "scale": [2, 2, 2]}]
    assert read_mesh(write_gltf(tmp_path / "a.gltf", nodes, moves)).warnings == ()


def test_lines_and_points_of_obj(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\nl 1 2\nl 2 3\np 1\n")
    assert read_mesh(tmp_path / "a.obj").warnings == ("a.obj: left out: 2 lines, 1 point",)


def test_cameras_and_lights_of_fbx(tmp_path):
    pytest.importorskip("ufbx")
    (tmp_path / "a.fbx").write_text("""; FBX 7.4.0 project file
FBXHeaderExtension:  {
	FBXVersion: 7400
}
Objects:  {
	Geometry: 1, "Geometry::", "Mesh" {
		Vertices: *9 {
			a: 0,0,0,50,0,0,50,0,170
		}
		PolygonVertexIndex: *3 {
			a: 0,1,-3
		}
	}
	Model: 2, "Model::Body", "Mesh" {
	}
	NodeAttribute: 3, "NodeAttribute::", "Camera" {
	}
	Model: 4, "Model::Eye", "Camera" {
	}
	NodeAttribute: 5, "NodeAttribute::", "Light" {
	}
	Model: 6, "Model::Lamp", "Light" {
	}
}
Connections:  {
	C: "OO",1,2
	C: "OO",2,0
	C: "OO",3,4
	C: "OO",4,0
	C: "OO",5,6
	C: "OO",6,0
}
""")
    assert read_mesh(tmp_path / "a.fbx").warnings == ("a.fbx: left out: 1 camera, 1 light",)


def test_a_usd_skeleton_its_skin_and_its_clip_are_kept(tmp_path):
    pytest.importorskip("pxr", reason="usd-core is not installed")
    (tmp_path / "a.usda").write_text(USD)
    loaded = read_mesh(tmp_path / "a.usda")
    rig = loaded.surface.extras.rig
    assert rig.skeleton.names == ("hip", "head") and rig.skeleton.parents.tolist() == [-1, 0]
    np.testing.assert_allclose(rig.skeleton.positions, [(0, 0, 0), (0, 1, 0)], atol=1e-6)
    top = loaded.surface.positions[:, 1] > 0.5
    np.testing.assert_array_equal(rig.skin.joints[:, 0], np.where(top, 1, 0))
    (clip,) = rig.clips
    assert clip.name == "walk"
    np.testing.assert_allclose(clip.times, (0, 1))
    np.testing.assert_allclose(clip.translations[:, 0], [(0, 0, 0), (0, 0, -0.5)], atol=1e-6)
    np.testing.assert_allclose(clip.translations[:, 1], [(0, 0, 1)] * 2, atol=1e-6)  # Z is the hip's own up
    assert loaded.warnings == (
        "a.usda: left out: 1 blend shape, 1 camera, 1 light, scale animation of 'head'",
    )


IDENTITY = "(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)"
USD = f"""#usda 1.0
(
    metersPerUnit = 0.01
    upAxis = "Z"
    timeCodesPerSecond = 10
)
def SkelRoot "root"
{{
    def Skeleton "rig" (prepend apiSchemas = ["SkelBindingAPI"])
    {{
        uniform token[] joints = ["hip", "hip/head"]
        uniform matrix4d[] bindTransforms = [({IDENTITY}, (0, 0, 0, 1)), ({IDENTITY}, (0, 0, 100, 1))]
        uniform matrix4d[] restTransforms = [({IDENTITY}, (0, 0, 0, 1)), ({IDENTITY}, (0, 0, 100, 1))]
        rel skel:animationSource = </root/rig/walk>
        def SkelAnimation "walk"
        {{
            uniform token[] joints = ["hip", "hip/head"]
            float3[] translations.timeSamples = {{
                0: [(0, 0, 0), (0, 0, 100)], 10: [(0, 50, 0), (0, 0, 100)]
            }}
            quatf[] rotations = [(1, 0, 0, 0), (1, 0, 0, 0)]
            half3[] scales.timeSamples = {{ 0: [(1, 1, 1), (1, 1, 1)], 10: [(1, 1, 1), (2, 2, 2)] }}
        }}
    }}
    def Mesh "body" (prepend apiSchemas = ["SkelBindingAPI"])
    {{
        int[] faceVertexCounts = [3]
        int[] faceVertexIndices = [0, 1, 2]
        point3f[] points = [(0, 0, 0), (100, 0, 0), (0, 0, 200)]
        rel skel:skeleton = </root/rig>
        int[] primvars:skel:jointIndices = [0, 0, 1] (interpolation = "vertex"; elementSize = 1)
        float[] primvars:skel:jointWeights = [1, 1, 1] (interpolation = "vertex"; elementSize = 1)
        def BlendShape "smile" {{}}
    }}
    def Camera "eye" {{}}
    def SphereLight "lamp" {{}}
}}
"""
