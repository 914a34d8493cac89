"""A server that is killed with -9 loses no job, runs none twice that ended, and forgets no id."""

import asyncio
import contextlib
import json
import sqlite3

import aiohttp
import pytest

from .conftest import QUICK, lay_base_folder, make_png, open_client, run_stub_server
from .test_webhooks import ENVIRONMENT, receive
from .test_webhooks import wait_for as until


@pytest.fixture
def base(tmp_path):
    lay_base_folder(tmp_path)
    return tmp_path


def slow_down(base, **seconds):
    (base / "control.json").write_text(json.dumps({**QUICK, "seconds": seconds}))


async def wait_for(client, job_id, condition):
    while not condition(body := await client.status(job_id)):
        await asyncio.sleep(0.02)
    return body


def pictures(base):
    return [path for path in (base / "input").rglob("*") if path.is_file()]


def kill(server):
    server.process.kill()
    server.process.wait()


def is_running(body):
    """Its mesh is made and saved, and it stays in the next stage."""
    return body["current_stage"] == "generating_multiview_texture"


async def send_pictures(client, front, **headers):
    """Start a job with two pictures and return its acceptance."""
    form = aiohttp.FormData(default_to_multipart=True)
    for name, size in ((front, (64, 8)), ("image_back", (24, 8))):
        form.add_field(name, make_png(size), filename="a.png")
    async with client.post("/generate_character", data=form, headers=headers) as answer:
        return await answer.json()


async def test_jobs_survive_kill_9(comfyui_folder, base):
    key = {"Idempotency-Key": "order-7"}
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url, "127.5.5.3") as client, open_client(server.url) as other:
            ended = await client.finish((await client.start_job(seed=-1))["job_id"])
            slow_down(base, C3DGenerateViews=30)
            running = await client.start_job(seed=-1, steps=3)
            sheet = await send_pictures(client, "image_sheet", **key)
            waiting = await other.start_job(seed=-1, prompt="a knight")
            gone = await other.start_job()
            async with other.post(f"/job/{gone['job_id']}/cancel") as answer:
                assert answer.status == 200
            before = await wait_for(client, running["job_id"], is_running)
            events, _ = await other.events(gone["job_id"])
            kill(server)
    slow_down(base)
    (first,) = (item for item in before["downloads"] if item["result"] == "raw_mesh")
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url, "127.5.5.3") as client:
            assert (await send_pictures(client, "image_sheet", **key))["job_id"] == sheet["job_id"]
            warnings = (await client.finish(sheet["job_id"]))["warnings"]
            assert "preprocessing: front 16, left 16, back 24" in warnings
            for accepted, attempts in ((running, 2), (waiting, 1)):
                body = await client.finish(accepted["job_id"])
                assert (body["status"], body["attempts"]) == ("completed", attempts)
                assert body["parameters"] == accepted["parameters"]
                assert len({item["name"] for item in body["downloads"]}) == len(body["downloads"]) == 8
            assert await client.status(ended["job_id"]) == ended
            for item in ended["downloads"]:
                async with client.get(item["url"]) as answer:
                    assert len(await answer.read()) == item["size"] and answer.status == 200
            assert (await client.status(gone["job_id"]))["cancelled"] is True
            assert (await client.events(gone["job_id"]))[0][1:] == events[1:]
            async with client.get(first["url"]) as answer:  # of the attempt that was cut off
                again = await client.status(running["job_id"])
                assert (answer.status == 200) == (first["name"] in {i["name"] for i in again["downloads"]})
            assert not pictures(base)


@pytest.mark.nightly
async def test_both_pictures_of_a_job_that_runs_survive_kill_9(comfyui_folder, base):
    slow_down(base, C3DPreprocessPicture=30)
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client:
            job_id = (await send_pictures(client, "image"))["job_id"]
            await wait_for(client, job_id, lambda body: body["attempts"])
            kill(server)
    slow_down(base)
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client:
            body = await client.finish(job_id)
            assert "preprocessing: front 64, back 24" in body["warnings"] and body["attempts"] == 2
            assert not pictures(base)


@pytest.mark.nightly
async def test_events_go_on_where_they_were(comfyui_folder, base):
    slow_down(base, C3DGenerateViews=30)
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client:
            job_id = (await client.start_job())["job_id"]
            await wait_for(client, job_id, is_running)
            async with client.ws_connect(f"/ws/{job_id}?since=0") as ws:
                await ws.receive_json()
                seen = [await ws.receive_json() for _ in range(3)]
            kill(server)
    slow_down(base)
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client:
            frames, code = await client.events(job_id, since=seen[-1]["seq"])
            numbers = [frame["seq"] for frame in frames[1:]]
            assert code == 1000 and numbers == sorted(set(numbers)) and numbers[0] > seen[-1]["seq"]
            assert [frame["type"] for frame in frames].count("job_completed") == 1
            progress = [frame["data"]["progress"] for frame in frames[1:] if "progress" in frame["data"]]
            assert progress == sorted(progress)


@pytest.mark.nightly
async def test_a_job_that_was_running_twice_is_not_begun_again(comfyui_folder, base):
    slow_down(base, C3DGenerateViews=30)
    for attempt in (1, 2):
        with run_stub_server(comfyui_folder, base) as server:
            async with open_client(server.url) as client:
                if attempt == 1:
                    job_id = (await client.start_job())["job_id"]
                await wait_for(
                    client, job_id, lambda body, now=attempt: is_running(body) and body["attempts"] == now
                )
                kill(server)
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client:
            body = await client.status(job_id)
            assert (body["status"], body["error"]) == ("failed", "Server restarted")
            assert "2 times" in body["error_details"]
            assert body["results"]["raw_mesh"] and body["failed_stage"] == "generating_multiview_texture"
            async with await client.generate() as answer:  # its slot is free
                assert answer.status == 202


@pytest.mark.nightly  # a push has the same without a ComfyUI: test_store.py and test_start.py
async def test_damaged_records_cost_their_own_jobs_only(comfyui_folder, base):
    """Of jobs that have ended and of one that lives: listed as failed, asked for, and deleted."""
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url, "127.5.5.4") as client:
            ended = [(await client.finish((await client.start_job())["job_id"])) for _ in range(3)]
            slow_down(base, C3DPreprocessPicture=30)
            live = [(await client.start_job())["job_id"] for _ in range(2)]
            kill(server)
    damaged = [ended[0]["job_id"], ended[1]["job_id"], live[0]]
    with contextlib.closing(sqlite3.connect(base / "user" / "character3d" / "jobs.sqlite3")) as database:
        for job_id, column, text in zip(
            damaged, ("status", "body", "body"), ("", "no JSON", "{}"), strict=True
        ):
            database.execute(f"UPDATE jobs SET {column} = ? WHERE id = ?", (text, job_id))
        database.commit()
    slow_down(base)
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url, "127.5.5.4") as client:
            sound = [ended[2], await client.finish(live[1])]
            assert {body["status"] for body in sound} == {"completed"}
            listed = await list_jobs(client)
            assert [listed.pop(body["job_id"]) for body in sound] == sound
            assert set(listed) == set(damaged)
            for job_id, body in listed.items():
                await check_damaged(client, job_id, body)
            assert await list_jobs(client) == {body["job_id"]: body for body in sound}
    assert pictures(base) == []


async def list_jobs(client):
    async with client.get("/generate_character/jobs") as answer:
        assert answer.status == 200
        return {body["job_id"]: body for body in (await answer.json())["jobs"]}


async def check_damaged(client, job_id, listed):
    body = await client.status(job_id)
    assert body == listed
    assert (body["status"], body["error"], body["downloads"]) == ("failed", "Job record damaged", [])
    frames, code = await client.events(job_id)
    assert (frames[-1]["type"], frames[-1]["data"], code) == ("error", body, 1000)
    async with client.get(f"/job/{job_id}/download/Hy3D_00001_.glb") as answer:
        assert answer.status == 404
    async with client.post(f"/job/{job_id}/cancel") as answer:
        assert (answer.status, await answer.json()) == (200, body)
    async with client.delete(f"/job/{job_id}") as answer:
        assert (answer.status, await answer.json()) == (200, body)
    async with client.get(f"/job/{job_id}/status") as answer:
        assert answer.status == 410


@pytest.mark.nightly  # a push has the same without a ComfyUI: test_start.py
async def test_a_file_of_jobs_that_is_none_is_set_aside(comfyui_folder, base):
    folder = base / "user" / "character3d"
    folder.mkdir(parents=True)
    (folder / "jobs.sqlite3").write_text("no database")
    with run_stub_server(comfyui_folder, base) as server:
        (broken,) = folder.glob("jobs.sqlite3.broken-*")
        assert broken.read_text() == "no database" and broken.name in server.log.read_text("utf-8", "replace")
        async with open_client(server.url) as client:
            assert (await client.finish((await client.start_job())["job_id"]))["status"] == "completed"
            async with client.get("/generate_character/health") as answer:
                body = await answer.json()
                assert answer.status == 200 and broken.name in " ".join(body["notices"])


@pytest.mark.nightly  # a push has the same without a ComfyUI: test_store.py
async def test_two_servers_on_one_folder_keep_their_own_jobs(comfyui_folder, base):
    with run_stub_server(comfyui_folder, base) as first, run_stub_server(comfyui_folder, base) as second:
        async with open_client(first.url) as client, open_client(second.url) as other:
            mine = (await client.start_job())["job_id"]
            assert (await client.finish(mine))["status"] == "completed"
            async with other.get(f"/job/{mine}/status") as answer:
                assert answer.status == 404


@pytest.mark.nightly
async def test_one_job_is_killed_at_each_of_its_commits(comfyui_folder, base, monkeypatch):
    """Before its record and after it, before its end and after it; its client asks again each time."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    slow_down(base, C3DBakeTexture=1)
    picture, headers, answers = make_png(), {"Idempotency-Key": "order-8"}, []

    async with receive() as receiver:

        async def ask_until_killed(server):
            async with open_client(server.url, "127.5.5.6") as client:
                with contextlib.suppress(aiohttp.ClientError):
                    async with await client.generate(
                        picture, headers=headers, webhook_url=receiver.url
                    ) as answer:
                        answers.append(await answer.json())
                await asyncio.to_thread(server.process.wait, 30)

        for commit in ("before insert", "after insert", "before end", "after end"):
            monkeypatch.setenv("CHARACTER3D_KILL", commit)
            with run_stub_server(comfyui_folder, base) as server:
                await ask_until_killed(server)
            assert len(pictures(base)) == 1
        monkeypatch.delenv("CHARACTER3D_KILL")
        assert len(answers) == 2 and answers[0]["job_id"] == answers[1]["job_id"]
        with run_stub_server(comfyui_folder, base) as server:
            async with open_client(server.url, "127.5.5.6") as client:
                body = await client.finish(answers[0]["job_id"])
                async with client.get("/generate_character/jobs") as answer:
                    assert (await answer.json())["jobs"] == [body]
            assert (body["status"], body["attempts"]) == ("completed", 2)
            assert body["parameters"] == answers[0]["parameters"]
            assert pictures(base) == []
            await until(lambda: receiver.requests)
    (told,) = [json.loads(request)["data"] for _, request in receiver.requests]
    assert told == body


async def test_a_deletion_that_is_cut_off_is_finished_and_spares_what_has_a_name_now(
    comfyui_folder, base, monkeypatch
):
    monkeypatch.setenv("CHARACTER3D_KILL", "after mark_deleted")
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client:
            body = await client.finish((await client.start_job())["job_id"])
            with pytest.raises(aiohttp.ClientError):
                await client.delete(f"/job/{body['job_id']}")
            server.process.wait()
    files = [path for path in (base / "output").rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == sorted(item["name"] for item in body["downloads"])
    files[0].write_bytes(b"of a later job")
    monkeypatch.delenv("CHARACTER3D_KILL")
    with run_stub_server(comfyui_folder, base) as server:
        async with open_client(server.url) as client, client.get(f"/job/{body['job_id']}/status") as answer:
            assert answer.status == 410
    assert [path for path in (base / "output").rglob("*") if path.is_file()] == [files[0]]
