"""Valid model files that fuzz.py changes: those of tests/files, and what other writers make of a mesh."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from character3d.pipeline.formats import MESH_SUFFIXES, encode_fbx, encode_glb
from character3d.tests.readers.sample_character import make_character
from PIL import Image

TESTS = Path(__file__).resolve().parent.parent / "tests" / "files"
MOST_BYTES = 150_000
"""Of a file of tests/files; larger ones have nothing that smaller ones have not."""
STAGE = """#usda 1.0
(
    metersPerUnit = 0.01
    upAxis = "Z"
    startTimeCode = 0
    endTimeCode = 10
    timeCodesPerSecond = 10
)
def SkelRoot "root"
{
    def Skeleton "rig" (prepend apiSchemas = ["SkelBindingAPI"])
    {
        uniform token[] joints = ["hip", "hip/head"]
        uniform matrix4d[] bindTransforms = [((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
            ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 1, 1))]
        uniform matrix4d[] restTransforms = [((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
            ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 1, 1))]
        rel skel:animationSource = </root/rig/walk>
        def SkelAnimation "walk"
        {
            uniform token[] joints = ["hip", "hip/head"]
            float3[] translations.timeSamples = { 0: [(0, 0, 0), (0, 0, 1)], 10: [(0, 1, 0), (0, 0, 1)] }
            quatf[] rotations.timeSamples = {
                0: [(1, 0, 0, 0), (1, 0, 0, 0)], 10: [(1, 0, 0, 0), (0, 1, 0, 0)]
            }
            half3[] scales = [(1, 1, 1), (1, 1, 1)]
        }
    }
    def Mesh "body" (prepend apiSchemas = ["SkelBindingAPI", "MaterialBindingAPI"])
    {
        int[] faceVertexCounts = [4, 3]
        int[] faceVertexIndices = [0, 1, 2, 3, 0, 1, 4]
        point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 0, 2), (0, 0, 2), (0, 1, 0)]
        texCoord2f[] primvars:st = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (1, 0), (0, 1)] (
            interpolation = "faceVarying"
        )
        color3f[] primvars:displayColor = [(1, 0, 0), (0, 1, 0)] (interpolation = "uniform")
        rel skel:skeleton = </root/rig>
        matrix4d primvars:skel:geomBindTransform = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
        int[] primvars:skel:jointIndices = [0, 0, 1, 1, 0] (interpolation = "vertex"; elementSize = 1)
        float[] primvars:skel:jointWeights = [1, 1, 1, 1, 1] (interpolation = "vertex"; elementSize = 1)
        rel material:binding = </root/skin>
        def GeomSubset "top" (prepend apiSchemas = ["MaterialBindingAPI"])
        {
            uniform token elementType = "face"
            uniform token familyName = "materialBind"
            int[] indices = [1]
            rel material:binding = </root/plain>
        }
    }
    def Material "skin"
    {
        token outputs:surface.connect = </root/skin/surface.outputs:surface>
        def Shader "surface"
        {
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor.connect = </root/skin/picture.outputs:rgb>
            float inputs:opacity.connect = </root/skin/picture.outputs:a>
            float inputs:roughness.connect = </root/skin/picture.outputs:g>
            float inputs:opacityThreshold = 0.3
            token outputs:surface
        }
        def Shader "picture"
        {
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @./skin.png@
            token inputs:wrapS = "clamp"
            float4 inputs:scale = (0.5, 1, 1, 1)
            float2 inputs:st.connect = </root/skin/moved.outputs:result>
            float3 outputs:rgb
            float outputs:a
            float outputs:g
        }
        def Shader "moved"
        {
            uniform token info:id = "UsdTransform2d"
            float2 inputs:scale = (0.5, 0.5)
            float inputs:rotation = 30
            float2 inputs:in.connect = </root/skin/reader.outputs:result>
            float2 outputs:result
        }
        def Shader "reader"
        {
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }
    }
    def Material "plain"
    {
        token outputs:surface.connect = </root/plain/surface.outputs:surface>
        def Shader "surface"
        {
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (1, 0.5, 0)
            color3f inputs:emissiveColor = (0, 0.5, 0)
            token outputs:surface
        }
    }
    def PointInstancer "many"
    {
        rel prototypes = </root/many/box>
        int[] protoIndices = [0, 0, 0]
        point3f[] positions = [(0, 0, 0), (0, 0, 5), (5, 0, 0)]
        quath[] orientations = [(1, 0, 0, 0), (0, 1, 0, 0), (1, 0, 0, 0)]
        float3[] scales = [(1, 1, 1), (2, 2, 2), (1, -1, 1)]
        int64[] invisibleIds = [2]
        def Mesh "box"
        {
            int[] faceVertexCounts = [3]
            int[] faceVertexIndices = [0, 1, 2]
            point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 0, 2)]
            uniform token orientation = "leftHanded"
            double3 xformOp:translate = (1, 2, 3)
            uniform token[] xformOpOrder = ["xformOp:translate"]
        }
    }
    def Camera "eye" {}
    def SphereLight "lamp" {}
    def Sphere "ball" {}
}
"""
"""A skin, a clip, materials with a texture, instances, and what is left out."""


def gather_sources(folder: Path, more: Path | None) -> list[Path]:
    """Valid files to change, in an order that is always the same."""
    shutil.copytree(TESTS, folder)
    write_sources(folder)
    models = (path for path in folder.iterdir() if path.suffix.lower() in MESH_SUFFIXES)
    own = sorted(path for path in models if path.stat().st_size < MOST_BYTES)
    given = sorted(more.rglob("*")) if more else []
    return own + [path for path in given if path.suffix.lower() in MESH_SUFFIXES and path.is_file()]


def write_sources(folder: Path) -> None:
    """Files that tests/files has not: of trimesh, of our own writers, compressed, as text."""
    ball = trimesh.creation.icosphere(2)
    ball.visual.vertex_colors = np.tile((200, 30, 60, 255), (len(ball.vertices), 1))
    for suffix in ("ply", "stl", "off", "obj"):
        ball.export(folder / f"ball.{suffix}")
    (folder / "text.ply").write_bytes(ball.export(file_type="ply", encoding="ascii"))
    (folder / "text.stl").write_text(ball.export(file_type="stl_ascii"))
    lines = ["mtllib box.mtl", "o box", "usemtl skin", *(f"v {x} {y} 0" for x in (0, 1) for y in (0, 1))]
    lines += ["vt 0 0", "vt 1 0", "vt 1 1", "vn 0 0 1", "f 1/1/1 2/2/1 3/3/1", "f -1//1 -2//1 -3//1", "s off"]
    (folder / "box.obj").write_text("\n".join(lines))
    (folder / "box.mtl").write_text("newmtl skin\nKd 1 0.5 0\nd 0.5\nmap_Kd -s 1 1 1 adobe_rgb.png\nPr 0.5\n")
    character = make_character()
    (folder / "character.glb").write_bytes(encode_glb(character))
    (folder / "character.fbx").write_bytes(encode_fbx(character, "character"))
    with contextlib.suppress(ImportError):
        write_draco(folder / "draco.glb", ball)
    with contextlib.suppress(ImportError):
        write_usd(folder)


def write_draco(path: Path, mesh: trimesh.Trimesh) -> None:
    import DracoPy

    data = DracoPy.encode(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    accessors = [
        {"componentType": 5126, "count": len(mesh.vertices), "type": "VEC3"},
        {"componentType": 5125, "count": mesh.faces.size, "type": "SCALAR"},
    ]
    packed = {"KHR_draco_mesh_compression": {"bufferView": 0, "attributes": {"POSITION": 0}}}
    tree = {
        "asset": {"version": "2.0"},
        "extensionsUsed": [*packed],
        "extensionsRequired": [*packed],
        "buffers": [{"byteLength": len(data)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(data)}],
        "accessors": accessors,
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "extensions": packed}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    path.write_bytes(pack_glb(tree, struct.pack("<I4s", len(data), b"BIN\0") + data))


def write_usd(folder: Path) -> None:
    """The stage as text, as Crate and as USDZ."""
    from pxr import Usd, UsdUtils

    Image.new("RGBA", (4, 4), (200, 30, 60, 128)).save(folder / "skin.png")
    text, crate = folder / "figure.usda", folder / "figure.usdc"
    text.write_text(STAGE)
    Usd.Stage.Open(str(text)).Export(str(crate))
    UsdUtils.CreateNewUsdzPackage(str(crate), str(folder / "figure.usdz"))


def pack_glb(tree: Any, rest: bytes) -> bytes:
    """A GLB file of this JSON, `rest` its other chunks."""
    text = json.dumps(tree).encode()
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON") + text + rest
