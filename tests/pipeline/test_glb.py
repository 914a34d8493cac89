import json
import struct

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import encode_glb, write_glb
from character3d.pipeline.types import Material, Mesh, TexturedMesh


def make_textured(subdivisions=3, side=16, alpha=1.0):
    sphere = trimesh.creation.icosphere(subdivisions)
    uvs = np.random.default_rng(0).random((len(sphere.vertices), 2))
    base_color = np.random.default_rng(1).integers(0, 256, (side, side, 4)) / 255
    base_color[..., 3] = alpha
    mesh = Mesh(sphere.vertices, sphere.faces, sphere.vertex_normals, uvs)
    return TexturedMesh(mesh, Material(base_color, metallic=0.25, roughness=0.75))


def read_back(path):
    scene = trimesh.load_scene(path, process=False)
    (geometry,) = scene.geometry.values()
    return geometry


def parse(data):
    """JSON and binary chunk by hand, so that the container itself is checked."""
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    json_length, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and json_length % 4 == 0
    binary_length, kind = struct.unpack_from("<I4s", data, 20 + json_length)
    assert kind == b"BIN\0" and 28 + json_length + binary_length == len(data)
    return json.loads(data[20 : 20 + json_length]), data[28 + json_length :]


@pytest.mark.parametrize("subdivisions", [2, 7])  # 16-bit and 32-bit indices
def test_trimesh_reads_back_what_was_written(tmp_path, subdivisions):
    textured = make_textured(subdivisions)
    write_glb(tmp_path / "a.glb", textured)
    found, mesh = read_back(tmp_path / "a.glb"), textured.mesh
    np.testing.assert_array_equal(found.vertices, mesh.positions)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    np.testing.assert_allclose(found.vertex_normals, mesh.normals, atol=1e-6)
    np.testing.assert_allclose(found.visual.uv, np.stack((mesh.uvs[:, 0], 1 - mesh.uvs[:, 1]), 1), atol=1e-6)
    material = found.visual.material
    assert (material.metallicFactor, material.roughnessFactor) == (0.25, 0.75)
    texels = np.asarray(material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(texels, np.round(textured.material.base_color[..., :3] * 255))


def test_raw_mesh_has_normals_and_no_texture(tmp_path):
    sphere = trimesh.creation.icosphere(3)
    write_glb(str(tmp_path / "a.glb"), Mesh(sphere.vertices, sphere.faces))
    found = read_back(tmp_path / "a.glb")
    np.testing.assert_allclose(found.vertex_normals, sphere.vertices, atol=0.02)
    assert found.is_watertight
    tree, _ = parse((tmp_path / "a.glb").read_bytes())
    assert "textures" not in tree and "TEXCOORD_0" not in tree["meshes"][0]["primitives"][0]["attributes"]


def test_container_views_are_aligned_and_inside_the_buffer():
    tree, binary = parse(encode_glb(make_textured()))
    assert tree["buffers"][0]["byteLength"] == len(binary)
    for view in tree["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(binary)
    position = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]]
    assert position["min"] == pytest.approx([-1, -1, -1], abs=1e-6)
    assert position["max"] == pytest.approx([1, 1, 1], abs=1e-6)


def test_alpha_is_kept_only_where_it_says_something():
    opaque, _ = parse(encode_glb(make_textured()))
    clear, _ = parse(encode_glb(make_textured(alpha=0.5)))
    assert "alphaMode" not in opaque["materials"][0]
    assert clear["materials"][0]["alphaMode"] == "BLEND"


def test_the_same_mesh_gives_the_same_bytes():
    assert encode_glb(make_textured()) == encode_glb(make_textured())


def test_bad_meshes_are_refused_with_what_was_found(tmp_path):
    points = np.eye(3)
    cases = {
        "without": Mesh(points, np.zeros((0, 3))),
        "NaN": Mesh(points * np.nan, [[0, 1, 2]]),
    }
    for message, mesh in cases.items():
        with pytest.raises(FormatError, match=message):
            write_glb(tmp_path / "a.glb", mesh)
    assert not (tmp_path / "a.glb").exists()
