"""The learned views in a real ComfyUI with a small random SDXL checkpoint and adapter: REST and graphs."""

import importlib
import itertools
import json
import urllib.error
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from safetensors.torch import save_file

from .conftest import REPOSITORY, SMALL, Client, find_saved, load_graph, run_comfyui

pytestmark = pytest.mark.nightly  # a push tests the method in tests/backends

SDXL, DAMAGED = "small_xl.safetensors", "other_xl.safetensors"
ADAPTER = "mvadapter_ig2mv_sdxl.safetensors"
REGISTER = f"""
import importlib, importlib.machinery, importlib.util, sys
spec = importlib.machinery.ModuleSpec("small", None, is_package=True)
spec.submodule_search_locations = [{str(REPOSITORY / "tests")!r}]
sys.modules["small"] = importlib.util.module_from_spec(spec)
importlib.import_module("small.small_sdxl").register()
NODE_CLASS_MAPPINGS = {{}}
"""
"""A pack that tells ComfyUI of the small SDXL; what it does with the file is its own."""


@pytest.fixture(scope="module")
def server(comfyui_folder, comfyui_modules, tmp_path_factory):
    """ComfyUI with an SDXL checkpoint, a damaged one, and the adapter."""
    small = importlib.import_module("character3d.tests.small_sdxl")
    base = tmp_path_factory.mktemp("ig2mv")
    small.save(base / "models" / "checkpoints" / SDXL, small.draw_checkpoint(1))
    save_file({"a": torch.zeros(2)}, str(base / "models" / "checkpoints" / DAMAGED))
    small.save(base / "models" / "model_patches" / ADAPTER, small.draw_adapter(2))
    register = base / "custom_nodes" / "register_small_sdxl"
    register.mkdir(parents=True)
    (register / "__init__.py").write_text(REGISTER)
    with run_comfyui(comfyui_folder, base) as (running, _):
        yield SimpleNamespace(url=running.address, base=base)


@pytest.fixture
def client(server):
    return Client(server.url)


def read_views(server, graph, history):
    """The six pictures that the preview node `Six views` shows, 0..1."""
    (preview,) = (key for key, node in graph.items() if node["_meta"]["title"] == "Six views")
    files = history["outputs"][preview]["images"]
    return np.stack([np.asarray(Image.open(server.base / "temp" / file["filename"])) / 255 for file in files])


def test_a_job_is_painted_by_ig2mv(client, elf):
    fields = {**SMALL, "model_name": SDXL, "steps": 2, "prompt": "an elf", "seed": 3}
    acceptance = client.generate(elf, **fields)
    final = client.watch(acceptance["job_id"])[-1]
    assert final["status"] == "completed", final["error_details"]
    assert final["methods"]["generating_multiview_texture"] == "ig2mv"
    assert not [text for text in final["warnings"] if "prompt" in text or "cfg_scale" in text], final[
        "warnings"
    ]
    for path in (final["results"]["textured_mesh"], final["results"]["rigged_character"]):
        assert client.read_result(acceptance["job_id"], path)


def test_a_job_without_its_checkpoint_takes_the_embedded_method(client, elf):
    acceptance = client.generate(elf, **SMALL, enable_rigging="false")
    final = client.watch(acceptance["job_id"])[-1]
    assert final["methods"]["generating_multiview_texture"] == "projection"


def test_a_checkpoint_that_is_none_fails_at_its_stage(client, elf):
    acceptance = client.generate(elf, **SMALL, model_name=DAMAGED)
    final = client.watch(acceptance["job_id"])[-1]
    assert (final["status"], final["failed_stage"]) == ("failed", "generating_multiview_texture")
    assert f"{DAMAGED} cannot be read as a checkpoint" in final["error_details"]


def test_cancelling_while_it_paints(client, elf):
    fields = {**SMALL, "model_name": SDXL, "steps": 100}
    final, late = client.cancel_while_in("generating_multiview_texture", elf, **fields)
    assert final.get("cancelled") and final["failed_stage"] == "generating_multiview_texture"
    assert late <= 1


def test_step_by_step_between_comfyuis_own_nodes(client, server):
    """Apply IG2MV between core's loader, prompts, KSampler and decoder."""
    graph, by_title = load_graph("IG2MV step by step")
    by_title["Load any SDXL checkpoint"]["ckpt_name"] = SDXL
    by_title["Render view maps"]["image_size"] = 512
    by_title["Sample six views"]["steps"] = 2
    by_title["Bake texture"]["texture_size"] = 1024
    history = client.run_graph(graph)
    mesh = find_saved(server.base, history)
    assert len(mesh.faces) == 12_000 and mesh.visual.material.baseColorTexture.size == (1024, 1024)
    views = read_views(server, graph, history)
    assert views.shape == (6, 512, 512, 3)
    assert min(np.abs(one - two).mean() for one, two in itertools.combinations(views, 2)) > 0.01


def test_an_existing_mesh_is_textured(client, server):
    """*Picture onto a mesh* with the embedded method: the mesh stays, its texture shows the picture."""
    graph, _ = load_graph("Picture onto a mesh")
    mesh = find_saved(server.base, client.run_graph(graph))
    given = trimesh.load_mesh(REPOSITORY / "examples" / "elf.glb")
    assert len(mesh.faces) == len(given.faces)
    np.testing.assert_allclose(mesh.bounds, given.bounds, atol=1e-6)
    colors = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"), float) / 255
    assert colors.std(axis=(0, 1)).min() > 0.1


def test_a_mesh_file_that_is_not_there_is_refused_before_anything_runs(client):
    graph, by_title = load_graph("Picture onto a mesh")
    by_title["Load mesh"]["mesh_file"] = "../models/model_patches/none.glb"
    try:  # ComfyUI accepts a graph of which any output can run
        answer = client.read("/prompt", json.dumps({"prompt": graph}).encode())
    except urllib.error.HTTPError as refused:
        answer = refused.read()
    errors = json.loads(answer)["node_errors"]
    assert [node["class_type"] for node in errors.values()] == ["C3DLoadMesh"]
    assert "is not a mesh in ComfyUI's input folder" in answer.decode()
