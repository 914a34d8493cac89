"""WebSocket clients that send rubbish, too much, or nothing at all: only they are closed, the job goes on."""

import asyncio
import itertools
import os
import struct
import zlib
from contextlib import asynccontextmanager

import aiohttp
import psutil
import pytest
from yarl import URL

from .conftest import assert_only_progress_is_left_out
from .forms import MEBIBYTE, peak_memory

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FINAL, PACKED, MASKED = 0x80, 0x40, 0x80
SWITCHING = b"HTTP/1.1 101 "

_addresses = (f"127.251.{a}.{b}" for a, b in itertools.product(range(250), range(2, 250)))


def frame(kind, data=b"", flags=FINAL, length=None):
    """A masked frame of RFC 6455, section 5.2; the mask is zeros. length: what it claims to have."""
    length = len(data) if length is None else length
    if length < 126:
        size = struct.pack(">B", MASKED | length)
    elif length < 2**16:
        size = struct.pack(">BH", MASKED | 126, length)
    else:
        size = struct.pack(">BQ", MASKED | 127, length)
    return struct.pack(">B", flags | kind) + size + bytes(4) + data


class RawSocket:
    """A WebSocket client that does what it is told."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self):
        """(kind, data) of the next frame."""
        first, second = await self.reader.readexactly(2)
        length = second & 0x7F
        if length >= 126:
            kind, count = (">H", 2) if length == 126 else (">Q", 8)
            (length,) = struct.unpack(kind, await self.reader.readexactly(count))
        return first & 0x0F, await self.reader.readexactly(length)

    async def close_code(self):
        """The code with which the server closes; what comes before is left aside."""
        async with asyncio.timeout(10):
            while True:
                kind, data = await self.receive()
                if kind == CLOSE:
                    return struct.unpack(">H", data[:2])[0]


@asynccontextmanager
async def raw_socket(comfyui, job_id, extensions=""):
    host, port = comfyui.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(next(_addresses), 0))
    writer.write(
        f"GET /ws/{job_id} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{extensions}\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(SWITCHING)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.close()


@pytest.fixture
async def running(client, control):
    """The id of a job that runs while the test does, and then completes."""
    control(every=120)
    job_id = (await client.start_job())["job_id"]
    yield job_id
    control()
    assert (await client.finish(job_id))["status"] == "completed"


def deflate(data):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


BOMB = deflate(bytes(3 * MEBIBYTE))
assert len(BOMB) < 4096, "small enough to be read"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"x" * 5000), 1009),
        (frame(TEXT, b"x" * (10 * MEBIBYTE)), 1009),
        (frame(BINARY, bytes(10 * MEBIBYTE)), 1009),
        (frame(TEXT, b"x", length=2**62), 1009),
        (frame(TEXT, b"x" * 3000, flags=0) + frame(0, b"x" * 3000), 1009),
        (frame(TEXT, b"x", flags=0) + frame(0, b"x", flags=0) * 10_000, 1009),
        (frame(TEXT, b"\xff\xfe"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(3), 1002),
        (frame(PING, bytes(126)), 1002),
        (frame(TEXT, b"x", flags=FINAL | PACKED), 1002),
        (frame(CLOSE, struct.pack(">H", 1005)), 1002),
        (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), 1007),
        (frame(CLOSE), 1000),
    ],
    ids=[
        "5 kB", "10 MB text", "10 MB binary", "2^62", "continued", "pieces", "invalid utf-8",
        "surrogate", "opcode", "long ping", "packed", "wrong code", "wrong reason", "no code",
    ],
)  # fmt: skip
async def test_what_a_client_may_not_say(comfyui, running, sent, code):
    with peak_memory(comfyui.process.pid) as peak:
        async with raw_socket(comfyui, running) as socket:
            try:
                await socket.send(sent)
                assert await socket.close_code() == code
            except (ConnectionError, asyncio.IncompleteReadError):
                assert code == 1009, "only what was too long to be read may be cut off"
    assert peak() < 16 * MEBIBYTE


async def test_a_message_that_unpacks_to_much_more(comfyui, running):
    extensions = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    with peak_memory(comfyui.process.pid) as peak:
        async with raw_socket(comfyui, running, extensions) as socket:
            await socket.send(frame(TEXT, BOMB, flags=FINAL | PACKED))
            assert await socket.close_code() == 1009
    assert peak() < 16 * MEBIBYTE


async def test_small_binary_messages_are_ignored(comfyui, running):
    async with raw_socket(comfyui, running) as socket:
        for kind in (BINARY, TEXT, PONG):
            await socket.send(frame(kind, b"{}"))
        assert (await socket.receive())[0] == TEXT


async def test_ten_thousand_pings(client, comfyui, running):
    """Nobody reads the answers: the server stops reading, and goes on serving others."""
    flood = frame(PING, b"x" * 125) * 10_000
    with peak_memory(comfyui.process.pid) as peak:
        async with raw_socket(comfyui, running) as socket:
            socket.writer.write(flood * 5)
            for _ in range(10):
                assert (await client.status(running))["status"] == "processing"
    assert peak() < 24 * MEBIBYTE


async def test_a_client_that_never_reads(client, comfyui, control):
    """The others miss nothing, and when the job is over it is dropped."""
    control(every=0.1)
    job_id = (await client.start_job())["job_id"]
    async with raw_socket(comfyui, job_id) as silent:
        frames, code = await client.events(job_id)
        assert code == 1000 and frames[-1]["type"] == "job_completed"
        log, _ = await client.events(job_id, since=frames[0]["seq"])
        assert_only_progress_is_left_out(frames[1:], log[1:])
        assert await silent.close_code() == 1000
        async with asyncio.timeout(20):
            assert await silent.reader.read() == b"", "closed, though it has not answered the close"


async def test_clients_that_are_gone_without_a_word(client, comfyui, running):
    before = count_connections(comfyui)
    for _ in range(20):
        async with raw_socket(comfyui, running) as socket:
            await socket.receive()
            socket.writer.transport.abort()
    await settle(comfyui, before)
    async with client.ws_connect(f"/ws/{running}") as socket:  # none of the eight places is taken
        assert (await socket.receive_json())["snapshot"] is True


def count_connections(comfyui):
    return len(psutil.Process(comfyui.process.pid).net_connections("tcp"))


async def settle(comfyui, before):
    for _ in range(100):
        if count_connections(comfyui) <= before:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{count_connections(comfyui)} connections are open, {before} were")


async def test_a_thousand_sockets(client, comfyui, running):
    """Of one job at most eight are open; the rest are refused, and nothing is left of them."""
    before, opened, statuses = count_connections(comfyui), [], []

    async def connect():
        try:
            opened.append(await client.ws_connect(f"/ws/{running}"))
        except aiohttp.WSServerHandshakeError as error:
            statuses.append(error.status)

    with peak_memory(comfyui.process.pid) as peak:
        for _ in range(10):
            await asyncio.gather(*(connect() for _ in range(100)))
        assert len(opened) == 8 and statuses == [429] * 992
        assert (await client.status(running))["status"] == "processing"
    for socket in opened:
        await socket.close()
    assert peak() < 64 * MEBIBYTE
    await settle(comfyui, before + 100)  # what the client keeps alive


@pytest.mark.parametrize("job_id", ["..%2f..%2f", "%ff", "%00", "x" * 7000, "%7Bx%7D", "'%20OR%201=1--"])
async def test_ids_that_no_job_has(client, job_id):
    url = URL(f"/ws/{job_id}", encoded=True)
    async with client.ws_connect(url) as socket:
        event = await socket.receive_json()
        assert event["type"] == "error" and event["data"]["error_code"] == "JOB_NOT_FOUND"
        assert len(event["job_id"]) <= 64
        await socket.receive()
        assert socket.close_code == 4404


async def test_a_hundred_unknown_ids_at_once(client, comfyui):
    """They count as sockets of the user, of which 64 may be open."""
    before = count_connections(comfyui)
    ids = [os.urandom(8).hex() for _ in range(100)]
    answers = await asyncio.gather(*(client.events(job_id) for job_id in ids), return_exceptions=True)
    refused = [answer.status for answer in answers if isinstance(answer, aiohttp.WSServerHandshakeError)]
    assert set(refused) <= {429} and len(refused) <= 36
    assert {answer[1] for answer in answers if isinstance(answer, tuple)} == {4404}
    assert len(refused) + sum(isinstance(answer, tuple) for answer in answers) == 100
    await settle(comfyui, before + 100)


async def test_unknown_ids_whose_sockets_never_close(comfyui):
    """The server waits for each client's answer to its close; no more than 64 of one user make it wait."""
    address, host = next(_addresses), comfyui.url.removeprefix("http://").split(":")
    writers = []

    async def status():
        reader, writer = await asyncio.open_connection(host[0], int(host[1]), local_addr=(address, 0))
        writers.append(writer)
        writer.write(
            f"GET /ws/unknown HTTP/1.1\r\nHost: {host[0]}:{host[1]}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        return int((await reader.readuntil(b"\r\n")).split()[1])

    statuses = await asyncio.gather(*(status() for _ in range(80)))
    for writer in writers:
        writer.close()
    assert sorted(statuses) == [101] * 64 + [429] * 16
