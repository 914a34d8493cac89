"""A small cluster on this machine (docs/cluster.md): a front door, and two workers beside a ComfyUI each.

PostgreSQL and RabbitMQ are started from the system's packages unless they are given by URLs. All listen on
loopback; what they keep is in one folder.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import tomllib

from .installation import (
    REPOSITORY,
    Installation,
    find_working_folder,
    install_missing,
    link_folder,
    link_pack,
)
from .postgres import PostgresServer, find_postgres
from .process import Process, is_root
from .rabbitmq import RabbitServer, find_rabbitmq
from .server import HOST, Server, check_port, find_free_port, run_server, start_process
from .terminal import QuickstartError, terminal

WORKERS = ("one", "two")
ALIVE = f"character3d_workers_alive {len(WORKERS)}"
START_SECONDS = 60.0
ROOTS_FOLDER = Path("/var/lib/character3d")
"""The home of root is closed to the user as whom PostgreSQL runs."""
OF_FRONT_DOORS = ("CHARACTER3D_API_KEYS", "CHARACTER3D_ALLOWED_ORIGINS")
"""Variables that a ComfyUI beside a worker must not have."""
NOT_INSTALLED = """{missing} cannot be found here. The cluster needs:
  PostgreSQL, the program `postgres`; or one that runs: --database postgresql://USER:PASSWORD@HOST/NAME
  RabbitMQ, the program `rabbitmq-server`; or one that runs: --broker amqp://USER:PASSWORD@HOST//
On Debian and Ubuntu: apt-get install postgresql rabbitmq-server"""


@dataclass(frozen=True)
class Engines:
    """What a cluster stands on. database, broker: URLs, or empty for the system's packages."""

    database: str = ""
    broker: str = ""

    def check(self) -> None:
        """Raise QuickstartError where one is neither given nor installed."""
        postgres = self.database or find_postgres()
        rabbitmq = self.broker or find_rabbitmq()
        missing = [name for name, found in (("PostgreSQL", postgres), ("RabbitMQ", rabbitmq)) if not found]
        if missing:
            raise QuickstartError(NOT_INSTALLED.format(missing=" and ".join(missing)))


@dataclass(frozen=True)
class Cluster:
    """A running cluster. parts: whatever was started for it."""

    folder: Path
    port: int
    parts: list[Process | Server | PostgresServer | RabbitServer]

    @property
    def address(self) -> str:
        """The URL of the front door."""
        return f"http://{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """What the front door says."""
        return self.folder / "front-door.log"

    def check(self) -> None:
        """Raise QuickstartError with the end of a log where a part has ended."""
        for part in self.parts:
            part.check()

    def wait(self) -> None:
        """Wait until a part ends; since none should, raise QuickstartError."""
        while True:
            self.check()
            time.sleep(1)

    def find_result(self, job_id: str, attempt: int, path: str) -> Path:
        """Where a result file lies. path: as the service names it."""
        return self.folder / "files" / "results" / job_id / str(attempt) / path.rpartition("/")[2]


def find_cluster_folder() -> Path:
    """The folder for all that a cluster keeps."""
    if is_root() and not os.environ.get("CHARACTER3D_HOME"):
        return ROOTS_FOLDER
    return find_working_folder() / "cluster"


def install_cluster_packages(installation: Installation) -> None:
    """Install the pack's extra `cluster` where it is missing."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install_missing("the extra `cluster`", installation.python, project["optional-dependencies"]["cluster"])


@contextlib.contextmanager
def run_cluster(installation: Installation, folder: Path, port: int, engines: Engines) -> Iterator[Cluster]:
    """Run a cluster while the block runs; yields when both workers are there.

    installation: whose Python, ComfyUI and models are used. port: of the front door.
    Raises QuickstartError where a part is not installed, does not come up, or the port is taken.
    """
    engines.check()
    check_port(port)
    folder.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(folder, port, [])
    with contextlib.ExitStack() as running:
        engines = _start_engines(cluster, engines, running)
        environment = {
            **os.environ,
            "CHARACTER3D_DATABASE": engines.database,
            "CHARACTER3D_BROKER": engines.broker,
            "CHARACTER3D_FILES": (folder / "files").as_uri(),
        }
        for name in WORKERS:
            base = _lay_base_folder(folder / name, installation)
            hosted = replace(installation, base=base, is_own=True)
            comfyui = running.enter_context(run_server(hosted, find_free_port(), start=_start_beside_worker))
            cluster.parts.append(comfyui)
            arguments = ("worker", "--comfyui", comfyui.address, "--name", f"{name}@{folder.name}")
            _start_part(cluster, f"worker-{name}", installation.python, arguments, environment, running)
        operations = find_free_port()
        arguments = ("front-door", "--port", str(port), "--operations-port", str(operations))
        door = _start_part(cluster, "front-door", installation.python, arguments, environment, running)
        door.wait_until(lambda: _has_workers(cluster, operations), START_SECONDS)
        terminal.say(f"  {terminal.done_mark} A front door and {len(WORKERS)} workers are up")
        yield cluster


def _start_engines(cluster: Cluster, engines: Engines, running: contextlib.ExitStack) -> Engines:
    """Start those that are not given; returns the URLs of both."""
    database, broker = engines.database, engines.broker
    if not database and (programs := find_postgres()):
        postgres = PostgresServer(programs, cluster.folder / "postgres", find_free_port())
        _start_engine(cluster, "PostgreSQL", postgres, running)
        database = postgres.url
    if not broker and (program := find_rabbitmq()):
        rabbitmq = RabbitServer(program, cluster.folder / "rabbitmq")
        _start_engine(cluster, "RabbitMQ", rabbitmq, running)
        broker = rabbitmq.url
    return Engines(database, broker)


def _start_engine(
    cluster: Cluster, name: str, engine: PostgresServer | RabbitServer, running: contextlib.ExitStack
) -> None:
    started = time.monotonic()
    terminal.live(f"  … starting {name}")
    running.callback(engine.stop)
    engine.start()
    cluster.parts.append(engine)
    terminal.done(f"{name} is up", time.monotonic() - started)


def _start_part(
    cluster: Cluster,
    name: str,
    python: Path,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    running: contextlib.ExitStack,
) -> Process:
    log = cluster.folder / f"{name}.log"
    log.unlink(missing_ok=True)
    part = Process(f"The {name}", [python, REPOSITORY / "cluster", *arguments], log, environment)
    running.callback(part.stop, seconds=5)  # one with a job would finish it first
    cluster.parts.append(part)
    return part


def _has_workers(cluster: Cluster, operations: int) -> bool:
    """Whether the front door is heard of, and has heard of all workers."""
    cluster.check()
    address = f"http://{HOST}:{operations}/metrics"
    with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=10) as answer:
        return ALIVE in answer.read().decode()
    return False


def _lay_base_folder(base: Path, installation: Installation) -> Path:
    """The folder of a ComfyUI beside a worker: the pack, and the installation's models."""
    for name in ("custom_nodes", "input", "output", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    link_pack(base / "custom_nodes")
    link_folder(base / "models", installation.base / "models")
    return base


def _start_beside_worker(
    command: list[str], environment: dict[str, str], installation: Installation
) -> subprocess.Popen[bytes]:
    """Start a ComfyUI that only its worker uses: without keys, and without a limit of requests."""
    kept = {name: value for name, value in environment.items() if name not in OF_FRONT_DOORS}
    return start_process(command, {**kept, "CHARACTER3D_REQUESTS_PER_MINUTE": "0"}, installation)
