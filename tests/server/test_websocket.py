"""WS /ws/{job_id}: five events, in order, numbered; late joiners; unknown ids."""

import asyncio
import re

import aiohttp
import pytest

STAGES = ["preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging"]


async def test_events_of_a_whole_job(client):
    job_id = (await client.start_job())["job_id"]
    frames, code = await client.events(job_id)
    assert code == 1000
    snapshot, events = frames[0], frames[1:]
    assert snapshot["type"] == "progress_update" and snapshot["snapshot"] is True
    assert {frozenset(event) for event in events} == {
        frozenset({"type", "job_id", "seq", "timestamp", "data"})
    }
    assert {event["job_id"] for event in frames} == {job_id}
    numbers = [event["seq"] for event in events]
    assert numbers == sorted(set(numbers)) and numbers[0] > snapshot["seq"]
    async with client.get(f"/job/{job_id}/events") as answer:
        stored = dict(re.findall(r"^id: (\d+)\nevent: (\w+)$", await answer.text(), re.MULTILINE))
    missing = {int(number) for number in stored if int(number) > snapshot["seq"]} - set(numbers)
    assert {stored[str(number)] for number in missing} <= {"progress_update"}  # a later one says more
    assert [event["type"] for event in events].count("job_completed") == 1
    assert events[-1]["type"] == "job_completed" and events[-1]["data"]["status"] == "completed"
    completed = [event["data"] for event in events if event["type"] == "stage_completed"]
    assert [data["stage"] for data in completed] == STAGES
    assert [data["method"] for data in completed] == [
        "alpha",
        "inflation",
        "projection",
        "projection_bake",
        "voxels",
    ]
    assert all(data["seconds"] >= 0 for data in completed)
    previews = [event["data"] for event in events if event["type"] == "preview_ready"]
    assert [data["stage"] for data in previews] == ["mesh_generation", "texture_baking"]
    async with client.get(previews[0]["url"]) as answer:
        assert answer.status == 200
    progress = [frame["data"]["progress"] for frame in frames if frame["type"] == "progress_update"]
    assert progress == sorted(progress)
    assert all(isinstance(value, int) and 0 <= value < 100 for value in progress)
    assert len(set(progress)) > 4
    stages = [frame["data"]["current_stage"] for frame in frames if frame["type"] == "progress_update"]
    order = ["queued", *STAGES]
    assert [order.index(stage) for stage in stages] == sorted(order.index(stage) for stage in stages)


async def test_a_stages_files_are_there_before_the_next_stage_starts(client):
    job_id = (await client.start_job())["job_id"]
    frames, _ = await client.events(job_id)
    kinds = [(frame["type"], frame["data"].get("stage")) for frame in frames]
    mesh_done = kinds.index(("stage_completed", "mesh_generation"))
    assert kinds.index(("preview_ready", "mesh_generation")) < mesh_done
    at_that_time = next(frame for frame in frames[mesh_done:] if frame["type"] == "progress_update")
    assert at_that_time["data"]["current_stage"] == "generating_multiview_texture"
    assert {item["result"] for item in at_that_time["data"]["downloads"]} == {
        "raw_mesh",
        "preview_images",
        "figure",
    }


async def test_late_joiner_gets_snapshot_milestones_and_end(client):
    job_id = (await client.start_job())["job_id"]
    live, _ = await client.events(job_id)
    frames, code = await client.events(job_id)
    assert code == 1000
    assert frames[0]["snapshot"] is True and frames[0]["data"]["status"] == "completed"
    assert frames[1:] == [frame for frame in live[1:] if frame["type"] != "progress_update"]
    resumed, _ = await client.events(job_id, since=live[-2]["seq"])
    assert [frame["type"] for frame in resumed] == ["progress_update", "job_completed"]
    nothing_missed, code = await client.events(job_id, since=live[-1]["seq"])
    assert len(nothing_missed) == 1 and code == 1000


async def test_resume_of_a_running_job_replays_all_that_was_missed(client, control):
    control(seconds={"C3DBakeTexture": 0.6})
    job_id = (await client.start_job())["job_id"]
    first = []
    async with client.ws_connect(f"/ws/{job_id}") as socket:
        while not first or first[-1]["data"].get("stage") != "mesh_generation":
            first.append(await socket.receive_json())
    while (await client.status(job_id))["current_stage"] != "texture_baking":
        await asyncio.sleep(0.02)
    frames, _ = await client.events(job_id, since=first[-1]["seq"])
    kinds = [(frame["type"], frame["data"].get("stage")) for frame in frames]
    missed = frames[1 : kinds.index(("stage_completed", "generating_multiview_texture")) + 1]
    begin = first[-1]["seq"] + 1
    assert [frame["seq"] for frame in missed] == list(range(begin, begin + len(missed)))


async def test_status_after_an_event_is_never_older(client):
    job_id = (await client.start_job())["job_id"]
    async with client.ws_connect(f"/ws/{job_id}") as socket:
        async for message in socket:
            frame = message.json()
            body = await client.status(job_id)
            assert body["progress"] >= frame["data"].get("progress", 0)
            if frame["type"] == "job_completed":
                assert body["status"] == "completed"


async def test_unknown_job(client):
    frames, code = await client.events("00000000-0000-4000-8000-000000000000")
    assert code == 4404
    assert [frame["type"] for frame in frames] == ["error"]
    assert frames[0]["data"]["error_code"] == "JOB_NOT_FOUND"
    assert frames[0]["data"]["status"] == "error"


async def test_plain_get_is_told_to_upgrade(client):
    async with client.get("/ws/x") as answer:
        assert answer.status == 426 and answer.headers["Upgrade"] == "websocket"
        assert (await answer.json())["error_code"] == "INVALID_PARAMETERS"


async def test_what_clients_send_is_ignored_up_to_a_size(client, control):
    control(every=0.1)
    job_id = (await client.start_job())["job_id"]
    async with client.ws_connect(f"/ws/{job_id}") as socket:
        await socket.send_str("hello")
        await socket.send_bytes(b"\x00")
        assert (await socket.receive_json())["type"] == "progress_update"
        await socket.send_str("x" * 10_000)
        async for _ in socket:
            pass
        assert socket.close_code == 1009
    assert (await client.finish(job_id))["status"] == "completed"


async def test_ninth_socket_of_a_job_is_refused(client, control):
    control(every=0.3)
    job_id = (await client.start_job())["job_id"]
    sockets = [await client.ws_connect(f"/ws/{job_id}") for _ in range(8)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.ws_connect(f"/ws/{job_id}")
    assert caught.value.status == 429
    for socket in sockets:
        await socket.close()
    await client.post(f"/job/{job_id}/cancel")
    await client.finish(job_id)


async def test_bad_since(client):
    job_id = (await client.start_job())["job_id"]
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await client.ws_connect(f"/ws/{job_id}?since=-1")
    assert caught.value.status == 400
    await client.finish(job_id)


async def test_the_server_waits_for_the_clients_close(client, comfyui):
    """Else what the client sends at that moment resets the connection, and may take the last events along."""
    job_id = (await client.finish((await client.start_job())["job_id"]))["job_id"]
    reader, writer = await asyncio.open_connection("127.0.0.1", comfyui.url.rsplit(":", 1)[1])
    writer.write(
        f"GET /ws/{job_id} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    close = b"\x88\x02\x03\xe8"  # 1000
    received = await reader.readuntil(close)
    assert b"job_completed" in received
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.5)
    writer.write(b"\x88\x82\0\0\0\0\x03\xe8")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
