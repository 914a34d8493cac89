"""Files in the output folder appear complete or not at all, whatever fails, in every node that saves one."""

import errno
import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import NAME_PROFILES, align_bones, create_file, replace_file
from character3d.pipeline.mesh_extras import MeshExtras, MorphTarget
from character3d.tests.pipeline.test_profile_bones import make_wry
from character3d.tests.readers.sample_character import make_character
from character3d.tests.readers.sample_humanoid import make_humanoid

REPOSITORY = Path(__file__).resolve().parents[2]
CHARACTER = make_character()
BOX = trimesh.creation.box((0.5, 1.7, 0.3))

NODES = {
    "mesh": ("export", "SaveMesh", {"mesh": BOX, "filename_prefix": "3D/mesh"}),
    "picture": (
        "export",
        "PreviewMesh",
        {"mesh": BOX, "size": 64, "azimuth": 0.0, "elevation": 0.0, "filename_prefix": "3D/picture"},
    ),
    "animation": (
        "animation",
        "PreviewAnimation",
        {
            "character": CHARACTER,
            "motion": "turntable",
            "size": 64,
            "azimuth": 0.0,
            "filename_prefix": "3D/a",
        },
    ),
    "fbx": ("save_character", "SaveCharacter", {"character": CHARACTER, "filename_prefix": "3D/rig"}),
    "glb": (
        "save_character",
        "SaveCharacter",
        {"character": CHARACTER, "filename_prefix": "3D/rig", "character_format": "glb"},
    ),
    "beside": (
        "save_character",
        "SaveCharacter",
        {"character": CHARACTER, "filename_prefix": "", "model_file": "3D/model.glb"},
    ),
}
ENCODERS = {
    "mesh": ("export", "formats", "encode_glb"),
    "picture": ("export", "formats", "encode_png"),
    "animation": ("animation", "preview", "encode_webp"),
    "fbx": ("save_character", "formats", "encode_character"),
    "glb": ("save_character", "formats", "encode_character"),
    "beside": ("save_character", "formats", "encode_character"),
}
every_node = pytest.mark.parametrize("name", NODES)


@pytest.fixture
def output(comfyui_modules, tmp_path, monkeypatch):
    """A folder that is ComfyUI's output folder for this test."""
    monkeypatch.setattr(importlib.import_module("folder_paths"), "output_directory", str(tmp_path))
    (tmp_path / "3D").mkdir()
    return tmp_path


@pytest.fixture
def save(load_nodes, output):
    """Run one of NODES; its NodeOutput."""

    def save(name):
        module, node, inputs = NODES[name]
        return getattr(load_nodes(module), node).execute(**inputs)

    return save


def list_names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@every_node
def test_a_saved_file_is_complete_and_alone(save, output, name):
    (entry,) = save(name).ui["character3d_file"]
    assert list_names(output) == [entry["filename"]]
    assert (output / entry["subfolder"] / entry["filename"]).stat().st_size > 100


@every_node
def test_nothing_is_left_when_encoding_fails(save, output, load_nodes, monkeypatch, name):
    module, package, encoder = ENCODERS[name]

    def fail(*_args, **_options):
        raise FormatError("refused")

    monkeypatch.setattr(getattr(load_nodes(module), package), encoder, fail)
    with pytest.raises(FormatError, match="refused"):
        save(name)
    assert list_names(output) == []


@every_node
def test_nothing_is_left_when_the_disk_is_full(save, output, monkeypatch, name):
    def fill_disk(self, data):
        with self.open("wb") as stream:
            stream.write(data[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_disk)
    with pytest.raises(OSError, match="No space left"):
        save(name)
    assert list_names(output) == []


@pytest.mark.parametrize("name", ["picture", "animation"])
def test_nothing_is_left_when_the_prompt_is_cancelled(save, output, name):
    management = importlib.import_module("comfy.model_management")
    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        save(name)
    assert list_names(output) == []


def test_a_new_file_takes_the_next_free_number(save, output):
    names = [name for _ in range(3) for name in save("mesh").args[0]]
    assert names == ["3D/mesh_00001_.glb", "3D/mesh_00002_.glb", "3D/mesh_00003_.glb"]


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(load_nodes, output):
    """Another program saves a file of that name while ours is being encoded."""

    def encode(stem):
        if stem == "race_00001_":
            (output / "race_00001_.glb").write_bytes(b"theirs")
        return b"ours: " + stem.encode()

    file = load_nodes("output_files").save_counted("race", ".glb", encode)
    assert file.path.read_bytes() == b"ours: race_00002_"
    assert (output / "race_00001_.glb").read_bytes() == b"theirs"
    assert list_names(output) == ["race_00001_.glb", "race_00002_.glb"]


def test_a_failed_save_leaves_the_older_file_as_it_was(save, output, load_nodes, monkeypatch):
    path = output / save("beside").args[0]
    before = path.read_bytes()
    formats = load_nodes("save_character").formats
    monkeypatch.setattr(formats, "encode_character", lambda *_: (_ for _ in ()).throw(FormatError("refused")))
    with pytest.raises(FormatError):
        save("beside")
    assert path.read_bytes() == before and list_names(output) == ["model_rigged.fbx"]


def test_a_model_file_outside_the_output_folder_is_refused(load_nodes, output):
    with pytest.raises(ValueError, match="expected a path below the output folder"):
        load_nodes("output_files").save_beside("../elsewhere.glb", "_rigged.fbx", lambda _stem: b"")


@pytest.mark.nightly_cases
@pytest.mark.parametrize("write", [create_file, replace_file])
def test_a_killed_process_leaves_a_hidden_file_at_most(tmp_path, write):
    """The process dies after the data is on the disk and before the file has its name."""
    script = f"""
import importlib, os, sys
from pathlib import Path
sys.path[:0] = [{str(REPOSITORY)!r}]
files = importlib.import_module("pipeline.formats.files")
os.link = Path.replace = lambda *_: os.kill(os.getpid(), 9)
files.{write.__name__}(Path({str(tmp_path / "model.glb")!r}), bytes(1000))
"""
    assert subprocess.run([sys.executable, "-P", "-c", script]).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".model.glb.") and left.suffix == ".tmp"


def test_a_disk_without_hard_links_gets_the_file_too(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    create_file(tmp_path / "a.glb", b"first")
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "a.glb", b"second")
    assert (tmp_path / "a.glb").read_bytes() == b"first" and list_names(tmp_path) == ["a.glb"]


def test_pictures_keep_their_pixels(save, output):
    found = save("picture")
    picture = np.asarray(found.args[0][0])[..., :3]
    (entry,) = found.ui["images"]
    image = importlib.import_module("PIL.Image").open(output / entry["subfolder"] / entry["filename"])
    np.testing.assert_array_equal(np.asarray(image), np.rint(picture * 255).astype(np.uint8))


def test_a_saved_character_is_as_tall_as_asked(load_nodes, output):
    node = load_nodes("save_character").SaveCharacter
    asked = {"character_format": "glb", "height_meters": 0.5}
    name = node.execute(character=make_humanoid(), filename_prefix="3D/small", **asked).args[0]
    low, high = trimesh.load_scene(output / name, process=False).bounds
    assert (high - low)[1] == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("kind", ["fbx", "glb", "vrm"])
def test_a_saved_character_has_root_and_twist_joints_on_request(load_nodes, output, kind):
    asked = {"character_format": kind, "bone_names": "unity", "root_joint": True, "twist_joints": True}
    node = load_nodes("save_character").SaveCharacter
    name = node.execute(character=make_humanoid(), filename_prefix="3D/rig", **asked).args[0]
    content = (output / name).read_bytes()
    for joint in (b"root", b"LeftLowerArmTwist", b"RightUpperArmTwist"):
        assert joint in content
    assert (b"VRMC_node_constraint" in content) == (kind == "vrm")


def test_a_saved_characters_bones_point_as_those_of_the_program_that_it_has_the_names_of(load_nodes, output):
    node, character = load_nodes("save_character").SaveCharacter, make_wry()
    for names, expected in (("mixamo", align_bones(character, "mixamo")), ("unity", character)):
        asked = {"character_format": "glb", "bone_names": names, "filename_prefix": "3D/bones"}
        scene = trimesh.load_scene(output / node.execute(character=character, **asked).args[0], process=False)
        for role in ("neck", "leftShoulder", "rightToes"):
            joint = NAME_PROFILES[names].joints[role]
            place = expected.skeleton.positions[expected.skeleton.roles[role]]
            assert np.allclose(scene.graph[joint][0][:3, 3], place, atol=1e-5), (names, role)


def test_a_saved_character_has_joints_of_its_face_on_request(load_nodes, output):
    character = make_humanoid()
    chosen = np.flatnonzero(character.textured.mesh.positions[:, 1] > 1.6)[:9]
    blink = MorphTarget("eyeBlinkLeft", chosen, np.full((len(chosen), 3), 0.01))
    mesh = replace(character.textured.mesh, extras=MeshExtras(morphs=(blink,)))
    winking = replace(character, textured=replace(character.textured, mesh=mesh))
    node = load_nodes("save_character").SaveCharacter
    asked = {"character_format": "glb", "bone_names": "vrm", "filename_prefix": "3D/face"}
    names = [node.execute(character=winking, **asked, face_joints=faced).args[0] for faced in (False, True)]
    assert [b"leftEye" in (output / name).read_bytes() for name in names] == [False, True]
