"""No text of a node reaches a file outside ComfyUI's folders, whether by `..`, an absolute path or a link."""

import importlib

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import FormatError, MeshError, WeightsError
from character3d.tests.nodes.test_output_files import BOX, CHARACTER, NODES, list_names

FREE_TEXTS = {
    *("corrections", "prompt", "negative_prompt", "name", "authors", "job_id"),
    *("clip", "clip_name", "new_name"),
}
"""STRING inputs that name no file."""
SAVED = {node: (module, inputs) for module, node, inputs in NODES.values()} | {
    "SaveMotion": ("save_motion", {"character": CHARACTER, "motion_format": "fbx", "clip": ""}),
    "ReportQuality": ("quality", {"mesh": BOX}),
}
OUTSIDE = ("../out/x", "3D/../../out/x", "{outside}/x", "link/x", "3D/link/x", "nu\0ll/x")


@pytest.fixture
def folders(comfyui_modules, models, tmp_path, monkeypatch):
    """ComfyUI's input and output in a folder with a third one, `out`, to which both hold links."""
    folder_paths = importlib.import_module("folder_paths")
    (tmp_path / "out").mkdir()
    trimesh.creation.box().export(tmp_path / "out" / "secret.glb")
    for name in ("input", "output"):
        (tmp_path / name / "3D").mkdir(parents=True)
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
        for folder in (tmp_path / name, tmp_path / name / "3D"):
            (folder / "link").symlink_to(tmp_path / "out", target_is_directory=True)
            (folder / "linked.glb").symlink_to(tmp_path / "out" / "secret.glb")
    return tmp_path


def test_every_text_that_names_a_file_is_tried_here(load_nodes):
    schemas = [(node.__name__, node.GET_SCHEMA()) for node in load_nodes("").NODES]
    named = {
        (node, item.id)
        for node, schema in schemas
        for item in schema.inputs
        if item.io_type == "STRING" and item.id not in FREE_TEXTS
    }
    saving = {(node, "filename_prefix") for node in (*SAVED, "SaveFigure", "SaveViews")}
    assert named == saving | {("SaveCharacter", "model_file"), ("GenerateViews", "model_name")}


@pytest.mark.parametrize("prefix", OUTSIDE)
@pytest.mark.parametrize("node", SAVED)
def test_nothing_is_saved_outside_the_output_folder(load_nodes, folders, monkeypatch, node, prefix):
    frames = np.zeros((1, 8, 8, 4), np.float32)  # rendering them takes a second
    monkeypatch.setattr(load_nodes("animation").preview, "render_turntable", lambda *_, **__: frames)
    module, inputs = SAVED[node]
    prefix = prefix.format(outside=folders / "out")
    inputs = {**inputs, "filename_prefix": prefix}
    inputs.pop("model_file", None)
    with pytest.raises(ValueError, match="filename_prefix: expected a path below the output folder"):
        getattr(load_nodes(module), node).execute(**inputs)
    assert list_names(folders / "out") == ["secret.glb"]


@pytest.mark.parametrize("prefix", OUTSIDE)
def test_no_figure_is_saved_there_either(load_nodes, folders, monkeypatch, prefix):
    module = load_nodes("figure")
    monkeypatch.setattr(module, "describe_figure", lambda figure: {})
    with pytest.raises(ValueError, match="filename_prefix: expected a path below the output folder"):
        module.SaveFigure.execute(None, prefix.format(outside=folders / "out"))
    assert list_names(folders / "out") == ["secret.glb"]


@pytest.mark.parametrize("container", ["zip", "folder"])
@pytest.mark.parametrize("prefix", OUTSIDE)
def test_no_views_are_saved_there_either(load_nodes, folders, prefix, container):
    views, masks = torch.zeros(6, 8, 8, 3), torch.zeros(6, 8, 8)
    prefix = prefix.format(outside=folders / "out")
    with pytest.raises(ValueError, match="filename_prefix: expected a path below the output folder"):
        load_nodes("view_files").SaveViews.execute(
            views, masks, trimesh.creation.box(), prefix, container, sheet=False
        )
    assert list_names(folders / "out") == ["secret.glb"]


@pytest.mark.parametrize(
    "name", ["../out/views.zip", "{outside}/views.zip", "link/views.zip", "3D/link/views.zip", "linked.zip"]
)
def test_no_views_are_loaded_from_outside_the_input_and_the_output_folder(load_nodes, folders, name):
    (folders / "out" / "views.zip").write_bytes(b"PK")
    for folder in ("input", "output"):
        (folders / folder / "linked.zip").symlink_to(folders / "out" / "views.zip")
    node, name = load_nodes("view_files").LoadViews, name.format(outside=folders / "out")
    with pytest.raises(FormatError, match="in the input or output folder"):
        node.execute(name)
    assert node.validate_inputs(name) is not True
    assert node.define_schema().inputs[0].options == []


@pytest.mark.parametrize("model_file", OUTSIDE)
def test_nothing_is_saved_beside_a_file_outside(load_nodes, folders, model_file):
    save = load_nodes("output_files").save_beside
    with pytest.raises(ValueError, match="model_file: expected a path below the output folder"):
        save(model_file.format(outside=folders / "out"), "_rigged.fbx", lambda _stem: b"")
    assert list_names(folders / "out") == ["secret.glb"]


def test_a_link_in_the_place_of_the_saved_file_is_not_written_through(load_nodes, folders):
    (folders / "output" / "x_rigged.fbx").symlink_to(folders / "out" / "secret.glb")
    with pytest.raises(ValueError, match="model_file: expected a path below the output folder"):
        load_nodes("output_files").save_beside("x.glb", "_rigged.fbx", lambda _stem: b"")


@pytest.mark.parametrize(
    "name",
    ["../out/secret.glb", "{outside}/secret.glb", "link/secret.glb", "3D/link/secret.glb", "linked.glb"],
)
def test_no_mesh_is_loaded_from_outside_the_input_folder(load_nodes, folders, name):
    node, name = load_nodes("load_mesh").LoadMesh, name.format(outside=folders / "out")
    with pytest.raises(MeshError, match="is not a mesh in ComfyUI's input folder"):
        node.execute(name)
    assert node.validate_inputs(name) is not True
    assert node.define_schema().inputs[0].options == []


@pytest.mark.parametrize("name", ["../secret.safetensors", "{outside}/secret.safetensors"])
def test_no_checkpoint_is_loaded_from_outside_the_models_folder(load_nodes, folders, name):
    """Links in it are followed: people keep models on other disks, and ComfyUI lists them."""
    (folders / "secret.safetensors").write_bytes(b"")
    node = importlib.import_module("character3d.backends.mv_adapter.generate")
    with pytest.raises(WeightsError, match="is not in models/checkpoints"):
        node.find_checkpoint(name.format(outside=folders))


def test_a_folder_that_is_a_link_itself_is_comfyuis(load_nodes, folders, monkeypatch):
    linked = folders / "linked_output"
    linked.symlink_to(folders / "output", target_is_directory=True)
    monkeypatch.setattr(importlib.import_module("folder_paths"), "output_directory", str(linked))
    saved = load_nodes("output_files").save_counted("3D/x", ".glb", lambda _stem: b"glTF")
    assert saved.relative == "3D/x_00001_.glb" and (folders / "output" / saved.relative).is_file()
