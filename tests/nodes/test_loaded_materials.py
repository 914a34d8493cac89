"""Materials of a loaded mesh on their way to the saved character: sockets, Rig Character, Save Character."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.color import linear_to_srgb
from character3d.pipeline.formats import encode_glb, read_mesh, write_glb
from character3d.pipeline.types import Material, TexturedMesh

FILES = Path(__file__).parents[1] / "files"
RED, BLUE = np.array((200, 30, 30)), np.array((30, 60, 200))


def read_colors(textured):
    """Median sRGB 0..255 of the vertices above and below 0.9 m."""
    height = textured.mesh.positions[:, 1]
    colors = textured.vertex_colors[:, :3] * 255
    return [np.median(colors[where], axis=0) for where in (height > 1, height < 0.8)]


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("textured.glb", (RED, BLUE)),
        ("vertex_colours.glb", [linear_to_srgb(color / 255) * 255 for color in (RED, BLUE)]),
    ],
)
def test_colors_of_a_loaded_mesh_reach_the_saved_character(load_nodes, tmp_path, name, expected):
    mesh, _ = load_nodes("sockets").mesh_values(read_mesh(FILES / name).surface)
    rigged = load_nodes("rigging").RigCharacter.execute(mesh, "No", "geodesic_voxel_binding").args[0][0]
    (tmp_path / "saved.glb").write_bytes(encode_glb(rigged))
    np.testing.assert_allclose(read_colors(read_mesh(tmp_path / "saved.glb").surface), expected, atol=3)


@pytest.fixture
def several():
    """Two materials that share a mesh, with all that a material can say."""
    mesh = read_mesh(FILES / "textured.glb").surface.mesh
    numbers = (mesh.positions[:, 1] > 0.9).astype(np.uint16)
    numbers[mesh.faces[numbers[mesh.faces].any(axis=1)]] = 1
    numbers[mesh.faces[~(numbers[mesh.faces] == 1).all(axis=1)]] = 0
    faces = mesh.faces[(numbers[mesh.faces] == numbers[mesh.faces[:, :1]]).all(axis=1)]
    texels = np.random.default_rng(0).integers(0, 256, (4, 6, 4)) / 255
    maps = {"normal": np.full((2, 2, 3), 128, np.uint8), "metallic_roughness": np.zeros((2, 3, 3), np.uint8)}
    glass = Material(
        texels, 0.25, 0.5, "glass", (0.0, 0.5, 2.0), "MASK", 0.3, ("REPEAT", "MIRROR"), True, maps
    )
    mesh = replace(mesh, faces=faces, uvs=mesh.uvs * 3 - 1, material_numbers=numbers, normals=None)
    return TexturedMesh(mesh, Material(np.ones((1, 1, 4)), name="plain"), (glass,))


def assert_same(found, expected):
    for name in ("name", "metallic", "roughness", "alpha_mode", "is_double_sided"):
        assert getattr(found, name) == getattr(expected, name), name
    np.testing.assert_allclose(found.emissive, expected.emissive)
    np.testing.assert_allclose(found.base_color, expected.base_color, atol=1e-6)
    assert sorted(found.maps) == sorted(expected.maps)
    for role, texels in expected.maps.items():
        np.testing.assert_array_equal(found.maps[role], texels)


def test_several_materials_survive_the_socket(load_nodes, several):
    sockets = load_nodes("sockets")
    back = sockets.socket_to_textured(sockets.mesh_to_trimesh(several))
    assert len(back.materials) == 2
    for found, expected in zip(back.materials, several.materials, strict=True):
        assert_same(found, expected)
    assert back.others[0].wrap == ("REPEAT", "MIRROR") and back.others[0].alpha_cutoff == 0.3
    np.testing.assert_array_equal(back.face_materials, several.face_materials)
    corners = [item.uvs[item.mesh.faces] for item in (back, several)]
    np.testing.assert_allclose(*corners, atol=1e-6)


def test_several_materials_survive_a_glb(several, tmp_path):
    (tmp_path / "a.glb").write_bytes(encode_glb(several))
    back = read_mesh(tmp_path / "a.glb").surface
    for found, expected in zip(back.materials, several.materials, strict=True):
        assert_same(found, replace(expected, alpha_mode=expected.alpha_mode or "OPAQUE"))
    assert [material.wrap for material in back.materials] == [("CLAMP", "CLAMP"), ("REPEAT", "MIRROR")]
    np.testing.assert_allclose(back.uvs.min(), several.uvs.min(), atol=1e-6)
    counts = [np.bincount(item.face_materials) for item in (back, several)]
    np.testing.assert_array_equal(*counts)


def test_merged_materials_look_the_same_when_saved(load_nodes, several, tmp_path):
    sockets = load_nodes("sockets")
    plain = replace(several, others=(replace(several.others[0], alpha_mode="OPAQUE"),))
    done = load_nodes("texture_baking").MergeMaterials.execute(sockets.mesh_to_trimesh(plain), 1024)
    assert done.ui["text"][0].startswith("2 materials became one with an atlas of ")
    write_glb(tmp_path / "a.glb", sockets.socket_to_textured(done.args[0][0]))
    saved = read_mesh(tmp_path / "a.glb").surface
    assert saved.others == () and sorted(saved.material.maps) == ["emissive", "metallic_roughness", "normal"]
    before, after = (sockets.socket_to_textured(sockets.mesh_to_trimesh(item)) for item in (plain, saved))
    places = [item.mesh.positions[item.mesh.faces].mean(axis=1) for item in (before, after)]
    np.testing.assert_allclose(*places, atol=1e-6)
    white = [(item.vertex_colors[item.mesh.faces] > 0.99).all(axis=(1, 2)) for item in (before, after)]
    assert (white[0] == white[1]).mean() > 0.98


def test_a_mesh_without_materials_has_none_to_merge(load_nodes):
    done = load_nodes("texture_baking").MergeMaterials.execute(trimesh.creation.box(), 1024)
    assert done.ui["text"] == ["the mesh has no materials"] and len(done.args[0][0].faces) == 12
