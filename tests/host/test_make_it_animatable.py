"""The learned rig in a real ComfyUI with small random weights: REST and a graph."""

import importlib
from types import SimpleNamespace

import pytest

from . import model_probe
from .conftest import SMALL, Client, load_graph, run_comfyui

pytestmark = pytest.mark.nightly  # a push tests the method in tests/backends

FINGERS = [f"mixamorig:LeftHand{finger}1" for finger in ("Thumb", "Index", "Middle", "Ring", "Pinky")]


@pytest.fixture(scope="module")
def small():
    return importlib.import_module("character3d.tests.small_make_it_animatable")


@pytest.fixture(scope="module")
def server(comfyui_folder, small, tmp_path_factory):
    """ComfyUI with the files of Make-It-Animatable where the published ones go."""
    base = tmp_path_factory.mktemp("mia")
    small.save_files(base / "models" / "make_it_animatable", 12)
    model_probe.install(base)
    with run_comfyui(comfyui_folder, base) as (running, _):
        yield SimpleNamespace(url=running.address, base=base)


@pytest.fixture
def client(server):
    return Client(server.url)


@pytest.fixture
def damaged(server):
    """(file) -> the file is cut off for this test."""
    kept = {}

    def cut(file):
        path = server.base / "models" / "make_it_animatable" / file
        kept[path] = path.read_bytes()
        path.write_bytes(kept[path][: len(kept[path]) // 2])

    yield cut
    for path, content in kept.items():
        path.write_bytes(content)


def run_job(client, elf, **fields):
    acceptance = client.generate(elf, **SMALL, **fields)
    return acceptance["job_id"], client.watch(acceptance["job_id"])[-1]


def test_a_job_is_rigged_by_make_it_animatable(client, elf):
    job, final = run_job(client, elf)
    assert final["status"] == "completed", final["error_details"]
    assert final["methods"]["rigging"] == "make_it_animatable"
    ufbx = pytest.importorskip("ufbx")
    scene = ufbx.load_memory(client.read_result(job, final["results"]["rigged_character"]))
    names = [node.name for node in scene.nodes if node.bone]
    assert len(names) == len(set(names)) == 65 and set(FINGERS) <= set(names)
    assert not [text for text in final["warnings"] if "turned to the T-pose" in text]


def test_the_models_stay_from_run_to_run_and_leave_at_free(client):
    graph, by_title = load_graph("Mesh to rigged character")
    needed = {"Load mesh", "Rig character", "Add animations", "Preview animation"}
    graph = {key: node for key, node in graph.items() if node["_meta"]["title"] in needed}
    loaded = []
    for pose in ("No", "T-pose"):
        by_title["Rig character"]["pose_type"] = pose
        assert client.run_graph(graph)["status"]["status_str"] == "success"
        loaded.append(model_probe.list_models(client))
    assert loaded[0] == loaded[1] and list(loaded[0].values()) == ["PointModel"] * 5
    assert model_probe.free_memory(client) == {}


def test_a_pose_that_is_none_is_turned_to_the_t_pose(client, elf):
    _, final = run_job(client, elf, pose_type="No", seed=5)
    assert final["status"] == "completed", final["error_details"]
    (text,) = (text for text in final["warnings"] if "turned to the T-pose" in text)
    assert "pose_type is No: 51 joints" in text


def test_a_damaged_file_fails_at_its_stage_and_is_named(client, elf, damaged):
    damaged("pose.pth")
    _, final = run_job(client, elf, seed=6)
    assert (final["status"], final["failed_stage"]) == ("failed", "rigging")
    assert "pose.pth cannot be read" in final["error_details"]


def test_cancelling_while_it_rigs(client, elf):
    final, late = client.cancel_while_in("rigging", elf, **SMALL, seed=7)
    assert final.get("cancelled") and final["failed_stage"] == "rigging"
    assert late <= 1
