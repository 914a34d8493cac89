"""The whole cluster: RabbitMQ, PostgreSQL, a front door, and two workers beside a ComfyUI each."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("celery", reason="Celery is not installed")

from character3d.client import Client
from character3d.launcher.server import find_free_port
from character3d.server_routes.postgres_engine import PostgresEngine
from character3d.tests.rabbitmq_server import run_rabbitmq
from character3d.tests.server.conftest import QUICK, lay_base_folder, make_png, run_stub_server

REPOSITORY = Path(__file__).resolve().parents[2]
SLOW = {"every": 0.5}
pytestmark = pytest.mark.nightly  # it starts seven servers


class Cluster:
    """Its processes, by name, and the settings that all of them have."""

    def __init__(self, folder, database, broker):
        self.folder, self.database, self.processes = folder, database, {}
        self.environment = {
            **os.environ,
            "CHARACTER3D_DATABASE": database,
            "CHARACTER3D_BROKER": broker.url,
            "CHARACTER3D_FILES": f"file://{folder / 'files'}",
        }

    def start(self, name, *arguments):
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, REPOSITORY / "cluster", *arguments]
            self.processes[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def start_worker(self, name, address):
        self.start(name, "worker", "--comfyui", address, "--name", name)

    def is_ready(self, name):
        return (self.folder / f"{name}.log").read_text().rstrip().endswith("ready.")

    def kill(self, name, how=signal.SIGKILL):
        process = self.processes.pop(name)
        process.send_signal(how)
        return process.wait(60)

    def read_row(self, job_id):
        engine = PostgresEngine(self.database)
        ((worker, attempt, state),) = engine.read(
            "SELECT worker, attempt, state FROM jobs WHERE id = ?", (job_id,)
        )
        engine.close()
        return worker, attempt, state


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
        port = find_free_port()
        cluster.start("door", "front-door", "--port", str(port))
        cluster.client = Client(f"http://127.0.0.1:{port}")
        try:
            wait_until(lambda: answers(cluster.client) and all(map(cluster.is_ready, cluster.hosts)))
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


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(client):
    try:
        return client.models()["diffusion_models"]
    except OSError:
        return False


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
