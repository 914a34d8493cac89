"""However slow the disk is: events come in order, each after its commit; no answer is older than an event."""

import asyncio
import contextlib
import itertools
import re
import sqlite3
import time

import pytest
from character3d.server_routes.database import JobDatabase

from .test_jobs import FILES
from .test_start import all_nodes, ask, base, post, run_service

__all__ = ["all_nodes", "base"]  # fixtures


@pytest.fixture
def slow_disk(monkeypatch):
    """Each commit takes its time, some more than others; yields the (job, event) pairs in their order."""
    committed, pauses, update = [], itertools.cycle([0.0, 0.01, 0.0, 0.002]), JobDatabase.update

    def update_slowly(database, row, event=None, delivery=None):
        time.sleep(next(pauses))
        update(database, row, event, delivery)
        committed.append((row.id, event.seq if event else None))

    monkeypatch.setattr(JobDatabase, "update", update_slowly)
    return committed


class Prompt:
    """The prompt of a job in the stand-in's queue, run by hand."""

    def __init__(self, server, job_id):
        self._socket, self._id = server.sockets[f"character3d-{job_id}"], job_id
        (item,) = (item for item in server.prompt_queue.queue if item[1] == job_id)
        server.prompt_queue.queue.remove(item)
        server.prompt_queue.currently_running[job_id] = item
        self.nodes, self._server = {node["_meta"]["title"]: key for key, node in item[2].items()}, server

    async def send(self, event, **data):
        await self._socket.send_json({"type": event, "data": {"prompt_id": self._id, **data}})

    async def run(self, output):
        await self.send("execution_start")
        for title, node in self.nodes.items():
            for value in (3, 7, 10):
                state = "finished" if value == 10 else "running"
                nodes = {node: {"value": value, "max": 10, "state": state}}
                await self.send("progress_state", nodes=nodes)
            if title in FILES:
                (output / FILES[title]).write_text("x")
                entry = {"filename": FILES[title], "subfolder": "", "type": "output"}
                await self.send("executed", node=node, output={"character3d_file": [entry]})
        await self.send("execution_success")
        self._server.prompt_queue.currently_running.pop(self._id)
        await self.send("executing", node=None)


async def follow(client, job_id, committed):
    """All events of a job by WebSocket; each is held against what is committed and what REST says by then."""
    events = []
    async with client.ws_connect(f"/ws/{job_id}?since=0") as socket:
        await socket.receive_json()
        async for message in socket:
            frame = message.json()
            assert (job_id, frame["seq"]) in committed
            body = await ask(client, f"/job/{job_id}/status")
            assert body["progress"] >= frame["data"].get("progress", 0)
            if frame["type"] == "preview_ready":
                assert frame["data"]["url"] in {item["url"] for item in body["downloads"]}
            events.append(frame)
    assert body == events[-1]["data"]
    return events


async def test_events_come_in_order_after_their_commits(base, all_nodes, slow_disk):
    async with run_service() as client:
        ids = [(await post(client))[1]["job_id"] for _ in range(2)]
        following = [asyncio.create_task(follow(client, job_id, slow_disk)) for job_id in ids]
        await asyncio.gather(*(Prompt(client.server, job_id).run(base / "output") for job_id in ids))
        for job_id, events in zip(ids, await asyncio.gather(*following), strict=True):
            assert events[-1]["type"] == "job_completed"
            order = [seq for found, seq in slow_disk if found == job_id and seq]
            assert order == list(range(1, events[-1]["seq"] + 1))
            told = [event["seq"] for event in events]
            assert told == sorted(told)
            async with client.get(f"/job/{job_id}/events") as answer:
                kept = [int(seq) for seq in re.findall(r"^id: (\d+)$", await answer.text(), re.MULTILINE)]
            assert set(kept) <= set(told), "only progress may be left out"
            stages = [event["data"]["stage"] for event in events if event["type"] == "stage_completed"]
            assert len(stages) == 5
        async with client.get("/generate_character/jobs") as answer:
            assert {body["status"] for body in (await answer.json())["jobs"]} == {"completed"}
        assert not (base / "input" / "character3d").exists()
        assert [(await post(client))[0] for _ in range(3)] == [202, 202, 429], "their slots are free"


async def test_the_loop_goes_on_while_the_disk_hangs(base, all_nodes, monkeypatch):
    """Requests about the job are answered as of its last commit; its events come when the disk is back."""
    go_on, update = asyncio.Event(), JobDatabase.update
    loop = asyncio.get_running_loop()

    def update_when_possible(database, *change):
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        update(database, *change)

    async with run_service() as client:
        job_id = (await post(client))[1]["job_id"]
        before = await ask(client, f"/job/{job_id}/status")
        monkeypatch.setattr(JobDatabase, "update", update_when_possible)
        prompt = Prompt(client.server, job_id)
        await prompt.run(base / "output")
        for _ in range(3):
            body = await ask(client, f"/job/{job_id}/status")
            assert (body["status"], body["progress"], body["stages"]) == ("processing", 0, before["stages"])
            listed = await ask(client, "/generate_character/jobs")
            assert [job["job_id"] for job in listed["jobs"]] == [job_id]
        with contextlib.closing(sqlite3.connect(base / "user" / "character3d" / "jobs.sqlite3")) as database:
            assert database.execute("SELECT state FROM jobs").fetchall() == [("queued",)]
        go_on.set()
        async with client.get(f"/job/{job_id}/events") as answer:
            assert "event: job_completed" in await answer.text()
