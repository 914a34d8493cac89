"""*Mesh to rigged character* in a real ComfyUI: a mesh in; GLB, FBX, VRM and a moving picture out."""

import numpy as np
import pytest
import trimesh
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from PIL import Image

from .conftest import REPOSITORY, Client, load_graph

CHAIR = [
    ((0.5, 0.05, 0.5), (0, 0.475, 0)),
    ((0.5, 0.5, 0.05), (0, 0.75, -0.225)),
    *(((0.05, 0.45, 0.05), (x, 0.225, z)) for x in (-0.22, 0.22) for z in (-0.22, 0.22)),
]


def saved_files(comfyui, graph, history):
    """Title of a node -> the file that it wrote."""
    found = {}
    for node_id, output in history["outputs"].items():
        for entry in output.get("character3d_file", ()):
            title = graph[node_id]["_meta"]["title"]
            found[title] = comfyui.base / "output" / entry["subfolder"] / entry["filename"]
    return found


@pytest.fixture(scope="module")
def files(comfyui):
    graph, _ = load_graph("Mesh to rigged character")
    history = Client(comfyui.url).run_graph(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    return saved_files(comfyui, graph, history)


def test_every_format_is_written(files):
    suffixes = {title: path.suffix for title, path in files.items()}
    assert suffixes == {
        "Save GLB": ".glb",
        "Save FBX for Unreal": ".fbx",
        "Save VRM": ".vrm",
        "Preview animation": ".webp",
        "Quality report": ".json",
    }


@pytest.mark.parametrize("title", ["Save GLB", "Save VRM"])
def test_the_khronos_validator_finds_no_fault(files, tmp_path, title):
    report = run_reader("gltf-validator", tmp_path / "report.json", files[title])
    assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0, report["issues"]["messages"]


def test_the_preview_moves(files):
    picture = Image.open(files["Preview animation"])
    assert picture.n_frames >= 12 and picture.size == (320, 320)
    frames = []
    for number in (0, picture.n_frames // 4):
        picture.seek(number)
        frames.append(np.asarray(picture.convert("RGB"), float) / 255)
    assert np.abs(frames[0] - frames[1]).mean() > 0.005


def test_the_unreal_rig_has_a_root_and_the_clips(files, tmp_path):
    require_reader("ufbx")
    ask, model = write_ask(tmp_path / "ask.json"), files["Save FBX for Unreal"]
    report = run_reader("ufbx", tmp_path / "report.json", model, ask)
    names = set(report["joints"])
    assert {"root", "pelvis", "spine_01", "upperarm_l", "calf_r", "head"} <= names
    assert set(report["clips"]) == {"idle", "walk", "run", "jump", "wave", "sit", "dance", "t_pose"}


def test_a_chair_is_called_a_thing_and_refused_if_strict(comfyui, client):
    chair = trimesh.util.concatenate(
        [trimesh.creation.box(size, trimesh.transformations.translation_matrix(at)) for size, at in CHAIR]
    )
    chair.export(comfyui.base / "input" / "chair.glb")
    graph, by_title = load_graph("Mesh to rigged character")
    by_title["Load mesh"]["mesh_file"] = "chair.glb"
    by_title["Rig character"]["strict"] = True
    (error,) = (
        data for event, data in client.run_graph(graph)["status"]["messages"] if event == "execution_error"
    )
    message = error["exception_message"]
    assert error["node_type"] == "C3DRigCharacter"
    assert "not a standing humanoid: it looks like a thing" in message


def test_the_mesh_stays_as_it_was(files):
    given = trimesh.load_mesh(REPOSITORY / "examples" / "elf.glb")
    saved = trimesh.load_mesh(files["Save GLB"])
    assert abs(len(saved.faces) / len(given.faces) - 1) < 0.1
    np.testing.assert_allclose(saved.bounds, given.bounds, atol=1e-4)
