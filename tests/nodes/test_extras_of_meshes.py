"""What a file has beside its surface, on its way through the nodes."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from character3d.pipeline.formats import encode_glb, read_mesh
from character3d.pipeline.mesh_extras import MeshExtras, MorphTarget, OwnRig
from character3d.pipeline.types import Skeleton, SkinWeights
from character3d.tests.rigged_gltf import write_rigged_gltf

FILES = Path(__file__).parents[1] / "files"


@pytest.fixture
def surface(tmp_path):
    return read_mesh(write_rigged_gltf(tmp_path / "a.glb")).surface


def test_load_mesh_says_what_the_file_has(comfyui_modules, load_nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module("folder_paths"), "input_directory", str(tmp_path))
    write_rigged_gltf(tmp_path / "rigged.glb")
    shown = load_nodes("load_mesh").LoadMesh.execute("rigged.glb").ui["text"]
    assert shown[0] == "skeleton of 3 joints, 1 clip (Wave), 2 morph targets, 1 further uv set"
    assert shown[1] == "rigged.glb: clips that move no joint are left out: Spin"


def test_extras_travel_with_a_trimesh(load_nodes, surface, caplog):
    sockets = load_nodes("sockets")
    value = sockets.mesh_to_trimesh(replace(surface, is_placed=True))
    assert value.copy().export(file_type="glb")[:4] == b"glTF"
    back = sockets.socket_to_textured(value.copy()).mesh
    assert back.extras is surface.extras and back.is_placed
    value.apply_translation((0, 1, 0))
    moved = sockets.socket_to_textured(value).mesh
    assert moved.extras is None and not moved.is_placed
    assert "TRIMESH changed by another node: skeleton of 3 joints, 1 clip (Wave)" in caplog.text


def test_morph_targets_and_uv_sets_survive_rig_and_save(load_nodes, tmp_path):
    textured = read_mesh(FILES / "textured.glb").surface
    mesh = textured.mesh
    moved = np.flatnonzero(mesh.positions[:, 1] > 1.5)
    uvs = mesh.positions[:, :2].astype(np.float32)
    skin = SkinWeights(np.zeros((len(uvs), 4)), np.tile((1.0, 0, 0, 0), (len(uvs), 1)))
    rig = OwnRig(Skeleton(("Bone",), [-1], np.eye(4)[None]), skin)
    morph = MorphTarget("nod", moved, np.tile((0.0, -0.02, 0.03), (len(moved), 1)))
    mesh = replace(mesh, extras=MeshExtras({1: uvs}, (morph,), rig))
    value = load_nodes("sockets").mesh_to_trimesh(replace(textured, mesh=mesh))
    done = load_nodes("rigging").RigCharacter.execute(value, "No", "geodesic_voxel_binding", "T-pose")
    warnings = done.ui["character3d_report"][0]["warnings"]
    assert "replaced by this rig is the mesh's own: skeleton of 1 joint" in warnings
    (tmp_path / "saved.glb").write_bytes(encode_glb(done.args[0][0]))
    saved = read_mesh(tmp_path / "saved.glb").surface.mesh
    (found,) = saved.extras.morphs
    assert found.name == "nod"
    head = saved.positions[:, 1] > saved.bounds[1][1] - 0.15
    assert np.isin(np.flatnonzero(head), found.vertices).all()
    np.testing.assert_allclose(np.median(found.deltas, axis=0), (0.0, -0.02, 0.03), atol=2e-3)
    head_uvs = saved.extras.uv_sets[1][head]
    np.testing.assert_allclose(head_uvs[:, 1].max(), 1.705, atol=1e-3)
