import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError, PictureError
from character3d.pipeline.types import Material, Mesh, TexturedMesh


@pytest.fixture
def sockets(load_nodes):
    return load_nodes("sockets")


@pytest.fixture
def textured():
    rng = np.random.default_rng(7)
    mesh = Mesh(
        [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]],
        [[0, 1, 2], [0, 2, 3]],
        normals=[[0, 0, 1]] * 4,
        uvs=[[0, 1], [1, 1], [1, 0.25], [0, 0]],
    )
    pixels = rng.integers(0, 256, (5, 7, 4)).astype(np.float32) / 255
    return TexturedMesh(mesh, Material(pixels, metallic=0.25, roughness=0.5))


def test_textured_mesh_survives_the_socket(sockets, textured):
    back = sockets.socket_to_textured(sockets.mesh_to_trimesh(textured))
    np.testing.assert_array_equal(back.mesh.positions, textured.mesh.positions)
    np.testing.assert_array_equal(back.mesh.faces, textured.mesh.faces)
    np.testing.assert_allclose(back.mesh.normals, textured.mesh.normals)
    np.testing.assert_allclose(back.mesh.uvs, textured.mesh.uvs, atol=1e-7)
    np.testing.assert_allclose(back.material.base_color, textured.material.base_color, atol=1e-6)


def test_trimesh_counts_v_from_the_bottom(sockets, textured):
    top_left = sockets.mesh_to_trimesh(textured).visual.uv[3]
    np.testing.assert_array_equal(top_left, [0, 1])


def test_a_mesh_without_texture_gets_a_plain_one(sockets):
    box = trimesh.creation.box()
    assert isinstance(sockets.socket_to_surface(box), Mesh)
    plain = sockets.socket_to_textured(box)
    assert np.ptp(plain.material.base_color.reshape(-1, 4), axis=0).max() == 0


def test_a_scene_becomes_one_mesh(sockets):
    scene = trimesh.Scene([trimesh.creation.box(), trimesh.creation.icosphere(subdivisions=1)])
    assert len(sockets.socket_to_mesh(scene).faces) == 12 + 80


def test_the_socket_value_is_not_changed(sockets, textured):
    value = sockets.mesh_to_trimesh(textured)
    before = value.vertices.copy()
    mesh = sockets.socket_to_mesh(value)
    assert not np.shares_memory(mesh.positions, value.vertices)
    np.testing.assert_array_equal(value.vertices, before)


@pytest.mark.parametrize("value", [None, "mesh.glb", trimesh.PointCloud(np.zeros((3, 3)))])
def test_what_is_no_mesh_is_named(sockets, value):
    with pytest.raises(MeshError, match="expected a mesh with triangles"):
        sockets.socket_to_mesh(value)


def test_picture_and_mask_of_different_size_are_refused(sockets):
    with pytest.raises(PictureError, match="image 64x64 and mask 32x32"):
        sockets.sockets_to_framed(torch.zeros(1, 64, 64, 3), torch.zeros(1, 32, 32))
