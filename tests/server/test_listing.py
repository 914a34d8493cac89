"""Idempotency keys, the list of a user's jobs, and deleting."""

import asyncio
import random

from character3d.server_routes import jobs
from character3d.server_routes.listing import _read_before, describe_page

from .test_jobs import EXPECTED, Run
from .test_refusals import refused


def test_a_page_goes_on_exactly_where_the_last_one_ended(monkeypatch):
    """A cursor that is a hair later than the job it stands for would show that job twice."""
    dice, run = random.Random(1), Run()
    monkeypatch.setattr(jobs.time, "time", lambda: 1.79e9 + dice.random() * 1e6)
    for _ in range(2000):
        job = jobs.Job("job", "user", run.job.parameters, run.job.graph, EXPECTED)
        assert _read_before(describe_page([job, job], 1)["next"]) == job.created


async def test_a_repeated_request_is_one_job(client, png):
    headers = {"Idempotency-Key": "a key, of 20 signs"}
    first = await client.generate(png(), headers=headers, steps=3)
    again = await client.generate(png(), headers=headers, steps=3)
    assert (first.status, again.status) == (202, 202)
    assert (await first.json())["job_id"] == (await again.json())["job_id"]
    assert "Idempotency-Replayed" not in first.headers and again.headers["Idempotency-Replayed"] == "true"
    async with await client.generate(png(), headers=headers, steps=4) as other:
        await refused(other, 422, "INVALID_PARAMETERS", "Idempotency-Key")
    async with await client.generate(png(), headers={"Idempotency-Key": "x" * 256}) as long:
        await refused(long, 400, "INVALID_PARAMETERS", "Idempotency-Key")


async def test_a_repeated_request_passes_while_all_slots_are_taken(client, control, png):
    control(seconds={"C3DGenerateMesh": 1.0})
    headers = {"Idempotency-Key": "k"}
    first = await (await client.generate(png(), headers=headers)).json()
    await client.start_job()
    async with await client.generate(png()) as third:
        await refused(third, 429, "SERVER_BUSY")
    async with await client.generate(png(), headers=headers) as again:
        assert again.status == 202 and (await again.json())["job_id"] == first["job_id"]
    await client.finish(first["job_id"])


async def test_two_at_once_with_one_key_are_one_job(client, png):
    answers = await asyncio.gather(
        *(client.generate(png(), headers={"Idempotency-Key": "k"}) for _ in range(4))
    )
    ids = {(await answer.json())["job_id"] for answer in answers if answer.status == 202}
    assert len(ids) == 1 and {answer.status for answer in answers} <= {202, 409, 429}


async def test_keys_are_of_one_user(client, other_client, png):
    headers = {"Idempotency-Key": "k"}
    mine = await (await client.generate(png(), headers=headers)).json()
    theirs = await (await other_client.generate(png(), headers=headers)).json()
    assert mine["job_id"] != theirs["job_id"]


async def list_jobs(client, **query):
    async with client.get("/generate_character/jobs", params=query) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def test_jobs_are_listed_newest_first_and_page_by_page(client, other_client):
    made = []
    for _ in range(5):
        made.append((await client.start_job())["job_id"])
        await client.finish(made[-1])
    await other_client.finish((await other_client.start_job())["job_id"])
    whole = await list_jobs(client)
    assert [job["job_id"] for job in whole["jobs"]] == made[::-1] and whole["next"] is None
    assert whole["jobs"][0] == await client.status(made[-1])
    pages, cursor = [], {}
    while cursor is not None:
        page = await list_jobs(client, limit=2, **cursor)
        pages.append([job["job_id"] for job in page["jobs"]])
        cursor = {"before": page["next"]} if page["next"] else None
    assert pages == [made[:2:-1], made[2:0:-1], made[:1]]
    assert (await list_jobs(client, status="failed"))["jobs"] == []
    assert len((await list_jobs(client, status="completed"))["jobs"]) == 5
    for query in ({"status": "queued"}, {"limit": "0"}, {"limit": "٣"}, {"before": "x"}):
        async with client.get("/generate_character/jobs", params=query) as answer:
            await refused(answer, 400, "INVALID_PARAMETERS", next(iter(query)))


async def test_deleting_an_ended_job_removes_files_and_record(client, comfyui):
    body = await client.finish((await client.start_job())["job_id"])
    paths = [comfyui.base / "output" / item["url"].rsplit("/", 1)[-1] for item in body["downloads"]]
    raw = comfyui.base / "output" / body["results"]["raw_mesh"].removeprefix("/output/")
    assert raw.is_file()
    async with client.delete(f"/job/{body['job_id']}") as answer:
        assert answer.status == 200 and (await answer.json())["job_id"] == body["job_id"]
    assert not raw.exists() and not any(path.exists() for path in paths)
    for path in ("status", "download/x.glb"):
        async with client.get(f"/job/{body['job_id']}/{path}") as answer:
            error = await answer.json()
            assert (answer.status, error["error_code"]) == (410, "JOB_NOT_FOUND")
            assert error["details"]["expired_at"].endswith("Z")
    frames, code = await client.events(body["job_id"])
    assert frames[0]["data"]["error_code"] == "JOB_NOT_FOUND" and code == 4404
    assert (await list_jobs(client))["jobs"] == []
