"""Readiness with its reason, and figures that a Prometheus server can read."""

import asyncio
import re
from collections import namedtuple

import pytest
from character3d.server_routes import service as service_module
from character3d.server_routes.errors import ApiError
from character3d.server_routes.health import Metrics, describe_metrics
from character3d.server_routes.limits import JobSlots

SAMPLE = re.compile(r'^([a-z0-9_]+)(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? ([0-9.e+]+)$')


def read_metrics(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {line.rsplit(" ", 1)[0]: float(SAMPLE.match(line).group(4)) for line in lines}


async def metrics_of(client):
    async with client.get("/generate_character/metrics") as answer:
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return read_metrics(await answer.text())


async def wait_until_idle(client):
    """Other tests leave jobs behind that end in their own time."""
    while sum(value for name, value in (await metrics_of(client)).items() if "jobs_live" in name):
        await asyncio.sleep(0.05)


@pytest.mark.of_comfyui("in a cluster the workers count what ends")
async def test_metrics_count_what_happens(client, png):
    await wait_until_idle(client)
    before = await metrics_of(client)
    await client.finish((await client.start_job())["job_id"])
    await client.generate(png(), image_size=999)
    after = await metrics_of(client)

    def grown(name):
        return after[name] - before.get(name, 0)

    assert grown("character3d_jobs_accepted_total") == 1
    assert grown('character3d_jobs_ended_total{state="completed"}') == 1
    assert grown('character3d_requests_refused_total{reason="INVALID_PARAMETERS"}') == 1
    counts = [name for name in after if name.startswith("character3d_stage_seconds_count")]
    runs = [grown(name) for name in counts if grown(name)]  # other jobs of this server had other methods
    assert runs == [1] * 5
    assert after['character3d_jobs_live{state="queued"}'] == 0


async def test_ready(client):
    async with client.get("/generate_character/health") as answer:
        body = await answer.json()
        assert (answer.status, body["status"], body["reasons"]) == (200, "ready", [])


def test_labels_are_escaped():
    metrics = Metrics()
    metrics.refused['a"b\\c\n'] += 1
    assert 'reason="a\\"b\\\\c\\n"' in describe_metrics(metrics, {})


def test_reasons(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(service_module.shutil, "disk_usage", lambda path: usage(1))
    with pytest.raises(ApiError) as low:
        service_module.require_space(tmp_path / "not yet there")
    slots = JobSlots(per_user=2, total=1)
    slots.take("u")
    with pytest.raises(ApiError) as full:
        slots.require_room()
    assert [error.value.details["reason"] for error in (low, full)] == ["low_disk", "queue_full"]
    assert all(error.value.status == 503 and "Retry-After" in error.value.headers for error in (low, full))
