"""The nodes for 3D of newer ComfyUI releases beside ours, in a real ComfyUI that has them."""

import pytest

from .conftest import Client

RIG = {"pose_type": "No", "method": "geodesic_voxel_binding"}


@pytest.fixture(scope="module")
def has_file_3d(comfyui):
    if "MeshToFile3D" not in Client(comfyui.url).get_json("/object_info"):
        pytest.skip("this ComfyUI has no FILE_3D")


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def run(client, graph):
    history = client.run_graph(graph)
    assert history["status"]["status_str"] == "success", history["status"]["messages"][-1]
    return history["outputs"]


def test_a_mesh_goes_through_cores_file_to_a_character_and_back_to_core(has_file_3d, client, comfyui):
    graph = {
        "load": node("C3DLoadMesh", mesh_file="elf.glb", up="auto", front="auto", height_meters=0.0),
        "file": node("MeshToFile3D", mesh=["load", 1]),
        "rig": node("C3DRigCharacter", mesh=["file", 0], **RIG),
        "save": node(
            "C3DSaveCharacter", character=["rig", 0], filename_prefix="core/a", character_format="glb"
        ),
        "again": node("C3DLoadMesh", file=["save", 1], up="auto", front="auto", height_meters=0.0),
        "core": node("SaveGLB", mesh=["again", 1], filename_prefix="core/b"),
        "shown": node("Preview3D", model_file=["save", 1]),
        "mine": node("C3DSaveMesh", mesh=["file", 0], filename_prefix="core/c"),
    }
    outputs = run(client, graph)
    for name in ("save", "core", "mine"):
        (entry,) = outputs[name]["3d"]
        assert (comfyui.base / "output" / entry["subfolder"] / entry["filename"]).stat().st_size > 10_000
    assert outputs["shown"]
