"""The event log as server-sent events."""

import json

from .conftest import assert_only_progress_is_left_out
from .test_refusals import refused


async def read_stream(client, job_id, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.get(f"/job/{job_id}/events", headers=named) as answer:
        assert answer.status == 200 and answer.headers["Content-Type"] == "text/event-stream"
        text = (await answer.read()).decode()
    events = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        events.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return events


async def test_a_stream_is_the_log_from_its_first_event_to_its_last(client):
    job_id = (await client.start_job())["job_id"]
    events = await read_stream(client, job_id)
    assert all(data["seq"] == number and data["type"] == kind for number, kind, data in events)
    assert events[-1][1] == "job_completed" and events[-1][2]["data"] == await client.status(job_id)
    frames, _ = await client.events(job_id)
    log = [frame for frame in frames if not frame.get("snapshot")]
    assert_only_progress_is_left_out([data for _, _, data in events], log)


async def test_a_client_that_comes_back_gets_what_it_missed(client):
    job_id = (await client.start_job())["job_id"]
    whole = await read_stream(client, job_id)
    milestones = [event for event in whole if event[1] != "progress_update"]
    assert await read_stream(client, job_id, Last_Event_ID="0") == milestones
    last = milestones[2][0]
    assert await read_stream(client, job_id, Last_Event_ID=str(last)) == milestones[3:]


async def test_refusals(client):
    job_id = (await client.start_job())["job_id"]
    async with client.get(f"/job/{job_id}/events", headers={"Last-Event-ID": "x"}) as answer:
        await refused(answer, 400, "INVALID_PARAMETERS", "Last-Event-ID")
    async with client.get("/job/nobody/events") as answer:
        await refused(answer, 404, "JOB_NOT_FOUND")
