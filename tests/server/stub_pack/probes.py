"""What tests ask of the server's process: which files it opens, and to bear a wrong clock or a full disk."""

import os
import shutil
import sys
import time
from types import SimpleNamespace

from aiohttp import web

OPENING = frozenset(
    {"open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.link", "os.symlink", "sqlite3.connect"}
)

_opened = []
_recording = False
_clock = time.time
_disk_usage = shutil.disk_usage


def _record(event, arguments):
    if _recording and event in OPENING and arguments:
        path = arguments[0]
        if isinstance(path, str | bytes | os.PathLike):
            _opened.append(os.fsdecode(path))


async def _start_recording(request):
    global _recording
    _opened.clear()
    _recording = True
    return web.json_response({})


async def _stop_recording(request):
    global _recording
    _recording = False
    return web.json_response({"opened": list(_opened)})


def _pretend(upload):
    async def pretend(request):
        """clock: seconds that the wall clock is ahead. free: bytes left on every disk."""
        wanted = await request.json()
        time.time = (lambda: _clock() + wanted["clock"]) if "clock" in wanted else _clock
        shutil.disk_usage = (
            (lambda path: SimpleNamespace(free=wanted["free"])) if "free" in wanted else _disk_usage
        )
        upload.READ_SECONDS = wanted.get("read_seconds", 120.0)
        upload.GRACE_SECONDS = wanted.get("grace_seconds", 10.0)
        return web.json_response({})

    return pretend


async def _list_routes(request):
    """[method, path] of every route of the server, those of static folders and of core's own included."""
    resources = ((route.method, route.resource) for route in request.app.router.routes())
    return web.json_response([[method, resource.canonical] for method, resource in resources if resource])


def add_probes(routes, upload):
    """Hang the probes onto the server. upload: the module of the service that bounds uploads."""
    sys.addaudithook(_record)
    routes.get("/stub/routes")(_list_routes)
    routes.post("/stub/opened")(_start_recording)
    routes.get("/stub/opened")(_stop_recording)
    routes.post("/stub/pretend")(_pretend(upload))
