"""POST /character/check: a picture is read at once, without a job."""

import asyncio
import base64
import io
import time

import aiohttp
import pytest
from PIL import Image

from .forms import MEBIBYTE, refused


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


async def check(client, image, query="", **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    if image is not None:
        form.add_field("image", image, filename="input.png")
    for name, value in fields.items():
        form.add_field(name, value)
    return await client.post(f"/character/check{query}", data=form)


async def test_what_is_found_is_answered_at_once(client, png):
    started = time.monotonic()
    async with await check(client, png()) as answer:
        found = await answer.json()
        assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["RateLimit"].startswith('"check";r=9')
    assert time.monotonic() - started < 2
    assert found["kind"] == "front" and found["landmarks"]["neck"]["x"] == found["width"] / 2
    assert found["warnings"] == ["the feet are outside the picture", "figure -1 of 3 was used"]
    assert base64.b64decode(found["preview"]).startswith(b"\x89PNG") and found["seconds"] >= 0
    async with client.get("/generate_character/jobs") as answer:
        assert (await answer.json())["jobs"] == []


async def test_one_of_several_figures(client, png):
    async with await check(client, png(), figure="2", steps="no number") as answer:
        assert "figure 2 of 3 was used" in (await answer.json())["warnings"]
    await refused(await check(client, png(), figure="x"), 400, "INVALID_PARAMETERS", "figure")


async def test_the_preview_alone(client, png):
    async with await check(client, png(), "?format=png") as answer:
        assert answer.status == 200 and answer.content_type == "image/png"
        assert await answer.read() == b"\x89PNG"


async def test_refusals(client, other_client, png):
    details = await refused(await check(client, png(), "?format=gif"), 400, "INVALID_PARAMETERS", "format")
    assert details["allowed"] == ["json", "png"] and details["provided"] == "gif"
    await refused(await check(client, None, steps="3"), 400, "INVALID_PARAMETERS", "image")
    await refused(await check(client, b"a poem"), 415, "UNSUPPORTED_FORMAT", "image")
    await refused(await check(client, bytes(10 * MEBIBYTE + 1)), 413, "FILE_TOO_LARGE", "image")
    blank = io.BytesIO()
    Image.new("RGB", (16, 16), "gray").save(blank, "PNG")
    await refused(await check(other_client, blank.getvalue()), 400, "INVALID_PARAMETERS", "image")
    await refused(await other_client.get("/character/check"), 405, "INVALID_PARAMETERS", "method")


async def test_ten_a_minute_beside_the_jobs(client, png):
    for _ in range(10):
        async with await check(client, png()) as answer:
            assert answer.status == 200
    details = await refused(await check(client, png()), 429, "SERVER_BUSY")
    assert details["reason"] == "rate_limit"
    job = await client.start_job()
    await client.finish(job["job_id"])


async def test_pictures_wait_for_each_other_up_to_a_limit(client, other_client, png, control):
    control(seconds={"check": 0.4})
    asked = [check(user, png()) for user in (client, other_client) for _ in range(6)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [200] * 8 + [503] * 4
    busy = next(answer for answer in answers if answer.status == 503)
    assert (await refused(busy, 503, "SERVER_BUSY"))["reason"] == "checks"
