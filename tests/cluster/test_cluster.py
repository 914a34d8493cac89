"""The whole cluster: RabbitMQ, PostgreSQL, a front door, and two workers beside a ComfyUI each."""

import contextlib
import json
import signal
import time
import zlib

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("celery", reason="Celery is not installed")

from character3d.client import Client
from character3d.cluster.worker import REFUSAL
from character3d.tests.cluster.test_front_door import make_large_png
from character3d.tests.cluster.test_operations import read_samples
from character3d.tests.cluster_processes import Cluster, wait_until
from character3d.tests.rabbitmq_server import run_rabbitmq
from character3d.tests.server.conftest import QUICK, lay_base_folder, make_png, run_stub_server

SLOW = {"every": 0.5}
pytestmark = pytest.mark.nightly  # it starts seven servers


@pytest.fixture(scope="module")
def cluster(postgres, comfyui_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    with contextlib.ExitStack() as running:
        broker = running.enter_context(run_rabbitmq())
        if broker is None:
            pytest.skip("RabbitMQ is not installed")
        cluster = Cluster(folder, postgres.new_schema(), broker)
        cluster.hosts = {}
        for name in ("one", "two"):
            base = folder / name
            base.mkdir()
            lay_base_folder(base)
            cluster.hosts[name] = running.enter_context(run_stub_server(comfyui_folder, base))
            cluster.start_worker(name, cluster.hosts[name].url)
        address = cluster.start_door()
        cluster.client = Client(address)
        try:
            cluster.wait_for(address, *cluster.hosts)
            yield cluster
        finally:
            for name in list(cluster.processes):
                cluster.kill(name)


@pytest.fixture
def control(cluster):
    def write(**settings):
        for name in cluster.hosts:
            path = cluster.folder / name / "control.json"
            path.with_suffix(".new").write_text(json.dumps({**QUICK, **settings}))
            path.with_suffix(".new").replace(path)  # a node may read it now

    yield write
    write()


def test_a_job_goes_through_the_cluster(cluster, control, tmp_path):
    accepted = cluster.client.generate(make_png(), seed=7)
    job_id = accepted["job_id"]
    events = list(cluster.client.events(job_id))
    assert events[-1]["type"] == "job_completed"
    done = cluster.client.status(job_id)
    assert done["status"] == "completed" and done["results"]["rigged_character"]
    for entry in done["downloads"]:
        path = cluster.client.download(job_id, entry["name"], tmp_path)
        assert path.stat().st_size == entry["size"]
    cluster.client.delete(job_id)


def test_a_large_picture_that_cannot_be_decoded_fails_as_it_is_begun(cluster, control):
    """Its checksums are right, which is all that the front door looks at."""
    accepted = cluster.client.generate(make_large_png(zlib.compress(bytes(1000)) + bytes(2**21)))
    ended = cluster.client.wait(accepted["job_id"])
    assert (ended["status"], ended["error"]) == ("failed", REFUSAL)
    assert "the PNG picture is damaged or cut short" in ended["error_details"]


def test_operators_see_a_job_and_a_part_that_is_away(cluster, control):
    cluster.client.wait(cluster.client.generate(make_png())["job_id"])
    samples = read_samples(cluster.ask("door", "/metrics")[1])
    assert samples["character3d_workers_alive",] == 2
    assert samples["character3d_queue_messages", "character3d.dead"] == 0
    ended = [read_samples(cluster.ask(name, "/metrics")[1]) for name in cluster.hosts]
    assert sum(one["character3d_jobs_ended_total", "completed"] for one in ended) >= 1
    assert sum(one["character3d_queue_wait_seconds_count",] for one in ended) >= 1
    assert all(cluster.ask(name, "/ready")[0] == 200 for name in cluster.processes)
    cluster.broker.kill()
    wait_until(lambda: all(cluster.ask(name, "/ready")[0] == 503 for name in cluster.processes))
    assert all(cluster.ask(name, "/live")[0] == 200 for name in cluster.processes)
    accepted = cluster.client.generate(make_png())["job_id"]  # the outbox keeps its message
    cluster.broker.start()
    wait_until(lambda: all(cluster.ask(name, "/ready")[0] == 200 for name in cluster.processes))
    assert cluster.client.wait(accepted)["status"] == "completed"


def test_a_job_of_a_killed_worker_is_begun_again_within_seconds(cluster, control):
    control(**SLOW)
    job_id = cluster.client.generate(make_png())["job_id"]
    wait_until(lambda: cluster.read_row(job_id)[2] == "processing")
    name, attempt, _ = cluster.read_row(job_id)
    assert attempt == 1
    cluster.kill(name)
    killed = time.monotonic()
    wait_until(lambda: cluster.read_row(job_id)[1] == 2)
    seconds = time.monotonic() - killed
    control()
    done = cluster.client.wait(job_id)
    assert (done["status"], done["attempts"]) == ("completed", 2)
    assert seconds < 5, f"redelivered after {seconds:.1f} s"
    cluster.start_worker(name, cluster.hosts[name].url)


def test_a_worker_that_is_told_to_end_finishes_its_job(cluster, control):
    control(every=0.2)
    job_id = cluster.client.generate(make_png())["job_id"]
    wait_until(lambda: cluster.read_row(job_id)[2] == "processing")
    name, _, _ = cluster.read_row(job_id)
    assert cluster.kill(name, signal.SIGTERM) == 0
    done = cluster.client.status(job_id)
    assert (done["status"], done["attempts"]) == ("completed", 1)
    cluster.start_worker(name, cluster.hosts[name].url)
