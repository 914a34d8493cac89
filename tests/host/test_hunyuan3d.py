"""The learned mesh stage through REST, in a real ComfyUI with small random checkpoints."""

import time
from types import SimpleNamespace

import pytest
import torch
import trimesh
from character3d.client import ServiceError
from character3d.tests import small_hunyuan3d as small
from safetensors.torch import load_file, save_file

from . import model_probe
from .conftest import Client, find_saved, load_graph, run_comfyui

pytestmark = pytest.mark.nightly  # a push tests the method in tests/backends

FIGURE = "hunyuan3d-dit-v2-mini-fp16.safetensors"
NOISE = "hunyuan3d-dit-v2-mini-turbo-fp16.safetensors"
SOLID = "hunyuan3d-dit-v2-mini/solid.fp16.safetensors"
DAMAGED = "hunyuan3d-dit-v2-1-fp16.safetensors"
CUT_OFF = "hunyuan3d-dit-v2-mv-fp16.safetensors"
QUICK = {"mesh_steps": 2, "octree_resolution": 64, "image_size": 512}


@pytest.fixture(scope="module")
def server(comfyui_folder, tmp_path_factory):
    """ComfyUI with models: a figure, noise, a solid cube, and two damaged ones."""
    base = tmp_path_factory.mktemp("hunyuan3d")
    models = base / "models" / "diffusion_models"
    small.save_checkpoint(models / FIGURE, small.draw_figure_checkpoint())
    small.save_checkpoint(models / NOISE, small.draw_checkpoint("mini", 1))
    solid = small.draw_checkpoint("mini", 2)
    solid["vae.geo_decoder.output_proj.bias"] += 1000
    small.save_checkpoint(base / "models" / "checkpoints" / SOLID, solid)
    save_file({"model.something.weight": torch.zeros(2)}, str(models / DAMAGED))
    (models / CUT_OFF).write_bytes((models / FIGURE).read_bytes()[:100_000])
    model_probe.install(base)
    with run_comfyui(comfyui_folder, base) as (running, _):
        yield SimpleNamespace(url=running.address, models=models, base=base)


@pytest.fixture
def client(server):
    return Client(server.url)


def run_job(client, picture, **fields):
    acceptance = client.generate(picture, **{**QUICK, **fields})
    return acceptance["job_id"], client.watch(acceptance["job_id"])


def load_mesh(client, job_id, path, folder):
    file = folder / "mesh.glb"
    file.write_bytes(client.read_result(job_id, path))
    return trimesh.load_mesh(file, process=False)


def test_the_service_lists_the_models_best_first(client):
    shape_models = [DAMAGED, CUT_OFF, FIGURE, SOLID, NOISE]
    assert client.models() == {"diffusion_models": [], "3d_models": shape_models}


def test_a_picture_becomes_a_hunyuan3d_character(client, elf, tmp_path):
    """All five stages on a mesh that came out of the learned model."""
    job_id, answers = run_job(client, elf, mesh_model=FIGURE, face_count=20_000, seed=5)
    final = answers[-1]
    assert final["status"] == "completed", final
    assert final["methods"]["mesh_generation"] == "hunyuan3d"
    assert not [warning for warning in final["warnings"] if "mesh_" in warning or "guidance" in warning]
    mesh = load_mesh(client, job_id, final["results"]["raw_mesh"], tmp_path)
    assert mesh.is_watertight and mesh.volume > 0 and len(mesh.faces) <= 20_000
    low, high = mesh.bounds
    assert low[1] == pytest.approx(0, abs=1e-6) and high[1] == pytest.approx(1.7, abs=1e-4)
    # It faces +Z, as the figure's feet do.
    feet = mesh.vertices[mesh.vertices[:, 1] < 0.1]
    assert feet[:, 2].max() > -1.5 * feet[:, 2].min() > 0
    for name in ("textured_mesh", "rigged_character"):
        assert client.read_result(job_id, final["results"][name])


def test_the_model_stays_from_run_to_run_and_leaves_at_free(client):
    """The same model serves another seed; POST /free leaves nothing of it in memory."""
    graph, by_title = load_graph("Picture to rigged character")
    (mesh,) = (key for key, node in graph.items() if node["class_type"] == "C3DGenerateMesh")
    by_title["Generate mesh"] |= {"mesh_model": FIGURE, "mesh_steps": 2, "octree_resolution": 64}
    graph = {key: node for key, node in graph.items() if int(key) <= int(mesh)}
    loaded = []
    for seed in (7, 8):
        graph[mesh]["inputs"]["seed"] = seed
        assert client.run_graph(graph)["status"]["status_str"] == "success"
        loaded.append(model_probe.list_models(client))
    assert loaded[0] == loaded[1] and {"Hunyuan3Dv2", "ShapeVAE"} < set(loaded[0].values())
    assert model_probe.free_memory(client) == {}


def test_noise_goes_through_every_stage_that_takes_noise(client, elf, tmp_path):
    """A random field is meshed, textured and saved; whether it can be rigged is up to chance."""
    job_id, answers = run_job(client, elf, mesh_model=NOISE, face_count=10_000, octree_resolution=32)
    final = answers[-1]
    assert final["methods"]["mesh_generation"] == "hunyuan3d"
    assert final["methods"]["texture_baking"] == "projection_bake"
    assert final["status"] == "completed" or final["failed_stage"] == "rigging", final
    assert load_mesh(client, job_id, final["results"]["textured_mesh"], tmp_path).area > 0


def test_a_field_without_a_surface_fails_at_mesh_generation(client, elf):
    _, answers = run_job(client, elf, mesh_model=SOLID, octree_resolution=16)
    final = answers[-1]
    assert (final["status"], final["failed_stage"]) == ("failed", "mesh_generation")
    assert "the shape has no surface: expected a field that is positive inside" in final["error_details"]


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            DAMAGED,
            ["not a complete Hunyuan3D model", "model.latent_in.weight", "found 1 other keys, such as"],
        ),
        (CUT_OFF, ["cannot be read", "cut off"]),
    ],
)
def test_a_wrong_file_says_what_was_expected(client, elf, model, words):
    _, answers = run_job(client, elf, mesh_model=model)
    final = answers[-1]
    assert (final["status"], final["failed_stage"]) == ("failed", "mesh_generation")
    assert [word for word in (model, *words) if word not in final["error_details"]] == []


def test_a_model_that_is_not_installed_is_refused(client, elf):
    with pytest.raises(ServiceError) as refused:
        client.generate(elf, mesh_model="hunyuan3d-other.safetensors")
    error = refused.value
    assert (error.status, error.details["parameter"]) == (400, "mesh_model")
    assert FIGURE in error.details["allowed"] and "auto" in error.details["allowed"]


def test_cancelling_while_it_samples(client, elf):
    fields = {**QUICK, "mesh_model": FIGURE, "mesh_steps": 12}
    final, late = client.cancel_while_in("mesh_generation", elf, **fields)
    assert final.get("cancelled") and final["failed_stage"] == "mesh_generation"
    assert late <= 1


def test_step_by_step_with_comfyuis_own_nodes(client, server):
    """The second workflow: our loader, decoder and clean-up around ComfyUI's conditioning and KSampler."""
    graph, by_title = load_graph("Hunyuan3D step by step")
    by_title["Load shape model"]["mesh_model"] = FIGURE
    by_title["Sample"]["steps"] = 1
    by_title["Decode shape"]["octree_resolution"] = 64
    mesh = find_saved(server.base, client.run_graph(graph))
    assert mesh.is_watertight and mesh.bounds[:, 1] == pytest.approx([0, 1.7], abs=1e-4)


def test_cheap_casts_of_the_weights_run(client, server, elf):
    """An fp8 file: its diffusion model in float8, as people shrink them."""
    weights = load_file(str(server.models / FIGURE))
    for name, value in weights.items():
        if name.startswith("model.") and value.ndim == 2:
            weights[name] = value.to(torch.float8_e4m3fn)
    save_file(weights, str(server.models / "hunyuan3d-dit-v2-mini-fp8.safetensors"))
    time.sleep(0.1)
    fields = {"mesh_model": "hunyuan3d-dit-v2-mini-fp8.safetensors", "enable_rigging": "false"}
    _, answers = run_job(client, elf, **fields)
    assert answers[-1]["status"] == "completed", answers[-1]
