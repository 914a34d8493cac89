"""GET /models is the contract's; everything else that ComfyUI serves is as it was."""

import asyncio

import pytest
from character3d.server_routes.graph import load_template


async def get(client, path, **options):
    async with client.get(path, **options) as answer:
        assert answer.status == 200, path
        return await answer.json()


async def test_models(client):
    assert await get(client, "/models") == {
        "diffusion_models": ["realistic_vision.safetensors", "sub/other.safetensors"],
        "3d_models": ["hunyuan3d-dit-v2-0-fp16.safetensors"],
    }
    assert await get(client, "/generate_character/models") == await get(client, "/models")
    async with client.head("/models") as answer:
        assert answer.status == 200


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_core_model_lists(client):
    folders = await get(client, "/api/models")
    assert isinstance(folders, list) and "checkpoints" in folders
    assert await get(client, "/models?clientId=sdk") == folders
    assert await get(client, "/models?format=folders") == folders
    accept = {"Accept": "application/vnd.comfyui.folders+json"}
    assert await get(client, "/models", headers=accept) == folders
    names = await get(client, "/models/checkpoints")
    assert "old.ckpt" in names and await get(client, "/api/models/checkpoints") == names


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_exactly_the_listed_models_are_accepted(client, other_client):
    """Every name in any folder of models: accepted where it is listed, refused where it is not."""
    listed = await get(client, "/models")
    for asker, field, key in (
        (client, "model_name", "diffusion_models"),
        (other_client, "mesh_model", "3d_models"),
    ):
        for folder in ("checkpoints", "diffusion_models"):
            for name in await get(asker, f"/models/{folder}"):
                async with await asker.generate(**{field: name}) as answer:
                    body = await answer.json()
                if name in listed[key]:
                    assert answer.status == 202, body
                    assert body["parameters"][field] == name
                    assert not any(warning.startswith(field) for warning in body["warnings"])
                    await asker.finish(body["job_id"])
                else:
                    assert answer.status == 400 and body["details"]["parameter"] == field
                    assert set(body["details"]["allowed"]) - {"auto"} == set(listed[key])


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_prompt_and_ws_of_core(client, comfyui, png):
    (comfyui.base / "input" / "core.png").write_bytes(png())
    prompt = load_template()
    prompt["1"]["inputs"]["image"] = "core.png"
    async with client.ws_connect("/ws?clientId=editor") as socket:
        first = await socket.receive_json()
        assert first["type"] == "status" and first["data"]["sid"] == "editor"
        async with client.post("/prompt", json={"prompt": prompt, "client_id": "editor"}) as answer:
            prompt_id = (await answer.json())["prompt_id"]
        seen = []
        while "nothing executes" not in seen:  # core writes the history before it says so
            message = await asyncio.wait_for(socket.receive(), 60)
            event = message.json() if isinstance(message.data, str) else {"type": "binary", "data": {}}
            is_last = event["type"] == "executing" and event["data"]["node"] is None
            seen.append("nothing executes" if is_last else event["type"])
    (comfyui.base / "input" / "core.png").unlink()
    assert {"executed", "progress_state", "execution_success"} <= set(seen)
    assert prompt_id in await get(client, f"/history/{prompt_id}")
    async with client.post("/prompt", json={}) as answer:
        assert answer.status == 400


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_frontend_and_system_stats(client):
    assert (await get(client, "/system_stats"))["system"]["comfyui_version"]
    async with client.get("/") as answer:
        assert answer.status == 200 and "html" in answer.content_type
    async with client.get("/nothing/here") as answer:
        assert answer.status == 404
