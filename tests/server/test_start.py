"""The service starts whatever its disk is like, and stops in order. ComfyUI is a stand-in here."""

import asyncio
import contextlib
import gc
import json
import sqlite3
import threading
import time

import aiohttp
import pytest
from aiohttp import web
from character3d.server_routes import input_pictures, job_runner, service, submission
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.database_engine import DatabaseError
from character3d.server_routes.events import Event
from character3d.server_routes.graph import SAVE_NODE, load_template
from character3d.server_routes.job_record import job_to_row
from character3d.server_routes.registration import register_routes
from character3d.server_routes.sqlite_engine import SqliteEngine

from .conftest import make_png
from .test_boundaries import Queue
from .test_database_file import damage_pages, fill, make_text
from .test_jobs import Run


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A ComfyUI base folder that the modules of the service know."""
    paths = service.folder_paths
    for name in ("user", "input", "output", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(paths, f"get_{name}_directory", lambda at=tmp_path / name: str(at), raising=False)
    monkeypatch.setattr(submission.nodes, "NODE_CLASS_MAPPINGS", {}, raising=False)
    monkeypatch.setattr(paths, "base_path", str(tmp_path), raising=False)
    monkeypatch.setattr(paths, "get_filename_list", lambda kind: [], raising=False)
    return tmp_path


class Server:
    """As much of ComfyUI's PromptServer as the service touches."""

    def __init__(self):
        self.app, self.routes = web.Application(), web.RouteTableDef()
        self.prompt_queue, self.sockets, self.number = Queue(), {}, 0
        self.prompt_queue.get_tasks_remaining = lambda: len(self.prompt_queue.queue)
        self.prompt_queue.put = self.prompt_queue.queue.append
        self.prompt_queue.delete_queue_item = self._delete_item
        self.prompt_queue.get_history = lambda prompt_id: {}
        self.address = "127.0.0.1"

    def trigger_on_prompt(self, body):
        return body

    def _delete_item(self, is_meant):
        found = [item for item in self.prompt_queue.queue if is_meant(item)]
        for item in found:
            self.prompt_queue.queue.remove(item)
        return bool(found)


@contextlib.asynccontextmanager
async def run_service():
    """The service as ComfyUI runs it, and stopped as aiohttp stops it; a client of it."""
    server = Server()
    register_routes(server, None, None, None)
    server.app.add_routes(server.routes)
    runner = web.AppRunner(server.app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        async with aiohttp.ClientSession(url) as client:
            client.server = server
            yield client
    finally:
        await runner.cleanup()


async def ask(client, path, status=200):
    async with client.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


def reasons_of(health):
    return {reason["reason"] for reason in health["reasons"]}


@pytest.mark.parametrize("damage", [damage_pages, make_text])
async def test_a_damaged_file_is_said_and_costs_nothing_else(base, damage):
    damage(fill(base / "user" / "character3d"))
    async with run_service() as client:
        health = await ask(client, "/generate_character/health", 503)  # for lack of nodes
        assert "damaged" in health["notices"][0] and reasons_of(health) == {"missing_nodes"}
        assert (await ask(client, "/generate_character/jobs"))["jobs"] == []


async def post(client):
    form = aiohttp.FormData(default_to_multipart=True)
    form.add_field("image", make_png(), filename="x.png")
    async with client.post("/generate_character", data=form) as answer:
        return answer.status, await answer.json()


async def refusal_of_post(client):
    status, body = await post(client)
    return status, body["details"]["reason"]


async def test_without_a_file_requests_are_answered_and_jobs_are_refused(base, monkeypatch):
    monkeypatch.setattr("character3d.server_routes.database_file._BUSY_SECONDS", 0.05)
    with contextlib.closing(sqlite3.connect(fill(base / "user" / "character3d"))) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        async with run_service() as client:
            health = await ask(client, "/generate_character/health", 503)
            assert "locked" in health["reasons"][0]["message"] and "database" in reasons_of(health)
            assert await refusal_of_post(client) == (503, "database")
            assert (await ask(client, "/generate_character/jobs"))["jobs"] == []
            await ask(client, "/job/0/status", 404)
            await ask(client, "/job/0/events", 404)
            await ask(client, "/job/0/download/x", 404)


@pytest.mark.parametrize(
    "method",
    ["live_jobs", "newest", "events", "pending_removals", "pictures", "ended_before", "due_deliveries"],
)
@pytest.mark.parametrize("error", [DatabaseError("malformed"), DatabaseError("I/O"), OSError()])
async def test_whatever_fails_at_the_start_comfyui_starts(base, monkeypatch, method, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(JobDatabase, method, fail)
    async with run_service() as client:
        await ask(client, "/generate_character/health", 503)
        assert (await post(client))[0] == 503


async def test_old_jobs_expire_though_the_database_fails_for_a_while(base, monkeypatch):
    monkeypatch.setattr("character3d.server_routes.background.FIRST_PAUSE", 0.0)
    database = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    database.insert(Row("old", "anna", 1.0, 2.0, "failed", {}))
    database.close()
    failures, find = iter(range(3)), JobDatabase.ended_before

    def find_or_fail(database, moment):
        for _ in failures:
            raise DatabaseError("database or disk is full")
        return find(database, moment)

    monkeypatch.setattr(JobDatabase, "ended_before", find_or_fail)
    async with run_service() as client:
        status = 200
        while status == 200:
            async with client.get("/job/old/status") as answer:
                status = answer.status
        assert status == 410


async def test_a_job_that_cannot_expire_holds_up_no_other(base, monkeypatch):
    """Old jobs expire in turn, and the first one's page of the database is damaged."""
    database = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    for job_id in "abc":
        database.insert(Row(job_id, "anna", 1.0, 2.0, "failed", {}))
    database.close()
    delete = JobDatabase.mark_deleted

    def delete_or_fail(database, job_id, remaining=None):
        if job_id == "a":
            raise DatabaseError("database disk image is malformed")
        return delete(database, job_id, remaining)

    monkeypatch.setattr(JobDatabase, "mark_deleted", delete_or_fail)
    async with run_service() as client:
        for job_id, last in (("b", 410), ("c", 410), ("a", 200)):
            status = 0
            while status != last:
                async with client.get(f"/job/{job_id}/status") as answer:
                    status = answer.status


async def test_a_damaged_tombstone_stops_nothing(base):
    database = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    for number, text in enumerate(["no JSON", '{"files": 3}', '{"files": [{}]}', "[]"]):
        database.insert(Row(str(number), "anna", 1.0, time.time(), "gone", {}))
        database.engine.file.writer.execute("UPDATE jobs SET body = ? WHERE id = ?", (text, str(number)))
    database.close()
    async with run_service() as client:
        health = await ask(client, "/generate_character/health", 503)
        assert reasons_of(health) == {"missing_nodes"}
    again = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    assert again.pending_removals() == []
    again.close()


BODY = dict(job_to_row(Run().job).body)
LIVE_DAMAGE = [
    {"body": "no JSON"},
    {"body": "{}"},
    {"body": json.dumps({**BODY, "values": 3})},
    {"body": json.dumps({**BODY, "progress": "far"})},
    {"body": json.dumps({**BODY, "files": [{}]})},
    {"body": json.dumps({**BODY, "expected": {"seconds": [1, 2], "stages": []}})},
    {"created": "yesterday"},
    {"created": 1e300},
]


@pytest.mark.parametrize("damage", LIVE_DAMAGE, ids=lambda damage: str(damage)[:40])
async def test_a_live_job_that_cannot_be_read_has_failed(base, all_nodes, damage):
    """The one beside it is queued again."""
    database, folder = (
        JobDatabase(SqliteEngine(base / "user" / "character3d")),
        base / "input" / "character3d",
    )
    folder.mkdir()
    for job_id in ("damaged", "sound"):
        database.insert(Row(job_id, "peer:127.0.0.1", 1.79e9, None, "processing", BODY))
        database.add_picture(job_id)
        (folder / f"{job_id}.tif").touch()
    ((column, value),) = damage.items()
    database.engine.file.writer.execute(f"UPDATE jobs SET {column} = ? WHERE id = 'damaged'", (value,))
    database.close()
    async with run_service() as client:
        body = await ask(client, "/job/damaged/status")
        assert (body["status"], body["error"]) == ("failed", "Job record damaged")
        assert (await ask(client, "/job/sound/status"))["status"] == "processing"
        assert [item[1] for item in client.server.prompt_queue.queue] == ["sound"]
        listed = await ask(client, "/generate_character/jobs")
        assert [body["job_id"] for body in listed["jobs"]] == ["sound", "damaged"]
        assert [path.name for path in folder.iterdir()] == ["sound.tif"]
        assert (await ask(client, "/generate_character/health"))["status"] == "ready"


@pytest.mark.parametrize("column", ["seq", "timestamp", "data", "type"])
async def test_damaged_events_cost_themselves_only(base, all_nodes, column):
    database = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    row = Row("job", "peer:127.0.0.1", 1.79e9, None, "processing", BODY)
    database.insert(row)
    for seq in (1, 2):
        database.update(row, Event("progress_update", "job", seq, 0, {"progress": seq}))
    database.engine.file.writer.execute(f"UPDATE events SET {column} = 'x' WHERE seq = 2")
    database.close()
    async with run_service() as client:
        assert (await ask(client, "/job/job/status"))["status"] == "processing"
        async with client.ws_connect("/ws/job?since=0") as socket:
            await socket.receive_json()
            assert (await socket.receive_json())["data"] == {"progress": 1}
        assert [item[1] for item in client.server.prompt_queue.queue] == ["job"]


@pytest.mark.parametrize("member", ["seconds", "reports", "values", "cached_nodes"])
async def test_a_damaged_record_does_not_hold_up_new_jobs(base, all_nodes, member):
    """New jobs are estimated from old ones."""
    database = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    for number, value in enumerate([*(["x", None, [3]] if member != "cached_nodes" else [3, "", {}])]):
        body = {**BODY, "seconds": 3.0, member: value}
        database.insert(Row(str(number), "anna", 1.0, 1.79e9, "completed", body))
    database.close()
    async with run_service() as client:
        assert (await post(client))[0] == 202


async def test_stopping_ends_tasks_before_it_closes_the_database(base):
    """What was queued is written; the file is free for the next server, and no thread is left."""
    before = set(threading.enumerate())
    async with run_service() as client:
        await ask(client, "/generate_character/health", 503)
        tasks = {task.get_name() for task in asyncio.all_tasks()}
        assert {"webhooks", "retention", "retry"} <= tasks
    assert not {"webhooks", "retention", "retry"} & {task.get_name() for task in asyncio.all_tasks()}
    left = {thread.name for thread in set(threading.enumerate()) - before}
    assert not [name for name in left if name.startswith("character3d-")]
    gc.collect()
    again = JobDatabase(SqliteEngine(base / "user" / "character3d"))
    assert again.engine.path.name == "jobs.sqlite3"
    again.close()


@pytest.fixture
def all_nodes(base, monkeypatch):
    """Prompts are valid, and wait: nothing runs them."""
    prompt = load_template()

    async def validate_prompt(prompt_id, prompt, partial):
        return True, None, [node for node in prompt if prompt[node]["class_type"].startswith("C3DSave")], {}

    classes = dict.fromkeys([*(node["class_type"] for node in prompt.values()), SAVE_NODE])
    monkeypatch.setattr(submission.nodes, "NODE_CLASS_MAPPINGS", classes, raising=False)
    monkeypatch.setattr(submission.execution, "validate_prompt", validate_prompt, raising=False)
    monkeypatch.setattr(service, "LEAST_FREE_BYTES", 0)


async def test_a_job_can_be_watched_and_cancelled_while_it_is_being_accepted(base, all_nodes, monkeypatch):
    """Its row can be seen before its answer is sent, for as long as the disk takes."""
    go_on = threading.Event()
    monkeypatch.setattr(JobDatabase, "sync", lambda database: go_on.wait())
    async with run_service() as client:
        posting = asyncio.create_task(post(client))
        while not (listed := (await ask(client, "/generate_character/jobs"))["jobs"]):
            assert not posting.done(), posting.result()
            await asyncio.sleep(0)
        job_id = listed[0]["job_id"]
        async with client.ws_connect(f"/ws/{job_id}") as socket:
            assert (await socket.receive_json())["snapshot"]
            async with client.post(f"/job/{job_id}/cancel") as answer:
                assert answer.status == 202
            go_on.set()
            status, body = await posting
            assert (status, body["job_id"]) == (202, job_id)
            frames = [message.json() async for message in socket]
        assert frames[-1]["type"] == "error" and frames[-1]["data"]["cancelled"] is True
        assert await ask(client, f"/job/{job_id}/status") == frames[-1]["data"]
        assert client.server.prompt_queue.queue == [] and client.server.sockets == {}


@pytest.mark.parametrize("method", ["insert", "sync", "add_picture"])
async def test_a_job_that_cannot_be_stored_is_refused_and_leaves_nothing(
    base, all_nodes, monkeypatch, method
):
    def fail(*arguments):
        raise DatabaseError("database or disk is full")

    async with run_service() as client:
        with monkeypatch.context() as full:
            full.setattr(JobDatabase, method, fail)
            assert await refusal_of_post(client) == (503, "low_disk")
        assert (await ask(client, "/generate_character/jobs"))["jobs"] == []
        assert client.server.prompt_queue.queue == [] and not list((base / "input").iterdir())
        assert (await ask(client, "/generate_character/health"))["jobs"] == {"queued": 0, "processing": 0}
        assert [(await post(client))[0] for _ in range(3)] == [202, 202, 429], "its slot is free"


async def test_jobs_outlive_the_service(base, all_nodes):
    """A stop in order and a start: the job waits again, its events go on."""
    async with run_service() as client:
        _, accepted = await post(client)
    async with run_service() as client:
        job_id = accepted["job_id"]
        body = await ask(client, f"/job/{job_id}/status")
        assert (body["status"], body["parameters"]) == ("processing", accepted["parameters"])
        assert [item[1] for item in client.server.prompt_queue.queue] == [job_id]
        async with client.delete(f"/job/{job_id}") as answer:
            assert answer.status == 200 and (await answer.json())["cancelled"] is True


def test_the_modules_know_one_comfyui():
    """Else the folders of these tests would not be those of the service."""
    assert job_runner.folder_paths is service.folder_paths is input_pictures.folder_paths
