"""Forms as bytes, what a refusal looks like, and what the server opened and took meanwhile."""

import asyncio
import os
import sys
import threading
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil
import pytest
from character3d.launcher.installation import REPOSITORY

MEBIBYTE = 2**20
BOUNDARY = "b0undary"
END = f"--{BOUNDARY}--\r\n".encode()


async def refused(answer, status, code, parameter=None):
    """Check the error body of an answer and return its details."""
    body = await answer.json()
    assert (answer.status, body["error_code"]) == (status, code), body
    assert set(body) == {"status", "error_code", "message", "details"}
    assert body["status"] == "error" and body["message"]
    if parameter:
        assert body["details"]["parameter"] == parameter
    return body["details"]


def encode_part(name, data, headers=""):
    disposition = f'Content-Disposition: form-data; name="{name}"{headers}\r\n\r\n'
    return f"--{BOUNDARY}\r\n{disposition}".encode() + data + b"\r\n"


async def get_raw(address, port, target, head=b""):
    """(status, body) of a GET whose target and further header lines are sent as they are."""
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET %s HTTP/1.1\r\nHost: %s:%d\r\n" % (target.encode(), address.encode(), port))
    writer.write(head + b"Connection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1]), answer.partition(b"\r\n\r\n")[2].decode()


async def post_raw(client, body, content_type=f"multipart/form-data; boundary={BOUNDARY}", **headers):
    return await client.post(
        "/generate_character", data=body, headers={"Content-Type": content_type, **headers}
    )


def require_probes(client):
    """Skip the test where the stub nodes are in another process than the routes."""
    if not client.has_probes:
        pytest.skip("it looks into ComfyUI's process, or has it pretend")


@asynccontextmanager
async def record_opened(client):
    """Yields a function: what the server opened while the block ran, but for Python's own files and ours."""
    own = [*map(Path, (sys.prefix, sys.base_prefix, os.environ["CHARACTER3D_COMFYUI"])), REPOSITORY]
    found = []
    require_probes(client)
    async with client.post("/stub/opened") as answer:
        assert answer.status == 200
    yield lambda: found
    async with client.get("/stub/opened") as answer:
        paths = (await answer.json())["opened"]
    found += [path for path in paths if not any(Path(path).is_relative_to(folder) for folder in own)]


@contextmanager
def peak_memory(pid):
    """Yields a function: by how many bytes the process grew, at most, while the block ran."""
    process, done = psutil.Process(pid), threading.Event()
    sizes = [process.memory_info().rss]

    def watch():
        while not done.wait(0.005):
            sizes.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield lambda: max(sizes) - sizes[0]
    finally:
        done.set()
        watcher.join()


async def pretend(client, **conditions):
    """Let the server believe in a clock, a disk or a limit; without conditions, as it is."""
    require_probes(client)
    async with client.post("/stub/pretend", json=conditions) as answer:
        assert answer.status == 200
