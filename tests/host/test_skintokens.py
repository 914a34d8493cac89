"""The rigger that says its rigs in a real ComfyUI with small random weights: REST and a graph."""

import importlib
from types import SimpleNamespace

import pytest

from . import model_probe
from .conftest import SMALL, Client, load_graph, run_comfyui

pytestmark = pytest.mark.nightly  # a push tests the method in tests/backends


@pytest.fixture(scope="module")
def server(comfyui_folder, tmp_path_factory):
    """ComfyUI with SkinTokens' file where the published one goes."""
    base = tmp_path_factory.mktemp("tokens")
    importlib.import_module("character3d.tests.small_skintokens").save_file(base / "models" / "skintokens", 5)
    model_probe.install(base)
    with run_comfyui(comfyui_folder, base) as (running, _):
        yield SimpleNamespace(url=running.address, base=base)


@pytest.fixture
def client(server):
    return Client(server.url)


def load_rig_graph(method):
    graph, by_title = load_graph("Mesh to rigged character")
    by_title["Rig character"]["method"] = method
    # Newer releases of ComfyUI run a graph only if a node saves or shows something.
    needed = {"Load mesh", "Rig character", "Add animations", "Preview animation"}
    return {key: node for key, node in graph.items() if node["_meta"]["title"] in needed}


def test_the_fitted_skeleton_is_bound_by_the_model(client):
    assert client.run_graph(load_rig_graph("skintokens_skin"))["status"]["status_str"] == "success"
    assert list(model_probe.list_models(client).values()) == ["RigModel"]
    assert model_probe.free_memory(client) == {}


def test_a_job_takes_it_and_what_it_says_in_vain_fails_at_its_stage(client, elf):
    """Random weights say no rig that ends, or one that is no person's: the answer says which."""
    acceptance = client.generate(elf, **SMALL)
    final = client.watch(acceptance["job_id"])[-1]
    if final["status"] == "failed":
        assert final["failed_stage"] == "rigging" and "another seed" in final["error_details"]
    else:
        assert final["methods"]["rigging"] == "skintokens"
        assert [text for text in final["warnings"] if "no standing person's" in text]


def test_cancelling_while_it_speaks(client, elf):
    """On a mesh of its own: one that was rigged before keeps its rig."""
    final, late = client.cancel_while_in("rigging", elf, **SMALL | {"face_count": 4_000})
    assert final.get("cancelled") and final["failed_stage"] == "rigging"
    assert late <= 1
