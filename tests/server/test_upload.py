"""Reading a form: a body that arrives too slowly, in the smallest pieces, or on a full server."""

import ast
import asyncio
import inspect
import threading
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession, StreamReader, multipart, web
from aiohttp.test_utils import TestServer
from character3d.server_routes import upload, upload_slots
from character3d.server_routes.errors import ApiError, answer_errors

BOUNDARY = "x"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
BODY = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\npixels\r\n--x\r\n'
    b'Content-Disposition: form-data; name="prompt"\r\n\r\nein Ritter \xc3\xa4\r\n--x--\r\n'
)


@pytest.fixture
async def url():
    slots = upload_slots.UploadSlots()

    async def read(request):
        async with upload.read_form(request, slots) as form:
            return web.json_response({"image": form.files["image"].read().decode(), **form.fields})

    app = web.Application()
    app.router.add_post("/", answer_errors(read))
    async with TestServer(app) as server:
        yield server.make_url("/")


async def test_body_in_single_bytes(url):
    async def pieces():
        for byte in BODY:
            yield bytes([byte])

    async with ClientSession() as session, session.post(url, data=pieces(), headers=HEADERS) as answer:
        assert await answer.json() == {"image": "pixels", "prompt": "ein Ritter ä"}


async def test_body_that_does_not_arrive_in_time(url, monkeypatch):
    monkeypatch.setattr(upload_slots, "READ_SECONDS", 0.2)

    async def slow():
        yield BODY[:90]
        await asyncio.sleep(5)

    async with ClientSession() as session, session.post(url, data=slow(), headers=HEADERS) as answer:
        assert answer.status == 408
        assert (await answer.json())["error_code"] == "INVALID_PARAMETERS"
        assert answer.headers["Connection"] == "close"


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionHeader")
@pytest.mark.parametrize("length", range(0, len(BODY) - 5, 7))
async def test_body_that_ends_early(url, length):
    async with ClientSession() as session, session.post(url, data=BODY[:length], headers=HEADERS) as answer:
        assert answer.status == 400
        assert (await answer.json())["error_code"] == "INVALID_PARAMETERS"


async def test_a_body_below_the_minimum_rate_is_ended(url, monkeypatch):
    """Long before READ_SECONDS, although a byte arrives all the time."""
    monkeypatch.setattr(upload_slots, "GRACE_SECONDS", 0.1)

    async def trickle():
        for byte in BODY * 100:
            yield bytes([byte])
            await asyncio.sleep(0.01)

    async with ClientSession() as session, session.post(url, data=trickle(), headers=HEADERS) as answer:
        assert answer.status == 408
        assert (await answer.json())["message"] == "The request body did not arrive in time"
        assert answer.headers["Connection"] == "close"


def make_upload(clock, received):
    upload = upload_slots.Upload(lambda: clock.now)
    upload.received = received
    return upload


def test_every_byte_buys_time_up_to_a_limit():
    clock = SimpleNamespace(now=0.0)
    grace, rate = upload_slots.GRACE_SECONDS, upload_slots.MIN_BYTES_PER_SECOND
    assert make_upload(clock, 0).seconds_left == grace
    assert make_upload(clock, 5 * rate).seconds_left == grace + 5
    assert make_upload(clock, upload.MAX_BODY_BYTES).seconds_left == upload_slots.READ_SECONDS
    late = make_upload(clock, 5 * rate)
    clock.now = grace + 6
    assert late.seconds_left == -1


class Crowd:
    """Slots by a clock that the test turns, and uploads that last until the test ends."""

    def __init__(self, total):
        self.clock = SimpleNamespace(now=100.0)
        self.slots = upload_slots.UploadSlots(total, lambda: self.clock.now)
        self.tasks = []

    async def add(self, received):
        """A task that holds a place; it has begun to read when this returns."""
        reading = asyncio.get_running_loop().create_future()

        async def read(upload):
            upload.received = received
            reading.set_result(None)
            await asyncio.Event().wait()

        task = asyncio.create_task(self.slots.run(read))
        self.tasks.append(task)
        await asyncio.wait({task, reading}, return_when=asyncio.FIRST_COMPLETED)
        return task

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
async def crowd():
    crowd = Crowd(total=3)
    yield crowd
    await crowd.close()


async def test_the_slowest_makes_room_for_the_next(crowd):
    fast = await crowd.add(10 * upload.MEBIBYTE)
    slowest = await crowd.add(1)
    slow = await crowd.add(100)
    crowd.clock.now += 5
    fresh = await crowd.add(0)
    with pytest.raises(ApiError) as refused:
        await slowest
    assert (refused.value.status, refused.value.closes) == (408, True)
    assert not (fast.done() or slow.done() or fresh.done())
    await crowd.add(0)
    assert (await asyncio.gather(slow, return_exceptions=True))[0].status == 408
    assert not (fast.done() or fresh.done()), "one that has just begun is not the slowest"


async def test_where_all_are_fast_nobody_makes_room(crowd):
    for _ in range(3):
        await crowd.add(10 * upload.MEBIBYTE)
    crowd.clock.now += 5
    with pytest.raises(ApiError) as refused:
        await (await crowd.add(0))
    assert (refused.value.status, refused.value.details) == (503, {"reason": "uploads", "limit": 3})
    assert not any(task.done() for task in crowd.tasks[:3])


async def test_places_are_given_back(crowd):
    async def read(upload):
        return upload.received

    for _ in range(10):
        assert await crowd.slots.run(read) == 0
    task = await crowd.add(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not crowd.slots._readers


async def test_files_are_written_in_threads_and_in_few_pieces(url, monkeypatch):
    writers = []

    class Spy(upload.SpooledTemporaryFile):
        def write(self, data):
            written = super().write(data)
            writers.append(threading.current_thread() is threading.main_thread())
            return written

    monkeypatch.setattr(upload, "SpooledTemporaryFile", Spy)
    body = BODY.replace(b"pixels", b"x" * upload.MEBIBYTE)
    async with ClientSession() as session, session.post(url, data=body, headers=HEADERS) as answer:
        assert len((await answer.json())["image"]) == upload.MEBIBYTE
    assert set(writers) == {False} and len(writers) <= 3


async def test_the_bounded_stream_has_what_aiohttp_reads_forms_with():
    """MultipartReader takes it for a StreamReader."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(inspect.getsource(multipart)))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self._content"
    }
    assert used == {"at_eof", "read", "readline", "unread_data"}
    stream = upload._BoundedStream(StreamReader(None, 1, loop=asyncio.get_running_loop()), None)
    for name in used:
        ours, theirs = (inspect.signature(getattr(owner, name)) for owner in (stream, StreamReader))
        ours.bind(*[None] * sum(p.kind is p.POSITIONAL_OR_KEYWORD for p in [*theirs.parameters.values()][1:]))
        keywords = [p.name for p in theirs.parameters.values() if p.kind is p.KEYWORD_ONLY]
        ours.bind_partial(**dict.fromkeys(keywords))
