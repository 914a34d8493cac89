"""How jobs end other than well: failed stages, cancellation, and what others do to the queue."""

import asyncio

import pytest
from character3d.server_routes.job_runner import WATCH_SECONDS

LONG_SECONDS, SAFETY_SECONDS = 60.0, 300.0
"""A stage that a test cuts short, and the end of a test that hangs; no outcome depends on either."""

CLASS_OF_STAGE = [
    ("C3DPreprocessPicture", "preprocessing", "Preprocessing failed"),
    ("C3DGenerateMesh", "mesh_generation", "Mesh generation failed"),
    ("C3DGenerateViews", "generating_multiview_texture", "Multiview texture generation failed"),
    ("C3DBakeTexture", "texture_baking", "Texture baking failed"),
    ("C3DRigCharacter", "rigging", "Rigging failed"),
    ("C3DSaveCharacter", "rigging", "Rigging failed"),
]


@pytest.mark.parametrize(("node", "stage", "error"), CLASS_OF_STAGE)
async def test_failed_stage(client, control, comfyui, inputs_left, node, stage, error):
    control(fail=node, message=f"CUDA out of memory in {comfyui.base}/models/x.bin", every=0.01)
    job_id = (await client.start_job())["job_id"]
    frames, code = await client.events(job_id)
    body = await client.status(job_id)
    assert (body["status"], body["job_id"]) == ("failed", job_id)
    assert (body["error"], body["failed_stage"]) == (error, stage)
    assert body["error_details"].startswith("CUDA out of memory in")
    assert str(comfyui.base) not in str(body)
    assert body["error_code"] == "PROCESSING_ERROR"
    assert [entry["name"] for entry in body["stages"] if entry["status"] == "failed"] == [stage]
    assert body["progress"] < 100
    assert frames[-1]["type"] == "error" and frames[-1]["data"] == body and code == 1000
    assert inputs_left() == []
    if stage == "rigging":
        assert body["results"]["textured_mesh"] and body["results"]["rigged_character"] is None
        async with client.get(body["downloads"][0]["url"]) as answer:
            assert answer.status == 200


async def test_result_that_was_not_written(client, control):
    control(skip_file=".fbx")
    body = await client.finish((await client.start_job())["job_id"])
    assert (body["status"], body["failed_stage"]) == ("failed", "rigging")
    assert "rigged_character" in body["error_details"]


async def cancel(client, job_id, method="POST"):
    path = f"/job/{job_id}/cancel" if method == "POST" else f"/job/{job_id}"
    async with client.request(method, path) as answer:
        return answer.status, await answer.json()


async def reach(client, job_id, stage):
    """Wait until a job is in a stage."""
    async with client.ws_connect(f"/ws/{job_id}") as socket:
        async for message in socket:
            if message.json()["data"].get("current_stage") == stage:
                return
    raise AssertionError(f"the job ended before {stage}")


def finished_stages(body):
    return [entry["name"] for entry in body["stages"] if entry["status"] == "completed"]


def is_cancelled(body):
    return (body["status"], body["error"], body.get("cancelled")) == ("failed", "Cancelled", True)


async def test_cancel_running_job(client, control, inputs_left):
    control(seconds={"C3DGenerateMesh": LONG_SECONDS})
    job_id = (await client.start_job())["job_id"]
    await reach(client, job_id, "mesh_generation")
    status, _ = await cancel(client, job_id)
    assert status == 202
    frames, _ = await asyncio.wait_for(client.events(job_id), SAFETY_SECONDS)
    body = await client.status(job_id)
    assert is_cancelled(body) and body["failed_stage"] == "mesh_generation"
    assert finished_stages(body) == ["preprocessing"] and body["processing_time_seconds"] < LONG_SECONDS
    assert body["error_details"] == "Cancelled by the client"
    assert frames[-1]["type"] == "error"
    assert inputs_left() == []
    assert await cancel(client, job_id) == (200, body)
    control()
    assert (await client.finish((await client.start_job())["job_id"]))["status"] == "completed"


async def test_cancel_queued_job_leaves_the_running_one_alone(client, control, inputs_left):
    control(every=0.1)
    running = (await client.start_job())["job_id"]
    queued = (await client.start_job())["job_id"]
    status, body = await cancel(client, queued, "DELETE")
    assert status == 200 and is_cancelled(body) and body["failed_stage"] is None
    left = inputs_left()  # under the names that ComfyUI beside a worker gives
    assert len(left) <= 1 and f"{queued}.tif" not in left
    third = (await client.start_job())["job_id"]
    assert (await client.finish(running))["status"] == "completed"
    assert (await client.finish(third))["status"] == "completed"


async def test_cancel_right_at_the_start_is_never_lost(client, other_client, control):
    control(every=0.02, seconds={"C3DBakeTexture": LONG_SECONDS})
    for index, pause in enumerate([0, 0.002, 0.004, 0.008, 0.016, 0.03, 0.05, 0.07] * 2):
        user = client if index % 2 else other_client
        job_id = (await user.start_job())["job_id"]
        await asyncio.sleep(pause)
        await cancel(user, job_id)
        await asyncio.wait_for(user.events(job_id), SAFETY_SECONDS)
        body = await user.status(job_id)
        assert is_cancelled(body) and "texture_baking" not in finished_stages(body)


async def test_completed_job_cannot_be_cancelled(client):
    body = await client.finish((await client.start_job())["job_id"])
    assert await cancel(client, body["job_id"]) == (200, body)


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_interrupt_and_clear_by_others(client, control, inputs_left):
    control(seconds={"C3DGenerateMesh": LONG_SECONDS})
    running = (await client.start_job())["job_id"]
    queued = (await client.start_job())["job_id"]
    await reach(client, running, "mesh_generation")
    await client.post("/queue", json={"clear": True})
    await client.post("/interrupt", json={})
    for job_id in (running, queued):
        await asyncio.wait_for(client.events(job_id), SAFETY_SECONDS)
        body = await client.status(job_id)
        assert is_cancelled(body) and body["error_details"] == "Cancelled in ComfyUI"
    assert inputs_left() == []


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_history_wiped_by_others_changes_nothing(client, control):
    control(every=0.02)
    job_id = (await client.start_job())["job_id"]
    while (body := await client.status(job_id))["status"] != "completed":
        await client.post("/history", json={"clear": True})
        assert body["status"] == "processing"
    assert body["results"]["rigged_character"]


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_progress_goes_on_when_someone_takes_the_events_away(client, other_client, control):
    """Core's /ws gives a client id to whoever connects with it; the service takes its own back."""
    control(seconds={"C3DGenerateMesh": 2 * WATCH_SECONDS, "C3DGenerateViews": 2 * WATCH_SECONDS})
    job_id = (await client.start_job())["job_id"]
    async with other_client.ws_connect(f"/ws?clientId=character3d-{job_id}") as thief:
        frames, code = await asyncio.wait_for(client.events(job_id), SAFETY_SECONDS)
        assert not thief.closed
    assert (frames[-1]["type"], code) == ("job_completed", 1000)
    body = frames[-1]["data"]
    assert len(body["downloads"]) == 8 and len(body["methods"]) == 5
    during = [frame["data"] for frame in frames if frame["type"] == "progress_update"]
    assert {data["current_stage"] for data in during} > {"generating_multiview_texture", "texture_baking"}


@pytest.mark.of_comfyui("it asks routes of ComfyUI's own")
async def test_job_whose_events_are_gone_still_ends(client, other_client, control):
    """Whoever leaves takes the entry of the client id along; the rest is read from the history."""
    control(every=0.05)
    job_id = (await client.start_job())["job_id"]
    async with other_client.ws_connect(f"/ws?clientId=character3d-{job_id}"):
        pass
    body = (await asyncio.wait_for(client.events(job_id), SAFETY_SECONDS))[0][-1]["data"]
    assert len(body["downloads"]) == 8 and len(body["methods"]) == 5
