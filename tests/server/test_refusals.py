"""Every refusal: its code, its status, and nothing left behind."""

import asyncio
import json

import pytest

from .forms import BOUNDARY, MEBIBYTE, encode_part, post_raw, refused


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


@pytest.mark.parametrize(
    ("fields", "parameter"),
    [
        ({"image_size": "999"}, "image_size"),
        ({"steps": "abc"}, "steps"),
        ({"pose_type": "Z-pose"}, "pose_type"),
        ({"model_name": "dreamshaper.safetensors"}, "model_name"),
        ({"model_name": "old.ckpt"}, "model_name"),
        ({"prompt": "x" * 2001}, "prompt"),
        ({"prompt": "x" * 70_000}, "prompt"),
    ],
)
async def test_wrong_values(client, fields, parameter):
    details = await refused(await client.generate(**fields), 400, "INVALID_PARAMETERS", parameter)
    if parameter == "image_size":
        assert details == {"parameter": "image_size", "provided": 999, "allowed": [512, 768, 1024]}
    if parameter == "model_name":
        assert details["allowed"] == ["realistic_vision.safetensors", "sub/other.safetensors"]


async def test_file_size_limit_is_exact(client, other_client, png):
    picture = png()
    exactly = picture + bytes(10 * MEBIBYTE - len(picture))  # what follows a PNG's end is ignored
    job_id = (await client.start_job(image=exactly))["job_id"]
    await client.finish(job_id)
    await refused(await client.generate(exactly + b"\0"), 413, "FILE_TOO_LARGE", "image")
    details = await refused(await other_client.generate(bytes(12 * MEBIBYTE)), 413, "FILE_TOO_LARGE", "image")
    assert details["maximum"] == 10 * MEBIBYTE


async def test_forms_that_are_none(client, other_client, png):
    end = f"--{BOUNDARY}--\r\n".encode()
    image = encode_part("image", png(), '; filename="../../x.png"')
    await refused(await post_raw(client, image + end, "multipart/form-data"), 400, "INVALID_PARAMETERS")
    await refused(await post_raw(client, b""), 400, "INVALID_PARAMETERS")
    await refused(await post_raw(client, image), 400, "INVALID_PARAMETERS")
    await refused(
        await post_raw(client, encode_part("steps", b"5") + end), 400, "INVALID_PARAMETERS", "image"
    )
    await refused(await post_raw(client, image + image + end), 400, "INVALID_PARAMETERS", "image")
    twice = encode_part("steps", b"5") * 2
    await refused(await post_raw(client, image + twice + end), 400, "INVALID_PARAMETERS", "steps")
    latin = encode_part("prompt", b"\xff\xfe\x00\xd8")
    await refused(await post_raw(other_client, image + latin + end), 400, "INVALID_PARAMETERS", "prompt")
    nested = encode_part("image", b"", '\r\nContent-Type: multipart/mixed; boundary="x"')
    await refused(await post_raw(other_client, nested + end), 400, "INVALID_PARAMETERS")
    long_header = encode_part("image", png(), '; filename="' + "x" * MEBIBYTE + '"')
    await refused(await post_raw(other_client, long_header + end), 400, "INVALID_PARAMETERS")
    accepted = await post_raw(other_client, image + end)
    assert accepted.status == 202
    await other_client.finish((await accepted.json())["job_id"])


async def test_client_that_leaves_in_the_middle_frees_its_slot(client, png):
    async def half():
        yield encode_part("image", png(), '; filename="x.png"')[:-10]
        await asyncio.sleep(30)

    for _ in range(4):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(post_raw(client, half()), 0.2)
    for _ in range(5):
        await asyncio.sleep(0.4)  # a busy server notices late that a client has left
        answer = await client.generate()
        if answer.status != 429:
            break
    assert answer.status == 202
    await client.finish((await answer.json())["job_id"])


async def test_eleventh_request_in_a_minute(client, other_client):
    for _ in range(10):
        await refused(await client.generate(steps="abc"), 400, "INVALID_PARAMETERS", "steps")
    answer = await client.generate()
    details = await refused(answer, 429, "SERVER_BUSY")
    assert details["reason"] == "rate_limit"
    assert 50 <= int(answer.headers["Retry-After"]) <= 60
    assert answer.headers["RateLimit"].startswith('"generate";r=0;t=')
    await refused(await other_client.generate(steps="abc"), 400, "INVALID_PARAMETERS", "steps")


async def test_third_job_at_once(client, other_client, control):
    control(every=0.3)
    jobs = [(await client.start_job())["job_id"] for _ in range(2)]
    answer = await client.generate()
    assert (await refused(answer, 429, "SERVER_BUSY"))["reason"] == "concurrent_jobs"
    assert int(answer.headers["Retry-After"]) > 0
    other = (await other_client.start_job())["job_id"]
    for job_id in jobs:
        await client.post(f"/job/{job_id}/cancel")
    await other_client.post(f"/job/{other}/cancel")
    for job_id in (*jobs, other):
        await client.finish(job_id)
    control()
    await client.finish((await client.start_job())["job_id"])


async def test_wrong_methods_and_slashes(client):
    known = (await client.start_job())["job_id"]
    for method, path, allowed in [
        ("GET", "/generate_character", "POST"),
        ("PUT", "/generate_character", "POST"),
        ("POST", f"/job/{known}/status", "GET, HEAD"),
        ("DELETE", f"/job/{known}/download/a.glb", "GET, HEAD"),
        ("GET", f"/job/{known}/cancel", "POST"),
        ("GET", f"/job/{known}", "DELETE"),
        ("POST", f"/ws/{known}", "GET, HEAD"),
    ]:
        async with client.request(method, path) as answer:
            await refused(answer, 405, "INVALID_PARAMETERS", "method")
            assert answer.headers["Allow"] == allowed
    async with client.request("OPTIONS", "/generate_character") as answer:
        assert answer.status == 200
    async with client.head(f"/job/{known}/status") as answer:
        assert answer.status == 200 and await answer.read() == b""
    await client.finish(known)


@pytest.mark.parametrize(
    "path", ["/generate_character/", "/generate_character/x/y", "/job/", "/job/x/y/z", "/ws/"]
)
async def test_paths_beside_ours(client, path):
    for method in ("GET", "POST"):
        async with client.request(method, path) as answer:
            details = await refused(answer, 404, "INVALID_PARAMETERS", "path")
            assert details["provided"] == path


async def test_problem_details_for_who_asks_for_them(client):
    accept = {"Accept": "application/problem+json, application/json;q=0.5"}
    async with client.get("/job/x/status", headers=accept) as answer:
        assert (answer.status, answer.content_type) == (404, "application/problem+json")
        assert await answer.json(content_type=None) == {
            "type": "/generate_character/docs#JOB_NOT_FOUND",
            "title": "Not Found",
            "status": 404,
            "detail": "Job not found",
            "instance": "/job/x/status",
            "error_code": "JOB_NOT_FOUND",
            "message": "Job not found",
            "details": {"job_id": "x"},
        }
    async with await client.generate(b"text", headers=accept) as answer:
        assert (answer.status, answer.content_type) == (415, "application/problem+json")
        assert answer.headers["RateLimit"].startswith('"generate";r=9')


async def test_error_bodies_are_json(client):
    async with await client.generate(b"text") as answer:
        assert answer.content_type == "application/json"
        assert json.loads(await answer.text())["details"]["allowed"] == ["PNG", "JPG", "JPEG"]
