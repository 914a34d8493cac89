"""Too many requests, borrowed addresses, disks that are full or not writable, and a clock that jumps."""

import asyncio
import re
import sys
import tempfile
from contextlib import contextmanager

import psutil
import pytest
from character3d.launcher.installation import REPOSITORY

from .conftest import make_png
from .forms import MEBIBYTE, pretend, refused, require_probes


@pytest.fixture(autouse=True)
def nothing_left_behind(inputs_left):
    yield
    assert inputs_left() == []


async def test_two_hundred_posts_at_once(client, control):
    """Ten pass the limit of requests, two of them that of jobs; nobody waits for the others."""
    control(every=120)  # neither job ends meanwhile
    answers = await asyncio.gather(*(client.generate() for _ in range(200)))
    statuses = [answer.status for answer in answers]
    assert statuses.count(202) == 2 and statuses.count(429) == 198
    control()
    for answer in answers:
        if answer.status == 429:
            details = await refused(answer, 429, "SERVER_BUSY")
            assert details["reason"] in ("rate_limit", "concurrent_jobs")
            assert int(answer.headers["Retry-After"]) > 0
        else:
            assert (await client.finish((await answer.json())["job_id"]))["status"] == "completed"


async def test_addresses_that_a_client_only_claims(client):
    """Without a trusted proxy the peer is the user, whatever it says."""
    for number in range(10):
        headers = {"X-Forwarded-For": f"203.0.113.{number}", "X-Real-IP": f"203.0.113.{number}"}
        answer = await client.generate(headers={**headers, "Forwarded": f"for=203.0.113.{number}"}, steps="x")
        await refused(answer, 400, "INVALID_PARAMETERS", "steps")
    for header in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "Client-IP", "comfy-user"):
        answer = await client.generate(headers={header: "203.0.113.99"})
        assert (await refused(answer, 429, "SERVER_BUSY"))["reason"] == "rate_limit"


async def test_little_space(client):
    await pretend(client, free=MEBIBYTE)
    try:
        answer = await client.generate()
        assert (await refused(answer, 503, "SERVER_BUSY"))["reason"] == "low_disk"
        assert int(answer.headers["Retry-After"]) > 0
        async with client.get("/generate_character/health") as health:
            assert health.status == 503
    finally:
        await pretend(client)
    await client.finish((await client.start_job())["job_id"])


@contextmanager
def writable_up_to(pid, size):
    """No file of the process can grow beyond `size` bytes: writing fails as on a full disk."""
    process = psutil.Process(pid)
    before = process.rlimit(psutil.RLIMIT_FSIZE)
    process.rlimit(psutil.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        process.rlimit(psutil.RLIMIT_FSIZE, before)


@pytest.mark.of_comfyui("it fills the disk of ComfyUI's process")
@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="no limits of other processes here")
@pytest.mark.parametrize(
    ("size", "image"),
    [(0, make_png()), (0, make_png() + bytes(MEBIBYTE)), (4096, make_png())],
    ids=["picture", "upload", "record"],
)
async def test_a_full_disk(client, comfyui, size, image):
    """The temporary file, the picture, and the job's record: where one cannot be kept, all is refused."""
    await client.finish((await client.start_job())["job_id"])  # the record is behind the first 4096 bytes
    with writable_up_to(comfyui.process.pid, size):
        answer = await client.generate(image)
        details = await refused(answer, 503, "SERVER_BUSY")
    assert details["reason"] == "low_disk" and int(answer.headers["Retry-After"]) > 0
    assert (await client.finish((await client.start_job())["job_id"]))["status"] == "completed"


async def test_an_output_folder_that_is_none(client, comfyui):
    """The job fails and says so without a path of the disk; what was there is not found, then found again."""
    old = await client.finish((await client.start_job())["job_id"])
    output = comfyui.base / "output"
    away = output.with_name("output-away")
    output.rename(away)
    output.touch()
    try:
        job_id = (await client.start_job())["job_id"]
        body = await client.finish(job_id)
        assert body["status"] == "failed" and body["failed_stage"] == "preprocessing"
        assert str(comfyui.base) not in str(body)
        async with client.get(old["downloads"][0]["url"]) as answer:
            await refused(answer, 404, "INVALID_PARAMETERS", "filename")
    finally:
        output.unlink()
        away.rename(output)
    async with client.get(old["downloads"][0]["url"]) as answer:
        assert answer.status == 200


@pytest.mark.nightly_cases
@pytest.mark.parametrize("jump", [-3600, 3600])
async def test_a_clock_that_jumps(client, control, jump):
    """Durations, limits and events go by a clock that does not; jobs stay findable."""
    require_probes(client)
    control(every=0.1)
    key = {"Idempotency-Key": f"jump {jump}"}
    first = await client.start_job(headers=key)
    try:
        await pretend(client, clock=jump)
        frames, code = await client.events(first["job_id"])
        body = await client.status(first["job_id"])
        assert (code, body["status"]) == (1000, "completed")
        assert 0 <= int(re.match(r"\d+", body["processing_time"])[0]) < 60
        progress = [frame["data"]["progress"] for frame in frames if "progress" in frame["data"]]
        assert progress == sorted(progress)
        again = await client.start_job(headers=key)
        assert again["job_id"] == first["job_id"]
        second = await client.finish((await client.start_job())["job_id"])
        async with client.get("/generate_character/jobs") as answer:
            listed = {job["job_id"] for job in (await answer.json())["jobs"]}
        assert listed == {first["job_id"], second["job_id"]}
        for _ in range(7):
            await refused(await client.generate(steps="x"), 400, "INVALID_PARAMETERS", "steps")
        answer = await client.generate()
        assert (await refused(answer, 429, "SERVER_BUSY"))["reason"] == "rate_limit"
        assert 0 < int(answer.headers["Retry-After"]) <= 60
    finally:
        await pretend(client)


async def test_failures_name_no_folder_and_show_no_trace(client, comfyui, control):
    folder = comfyui.base / "models" / "x.safetensors"
    message = f"cannot read {folder}: [Errno 2] in {sys.prefix}/lib/x.py"
    control(fail="C3DGenerateMesh", message=message)
    job_id = (await client.start_job())["job_id"]
    frames, _ = await client.events(job_id)
    texts = [str(frames), str(await client.status(job_id))]
    async with client.get(f"/job/{job_id}/events") as answer:
        texts.append(await answer.text())
    for text in texts:
        assert "x.safetensors" in text
        for secret in (str(comfyui.base), sys.prefix, str(REPOSITORY), tempfile.gettempdir(), "Traceback"):
            assert secret not in text
