"""glTF as other programs write it: what its scene shows is what is read, or the file is refused by name."""

import base64
import json
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from character3d.pipeline.color import linear_to_srgb
from character3d.pipeline.errors import FormatError, MeshError
from character3d.pipeline.formats import encode_glb, read_mesh
from character3d.pipeline.types import TexturedMesh

FILES = Path(__file__).parents[1] / "files"
"""One figure of capsules, 1.705 m tall, +Y up, as glTF's features can hold it."""
RED, BLUE = (200, 30, 30), (30, 60, 200)


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("quantized_parts.glb", (-0.59, 0.001, -0.13), (0.59, 1.705, 0.165)),
        ("sparse_positions.glb", (-0.59, 0.001, -0.13), (0.59, 1.705, 0.165)),
        ("gpu_instanced_limbs.glb", (-0.59, 0.001, -0.165), (0.59, 1.705, 0.165)),
        ("skinned_beside_armature.glb", (-0.59, 0.001, -0.13), (0.59, 1.705, 0.165)),
        ("morph_default_weight.glb", (-0.59, 0.001, -0.13), (0.59, 2.005, 0.165)),
        ("external_bin_with_spaces.gltf", (-0.59, 0.001, -0.13), (0.59, 1.705, 0.165)),
        ("gltfpack_cc.glb", (-0.59, 0.001, -0.13), (0.59, 1.705, 0.165)),
    ],
)
def test_the_scene_is_read_as_it_is_shown(name, low, high):
    if name == "gltfpack_cc.glb":
        pytest.importorskip("meshopt")
    loaded = read_mesh(FILES / name)
    surface = loaded.surface
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    np.testing.assert_allclose(mesh.bounds, (low, high), atol=1e-3)
    assert len(mesh.faces) == 7056 and not loaded.warnings


def read_colors(surface):
    """sRGB 0..255 above and below 0.9 m."""
    if isinstance(surface, TexturedMesh):
        colors, height = surface.vertex_colors[:, :3], surface.mesh.positions[:, 1]
    else:
        colors, height = linear_to_srgb(surface.colors[:, :3]), surface.positions[:, 1]
    return [np.median(colors[where], axis=0) * 255 for where in (height > 0.95, height < 0.85)]


def test_a_texture_is_kept(tmp_path):
    shutil.copy(FILES / "textured.glb", tmp_path / "model.VRM")
    for path in (FILES / "textured.glb", tmp_path / "model.VRM"):
        surface = read_mesh(path).surface
        np.testing.assert_allclose(read_colors(surface), [RED, BLUE], atol=1)
        assert surface.material.metallic == 0 and surface.material.wrap == ("REPEAT", "REPEAT")


def test_vertex_colors_are_kept_and_are_linear():
    expected = [linear_to_srgb(np.array(color) / 255) * 255 for color in (RED, BLUE)]
    np.testing.assert_allclose(read_colors(read_mesh(FILES / "vertex_colours.glb").surface), expected, atol=1)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("needs_draco.glb", "KHR_draco_mesh_compression"),
        ("index_out_of_range.glb", "is damaged: its faces name vertex 60000 of 1836"),
    ],
)
def test_what_cannot_be_read_is_named(name, words):
    with pytest.raises(FormatError, match=words):
        read_mesh(FILES / name)


# -- small files made here ---------------------------------------------------------------------------

POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]], np.float32)


def make_gltf(path, mode=None, indices=None, **changes):
    """Four points of a square as a .gltf with one node; `changes` replace top-level items."""
    blob = POINTS.tobytes() + (b"" if indices is None else np.array(indices, np.uint32).tobytes())
    primitive = {"attributes": {"POSITION": 0}}
    accessors = [{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC3"}]
    views = [{"buffer": 0, "byteLength": 48}]
    if mode is not None:
        primitive["mode"] = mode
    if indices is not None:
        primitive["indices"] = 1
        views.append({"buffer": 0, "byteOffset": 48, "byteLength": 4 * len(indices)})
        accessors.append({"bufferView": 1, "componentType": 5125, "count": len(indices), "type": "SCALAR"})
    uri = "data:application/octet-stream;base64," + base64.b64encode(blob).decode()
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": uri, "byteLength": len(blob)}],
        "bufferViews": views,
        "accessors": accessors,
        "meshes": [{"primitives": [primitive]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    path.write_text(json.dumps(tree | changes))
    return path


def measure_area(mesh):
    a, b, c = np.moveaxis(mesh.positions[mesh.faces], 1, 0)
    return np.cross(b - a, c - a)[:, 2].sum() / 2


@pytest.mark.parametrize(
    ("mode", "indices"), [(4, [0, 1, 2, 2, 1, 3]), (5, None), (5, [0, 1, 2, 3, 3]), (6, [0, 1, 3, 2])]
)
def test_every_mode_of_triangles_covers_the_square(tmp_path, mode, indices):
    mesh = read_mesh(make_gltf(tmp_path / "a.gltf", mode, indices)).surface
    assert len(mesh.faces) == 2 and measure_area(mesh) == pytest.approx(1)


def test_a_mirroring_node_keeps_the_outside_outside(tmp_path):
    nodes = [{"mesh": 0, "scale": [-1, 1, 1]}]
    mesh = read_mesh(make_gltf(tmp_path / "a.gltf", 5, nodes=nodes)).surface
    assert measure_area(mesh) == pytest.approx(1)
    np.testing.assert_array_equal(mesh.bounds[0], [-1, 0, 0])


def test_lines_and_points_are_left_out_and_named(tmp_path):
    square, line = {"attributes": {"POSITION": 0}, "mode": 5}, {"attributes": {"POSITION": 0}, "mode": 1}
    loaded = read_mesh(make_gltf(tmp_path / "a.gltf", meshes=[{"primitives": [square, line, line]}]))
    assert len(loaded.surface.faces) == 2
    assert loaded.warnings == ("a.gltf: meshes of lines are left out: 2",)
    with pytest.raises(MeshError, match="no triangles"):
        read_mesh(make_gltf(tmp_path / "b.gltf", mode=0))


def test_only_the_scene_that_is_shown_is_read(tmp_path):
    nodes = [{"mesh": 0}, {"mesh": 0, "translation": [5, 0, 0]}]
    path = make_gltf(tmp_path / "a.gltf", 5, nodes=nodes, scenes=[{"nodes": [1]}, {"nodes": [0]}])
    assert read_mesh(path).surface.bounds[0][0] == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"extensionsRequired": ["EXT_unheard_of"]}, "a.gltf requires EXT_unheard_of, which cannot be read"),
        ({"asset": {"version": "1.0"}}, "expected glTF 2.0, found glTF 1.0"),
        ({"nodes": [{"mesh": 0, "children": [0]}]}, r"nodes\[0\] has more than one parent"),
        ({"nodes": [{"mesh": 3}]}, r"it names meshes\[3\] and has 1"),
        ({"nodes": [{"mesh": 0, "scale": [1, 2]}]}, "'scale' is not 3 numbers"),
        ({"buffers": [{"uri": "gone.bin"}]}, "needs 'gone.bin' beside it"),
        ({"buffers": [{"uri": "../../etc/passwd"}]}, "which is not below its own folder"),
        ({"buffers": [{"uri": "/etc/passwd"}]}, "which is not below its own folder"),
        ({"buffers": [{"uri": "http://example.com/a.bin"}]}, "which is not below its own folder"),
        ({"bufferViews": [{"buffer": 0, "byteLength": 4000}]}, "beyond the 48 bytes"),
        ({"accessors": [{"componentType": 5126, "count": 4, "type": "VEC3"}]}, "has no data"),
        ({"accessors": [{"bufferView": 0, "componentType": 5126, "count": 9, "type": "VEC3"}]}, "beyond"),
        ({"accessors": [{"bufferView": 0, "componentType": 5126, "count": 4, "type": "VEC9"}]}, "VEC9"),
        ({"nodes": [{"mesh": 0, "skin": 0}], "skins": [{"joints": [7]}]}, "joints that are not in the scene"),
    ],
)  # fmt: skip
def test_files_that_contradict_themselves_are_damaged(tmp_path, changes, words):
    with pytest.raises(FormatError, match=words):
        read_mesh(make_gltf(tmp_path / "a.gltf", **changes))


@pytest.mark.parametrize("keep", [0, 3, 8, 15, 40, 300, 65_000])
def test_a_file_that_ends_early_is_refused(tmp_path, keep):
    (tmp_path / "cut.glb").write_bytes((FILES / "sparse_positions.glb").read_bytes()[:keep])
    with pytest.raises(FormatError, match="is empty" if not keep else "is damaged"):
        read_mesh(tmp_path / "cut.glb")


def test_a_texture_that_cannot_be_read_is_named_and_the_color_stays(tmp_path):
    path = make_gltf(
        tmp_path / "a.gltf",
        meshes=[{"primitives": [{"attributes": {"POSITION": 0}, "mode": 5, "material": 0}]}],
        materials=[
            {
                "name": "skin",
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "baseColorFactor": [0.5, 0, 0, 1],
                },
            }
        ],
        textures=[{"source": 0}],
        images=[{"uri": "skin colour.png"}],
    )
    loaded = read_mesh(path)
    assert "'skin colour.png'" in loaded.warnings[0] and "left out" in loaded.warnings[0]
    red = linear_to_srgb(np.array([0.5]))[0]
    np.testing.assert_allclose(loaded.surface.vertex_colors[0], [red, 0, 0, 1], atol=1e-6)


def test_materials_stay_several_and_come_back(tmp_path):
    triangle = {"attributes": {"POSITION": 0}, "mode": 5}
    path = make_gltf(
        tmp_path / "a.gltf",
        meshes=[{"primitives": [triangle | {"material": 0}, triangle | {"material": 1}, triangle]}],
        materials=[
            {
                "name": "glow",
                "pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1], "roughnessFactor": 0.25},
                "emissiveFactor": [0, 0.5, 0],
                "doubleSided": True,
            },
            {
                "name": "glass",
                "alphaMode": "MASK",
                "alphaCutoff": 0.3,
                "pbrMetallicRoughness": {"baseColorFactor": [0, 0, 1, 0.5], "metallicFactor": 0},
            },
        ],
    )
    first = read_mesh(path).surface
    (tmp_path / "again.glb").write_bytes(encode_glb(first))
    for surface in (first, read_mesh(tmp_path / "again.glb").surface):
        glow, glass, plain = surface.materials
        assert (glow.name, glow.roughness, glow.emissive, glow.is_double_sided) == (
            "glow",
            0.25,
            (0, 0.5, 0),
            True,
        )
        assert (glass.alpha_mode, glass.alpha_cutoff, glass.metallic) == ("MASK", 0.3, 0)
        np.testing.assert_allclose(glass.base_color[0, 0], [0, 0, 1, 0.5], atol=0.003)
        assert (plain.metallic, plain.roughness) == (1, 1)
        assert list(surface.face_materials) == [0, 0, 1, 1, 2, 2]


def test_draco_is_decoded(tmp_path):
    draco = pytest.importorskip("DracoPy")
    faces = np.array([[0, 1, 2], [2, 1, 3]], np.uint32)
    uvs = POINTS[:, :2].astype(np.float64)
    packed = draco.encode(POINTS, faces=faces, tex_coord=uvs, quantization_bits=14)
    ids = {item["attribute_type"]: item["unique_id"] for item in draco.decode(packed).attributes}
    extension = {"bufferView": 0, "attributes": {"POSITION": ids[0], "TEXCOORD_0": ids[3]}}
    primitive = {
        "attributes": {"POSITION": 0, "TEXCOORD_0": 1},
        "indices": 2,
        "extensions": {"KHR_draco_mesh_compression": extension},
    }
    uri = "data:;base64," + base64.b64encode(packed).decode()
    path = make_gltf(
        tmp_path / "a.gltf",
        meshes=[{"primitives": [primitive]}],
        accessors=[],
        buffers=[{"uri": uri, "byteLength": len(packed)}],
        bufferViews=[{"buffer": 0, "byteLength": len(packed)}],
        extensionsRequired=["KHR_draco_mesh_compression"],
    )
    mesh = read_mesh(path).surface
    assert measure_area(mesh) == pytest.approx(1, abs=1e-3)
    np.testing.assert_allclose(mesh.uvs, mesh.positions[:, :2], atol=1e-3)


@pytest.mark.parametrize("module", ["DracoPy", "meshopt"])
def test_a_package_that_is_missing_is_named_with_what_needs_it(monkeypatch, module):
    name, extension = {
        "DracoPy": ("needs_draco.glb", "KHR_draco_mesh_compression"),
        "meshopt": ("gltfpack_cc.glb", "EXT_meshopt_compression"),
    }[module]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FormatError, match=rf"{extension}.*: pip install {module}"):
        read_mesh(FILES / name)


def test_a_package_that_is_too_old_is_named_with_its_version(monkeypatch):
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "2.0.1")
    said = r"mesh_compression: expected DracoPy 2\.2 or newer, found 2\.0\.1: pip install -U DracoPy"
    with pytest.raises(FormatError, match=said):
        read_mesh(FILES / "needs_draco.glb")


def test_the_version_of_a_glb_is_checked(tmp_path):
    (tmp_path / "a.glb").write_bytes(struct.pack("<4sII", b"glTF", 1, 20) + bytes(8))
    with pytest.raises(FormatError, match="found version 1 of GLB"):
        read_mesh(tmp_path / "a.glb")
