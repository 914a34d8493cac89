"""The service under load, with stub stages: how long clients wait, and whether anything grows.

    python benchmarks/service.py [accept] [status] [list] [loop] [events] [memory] [estimates] [--jobs N]

Starts a real ComfyUI on the CPU with the stub nodes of the tests, on a free port, and measures what is
named (default: all). Every client is a user of its own, by its loopback address. Times are in milliseconds
as a client on the same machine sees them; the client's own work is in them. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import os
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import numpy as np
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from benchmarks.stub_server import enter_test_environment  # noqa: E402

MIB = 2**20
PAGES = 200
PROBE = """
import asyncio, sys, time
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}
state = {"worst": 0.0}

async def watch():
    while True:
        due = time.perf_counter() + 0.002
        await asyncio.sleep(0.002)
        state["worst"] = max(state["worst"], time.perf_counter() - due)

async def start(app):
    state["task"] = asyncio.create_task(watch())

PromptServer.instance.app.on_startup.append(start)

@PromptServer.instance.routes.get("/probe/lag")
async def read_lag(request):
    worst, state["worst"] = state["worst"], 0.0
    return web.json_response(worst)

@PromptServer.instance.routes.get("/probe/busy")
async def read_busy(request):
    return web.json_response(time.thread_time())
"""

_addresses = (f"127.{a}.{b}.{c}" for a, b, c in itertools.product(range(10, 250), range(250), range(2, 250)))


@contextlib.contextmanager
def run_stub_comfyui() -> Iterator[SimpleNamespace]:
    """A ComfyUI with the stub nodes, and a probe of its event loop: url, base folder, pid."""
    comfyui = enter_test_environment()
    from tests.server.conftest import lay_base_folder, run_stub_server

    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        lay_base_folder(base)
        (base / "custom_nodes" / "probe").mkdir()
        (base / "custom_nodes" / "probe" / "__init__.py").write_text(PROBE)
        control(base)
        with run_stub_server(comfyui, base) as server:
            yield SimpleNamespace(url=server.url, base=base, pid=server.process.pid)


def control(base: Path, **settings: Any) -> None:
    """Say how long the stub stages take: seconds each, or by node."""
    (base / "control.new").write_text(json.dumps({"every": 0.0, **settings}))
    (base / "control.new").replace(base / "control.json")


@contextlib.asynccontextmanager
async def open_user(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client with limits of its own."""
    connector = aiohttp.TCPConnector(local_addr=(next(_addresses), 0), limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as session:
        yield session


async def post(session: aiohttp.ClientSession, picture: bytes) -> str:
    """Begin a job and return its id."""
    form = aiohttp.FormData()
    form.add_field("image", picture, filename="x")
    async with session.post("/generate_character", data=form) as answer:
        body = await answer.json()
        assert answer.status == 202, body
        return str(body["job_id"])


async def wait(session: aiohttp.ClientSession, job_id: str) -> dict[str, Any]:
    """The final status of a job."""
    async with session.get(f"/job/{job_id}/events") as stream:
        await stream.read()
    async with session.get(f"/job/{job_id}/status") as answer:
        return dict(await answer.json())


async def read_lag(session: aiohttp.ClientSession) -> float:
    """The longest that the server's event loop was late since the last call, in seconds."""
    async with session.get("/probe/lag") as answer:
        return float(await answer.json())


async def read_busy(session: aiohttp.ClientSession) -> float:
    """Seconds of processor time that the server's event loop has used."""
    async with session.get("/probe/busy") as answer:
        return float(await answer.json())


def make_picture(width: int, height: int, noise: float, kind: str) -> bytes:
    """A picture with grain, which compresses as badly as a photograph."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    plain = np.stack([x / width * 255, y / height * 255, (x + y) % 256], -1)
    grainy = np.clip(plain + rng.normal(0, noise, plain.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grainy).save(buffer, kind, **({"quality": 97} if kind == "JPEG" else {}))
    return buffer.getvalue()


def describe(seconds: Sequence[float]) -> str:
    """Median, 95th and 99th percentile and the worst, in milliseconds."""
    points = np.percentile(seconds, (50, 95, 99, 100)) * 1000
    return "  ".join(
        f"{name} {value:7.1f}" for name, value in zip(("p50", "p95", "p99", "max"), points, strict=True)
    )


def read_resident(pid: int) -> int:
    """Bytes of a process that are in memory now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure_accept(server: SimpleNamespace) -> None:
    """From the first byte sent to the 202 read, one request after another."""
    pictures = {
        "1 MB PNG, 0.35 megapixels": make_picture(590, 590, 60, "PNG"),
        "1 MB JPEG, 1.3 megapixels": make_picture(1300, 1000, 12, "JPEG"),
        "10 MB PNG, 3.4 megapixels": make_picture(1850, 1850, 60, "PNG"),
        "10 MB JPEG, 13 megapixels": make_picture(4200, 3200, 12, "JPEG"),
    }
    for name, picture in pictures.items():
        seconds = []
        for _ in range(60):
            async with open_user(server.url) as user:
                started = time.perf_counter()
                job_id = await post(user, picture)
                seconds.append(time.perf_counter() - started)
                await wait(user, job_id)
        print(f"accept  {name} ({len(picture) / 1e6:.1f} MB): {describe(seconds[5:])}")


@contextlib.asynccontextmanager
async def open_sockets(server: SimpleNamespace, jobs: int, each: int) -> AsyncIterator[list[Any]]:
    """Live jobs in a slow stage, with sockets on each: (job id, socket)."""
    async with contextlib.AsyncExitStack() as stack:
        sockets, picture = [], make_picture(64, 64, 10, "PNG")
        for _ in range(jobs):
            user = await stack.enter_async_context(open_user(server.url))
            job_id = await post(user, picture)
            for _ in range(each):
                socket = await stack.enter_async_context(user.ws_connect(f"/ws/{job_id}"))
                sockets.append((job_id, socket))
        yield sockets


async def cancel_all(user: aiohttp.ClientSession, sockets: list[Any]) -> None:
    """Stop the jobs of the sockets."""
    for job_id in {job_id for job_id, _ in sockets}:
        async with user.post(f"/job/{job_id}/cancel"):
            pass


async def measure_status(server: SimpleNamespace) -> None:
    """GET status, 100 a second, while 200 sockets listen to 25 jobs, one of which runs."""
    control(server.base, seconds={"C3DGenerateViews": 60.0})
    async with open_user(server.url) as user, open_sockets(server, 25, 8) as sockets:
        readers = [asyncio.create_task(drain(socket)) for _, socket in sockets]
        ids, seconds = [job_id for job_id, _ in sockets], []
        for index in range(2000):
            started = time.perf_counter()
            async with user.get(f"/job/{ids[index % len(ids)]}/status") as answer:
                await answer.read()
            seconds.append(time.perf_counter() - started)
            await asyncio.sleep(max(0.0, 0.01 - seconds[-1]))
        print(f"status  {len(sockets)} sockets open: {describe(seconds)}")
        control(server.base)
        await cancel_all(user, sockets)
        await asyncio.gather(*readers)


async def measure_list(server: SimpleNamespace) -> None:
    """The largest page of a user who has 10,000 ended jobs: the first one, and one from the middle."""
    async with open_user(server.url) as user:
        ended = await wait(user, await post(user, make_picture(64, 64, 10, "PNG")))
        ids = copy_job(server.base / "user" / "character3d" / "jobs.sqlite3", ended["job_id"], 10_000)
        for name, before in (("first", ""), ("middle", f"&before={ids[5000]}")):
            seconds, before_busy = [], await read_busy(user)
            await read_lag(user)
            for _ in range(PAGES):
                started = time.perf_counter()
                async with user.get(f"/generate_character/jobs?limit=100{before}") as answer:
                    page = await answer.read()
                seconds.append(time.perf_counter() - started)
            assert len(json.loads(page)["jobs"]) == 100
            late = f"loop late by {await read_lag(user) * 1000:.1f}"
            busy = f"busy {(await read_busy(user) - before_busy) / PAGES * 1000:.1f} a page"
            print(f"list    {name} page, {len(page) / 1e6:.2f} MB: {describe(seconds)}, {late}, {busy}")


def copy_job(path: Path, job_id: str, count: int) -> list[str]:
    """Copies of an ended job's row under new ids, beside the running server; returns the ids."""
    ids = [str(uuid.uuid4()) for _ in range(count)]
    names = "user, created, ended, state, body"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        database.executemany(
            f"INSERT INTO jobs (id, {names}, status)"
            f" SELECT ?, {names}, replace(status, id, ?) FROM jobs WHERE id = ?",
            ((new_id, new_id, job_id) for new_id in ids),
        )
        database.commit()
    return ids


async def drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Read until the server closes."""
    async for _ in socket:
        pass


async def measure_loop(server: SimpleNamespace) -> None:
    """How late the server's event loop is at worst while threads do heavy work.

    A job in a slow stage holds the others up, since at the end of some jobs ComfyUI collects garbage, and
    then no thread runs; that is the last row.
    """
    async with open_user(server.url) as user:
        large = await make_large_file(server, user)
        control(server.base, seconds={"C3DPreprocessPicture": 300.0})
        blocker = await post(user, make_picture(64, 64, 10, "PNG"))
        await asyncio.sleep(2)
        await read_lag(user)
        await asyncio.sleep(3)
        await print_lag(user, "idle")
        for megabytes, side, count in ((1, 590, 16), (10, 1850, 6)):
            await post_together(server, make_picture(side, side, 60, "PNG"), count)
            await print_lag(user, f"{count} pictures of {megabytes} MB at once")
        await download(user, large)
        await print_lag(user, "a file of 500 MB hashed and sent")
        await list_many_models(server, user)
        await print_lag(user, "10,000 model files listed, five times anew, for GET /models and a job")
        control(server.base)
        async with user.post(f"/job/{blocker}/cancel"):
            pass
        await wait(user, await post(user, make_picture(64, 64, 10, "PNG")))
        await asyncio.sleep(1)
        await print_lag(user, "a job ends")


async def print_lag(user: aiohttp.ClientSession, what: str) -> None:
    """The worst lag since the last call."""
    print(f"loop    {what}: {await read_lag(user) * 1000:.1f}")


async def post_and_cancel(user: aiohttp.ClientSession, picture: bytes) -> None:
    job_id = await post(user, picture)
    async with user.post(f"/job/{job_id}/cancel") as answer:
        assert answer.status == 200


async def post_together(server: SimpleNamespace, picture: bytes, count: int) -> None:
    async def one() -> None:
        async with open_user(server.url) as user:
            await post_and_cancel(user, picture)

    await asyncio.gather(*(one() for _ in range(count)))


async def make_large_file(server: SimpleNamespace, user: aiohttp.ClientSession) -> str:
    """Exchange a result of a job for a large file, so that its hash is taken anew; its address."""
    status = await wait(user, await post(user, make_picture(64, 64, 10, "PNG")))
    with (server.base / status["results"]["raw_mesh"].removeprefix("/")).open("r+b") as file:
        file.truncate(500 * MIB)
    (entry,) = (item for item in status["downloads"] if item["result"] == "raw_mesh")
    return str(entry["url"])


async def download(user: aiohttp.ClientSession, address: str) -> None:
    async with user.get(address) as answer:
        async for _ in answer.content.iter_chunked(MIB):
            pass


async def list_many_models(server: SimpleNamespace, user: aiohttp.ClientSession) -> None:
    folder = server.base / "models" / "checkpoints"
    for index in range(10_000):
        (folder / f"model_{index}.safetensors").touch()
    await read_lag(user)
    for index in range(5):
        (folder / f"new_{index}.safetensors").touch()  # ComfyUI keeps its list while the folder is unchanged
        async with user.get("/models") as answer:
            await answer.read()
        await post_and_cancel(user, make_picture(64, 64, 10, "PNG"))


async def measure_events(server: SimpleNamespace) -> None:
    """From an event's timestamp to the client that reads it, with and without clients that never read."""
    for dead in (0, 4):
        delays: list[float] = []
        control(server.base, every=0.3)
        async with open_user(server.url) as user, open_user(server.url) as other:
            for _ in range(5):
                job_id = await post(user, make_picture(64, 64, 10, "PNG"))
                deaf = [await open_deaf_socket(server, job_id) for _ in range(dead)]
                listeners = [listen(session, job_id, delays) for session in (user, other)]
                await asyncio.gather(*listeners)
                for writer in deaf:
                    writer.close()
                await wait(user, job_id)
                await asyncio.sleep(6)  # ten requests a minute
        print(f"events  {dead} dead clients: {describe(delays)}  ({len(delays)} events)")
    control(server.base)


async def open_deaf_socket(server: SimpleNamespace, job_id: str) -> asyncio.StreamWriter:
    """A WebSocket whose client never reads."""
    host, port = server.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        f"GET /ws/{job_id} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await writer.drain()
    return writer


async def listen(session: aiohttp.ClientSession, job_id: str, delays: list[float]) -> None:
    async with session.ws_connect(f"/ws/{job_id}") as socket:
        async for message in socket:
            event, now = json.loads(message.data), time.time()
            if not event.get("snapshot"):
                delays.append(now - event["timestamp"] / 1000)


async def measure_memory(server: SimpleNamespace, jobs: int) -> None:
    """Resident memory, open files, threads and the size of the database, as jobs go by.

    ComfyUI's own history is cleared: it keeps 10,000 prompts of about 30 KB, whoever sent them.
    """
    picture = make_picture(512, 512, 10, "PNG")
    users = jobs // 2
    print(f"memory  {'jobs':>6} {'MiB':>8} {'files':>6} {'threads':>8} {'database MiB':>13}")
    for index in range(users):
        async with open_user(server.url) as user:
            ids = [await post(user, picture) for _ in range(2)]
            assert [(await wait(user, job_id))["status"] for job_id in ids] == ["completed"] * 2
            async with user.post("/history", json={"clear": True}) as answer:
                assert answer.status == 200
        if (index + 1) % max(1, users // 10) == 0:
            print(f"memory  {2 * (index + 1):6} {describe_process(server)}", flush=True)
    await measure_uploads(server)


def describe_process(server: SimpleNamespace) -> str:
    """Memory, open files and threads of the server, and the size of its database."""
    process = Path(f"/proc/{server.pid}")
    database = sum(path.stat().st_size for path in (server.base / "user" / "character3d").iterdir())
    files, threads = (len(list((process / name).iterdir())) for name in ("fd", "task"))
    return f"{read_resident(server.pid) / MIB:8.1f} {files:6} {threads:8} {database / MIB:13.1f}"


async def measure_uploads(server: SimpleNamespace) -> None:
    """Peak memory of ten uploads of 10 MB that arrive together; they are no pictures: only reading counts."""
    body, idle = bytes(10 * MIB), read_resident(server.pid)
    peak, done = [idle], asyncio.Event()

    async def sample() -> None:
        while not done.is_set():
            peak[0] = max(peak[0], read_resident(server.pid))
            await asyncio.sleep(0.005)

    async def upload() -> None:
        async with open_user(server.url) as user:
            form = aiohttp.FormData()
            form.add_field("image", body, filename="x")
            async with user.post("/generate_character", data=form) as answer:
                assert answer.status == 415

    sampler = asyncio.create_task(sample())
    await asyncio.gather(*(upload() for _ in range(10)))
    done.set()
    await sampler
    print(f"memory  ten uploads of 10 MB at once: {(peak[0] - idle) / MIB:.0f} MiB above idle")


async def measure_estimates(server: SimpleNamespace) -> None:
    """How many jobs end within the range that their 202 gave, once there is a history of ten."""
    control(server.base, every=0.1)
    inside, count, picture = 0, 50, make_picture(64, 64, 10, "PNG")
    for index in range(10 + count):
        async with open_user(server.url) as user:
            form = aiohttp.FormData()
            form.add_field("image", picture, filename="x")
            async with user.post("/generate_character", data=form) as answer:
                accepted = await answer.json()
            low, high = accepted["estimated_time_seconds"]
            took = (await wait(user, accepted["job_id"]))["processing_time_seconds"]
            inside += index >= 10 and low <= took <= high
    control(server.base)
    print(f"estimates  {inside} of {count} within the range")


def main(arguments: list[str]) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    measures: dict[str, Callable[[SimpleNamespace], Any]] = {
        "accept": measure_accept,
        "status": measure_status,
        "list": measure_list,
        "loop": measure_loop,
        "events": measure_events,
        "estimates": measure_estimates,
    }
    parser.add_argument("what", nargs="*", choices=[*measures, "memory"], default=[])
    parser.add_argument("--jobs", type=int, default=1000, help="for memory; default: 1000")
    options = parser.parse_args(arguments)
    measures["memory"] = lambda server: measure_memory(server, options.jobs)
    for name in options.what or measures:
        with run_stub_comfyui() as server:
            asyncio.run(measures[name](server))


if __name__ == "__main__":
    main(sys.argv[1:])
