"""The command lines of a cluster's processes."""

from __future__ import annotations

import argparse
import functools
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web
from celery import Celery
from celery.exceptions import Reject
from prometheus_client import CollectorRegistry

from ..client.client import ServiceError
from ..server_routes.database import JobDatabase
from ..server_routes.database_engine import DatabaseError
from ..server_routes.postgres_engine import PostgresEngine
from .checks import CheckConsumer, WorkerChecks, make_asker
from .comfyui import ComfyUI
from .files import ClusterFiles
from .front_door import make_app
from .intake import Intake
from .messages import TASK, Broker, consume_dead, make_celery, make_sender
from .metrics import FrontDoorCollector
from .operations import Check, make_operations, serve_operations, start_operations
from .queues import QUEUE
from .service import ClusterService
from .worker import Worker

log = logging.getLogger("character3d")

DATABASE, BROKER, FILES = "CHARACTER3D_DATABASE", "CHARACTER3D_BROKER", "CHARACTER3D_FILES"
DOWNLOADS, THROUGH, REDIRECT = "CHARACTER3D_DOWNLOADS", "through", "redirect"
REGISTER_SECONDS, AWAY_SECONDS = 5.0, 0.5
RETRY_SECONDS = 1.0


def main() -> None:
    """Run the process that the command line names, until it is told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    options = make_parser().parse_args()
    listener = _listen(options.operations_host, options.operations_port)
    if options.part == "front-door":
        _run_front_door(options.host, options.port, listener)
    else:
        _run_worker(options.comfyui, options.name, options.queue, listener)


def make_parser() -> argparse.ArgumentParser:
    """The command lines of all parts."""
    parser = argparse.ArgumentParser(prog="cluster", description="Parts of a cluster; see docs/cluster.md.")
    parts = parser.add_subparsers(dest="part", required=True)
    door = parts.add_parser("front-door", help="serve the routes")
    door.add_argument("--host", default="127.0.0.1")
    door.add_argument("--port", type=int, default=8188)
    worker = parts.add_parser("worker", help="run jobs on one ComfyUI")
    worker.add_argument("--comfyui", default="http://127.0.0.1:8188", help="its address")
    worker.add_argument("--name", default=f"{socket.gethostname()}-{os.getpid()}")
    worker.add_argument("--queue", default=QUEUE, help="that it takes from, with others of the same models")
    for part in (door, worker):
        part.add_argument("--operations-host", default="127.0.0.1")
        part.add_argument("--operations-port", type=int, help="serve /live, /ready and /metrics there")
    return parser


def _listen(host: str, port: int | None) -> socket.socket | None:
    """The socket on which operators are answered; None where no port is chosen."""
    if port is None:
        return None
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise SystemExit(f"Operators cannot be answered on {host}, port {port}: {error}") from error


def _read_setting(name: str) -> str:
    value = os.environ.get(name, "").strip()
    if not value:
        raise SystemExit(f"{name} is not set; docs/cluster.md says what it is")
    return value


def _read_redirects() -> bool:
    """Whether clients are sent to S3 for files."""
    found = os.environ.get(DOWNLOADS, "").strip() or THROUGH
    if found not in (THROUGH, REDIRECT):
        raise SystemExit(f"{DOWNLOADS} is {found!r}; it must be {THROUGH} or {REDIRECT}")
    return found == REDIRECT


def _run_front_door(host: str, port: int, listener: socket.socket | None) -> None:
    app = make_celery(_read_setting(BROKER))
    files, read_dead = ClusterFiles(_read_setting(FILES)), functools.partial(consume_dead, app)
    service = ClusterService(
        _read_setting(DATABASE), files, make_sender(app), read_dead=read_dead, redirects=_read_redirects()
    )
    checks = WorkerChecks(files, make_asker(app), service.count_workers)
    door = make_app(service, checks.read_picture, checks.read_mesh)
    if listener:
        door.cleanup_ctx.append(_answer_operators(service, Broker(app), listener))
    web.run_app(door, host=host, port=port, print=None)


def _answer_operators(
    service: ClusterService, broker: Broker, listener: socket.socket
) -> Callable[[web.Application], AsyncIterator[None]]:
    """What answers the operators of a front door, in its event loop, while its application runs."""
    registry = CollectorRegistry()
    registry.register(FrontDoorCollector(service.metrics, service.ledger, broker))
    checks: dict[str, Check] = {"database": service.ledger.count_workers, "broker": broker.count_messages}

    async def run(app: web.Application) -> AsyncIterator[None]:
        async with serve_operations(make_operations(registry, checks), listener):
            yield

    return run


def _run_worker(address: str, name: str, queue: str, listener: socket.socket | None) -> None:
    app = make_celery(_read_setting(BROKER), queue)
    database = JobDatabase(PostgresEngine(_read_setting(DATABASE)))
    files, comfyui = ClusterFiles(_read_setting(FILES)), ComfyUI(address)
    worker, intake = Worker(name, database, files, comfyui, queue), Intake(queue)
    add_task(app, worker, intake)
    if listener:
        checks = {**worker.checks, "broker": Broker(app).count_messages}
        start_operations(make_operations(worker.metrics.registry, checks), listener)
    threading.Thread(target=_register, args=(worker, intake), daemon=True).start()
    threading.Thread(target=CheckConsumer(app, files, comfyui).run, daemon=True).start()
    # In a thread, so that the broker hears from the process while a job runs, and both die together.
    options = ("--pool=threads", "--concurrency=1", "--without-gossip", "--without-mingle", "-Q", queue)
    app.worker_main(["worker", *options, "-n", name, "-l", "INFO"])


def add_task(app: Celery, worker: Worker, intake: Intake) -> None:
    """Have a Celery worker run jobs, while its ComfyUI is there."""

    @app.task(bind=True, name=TASK)
    def run_job(task: Any, job_id: str) -> None:
        is_redelivered = bool(task.request.delivery_info.get("redelivered"))
        if not worker.is_ready():
            intake.close()
            raise Reject("the worker's ComfyUI is away", requeue=True)
        try:
            worker.run_job(job_id, is_redelivered)
        except (DatabaseError, ServiceError, OSError) as error:
            log.warning("job %s: it is given back: %s", job_id, error)
            time.sleep(RETRY_SECONDS)
            raise Reject(str(error), requeue=True) from error


def _register(worker: Worker, intake: Intake) -> None:
    """Say again and again that the worker is there; it takes jobs as long as its ComfyUI answers."""
    while True:
        try:
            worker.register()
            intake.open()
        except (ServiceError, OSError) as error:
            log.warning("the worker takes no jobs, its ComfyUI is away: %s", error)
            intake.close()
        except DatabaseError as error:
            log.warning("the worker is not registered: %s", error)
        time.sleep(REGISTER_SECONDS if intake.is_open else AWAY_SECONDS)
