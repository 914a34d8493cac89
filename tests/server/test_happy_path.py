"""One job from picture to files, by REST and by WebSocket, as the wire contract says it."""

import asyncio
import json

import pytest

STAGES = [
    "preprocessing",
    "mesh_generation",
    "generating_multiview_texture",
    "texture_baking",
    "rigging",
]


async def test_accepted_answer_has_the_contracts_members(client):
    async with await client.generate(seed=42, steps=15) as answer:
        body = await answer.json()
        assert answer.status == 202
        assert answer.content_type == "application/json"
        assert answer.headers["Location"] == f"/job/{body['job_id']}/status"
        assert answer.headers["RateLimit"].startswith('"generate";r=9;t=')
    assert body["status"] == "accepted"
    assert body["message"] == "Character generation started"
    assert body["estimated_time"].endswith(" seconds") and "-" in body["estimated_time"]
    assert body["parameters"]["seed"] == 42 and body["parameters"]["steps"] == 15
    assert any("model_name" in warning for warning in body["warnings"])
    await client.finish(body["job_id"])


async def test_completed_job_has_results_that_can_be_downloaded(client, inputs_left):
    job_id = (await client.start_job(prompt="a knight", seed=7))["job_id"]
    frames, code = await client.events(job_id)
    body = await client.status(job_id)
    assert code == 1000
    assert (body["status"], body["progress"], body["job_id"]) == ("completed", 100, job_id)
    assert body["processing_time"].endswith(" seconds")
    assert body["results"]["raw_mesh"].startswith("/output/3D/Hy3D_0")
    assert body["results"]["textured_mesh"].startswith("/output/3D/Hy3D_textured_")
    assert body["results"]["rigged_character"].endswith(".fbx")
    previews = body["results"]["preview_images"]
    assert [path.rsplit("_", 2)[0] for path in previews] == [
        "/output/preview_mesh",
        "/output/preview_texture",
    ]
    assert [stage["name"] for stage in body["stages"]] == STAGES
    assert {stage["status"] for stage in body["stages"]} == {"completed"}
    assert body["methods"]["mesh_generation"] == "inflation"
    assert len(body["downloads"]) == 8
    assert "figure" not in body["results"]  # beside the results of the wire contract
    for download in body["downloads"]:
        async with client.get(download["url"]) as answer:
            data = await answer.read()
            assert answer.status == 200 and len(data) == download["size"]
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Content-Disposition"] == f'attachment; filename="{download["name"]}"'
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    raw = next(item for item in body["downloads"] if item["result"] == "raw_mesh")
    async with client.head(raw["url"]) as answer:
        assert answer.status == 200 and int(answer.headers["Content-Length"]) == raw["size"]
    async with client.get(raw["url"], headers={"Range": "bytes=1-3"}) as answer:
        assert answer.status == 206 and len(await answer.read()) == 3
    assert inputs_left() == []
    assert frames[-1]["data"] == body


@pytest.mark.of_comfyui("files name the job of the ComfyUI beside the worker")
async def test_files_name_their_job(client):
    body = await client.finish((await client.start_job())["job_id"])
    raw = next(item for item in body["downloads"] if item["result"] == "raw_mesh")
    async with client.get(raw["url"]) as answer:
        assert json.loads(await answer.read())["job_id"] == body["job_id"]


async def test_the_report_is_a_download_of_every_job(client):
    for rigging, rig in (("true", "character none"), ("false", None)):  # the character with its clips
        job_id = (await client.start_job(enable_rigging=rigging))["job_id"]
        body = await client.finish(job_id)
        (report,) = (item for item in body["downloads"] if item["result"] == "report")
        assert report["media_type"] == "application/json" and "report" not in body["results"]
        async with client.get(report["url"]) as answer:
            assert json.loads(await answer.read()) == {"rig": rig}


async def test_warnings_name_exactly_the_sent_fields_that_were_ignored(client):
    job_id = (await client.start_job(prompt="x", seed=3, mesh_steps=9, image_size=512, color="red"))["job_id"]
    warnings = (await client.finish(job_id))["warnings"]
    named = {warning.split(":")[0] for warning in warnings}
    # seed is ignored by the mesh but used by the views; steps was not sent; color is no field.
    assert named == {"color", "model_name", "prompt", "mesh_steps", "generating_multiview_texture"}
    assert "prompt: not used by the method projection" in warnings
    assert "generating_multiview_texture: see secret.txt" in warnings


async def test_status_while_a_stage_runs(client, control):
    control(seconds={"C3DGenerateViews": 1.0})
    job_id = (await client.start_job())["job_id"]
    async with client.ws_connect(f"/ws/{job_id}") as socket:
        async for message in socket:
            frame = json.loads(message.data)
            if frame["data"].get("current_stage") == STAGES[2] and frame["data"]["progress"] > 25:
                break
        body = await client.status(job_id)
    assert body["status"] == "processing"
    assert body["current_stage"] == STAGES[2]
    assert [stage["status"] for stage in body["stages"]] == ["completed"] * 2 + ["processing"] + [
        "pending"
    ] * 2
    assert [stage["name"] for stage in body["stages"]] == STAGES
    assert 0 < body["progress"] < 100
    assert body["estimated_remaining"] == f"{body['estimated_remaining_seconds']} seconds"
    # What is written already can be fetched already.
    raw = next(item for item in body["downloads"] if item["result"] == "raw_mesh")
    async with client.get(raw["url"]) as answer:
        assert answer.status == 200
    await client.finish(job_id)


async def test_without_rigging(client):
    job_id = (await client.start_job(enable_rigging="false"))["job_id"]
    body = await client.finish(job_id)
    assert body["status"] == "completed"
    assert [stage["name"] for stage in body["stages"]] == STAGES[:4]
    assert body["results"]["rigged_character"] is None
    assert body["results"]["textured_mesh"]


async def test_second_job_waits_in_the_queue(client, control):
    control(seconds={"C3DGenerateMesh": 5.0})
    first = (await client.start_job())["job_id"]
    second = (await client.start_job())["job_id"]
    async with asyncio.timeout(5):  # a place is shown once it is stored
        while (body := await client.status(second)).get("queue_position") != 1:
            await asyncio.sleep(0.02)
    assert (body["status"], body["progress"], body["current_stage"]) == ("processing", 0, "queued")
    assert {stage["status"] for stage in body["stages"]} == {"pending"}
    control()
    assert (await client.finish(first))["status"] == "completed"
    assert (await client.finish(second))["status"] == "completed"


async def test_mirror_under_api(client):
    job_id = (await client.start_job())["job_id"]
    async with client.get(f"/api/job/{job_id}/status") as answer:
        assert (await answer.json())["job_id"] == job_id
    await client.finish(job_id)


async def test_a_character_in_another_format_with_a_moving_preview(client):
    accepted = await client.start_job(character_format="glb", animation="walk", animated_preview="true")
    body = await client.finish(accepted["job_id"])
    assert body["results"]["rigged_character"].endswith(".glb")
    assert [path.rsplit(".", 1)[1] for path in body["results"]["preview_images"]] == ["png", "png", "webp"]
    types = {item["name"].rsplit(".", 1)[1]: item["media_type"] for item in body["downloads"]}
    assert types["webp"] == "image/webp" and types["glb"] == "model/gltf-binary"
