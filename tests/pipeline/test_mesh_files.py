"""Meshes from files of others: every format, seams welded, errors that say what was found."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import FormatError, MeshError
from character3d.pipeline.formats import MESH_SUFFIXES, read_mesh

FORMATS = sorted({*MESH_SUFFIXES} - {".fbx", ".3mf", ".usd", ".usda", ".usdc", ".usdz"})
"""Those that trimesh can write."""


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_closed_mesh(tmp_path, suffix):
    box = trimesh.creation.box((1, 2, 3))
    if suffix == ".gltf":  # a file beside the buffers that it names
        for name, data in trimesh.exchange.gltf.export_gltf(box.scene()).items():
            (tmp_path / name.replace("model", "box")).write_bytes(data)
    else:
        box.export(tmp_path / f"box{suffix}", file_type="glb" if suffix == ".vrm" else None)
    mesh = read_mesh(tmp_path / f"box{suffix}").surface
    assert (len(mesh.positions), len(mesh.faces)) == (8, 12)
    again = trimesh.Trimesh(mesh.positions, mesh.faces, process=False)
    assert again.is_watertight and again.volume == pytest.approx(6)


def test_parts_of_a_scene_stand_where_the_scene_has_them(tmp_path):
    scene = trimesh.Scene()
    for place in ((0, 0, 0), (0, 5, 0)):
        scene.add_geometry(
            trimesh.creation.box(), transform=trimesh.transformations.translation_matrix(place)
        )
    scene.export(tmp_path / "two.glb")
    mesh = read_mesh(tmp_path / "two.glb").surface
    np.testing.assert_allclose(mesh.bounds, [[-0.5, -0.5, -0.5], [0.5, 5.5, 0.5]])
    assert len(mesh.faces) == 24


def test_uvs_stay_with_their_seams(tmp_path):
    mesh = trimesh.creation.icosphere(2)
    split = trimesh.Trimesh(
        mesh.triangles.reshape(-1, 3), np.arange(len(mesh.faces) * 3).reshape(-1, 3), process=False
    )
    uvs = np.random.default_rng(0).random((len(split.vertices), 2)).astype(np.float32)
    split.visual = trimesh.visual.TextureVisuals(uv=uvs)
    split.export(tmp_path / "split.glb")
    surface = read_mesh(tmp_path / "split.glb").surface
    np.testing.assert_allclose(surface.mesh.uvs, np.stack((uvs[:, 0], 1 - uvs[:, 1]), axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "error", "words"),
    [
        ("model.step", b"ISO", FormatError, r"model\.step: expected one of \.glb, .*; found \.step"),
        ("none", b"", FormatError, "expected one of .* found none"),
        ("cut.glb", b"glTF\x02\x00\x00\x00", FormatError, r"cut\.glb is damaged: it ends after 8 bytes"),
        ("empty.obj", b"v 0 0 0\n", MeshError, r"empty\.obj has no triangles"),
        ("far.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", FormatError, r"far\.obj is damaged"),
        (
            "lost.gltf",
            b'{"asset": {"version": "2.0"}, "buffers": [{"uri": "gone.bin", "byteLength": 1}]}',
            MeshError,
            r"lost\.gltf has no triangles",
        ),
        (
            "list.gltf",
            b'{"asset": {"version": "2.0"}, "scenes": [], "nodes": "none", "meshes": [7]}',
            FormatError,
            r"list\.gltf is damaged: 'nodes' is \"none\"",
        ),
        ("nan.obj", b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", MeshError, "expected finite coordinates"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, name, content, error, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=words):
        read_mesh(tmp_path / name)


@pytest.mark.parametrize("missing", ["load_scene", "Scene"])
def test_a_trimesh_that_is_too_old_is_not_a_damaged_file(tmp_path, monkeypatch, missing):
    """Our own mistakes, and a missing module, pass through as they are."""
    trimesh.creation.box().export(tmp_path / "box.ply")
    monkeypatch.delattr(trimesh, missing)
    with pytest.raises(ImportError, match=missing):
        read_mesh(tmp_path / "box.ply")


def test_a_module_that_a_parser_needs_is_named(tmp_path, monkeypatch):
    def fail(*_args, **_options):
        raise ModuleNotFoundError("No module named 'parser'")

    trimesh.creation.box().export(tmp_path / "box.ply")
    monkeypatch.setattr(trimesh, "load_scene", fail)
    with pytest.raises(ModuleNotFoundError, match="parser"):
        read_mesh(tmp_path / "box.ply")
