"""Front doors without ComfyUI, on a real PostgreSQL: what one accepts, all serve. The workers are played."""

import asyncio
import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from aiohttp.test_utils import TestServer
from PIL import Image
from yarl import URL

pytest.importorskip("psycopg", reason="psycopg is not installed")

from character3d.cluster.checks import WorkerChecks
from character3d.cluster.files import ClusterFiles
from character3d.cluster.front_door import make_app
from character3d.cluster.ledger import FencedError, Ledger, Limits
from character3d.cluster.service import ClusterService
from character3d.server_routes import picture
from character3d.server_routes.access import Access
from character3d.server_routes.database import JobDatabase
from character3d.server_routes.events import Event, now_milliseconds
from character3d.server_routes.picture import decode_upload
from character3d.server_routes.postgres_engine import PostgresEngine

REPOSITORY = Path(__file__).resolve().parents[2]


def make_png(side=16):
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def make_large_png(pixels=None):
    """A PNG of 1.5 MB, whose chunks have their checksums. pixels: its IDAT; else noise."""
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    if pixels is None:
        return buffer.getvalue()
    chunk = b"IDAT" + pixels
    begin = buffer.getvalue()[:33] + struct.pack(">I", len(pixels)) + chunk
    return begin + struct.pack(">I", zlib.crc32(chunk)) + buffer.getvalue()[-12:]


def make_large_jpeg():
    """A JPEG of 1.4 MB."""
    noise = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def make_form(files, filename="x.png", **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    for name, data in files.items():
        form.add_field(name, data, filename=filename)
    for name, value in fields.items():
        form.add_field(name, value)
    return form


class Cluster:
    """Two front doors on one PostgreSQL and one folder, and a worker that the test plays."""

    def __init__(self, url, folder):
        self.url, self.sent, self.queues, self.questions = url, [], {}, []
        self.files = ClusterFiles(f"file://{folder}")
        self.database = JobDatabase(PostgresEngine(url))
        self.ledger = Ledger(self.database.engine)

    def send(self, job_id, queue):
        self.sent.append(job_id)
        self.queues[job_id] = queue

    def new_app(self, **limits):
        service = ClusterService(self.url, self.files, self.send, Limits(**limits))
        checks = WorkerChecks(self.files, lambda question: self.ask(question), service.count_workers)
        return make_app(service, checks.read_picture, checks.read_mesh, Access())

    @contextlib.asynccontextmanager
    async def open_doors(self, **limits):
        async with contextlib.AsyncExitStack() as stack:
            doors = []
            for _ in range(2):
                server = TestServer(self.new_app(**limits), host="127.0.0.1")
                await server.start_server()
                stack.push_async_callback(server.close)
                session = aiohttp.ClientSession(server.make_url("/"))
                doors.append(await stack.enter_async_context(session))
            yield doors

    def read_uploads(self, job_id):
        with tempfile.TemporaryDirectory() as folder:
            found = self.files.fetch_uploads(job_id, Path(folder))
            return {name: path.read_bytes() for name, path in found.items()}

    def tell(self, job_id, attempt, kind="progress_update", **status):
        """Store news of a job as its worker does."""
        row = self.database.find(job_id)
        body = {**json.loads(row.status), **status}
        ended = 1.8e9 if kind in ("job_completed", "error") else None
        state = body["status"] if ended else "processing"
        row = dataclasses.replace(row, status=json.dumps(body), state=state, ended=ended)
        self.ledger.record(row, attempt, Event(kind, job_id, 0, now_milliseconds(), body))


@pytest.fixture
def cluster(postgres, tmp_path):
    cluster = Cluster(postgres.new_schema(), tmp_path)
    yield cluster
    cluster.database.close()


async def post(door, key=None, image=None, **fields):
    form = make_form({"image": image or make_png()}, **fields)
    async with door.post(
        "/generate_character", data=form, headers={"Idempotency-Key": key} if key else {}
    ) as answer:
        return answer.status, await answer.json(), answer.headers


async def ask_for(door, path, status=200):
    async with door.get(path) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()


async def wait_for(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_no_torch_and_no_comfyui_are_imported():
    """A front door's machine has neither."""
    code = """if True:
        import importlib.util, sys
        folder = sys.argv[1]
        spec = importlib.util.spec_from_file_location(
            "character3d", folder + "/__init__.py", submodule_search_locations=[folder])
        sys.modules["character3d"] = importlib.util.module_from_spec(spec)
        import character3d.cluster.front_door
        banned = {"torch", "comfy", "folder_paths", "execution", "nodes", "server", "trimesh"}
        print(sorted(banned & {name.partition(".")[0] for name in sys.modules}))
    """
    done = subprocess.run([sys.executable, "-P", "-c", code, str(REPOSITORY)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


async def test_what_one_accepts_all_serve_and_relay(cluster):
    async with cluster.open_doors() as (one, two):
        status, accepted, headers = await post(one, seed="7")
        assert status == 202 and headers["RateLimit"].startswith('"generate";r=9')
        job_id = accepted["job_id"]
        body = await ask_for(two, f"/job/{job_id}/status")
        assert (body["status"], body["progress"], body["parameters"]["seed"]) == ("processing", 0, 7)
        assert cluster.read_uploads(job_id) == {"image": make_png()}
        await wait_for(lambda: cluster.sent == [job_id])
        attempt = cluster.ledger.claim(job_id, "worker", False)
        async with two.ws_connect(f"/ws/{job_id}") as socket, one.get(f"/job/{job_id}/events") as stream:
            assert (await socket.receive_json())["snapshot"]
            cluster.tell(job_id, attempt, progress=40)
            frames = [await socket.receive_json()]
            cluster.tell(job_id, attempt, "job_completed", status="completed", progress=100)
            frames += [json.loads(message.data) async for message in socket]
            text = await stream.text()
        assert [(frame["type"], frame["seq"]) for frame in frames] == [
            ("progress_update", 1),
            ("job_completed", 2),
        ]
        assert frames[0]["data"]["progress"] == 40 and "event: job_completed" in text
        assert (await ask_for(one, f"/job/{job_id}/status"))["status"] == "completed"
        assert (await ask_for(two, f"/api/job/{job_id}/status"))["status"] == "completed"
        async with one.options("/generate_character") as answer:
            assert answer.status == 200
        listed = await ask_for(two, "/generate_character/jobs")
        assert [job["job_id"] for job in listed["jobs"]] == [job_id]


async def test_a_log_is_replayed_by_any_door(cluster):
    async with cluster.open_doors() as (one, two):
        _, accepted, _ = await post(one)
        job_id = accepted["job_id"]
        attempt = cluster.ledger.claim(job_id, "worker", False)
        for progress in (10, 20, 30):
            cluster.tell(job_id, attempt, progress=progress)
        async with two.ws_connect(f"/ws/{job_id}?since=1") as socket:
            frames = [await socket.receive_json() for _ in range(3)]
    assert [(frame["seq"], frame["data"]["progress"]) for frame in frames] == [(3, 30), (2, 20), (3, 30)]
    assert frames[0]["snapshot"]


async def test_events_go_on_after_postgresql_was_restarted(cluster, postgres, monkeypatch):
    monkeypatch.setattr("character3d.server_routes.background.FIRST_PAUSE", 0.05)
    async with cluster.open_doors() as (one, _):
        _, accepted, _ = await post(one)
        job_id = accepted["job_id"]
        attempt = cluster.ledger.claim(job_id, "worker", False)
        async with one.ws_connect(f"/ws/{job_id}") as socket:
            await socket.receive_json()
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start)
            cluster.tell(job_id, attempt, "job_completed", status="completed", progress=100)
            assert (await socket.receive_json())["type"] == "job_completed"
        assert (await ask_for(one, f"/job/{job_id}/status"))["status"] == "completed"


async def test_a_door_without_its_database_asks_to_come_back(cluster, postgres):
    async with cluster.open_doors() as (door, _):
        _, accepted, _ = await post(door)
        await asyncio.to_thread(postgres.kill)
        try:
            for path in (f"/job/{accepted['job_id']}/status", "/generate_character/jobs", "/models"):
                async with door.get(path) as answer:
                    body = await answer.json()
                    assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), body
                    assert (body["error_code"], body["details"]["reason"]) == ("SERVER_BUSY", "database")
            assert (await post(door))[0] == 503
            async with door.get("/generate_character/health") as answer:
                body = await answer.json()
                assert (answer.status, body["status"]) == (503, "not_ready")
                assert body["reasons"][0]["reason"] == "database"
        finally:
            await asyncio.to_thread(postgres.start)
        async with door.get(f"/job/{accepted['job_id']}/status") as answer:
            assert answer.status == 200


async def test_limits_of_a_user_hold_for_all_doors_together(cluster):
    async with cluster.open_doors(requests=5) as (one, two):
        answers = await asyncio.gather(*(post(door) for door in (one, two, one, two)))
        assert sorted(status for status, _, _ in answers) == [202, 202, 429, 429]
        reasons = {body["details"]["reason"] for status, body, _ in answers if status == 429}
        assert reasons == {"concurrent_jobs"}
        for job_id in [body["job_id"] for status, body, _ in answers if status == 202]:
            async with two.post(f"/job/{job_id}/cancel") as answer:
                assert answer.status == 200 and (await answer.json())["cancelled"]
        statuses = [(await post(door))[0] for door in (one, two, one, two)]
        assert 202 in statuses and statuses[-1] == 429


async def test_no_limit_of_requests(cluster):
    async with cluster.open_doors(requests=0, jobs=12) as (one, _):
        answers = [await post(one) for _ in range(11)]
    assert {(status, "RateLimit" in headers) for status, _, headers in answers} == {(202, False)}


@pytest.mark.parametrize("data", [make_large_png(), make_large_jpeg()], ids=["PNG", "JPEG"])
async def test_large_pictures_are_checked_without_decoding_them(cluster, monkeypatch, data):
    """What is damaged is decoded, so that it is refused as on one machine."""
    decoded = []

    def decode(image, name):
        decoded.append(name)
        return decode_upload(image, name)

    monkeypatch.setattr(picture, "decode_upload", decode)
    async with cluster.open_doors(requests=0, jobs=9) as (door, _):
        status, accepted, _ = await post(door, image=data)
        assert status == 202 and not decoded
        assert cluster.read_uploads(accepted["job_id"]) == {"image": data}
        for eighths in range(1, 8):
            cut = data[: len(data) * eighths // 8]
            status, body, _ = await post(door, image=cut)
            assert (status, body["error_code"]) == (400, "INVALID_PARAMETERS"), eighths
            assert "cut short" in body["message"]
        damaged = bytearray(data)
        damaged[200:1000] = bytes(800)
        status, body, _ = await post(door, image=bytes(damaged))
        assert status == 400 and "damaged" in body["message"]
        assert len(decoded) == 8


async def test_a_large_png_whose_checksums_are_right_is_left_to_the_worker(cluster):
    async with cluster.open_doors(requests=0) as (door, _):
        for size, status in ((2**21, 202), (1000, 400)):
            pixels = zlib.compress(np.random.default_rng(0).bytes(1000)) + bytes(size)
            assert (await post(door, image=make_large_png(pixels)))[0] == status


async def test_one_key_starts_one_job_at_whatever_door(cluster):
    async with cluster.open_doors() as (one, two):
        answers = await asyncio.gather(post(one, key="k"), post(two, key="k"))
        started = {body["job_id"] for status, body, _ in answers if status == 202}
        assert len(started) == 1 and {status for status, _, _ in answers} <= {202, 409}
        status, body, headers = await post(two, key="k")
        assert status == 202 and {body["job_id"]} == started and headers["Idempotency-Replayed"] == "true"
        assert (await post(one, key="k", seed="9"))[0] == 422


async def test_painted_views_come_with_what_was_sent_before(cluster):
    async with cluster.open_doors() as (one, two):
        _, accepted, _ = await post(one, image_size="512", seed="7")
        first = accepted["job_id"]
        attempt = cluster.ledger.claim(first, "worker", False)
        path = f"/generate_character/jobs/{first}/views"
        async with two.post(path, data=make_form({"front": make_png(512)})) as answer:
            assert answer.status == 400 and "processing" in await answer.text()
        cluster.tell(first, attempt, "job_completed", status="completed", progress=100)
        async with two.post(path, data=make_form({"front": make_png(64)})) as answer:
            assert answer.status == 400 and (await answer.json())["details"]["parameter"] == "front"
        async with two.post(path, data=make_form({"front": make_png(512)})) as answer:
            assert answer.status == 202, await answer.text()
            second = await answer.json()
        assert second["parameters"] == accepted["parameters"]
        assert cluster.read_uploads(second["job_id"]) == {"image": make_png(), "front": make_png(512)}


@pytest.mark.parametrize("path", ["/character/rig", "/character/animate"])
async def test_meshes_are_jobs_like_others(cluster, path):
    motion = {"motion": b"HIERARCHY"} if path.endswith("animate") else {}
    async with cluster.open_doors() as (one, two):
        form = make_form({"mesh": b"glTF", **motion}, filename="walker.GLB", seed="7")
        async with one.post(path, data=form) as answer:
            assert answer.status == 202, await answer.text()
            accepted = await answer.json()
        body = await ask_for(two, f"/job/{accepted['job_id']}/status")
        assert [stage["name"] for stage in body["stages"]] == ["preprocessing", "rigging"]
        assert "seed: not used for a mesh" in body["warnings"]
        assert cluster.read_uploads(accepted["job_id"]) == {"mesh": b"glTF", **motion}
        async with one.post(path, data=make_form({"mesh": b"x", **motion}, filename="a.txt")) as answer:
            assert answer.status == 415


@pytest.mark.parametrize("name", ["%00", "%ff", "%ed%a0%80", "%0d%0aSet-Cookie:x", "'%20OR%201=1--"])
async def test_odd_ids_are_no_jobs(cluster, name):
    async with cluster.open_doors() as (one, _):
        for path in (f"/job/{name}/status", f"/job/{name}/download/{name}", f"/job/{name}/events"):
            async with one.get(URL(path, encoded=True)) as answer:
                assert answer.status == 404, await answer.text()
                assert (await answer.json())["error_code"] == "JOB_NOT_FOUND"


async def test_a_deleted_job_is_gone_at_every_door(cluster):
    async with cluster.open_doors() as (one, two):
        _, accepted, _ = await post(one)
        job_id = accepted["job_id"]
        attempt = cluster.ledger.claim(job_id, "worker", False)
        cluster.tell(job_id, attempt, "job_completed", status="completed", progress=100)
        async with two.delete(f"/job/{job_id}") as answer:
            assert answer.status == 200
        await ask_for(one, f"/job/{job_id}/status", 410)
        assert cluster.files.list_uploads(job_id) == {}


async def test_messages_outlive_their_door_and_a_broker_that_is_away(cluster, monkeypatch):
    monkeypatch.setattr("character3d.server_routes.background.FIRST_PAUSE", 0.05)
    is_away = True

    def send(job_id, queue):
        if is_away:
            raise ConnectionError("no broker")
        cluster.sent.append(job_id)

    service = ClusterService(cluster.url, cluster.files, send)
    checks = WorkerChecks(cluster.files, None, service.count_workers)
    server = TestServer(make_app(service, checks.read_picture, checks.read_mesh, Access()), host="127.0.0.1")
    await server.start_server()
    async with aiohttp.ClientSession(server.make_url("/")) as door:
        status, accepted, _ = await post(door)
        assert status == 202 and cluster.sent == []
    await server.close()
    async with cluster.open_doors():
        await wait_for(lambda: cluster.sent)
        await asyncio.sleep(0.2)
    assert cluster.sent == [accepted["job_id"]]


async def test_a_worker_that_was_replaced_writes_nothing(cluster):
    async with cluster.open_doors() as (one, _):
        _, accepted, _ = await post(one)
        job_id = accepted["job_id"]
        first = cluster.ledger.claim(job_id, "a", False)
        assert cluster.ledger.claim(job_id, "b", False) is None  # the message came twice
        second = cluster.ledger.claim(job_id, "b", True)
        assert (first, second) == (1, 2)
        for write in (
            lambda: cluster.tell(job_id, first, progress=90),
            lambda: cluster.ledger.beat(job_id, first),
        ):
            with pytest.raises(FencedError):
                write()
        cluster.tell(job_id, second, progress=30)
        assert (await ask_for(one, f"/job/{job_id}/status"))["progress"] == 30
        cluster.tell(job_id, second, "job_completed", status="completed", progress=100)
        with pytest.raises(FencedError):
            cluster.tell(job_id, second, progress=50)
        assert cluster.ledger.claim(job_id, "c", True) is None
        assert [event.seq for event in cluster.database.events(job_id)] == [2]


async def test_files_come_through_any_door(cluster, tmp_path):
    (tmp_path / "a.glb").write_bytes(b"0123456789")
    digest = hashlib.sha256(b"0123456789").hexdigest()
    async with cluster.open_doors() as (one, two):
        _, accepted, _ = await post(one)
        job_id = accepted["job_id"]
        attempt = cluster.ledger.claim(job_id, "worker", False)
        cluster.files.keep_result(job_id, attempt, tmp_path / "a.glb", "a.glb")
        cluster.files.keep_result(job_id, attempt, tmp_path / "a.glb", "pictures/a.png")
        facts = {"stage": "", "size": 10, "modified": 0, "sha256": digest}
        row = cluster.database.find(job_id)
        body = {
            **row.body,
            "attempts": attempt,
            "files": [{**facts, "key": "raw_mesh", "relative": "a.glb"}],
            "pictures": [{**facts, "key": "views", "relative": "pictures/a.png"}],
        }
        cluster.ledger.record(dataclasses.replace(row, body=body), attempt)
        for door in (one, two):
            path = f"/job/{job_id}/download/a.glb"
            async with door.get(path, headers={"Range": "bytes=2-4"}) as answer:
                assert (answer.status, await answer.read()) == (206, b"234")
                assert answer.headers["ETag"] == f'"{digest}"'
            async with door.get(f"/job/{job_id}/pictures/a.png") as answer:
                assert (answer.status, await answer.read()) == (200, b"0123456789")
            async with door.get(path.replace("a.glb", "b.glb")) as answer:
                assert answer.status == 404


def play_worker(cluster):
    """What a worker and its ComfyUI answer to a check."""

    def ask(question):
        cluster.questions.append(question)
        with tempfile.TemporaryDirectory() as folder:
            files = cluster.files.fetch_question(question["id"], Path(folder))
            found = {name: [path.suffix, path.stat().st_size] for name, path in files.items()}
        if question["fields"].get("figure") == 9:
            details = {"parameter": "image", "provided": 9}
            return {
                "status": 400,
                "body": {"error_code": "INVALID_PARAMETERS", "message": "Invalid image", "details": details},
            }
        return {"status": 200, "body": {"files": found, "preview": base64.b64encode(b"PNG").decode()}}

    return ask


async def test_a_worker_is_asked_about_pictures_and_meshes(cluster):
    cluster.ledger.register("a", {"diffusion_models": [], "3d_models": []})
    cluster.ask = play_worker(cluster)
    async with cluster.open_doors() as (one, two):
        form = make_form({"image": make_png()}, figure="2", prompt="not read")
        async with one.post("/character/check", data=form) as answer:
            found = await answer.json()
            assert answer.status == 200 and answer.headers["RateLimit"].startswith('"check";r=9')
        assert found["files"] == {"image": ["", len(make_png())]} and found["seconds"] >= 0
        async with two.post("/character/check?format=png", data=make_form({"image": make_png()})) as answer:
            assert (answer.content_type, await answer.read()) == ("image/png", b"PNG")
        form = make_form({"mesh": b"glTF"}, filename="a.GLB")
        async with one.post("/character/rig_check", data=form) as answer:
            assert (await answer.json())["files"] == {"mesh": [".glb", 4]}
        async with one.post("/character/check", data=make_form({"image": make_png()}, figure="9")) as answer:
            body = await answer.json()
            assert (answer.status, body["details"]["provided"]) == (400, 9)
        async with one.post("/character/check", data=make_form({"image": b"junk"})) as answer:
            assert answer.status == 415
    assert [question["path"] for question in cluster.questions] == [
        *["/character/check"] * 2,
        "/character/rig_check",
        "/character/check",
    ]
    with tempfile.TemporaryDirectory() as folder, pytest.raises(FileNotFoundError):
        cluster.files.fetch_question(cluster.questions[0]["id"], Path(folder))


@pytest.mark.parametrize("workers", [0, 1])
async def test_a_check_that_nobody_answers_is_refused(cluster, workers):
    def ask(question):
        raise TimeoutError("no answer")

    cluster.ask = ask
    if workers:
        cluster.ledger.register("a", {"diffusion_models": [], "3d_models": []})
    async with cluster.open_doors() as (one, _):
        async with one.post("/character/check", data=make_form({"image": make_png()})) as answer:
            assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
            assert (await answer.json())["details"]["reason"] == "no_worker"
        health = await ask_for(one, "/generate_character/health")
        assert health["status"] == "ready" and (await ask_for(one, "/models"))["diffusion_models"] == []
