"""Core's MESH, of every release: nothing that it holds is lost without a word, on the way in and out."""

import importlib
import json
import logging
import struct

import numpy as np
import pytest
import torch
from character3d.pipeline.color import linear_to_srgb, srgb_to_linear
from character3d.pipeline.errors import MeshError
from character3d.pipeline.types import Material, Mesh, TexturedMesh

VERTICES = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
UVS = torch.tensor([[0.0, 1], [1, 1], [1, 0.25], [0, 0]])
NORMALS = torch.tensor([[0.0, 0, 1]]).expand(4, 3)
COLORS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.5, 0.5]])
TEXTURE = torch.from_numpy(np.random.default_rng(7).random((6, 5, 3), np.float32))


@pytest.fixture
def read(mesh_class, load_nodes):
    """Build a MESH of one mesh and read it as nodes do that keep its colors."""
    sockets = load_nodes("sockets")

    def read(**attributes):
        batches = {name: item[None] if torch.is_tensor(item) else item for name, item in attributes.items()}
        return sockets.socket_to_surface(mesh_class(VERTICES[None], FACES[None], **batches))

    return read


def test_triangles_alone_are_a_mesh_without_a_material(read):
    mesh = read()
    assert isinstance(mesh, Mesh) and mesh.uvs is mesh.normals is mesh.colors is None
    np.testing.assert_array_equal(mesh.positions, VERTICES)
    np.testing.assert_array_equal(mesh.faces, FACES)


@pytest.mark.parametrize(("theirs", "ours", "value"), [("uvs", "uvs", UVS), ("normals", "normals", NORMALS)])
def test_attributes_of_vertices_are_read(read, theirs, ours, value):
    np.testing.assert_array_equal(getattr(read(**{theirs: value}), ours), value)


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_vertex_colors_are_read_with_and_without_alpha(read, alpha):
    colors = COLORS if alpha is None else torch.cat((COLORS, torch.full((4, 1), alpha)), dim=1)
    found = read(vertex_colors=colors).colors
    np.testing.assert_array_equal(found[:, :3], COLORS)
    assert (found[:, 3] == (alpha or 1)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_texture_is_read(read, dtype):
    surface = read(uvs=UVS, texture=TEXTURE.to(dtype))
    np.testing.assert_array_equal(surface.material.base_color[..., :3], TEXTURE.to(dtype).float())
    assert (surface.material.base_color[..., 3] == 1).all()
    np.testing.assert_array_equal(surface.mesh.uvs, UVS)


def test_factors_of_the_material_are_read(read):
    factor = [0.5, 0.25, 1.0, 0.75]
    material = {"base_color_factor": factor, "metallic_factor": 0.25, "roughness_factor": 0.5}
    found = read(uvs=UVS, texture=TEXTURE, material=material).material
    assert (found.metallic, found.roughness) == (0.25, 0.5)
    expected = linear_to_srgb(srgb_to_linear(TEXTURE.numpy()) * factor[:3])
    np.testing.assert_allclose(found.base_color[..., :3], expected, atol=1e-6)
    assert (found.base_color[..., 3] == 0.75).all()


def test_factors_that_nobody_set_leave_the_defaults(read):
    found = read(uvs=UVS, texture=TEXTURE, material={"metallic_factor": -1.0, "roughness_factor": -1.0})
    assert found.material.metallic == Material(np.zeros((1, 1, 4))).metallic
    assert found.material.roughness == Material(np.zeros((1, 1, 4))).roughness


def test_a_color_factor_without_texture_is_a_solid_color(read):
    texels = read(material={"base_color_factor": [0.2, 0.4, 0.6, 1.0]}).material.base_color.reshape(-1, 4)
    np.testing.assert_allclose(texels[0], [*linear_to_srgb(np.array([0.2, 0.4, 0.6])), 1], atol=1e-6)
    assert np.ptp(texels, axis=0).max() == 0


def test_a_texture_without_uvs_is_logged(read, caplog):
    with caplog.at_level(logging.WARNING, "character3d"):
        read(texture=TEXTURE)
    (record,) = caplog.records
    assert record.getMessage().startswith("MESH: texture (the mesh has no uvs) cannot be kept")


@pytest.fixture
def batch(mesh_class):
    """A quad with texture, and a triangle that is padded to its size."""
    padded = torch.zeros(4, 3)
    padded[:3] = VERTICES[:3] + 5
    return mesh_class(
        torch.stack((VERTICES, padded)),
        torch.stack((FACES, torch.tensor([[0, 1, 2], [0, 0, 0]]))),
        uvs=torch.stack((UVS, UVS)),
        normals=torch.stack((NORMALS, NORMALS)),
        vertex_colors=torch.stack((COLORS, COLORS)),
        texture=torch.stack((TEXTURE, 1 - TEXTURE)),
        vertex_counts=torch.tensor([4, 3]),
        face_counts=torch.tensor([2, 1]),
    )


def test_every_mesh_of_a_batch_is_read_without_its_padding(load_nodes, batch):
    first, second = load_nodes("sockets").socket_to_surfaces(batch)
    assert [len(found.mesh.positions) for found in (first, second)] == [4, 3]
    np.testing.assert_array_equal(second.mesh.positions, VERTICES[:3] + 5)
    np.testing.assert_array_equal(second.mesh.faces, [[0, 1, 2]])
    for name in ("uvs", "normals", "colors"):
        assert len(getattr(second.mesh, name)) == 3
    np.testing.assert_array_equal(second.material.base_color[..., :3], 1 - TEXTURE)


@pytest.mark.parametrize("read", ["socket_to_surface", "socket_to_mesh", "socket_to_textured"])
def test_a_node_for_one_mesh_says_how_many_there_are(load_nodes, batch, read):
    with pytest.raises(MeshError, match="one mesh at a time; the MESH at its input is a batch of 2"):
        getattr(load_nodes("sockets"), read)(batch)


@pytest.mark.parametrize(
    ("module", "node", "inputs"),
    [
        ("texture_baking", "ApplyTexture", {"texture": TEXTURE[None]}),
        ("texture_baking", "BakeTexture", {"views": None, "masks": None, "texture_size": 1024}),
    ],
)
def test_nodes_whose_other_inputs_belong_to_one_mesh_refuse_a_batch(load_nodes, batch, module, node, inputs):
    with pytest.raises(MeshError, match="batch of 2"):
        getattr(load_nodes(module), node).execute(mesh=batch, **inputs)


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (VERTICES[None], torch.zeros(1, 0, 3), "expected a mesh with triangles, found none in mesh 1"),
        (VERTICES[None], FACES[None] + 3, r"MESH: Mesh\.faces: expected vertex indices 0\.\.3, got 3\.\.6"),
        (torch.zeros(0, 4, 3), torch.zeros(0, 2, 3), "batch of 0"),
    ],
)
def test_a_mesh_that_cannot_be_used_is_named(mesh_class, load_nodes, vertices, faces, words):
    with pytest.raises(MeshError, match=words):
        load_nodes("sockets").socket_to_mesh(mesh_class(vertices, faces))


def make_textured(alpha=1.0):
    color = np.concatenate((TEXTURE, np.full((6, 5, 1), alpha)), axis=2)
    vertices, faces, normals, uvs = (item.numpy() for item in (VERTICES, FACES, NORMALS, UVS))
    mesh = Mesh(vertices, faces, normals, uvs, np.full((4, 4), 0.5))
    return TexturedMesh(mesh, Material(color, metallic=0.25, roughness=0.5))


def test_a_textured_mesh_survives_the_way_out_and_in(mesh_class, load_nodes):
    sockets, before = load_nodes("sockets"), make_textured()
    core = sockets.mesh_to_core(before)
    assert isinstance(core, mesh_class) and core.vertices.shape == (1, 4, 3)
    assert core.faces.dtype == torch.int64 and core.texture.shape == (1, 6, 5, 3)
    after = sockets.socket_to_surface(core)
    for name in ("positions", "faces", "normals", "uvs", "colors"):
        np.testing.assert_array_equal(getattr(after.mesh, name), getattr(before.mesh, name))
    np.testing.assert_array_equal(after.material.base_color, before.material.base_color)
    assert (after.material.metallic, after.material.roughness) == (0.25, 0.5)


def test_alpha_of_a_texture_that_mesh_cannot_hold_is_logged(mesh_class, load_nodes, caplog):
    with caplog.at_level(logging.WARNING, "character3d"):
        load_nodes("sockets").mesh_to_core(make_textured(alpha=0.5))
    assert [record.getMessage().split(" cannot")[0] for record in caplog.records] == [
        "a texture for MESH: alpha"
    ]


def test_an_older_mesh_gets_triangles_and_is_read(load_nodes, monkeypatch):
    class MeshOf2025:
        def __init__(self, vertices, faces):
            self.vertices, self.faces = vertices, faces

    compat, sockets = load_nodes("compat"), load_nodes("sockets")
    monkeypatch.setattr(compat, "CoreMesh", MeshOf2025)
    monkeypatch.setattr(compat, "_MESH_FIELDS", {"vertices", "faces"})
    core = sockets.mesh_to_core(make_textured())
    assert set(vars(core)) == {"vertices", "faces"}
    np.testing.assert_array_equal(sockets.socket_to_mesh(core).faces, FACES)


def test_vertex_colors_become_a_texture_where_a_format_needs_one(mesh_class, load_nodes):
    """A rigged character has a texture: its FBX and VRM show the colors too."""
    core = mesh_class(VERTICES[None], FACES[None], vertex_colors=COLORS[None])
    found = load_nodes("sockets").socket_to_textured(core)
    assert found.mesh.colors is None
    vertex = [np.flatnonzero((VERTICES.numpy() == place).all(axis=1))[0] for place in found.mesh.positions]
    np.testing.assert_allclose(found.vertex_colors[:, :3], linear_to_srgb(COLORS.numpy())[vertex], atol=0.02)


@pytest.fixture
def output(comfyui_modules, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("folder_paths"), "output_directory", str(tmp_path))
    return tmp_path


def read_json(path):
    data = path.read_bytes()
    return json.loads(data[20 : 20 + struct.unpack("<I", data[12:16])[0]])


def test_save_mesh_writes_a_file_for_every_mesh_of_a_batch(load_nodes, output, batch):
    saved = load_nodes("export").SaveMesh.execute(batch, "batch")
    assert saved.args[0] == ["batch_00001_.glb", "batch_00002_.glb"]
    assert [entry["filename"] for entry in saved.ui["3d"]] == saved.args[0]
    documents = [read_json(output / name) for name in saved.args[0]]
    for document, count in zip(documents, (4, 3), strict=True):
        (primitive,) = document["meshes"][0]["primitives"]
        assert {"POSITION", "NORMAL", "TEXCOORD_0", "COLOR_0"} == set(primitive["attributes"])
        assert document["accessors"][primitive["attributes"]["POSITION"]]["count"] == count
        assert len(document["images"]) == 1


def test_preview_mesh_renders_every_mesh_of_a_batch_in_its_colors(load_nodes, output, mesh_class):
    red, blue = (torch.tensor(color).expand(1, 4, 3) for color in ((1.0, 0, 0), (0, 0, 1.0)))
    both = mesh_class(VERTICES.expand(2, 4, 3), FACES.expand(2, 2, 3), vertex_colors=torch.cat((red, blue)))
    shown = load_nodes("export").PreviewMesh.execute(both, 64, 0.0, 0.0, "preview")
    assert shown.args[0].shape == (2, 64, 64, 4) and len(shown.ui["images"]) == 2
    middle = shown.args[0][:, 28:36, 28:36].mean(dim=(1, 2))
    assert middle[0, 0] > middle[0, 2] + 0.3 and middle[1, 2] > middle[1, 0] + 0.3
