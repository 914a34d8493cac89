"""What operators ask a process of the cluster, on a port of its own, which clients do not reach.

GET /live: it answers. GET /ready: the parts that it needs answer it, too. GET /metrics: for Prometheus.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Generic, TypeVar

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from ..client.client import ServiceError
from ..server_routes.database_engine import DatabaseError
from ..server_routes.health import METRICS_TYPE
from .messages import BrokerError

PATIENCE = 5.0
FAILURES = (DatabaseError, BrokerError, ServiceError, OSError)
SILENT = f"it has not answered for {PATIENCE:g} seconds"

Check = Callable[[], object]
"""Asks a part; raises one of FAILURES where it does not answer. Blocks."""
Answer = TypeVar("Answer")


class _Question(Generic[Answer]):
    """Asked once at a time: while a part hangs, those who ask wait together, and take one thread."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._task: asyncio.Task[Answer] | None = None

    async def find_answer(self) -> Answer:
        """Raises what `ask` does, or asyncio.TimeoutError."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(asyncio.to_thread(self._ask))
        return await asyncio.wait_for(asyncio.shield(self._task), PATIENCE)


def make_operations(registry: CollectorRegistry, checks: Mapping[str, Check]) -> web.Application:
    """The application that answers operators. checks: of the parts that the process needs, by name."""
    parts = {name: _Question(check) for name, check in checks.items()}
    text = _Question(lambda: generate_latest(registry))

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "live"})

    async def ready(request: web.Request) -> web.Response:
        answers = await asyncio.gather(*map(_ask_part, parts.values()))
        is_ready = not any(answers)
        said = {name: fault or "reachable" for name, fault in zip(parts, answers, strict=True)}
        body = {"status": "ready" if is_ready else "not_ready", "parts": said}
        return web.json_response(body, status=200 if is_ready else 503)

    async def metrics(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await text.find_answer(), headers={"Content-Type": METRICS_TYPE})
        except asyncio.TimeoutError:
            return web.Response(status=503, text=f"A part of the cluster hangs: {SILENT}")

    app = web.Application()
    app.add_routes([web.get("/live", live), web.get("/ready", ready), web.get("/metrics", metrics)])
    return app


async def _ask_part(question: _Question[object]) -> str:
    """Why a part does not answer; empty where it does."""
    try:
        await question.find_answer()
    except asyncio.TimeoutError:
        return SILENT
    except FAILURES as error:
        return str(error) or type(error).__name__
    return ""


@contextlib.asynccontextmanager
async def serve_operations(app: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Answer operators on a listening socket while the block runs."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        yield
    finally:
        await runner.cleanup()


def start_operations(app: web.Application, listener: socket.socket) -> None:
    """Answer operators in a thread, for as long as the process lives."""

    async def serve() -> None:
        async with serve_operations(app, listener):
            await asyncio.Event().wait()

    threading.Thread(target=lambda: asyncio.run(serve()), name="operations", daemon=True).start()
