"""ComfyUI with the pack is still ComfyUI: its own routes answer, and its start imports no slow package."""

import importlib.metadata
import json
import re
import urllib.error
import urllib.parse
import urllib.request

import aiohttp
import pytest
from character3d.launcher.cores import CORES, NEWEST_FRONTEND
from character3d.launcher.installation import PACK_NAME, REPOSITORY
from character3d.pipeline.weights import OWN_MODEL_FOLDERS

from .conftest import WORKFLOWS


def test_api_models_is_comfyuis_list(client):
    folders = client.get_json("/api/models")
    assert isinstance(folders, list) and {"checkpoints", "loras", "vae"} <= set(folders)


def test_models_of_one_folder(client):
    assert client.get_json("/models/checkpoints") == client.get_json("/api/models/checkpoints") == []


def test_bare_models_is_the_contracts_object(client):
    assert set(client.get_json("/models")) == {"diffusion_models", "3d_models"}


def test_the_frontend_is_the_one_that_the_table_of_releases_names(client):
    version = client.get_json("/system_stats")["system"]["comfyui_version"]
    named = [core.frontend for core in (*CORES, NEWEST_FRONTEND) if core.version == version]
    assert not named or importlib.metadata.version("comfyui-frontend-package") in named


def test_system_stats_and_object_info(client):
    assert client.get_json("/system_stats")["system"]["comfyui_version"]
    assert {"LoadImage", "C3DPreprocessPicture"} <= set(client.get_json("/object_info"))


@pytest.mark.parametrize("name", WORKFLOWS)
def test_templates_offer_the_workflows_and_their_pictures(client, name):
    assert sorted(client.get_json("/api/workflow_templates")[PACK_NAME]) == WORKFLOWS
    shipped = REPOSITORY / "workflows" / f"{name}.json"
    served = urllib.parse.quote(f"/api/workflow_templates/{PACK_NAME}/{name}")
    assert client.get_json(f"{served}.json") == json.loads(shipped.read_text(encoding="utf-8"))
    assert client.read(f"{served}.jpg") == shipped.with_suffix(".jpg").read_bytes()


def test_subgraph_blueprints_are_offered(client):
    try:
        offered = client.get_json("/global_subgraphs").items()
    except urllib.error.HTTPError:
        pytest.skip("this ComfyUI offers no subgraphs of packs")
    own = {entry["name"]: key for key, entry in offered if PACK_NAME in entry["info"]["node_pack"]}
    shipped = {path.stem: path.read_text(encoding="utf-8") for path in (REPOSITORY / "subgraphs").iterdir()}
    assert {name: client.get_json(f"/global_subgraphs/{key}")["data"] for name, key in own.items()} == shipped
    assert set(shipped) == {"Mesh to rigged character", "Picture to rigged character"}


def test_help_pages_are_served(client):
    for page in ("C3DGenerateMesh.md", "C3DGenerateMesh/zh.md", "pictures/C3DGenerateMesh.jpg"):
        shipped = REPOSITORY / "web" / "docs" / page
        assert client.read(f"/extensions/{PACK_NAME}/docs/{page}") == shipped.read_bytes()


def test_the_editor_gets_the_packs_texts(client):
    texts = client.get_json("/i18n")
    for language in ("en", "zh"):
        folder = REPOSITORY / "locales" / language
        assert texts[language]["nodeDefs"] == json.loads((folder / "nodeDefs.json").read_text("utf-8"))
        main = json.loads((folder / "main.json").read_text("utf-8"))
        assert {name: texts[language][name] for name in main} == main


async def test_prompt_and_websocket_of_the_core(comfyui, client):
    """A prompt of core nodes runs, and its client sees the events that ComfyUI always sent."""
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 7}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    seen = []
    async with (
        aiohttp.ClientSession(comfyui.url) as session,
        session.ws_connect("/ws?clientId=probe", timeout=aiohttp.ClientWSTimeout(ws_receive=30)) as ws,
    ):
        async with session.post("/prompt", json={"prompt": graph, "client_id": "probe"}) as answer:
            assert answer.status == 200
            prompt_id = (await answer.json())["prompt_id"]
        message = {}
        while message.get("type") != "executing" or message["data"]["node"] is not None:
            message = await ws.receive_json()
            seen.append(message["type"])
    assert seen[0] == "status" and {"execution_start", "executed", "execution_success"} <= set(seen)
    assert client.get_json(f"/history/{prompt_id}")[prompt_id]["status"]["status_str"] == "success"


def test_invalid_prompt_is_refused_by_the_core(comfyui):
    request = urllib.request.Request(f"{comfyui.url}/prompt", json.dumps({"prompt": {}}).encode())
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 400
    assert json.load(refused.value)["error"]["type"] == "prompt_no_outputs"


def test_the_packs_model_folders_are_known_from_the_start(comfyui):
    with urllib.request.urlopen(f"{comfyui.url}/api/experiment/models") as answer:
        assert {folder["name"] for folder in json.load(answer)} >= set(OWN_MODEL_FOLDERS)


def test_the_pack_is_imported(comfyui):
    log = comfyui.log.read_text(encoding="utf-8", errors="replace")
    times = log.split("Import times for custom nodes:")[1]
    (failed,) = re.findall(rf"[\d.]+ seconds( \(IMPORT FAILED\))?: .*{PACK_NAME}$", times, re.M)
    assert failed == ""


@pytest.mark.parametrize("package", ["skimage", "diffusers", "igl", "trimesh", "fast_simplification", "bpy"])
def test_import_loads_no_heavy_package(comfyui, package):
    assert [name for name in comfyui.modules if name.split(".")[0] == package] == []


def test_import_loads_no_stage_and_no_model(comfyui):
    """They are imported when a node first runs: a start takes a third of the modules."""
    own = {name.partition(f"{PACK_NAME}.")[2] for name in comfyui.modules if f"{PACK_NAME}." in name}
    packages = {tuple(name.split(".")[:2]) for name in own if name.count(".") > 1}
    assert packages <= {("pipeline", "figure"), ("pipeline", "mesh")}
    assert 100 < len(own) < 150
