"""The processes of a cluster on this machine: PostgreSQL, RabbitMQ, front doors, workers and their stubs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from benchmarks.cut_link import HOST, Link

REPOSITORY = Path(__file__).resolve().parent.parent
START_SECONDS = 180.0


class Cluster:
    """What runs, by name. With `cuts` a link, which can be cut, lies between any two of them."""

    def __init__(self, folder: Path, postgres: Any, broker: Any, cuts: bool = False) -> None:
        self.folder, self.postgres, self.broker = folder, postgres, broker
        self.database = postgres.new_schema()
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.links: dict[str, Link] = {}
        self.addresses: dict[str, str] = {}
        self._files = {"CHARACTER3D_FILES": f"file://{folder / 'files'}"}
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._offsets: dict[str, int] = {}
        self._cuts = cuts

    async def add_door(self, name: str) -> None:
        """A front door; its address is that of the link from clients to it."""
        port = _find_free_port()
        environment = await self._make_environment(name)
        self._run(name, [str(REPOSITORY / "cluster"), "front-door", "--port", str(port)], environment)
        self.addresses[name] = f"http://{HOST}:{await self._link(f'clients-{name}', port)}"

    async def add_worker(self, number: int, comfyui: str = "") -> None:
        """A worker beside a stub, or beside the ComfyUI at an address."""
        worker, stub = f"worker{number}", f"comfyui{number}"
        if not comfyui:
            port = _find_free_port()
            script = str(REPOSITORY / "benchmarks" / "stage_stub.py")
            self._run(stub, [script, str(self.folder / stub), str(port)], {})
            self.addresses[stub] = comfyui = f"http://{HOST}:{port}"
        port = await self._link(f"{worker}-{stub}", _read_port(comfyui))
        command = [
            str(REPOSITORY / "cluster"),
            "worker",
            "--comfyui",
            f"http://{HOST}:{port}",
            "--name",
            worker,
        ]
        self._run(worker, command, await self._make_environment(worker))

    async def add_s3(self) -> None:
        """An S3 server that keeps the files, in its memory, of parts that are added after it."""
        port = _find_free_port()
        self._run("storage", ["-m", "moto.server", "--port", str(port)], {})
        self.addresses["storage"] = address = f"http://{HOST}:{port}"
        await self.wait()
        urlopen(Request(f"{address}/bucket", method="PUT"), timeout=5).close()
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        self._files = {"CHARACTER3D_FILES": "s3://bucket/jobs", "AWS_ENDPOINT_URL": address, **keys}

    async def wait(self) -> None:
        """Until all answer, and all workers consume."""
        await asyncio.to_thread(self._wait)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        waiting = set(self.processes)
        while waiting := {name for name in waiting if not self.is_ready(name)}:
            ended = [name for name in waiting if self.processes[name].poll() is not None]
            if ended or time.monotonic() > deadline:
                name = sorted(ended or waiting)[0]
                log = (self.folder / f"{name}.log").read_text(errors="replace")
                raise RuntimeError(f"{name} did not start. The end of its log:\n{log[-2000:]}")
            time.sleep(0.1)

    def is_ready(self, name: str) -> bool:
        if name not in self.addresses:
            with (self.folder / f"{name}.log").open("rb") as log:
                log.seek(self._offsets[name])
                return b"ready." in log.read()
        with contextlib.suppress(OSError):
            path = "" if name == "storage" else "generate_character/models"
            urlopen(f"{self.addresses[name]}/{path}", timeout=5).close()
            return True
        return False

    def kill(self, name: str, how: int = signal.SIGKILL) -> None:
        self.processes[name].send_signal(how)
        self.processes[name].wait()

    def start(self, name: str) -> None:
        """Start a part that was killed, as it was."""
        assert name not in self.processes or self.processes[name].poll() is not None, f"{name} runs"
        command, environment = self._commands[name]
        path = self.folder / f"{name}.log"
        self._offsets[name] = path.stat().st_size if path.exists() else 0
        with path.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command], env={**os.environ, **environment}, stdout=log, stderr=log
            )

    async def stop(self) -> None:
        for process in self.processes.values():
            process.kill()
        for process in self.processes.values():
            await asyncio.to_thread(process.wait)
        for link in self.links.values():
            await link.stop()

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self._commands[name] = command, environment
        self.start(name)

    async def _make_environment(self, name: str) -> dict[str, str]:
        urls = {
            "CHARACTER3D_DATABASE": (self.database, "postgres"),
            "CHARACTER3D_BROKER": (self.broker.url, "rabbitmq"),
        }
        found = {**self._files, "PYTHONUNBUFFERED": "1"}
        for variable, (url, server) in urls.items():
            port = _read_port(url)
            linked = await self._link(f"{name}-{server}", port)
            found[variable] = url.replace(f":{port}/", f":{linked}/")
        return found

    async def _link(self, name: str, port: int) -> int:
        """The port by which one part reaches another."""
        if not self._cuts:
            return port
        self.links[name] = link = Link(name, port)
        await link.start()
        return link.port


def _read_port(url: str) -> int:
    port = urlsplit(url).port
    assert port is not None
    return port


def _find_free_port() -> int:
    return int(importlib.import_module("character3d.launcher.server").find_free_port())


@contextlib.contextmanager
def run_engines() -> Iterator[tuple[Any, Any]]:
    """A PostgreSQL and a RabbitMQ of one's own, as the tests have them."""
    run_postgres = importlib.import_module("character3d.tests.postgres_server").run_postgres
    run_rabbitmq = importlib.import_module("character3d.tests.rabbitmq_server").run_rabbitmq
    with run_postgres() as postgres, run_rabbitmq() as broker:
        if postgres is None or broker is None:
            raise SystemExit("PostgreSQL and RabbitMQ have to be installed, from the system's packages")
        yield postgres, broker


def describe_machine() -> str:
    """What else runs: figures of a busy machine are not those of a quiet one."""
    return f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
