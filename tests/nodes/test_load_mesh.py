"""Load Mesh: from the input folder, from another node's FILE_3D, and how often it reads the disk."""

import importlib
import io as streams
import os
import re

import pytest
import trimesh
from character3d.pipeline.errors import MeshError

BOX = trimesh.creation.box((0.5, 1.7, 0.3))


@pytest.fixture
def inputs(comfyui_modules, tmp_path, monkeypatch):
    """An empty folder that is ComfyUI's input folder for this test."""
    folder = tmp_path / "input"
    folder.mkdir()
    monkeypatch.setattr(importlib.import_module("folder_paths"), "input_directory", str(folder))
    monkeypatch.setattr(importlib.import_module("folder_paths"), "temp_directory", str(tmp_path / "temp"))
    return folder


class File3D:
    """What the nodes use of core's File3D."""

    def __init__(self, source, file_format):
        self.source, self.format = source, file_format

    @property
    def is_disk_backed(self):
        return isinstance(self.source, str)

    def get_source(self):
        return self.source

    def get_bytes(self):
        return self.source.getvalue()


@pytest.fixture
def load_mesh(inputs, load_nodes, monkeypatch):
    """The node, in a ComfyUI that has FILE_3D, whichever runs."""
    compat = load_nodes("compat")
    kinds = [compat.io.Custom(name) for name in ("FILE_3D", "FILE_3D_GLB")]
    monkeypatch.setattr(compat, "HAS_FILE_3D", True)
    monkeypatch.setattr(compat, "_FILE_3D_TYPES", kinds)
    return load_nodes("load_mesh").LoadMesh


@pytest.fixture
def validate(load_mesh, monkeypatch):
    """Ask ComfyUI whether a prompt with these inputs of Load Mesh may run: the details of its errors."""
    mappings = importlib.import_module("nodes").NODE_CLASS_MAPPINGS
    execution = importlib.import_module("execution")
    monkeypatch.setitem(mappings, "C3DLoadMesh", load_mesh)

    async def validate(made_by="FILE_3D", **inputs):
        source = type("Source", (), {"INPUT_TYPES": dict, "RETURN_TYPES": (made_by,), "FUNCTION": "run"})
        monkeypatch.setitem(mappings, "Source", source)
        prompt = {
            "1": {"class_type": "C3DLoadMesh", "inputs": inputs},
            "2": {"class_type": "Source", "inputs": {}},
        }
        is_valid, errors, _ = await execution.validate_inputs("prompt", prompt, "1", {})
        assert is_valid == (not errors)
        return " ".join(error["details"] for error in errors)

    return validate


LINK = ["2", 0]


async def test_a_file_is_enough_when_the_input_folder_has_no_meshes(validate):
    assert await validate(file=LINK) == ""
    assert await validate("FILE_3D_GLB", file=LINK) == ""
    assert await validate("FILE_3D", file=LINK, mesh_file="") == ""
    assert await validate("FILE_3D", file=LINK, mesh_file="deleted.glb") == ""


async def test_a_file_of_another_type_is_refused(validate):
    assert "file: expected FILE_3D, found IMAGE" in await validate("IMAGE", file=LINK)


async def test_without_a_file_the_name_is_checked(validate, inputs):
    assert "choose a mesh_file or connect a file" in await validate()
    assert "choose a mesh_file or connect a file" in await validate(mesh_file="")
    assert "'new.glb' is not a mesh in ComfyUI's input folder" in await validate(mesh_file="new.glb")
    BOX.export(inputs / "new.glb")
    assert await validate(mesh_file="new.glb") == ""
    assert await validate("STRING", mesh_file=LINK) == ""


@pytest.mark.parametrize("name", ["../secret.glb", "sub/../../secret.glb", "notes.txt", "sub"])
def test_nothing_but_a_mesh_of_the_input_folder_is_loaded(load_mesh, inputs, name):
    BOX.export(inputs.parent / "secret.glb")
    (inputs / "sub").mkdir()
    (inputs / "notes.txt").write_text("no mesh")
    for choice in (name, str((inputs / name).resolve()) if ".." in name else name):
        refusal = f"mesh_file: {choice!r} is not a mesh in ComfyUI's input folder"
        assert load_mesh.validate_inputs(choice) == refusal
        with pytest.raises(MeshError, match=re.escape(refusal)):
            load_mesh.execute(choice)


def test_a_file_of_the_input_folder_is_loaded(load_mesh, inputs):
    (inputs / "sub").mkdir()
    BOX.export(inputs / "sub" / "box.GLB", file_type="glb")
    assert load_mesh.define_schema().inputs[0].options == ["sub/box.GLB"]
    mesh, core = load_mesh.execute("sub/box.GLB").args
    assert len(mesh.faces) == core.faces.shape[1] == 12


def test_a_file_that_is_only_in_memory_is_loaded_and_leaves_nothing(load_mesh, inputs):
    file = File3D(streams.BytesIO(BOX.export(file_type="glb")), "glb")
    mesh, _ = load_mesh.execute(file=file).args
    assert len(mesh.faces) == 12
    assert list((inputs.parent / "temp").rglob("*")) == []


def test_a_file_on_the_disk_is_loaded_from_there(load_mesh, tmp_path):
    BOX.export(tmp_path / "elsewhere.ply")
    mesh, _ = load_mesh.execute(
        mesh_file="deleted.glb", file=File3D(str(tmp_path / "elsewhere.ply"), "ply")
    ).args
    assert len(mesh.faces) == 12


def test_a_changed_file_is_loaded_again(load_mesh, inputs):
    assert load_mesh.fingerprint_inputs("box.glb") == load_mesh.fingerprint_inputs() == ""
    BOX.export(inputs / "box.glb")
    os.utime(inputs / "box.glb", ns=(5, 5))
    assert load_mesh.fingerprint_inputs("box.glb", file=None) == "5"


def test_a_changed_file_beside_it_loads_it_again(load_mesh, inputs):
    (inputs / "a.gltf").write_text(
        '{"buffers": [{"uri": "my%20body.bin"}, {"uri": "data:,x"}], "images": []}'
    )
    (inputs / "a.obj").write_bytes(b"mtllib my materials.mtl\n")
    (inputs / "my materials.mtl").write_bytes(b"newmtl skin\n  map_Kd -clamp on skin.png\n")
    for name, beside in (("a.gltf", "my body.bin"), ("a.obj", "my materials.mtl"), ("a.obj", "skin.png")):
        (inputs / beside).touch()
        before = load_mesh.fingerprint_inputs(name)
        os.utime(inputs / beside, ns=(7, 7))
        assert load_mesh.fingerprint_inputs(name) != before


def test_a_blender_file_is_refused_with_what_to_do(load_mesh, inputs):
    (inputs / "a.blend").touch()
    assert "export it as glTF" in load_mesh.validate_inputs("a.blend")


@pytest.fixture
def scans(load_nodes, monkeypatch):
    """The folders that were read, in order."""
    module, seen, scandir = load_nodes("input_files"), [], os.scandir

    def count(path):
        seen.append(path)
        return scandir(path)

    module._cache.clear()
    monkeypatch.setattr(module.os, "scandir", count)
    return seen


def settle(*folders):
    """Make the folders older than a time stamp can mistake."""
    for folder in folders:
        os.utime(folder, (1_000_000_000, 1_000_000_000))


@pytest.mark.nightly
def test_fifty_thousand_files_are_read_once(load_mesh, inputs, scans):
    for number in range(50_000):
        os.close(os.open(inputs / f"upload_{number:05}.png", os.O_CREAT))
    (inputs / "sub").mkdir()
    BOX.export(inputs / "sub" / "box.glb")
    settle(inputs, inputs / "sub")
    for _ in range(10):
        assert load_mesh.define_schema().inputs[0].options == ["sub/box.glb"]
        assert load_mesh.validate_inputs("sub/box.glb") is True
    assert scans == [str(inputs), str(inputs / "sub")]


def test_only_a_folder_that_changed_is_read_again(load_mesh, inputs, scans):
    for name in ("one", "two"):
        (inputs / name).mkdir()
        BOX.export(inputs / name / "box.glb")
    settle(inputs, inputs / "one", inputs / "two")
    load_mesh.define_schema()
    scans.clear()
    BOX.export(inputs / "two" / "new.glb")
    assert load_mesh.define_schema().inputs[0].options == ["one/box.glb", "two/box.glb", "two/new.glb"]
    assert scans == [str(inputs / "two")]


def test_a_folder_that_changes_twice_within_a_time_stamp_is_read_twice(load_mesh, inputs):
    BOX.export(inputs / "first.glb")
    assert load_mesh.define_schema().inputs[0].options == ["first.glb"]
    modified = inputs.stat().st_mtime_ns
    BOX.export(inputs / "second.glb")
    os.utime(inputs, ns=(modified, modified))
    assert load_mesh.define_schema().inputs[0].options == ["first.glb", "second.glb"]


def test_a_folder_that_is_gone_is_forgotten(load_mesh, inputs, load_nodes):
    (inputs / "sub").mkdir()
    BOX.export(inputs / "sub" / "box.glb")
    assert load_mesh.define_schema().inputs[0].options == ["sub/box.glb"]
    (inputs / "sub" / "box.glb").unlink()
    (inputs / "sub").rmdir()
    assert load_mesh.define_schema().inputs[0].options == []
    assert str(inputs / "sub") not in load_nodes("input_files")._cache


def test_links_to_folders_are_not_followed(load_mesh, inputs, scans):
    (inputs / "sub").mkdir()
    BOX.export(inputs / "sub" / "box.glb")
    (inputs / "sub" / "loop").symlink_to(inputs, target_is_directory=True)
    assert load_mesh.define_schema().inputs[0].options == ["sub/box.glb"]
    assert len(scans) == 2


def test_the_number_of_folders_is_bounded(load_mesh, inputs, scans, load_nodes, monkeypatch):
    monkeypatch.setattr(load_nodes("input_files"), "_MOST_FOLDERS", 5)
    for number in range(20):
        (inputs / f"folder {number}").mkdir()
    load_mesh.define_schema()
    assert len(scans) == 5


def test_an_input_folder_that_does_not_exist_has_no_files(load_mesh, inputs):
    inputs.rmdir()
    assert load_mesh.define_schema().inputs[0].options == []
