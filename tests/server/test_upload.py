"""Reading a form: a body that comes too slowly, or in the smallest pieces."""

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from character3d.server_routes import upload
from character3d.server_routes.errors import answer_errors

BOUNDARY = "x"
HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
BODY = (
    b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\npixels\r\n--x\r\n'
    b'Content-Disposition: form-data; name="prompt"\r\n\r\nein Ritter \xc3\xa4\r\n--x--\r\n'
)


@pytest.fixture
async def url():
    async def read(request):
        async with upload.read_form(request) as form:
            return web.json_response({"image": form.image.read().decode(), **form.fields})

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
    monkeypatch.setattr(upload, "READ_SECONDS", 0.2)

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
