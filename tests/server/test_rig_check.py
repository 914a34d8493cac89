"""POST /character/rig_check: a mesh is looked over at once, without a job."""

import asyncio
import time

import aiohttp
import pytest

from .forms import MEBIBYTE, refused

PATH = "/character/rig_check"


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


async def check(client, mesh=b"glTF", filename="my mesh.GLB", **fields):
    form = aiohttp.FormData(default_to_multipart=True)
    if mesh is not None:
        form.add_field("mesh", mesh, filename=filename)
    for name, value in fields.items():
        form.add_field(name, value)
    return await client.post(PATH, data=form)


async def test_what_is_found_is_answered_at_once(client):
    started = time.monotonic()
    async with await check(client, note="fields of others are not read") as answer:
        found = await answer.json()
        assert answer.status == 200 and answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["RateLimit"].startswith('"rig_check";r=9')
    assert time.monotonic() - started < 2
    assert (found["kind"], found["confidence"], found["up"]) == ("humanoid", 0.97, "+Z")
    assert [item["code"] for item in found["findings"]] == ["turned"] and found["seconds"] >= 0
    async with client.get("/generate_character/jobs") as answer:
        assert (await answer.json())["jobs"] == []


async def test_refusals(client, other_client):
    await refused(await check(client, None, image="a picture"), 400, "INVALID_PARAMETERS", "mesh")
    details = await refused(await check(client, filename="mesh.txt"), 415, "UNSUPPORTED_FORMAT", "mesh")
    assert "allowed" not in details
    await refused(await check(client, filename="../../x"), 415, "UNSUPPORTED_FORMAT", "mesh")
    await refused(await check(client, b"nothing"), 400, "INVALID_PARAMETERS", "mesh")
    await refused(await check(other_client, bytes(64 * MEBIBYTE + 1)), 413, "FILE_TOO_LARGE", "mesh")
    await refused(await other_client.get(PATH), 405, "INVALID_PARAMETERS", "method")


async def test_a_mesh_may_be_larger_than_a_picture(client):
    async with await check(client, b"glTF" + bytes(20 * MEBIBYTE)) as answer:
        assert answer.status == 200


async def test_ten_a_minute_beside_the_pictures_and_the_jobs(client):
    for _ in range(10):
        async with await check(client) as answer:
            assert answer.status == 200
    details = await refused(await check(client), 429, "SERVER_BUSY")
    assert details["reason"] == "rate_limit"
    job = await client.start_job()
    await client.finish(job["job_id"])


async def test_meshes_wait_for_each_other_up_to_a_limit(client, other_client, control):
    control(seconds={"rig_check": 0.4})
    answers = await asyncio.gather(*(check(user) for user in (client, other_client) for _ in range(6)))
    assert sorted(answer.status for answer in answers) == [200] * 8 + [503] * 4
    busy = next(answer for answer in answers if answer.status == 503)
    assert (await refused(busy, 503, "SERVER_BUSY"))["reason"] == "checks"
