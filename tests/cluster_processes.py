"""The processes of a cluster on this machine: front doors, and workers beside ComfyUIs that run already."""

import contextlib
import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from character3d.client import Client
from character3d.launcher.server import find_free_port
from character3d.server_routes.postgres_engine import PostgresEngine

REPOSITORY = Path(__file__).resolve().parents[1]


def wait_until(condition, seconds=300):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(client):
    """Whether a front door serves, and some worker has said which models it has."""
    try:
        return client.models()["diffusion_models"]
    except OSError:
        return False


class Cluster:
    """Its processes, by name, and the settings that all of them have."""

    def __init__(self, folder, database, broker, **variables):
        self.folder, self.database, self.broker = folder, database, broker
        self.processes, self.operations = {}, {}
        self.key = variables.get("CHARACTER3D_API_KEYS")
        self.environment = {
            **os.environ,
            **variables,
            "CHARACTER3D_DATABASE": database,
            "CHARACTER3D_BROKER": broker.url,
            "CHARACTER3D_FILES": f"file://{folder / 'files'}",
        }

    def start(self, name, *arguments):
        self.operations[name] = find_free_port()
        arguments += ("--operations-port", str(self.operations[name]))
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, REPOSITORY / "cluster", *arguments]
            self.processes[name] = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def start_door(self):
        """Start a front door; returns its address."""
        port = find_free_port()
        self.start("door", "front-door", "--port", str(port))
        return f"http://127.0.0.1:{port}"

    def wait_for(self, address, *workers):
        wait_until(lambda: answers(Client(address, api_key=self.key)) and all(map(self.is_ready, workers)))

    def start_worker(self, name, address):
        self.start(name, "worker", "--comfyui", address, "--name", name)

    def is_ready(self, name):
        return "ready.\n" in (self.folder / f"{name}.log").read_text()

    def ask(self, name, path):
        """What a process answers its operators: status and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.operations[name], timeout=30)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

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
