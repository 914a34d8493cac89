"""The studio: a page for people, and the files that it consists of.

It is served as it lies in studio/, outside the folder whose scripts ComfyUI loads into its editor. Every
address in it is relative, so it works below any prefix of a proxy.
"""

from __future__ import annotations

import asyncio
import functools
import gzip
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from aiohttp import hdrs, web

from .background import Background
from .errors import invalid_parameter

STUDIO_PATH = "/character"
SLASH_PATH = STUDIO_PATH + "/"
FILES_PATH = STUDIO_PATH + r"/studio/{file:[\s\S]*}"

_PACK = Path(__file__).parent.parent
_PAGE = "index.html"
_EXAMPLE = "examples/elf.png"
_TYPES: Mapping[str, str] = {
    "": "text/plain",
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_PACKED = frozenset({"text/css", "text/html", "text/javascript", "application/json", "image/svg+xml"})
"""Media types that gzip makes smaller."""


class Content(NamedTuple):
    """A file: its bytes, the same packed with gzip or None, and its entity tag."""

    body: bytes
    packed: bytes | None
    etag: str


@functools.cache
def list_files() -> Mapping[str, Path]:
    """Every file of the studio by its name in an address: nothing else is served."""
    folder = _PACK / "studio"
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return found | {_EXAMPLE: _PACK / _EXAMPLE}


def media_type(name: str) -> str:
    """The media type of a file by its suffix."""
    return _TYPES.get(Path(name).suffix, "application/octet-stream")


class StudioPage:
    """Answers GET /character.

    prepare_job: done once, when the page is first opened: who opens it will ask for a job.
    """

    def __init__(self, prepare_job: Callable[[], None] | None = None) -> None:
        self._prepare = prepare_job
        self._background = Background()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """GET /character."""
        if self._prepare:
            self._background.spawn(asyncio.to_thread(self._prepare), "prepare a first job")
            self._prepare = None
        return await _answer(request, _PAGE)


async def redirect_to_page(request: web.Request) -> web.StreamResponse:
    """GET /character/: addresses in the page are relative to the one without the slash."""
    raise web.HTTPFound("../character")


async def serve_file(request: web.Request) -> web.StreamResponse:
    """GET /character/studio/{file}."""
    return await _answer(request, request.match_info["file"])


async def _answer(request: web.Request, name: str) -> web.Response:
    path = list_files().get(name)
    if path is None:
        raise invalid_parameter("The studio has no such file", "file", 404, provided=name[:100])
    content = await asyncio.to_thread(_read_file, path)
    headers = {
        hdrs.ETAG: f'"{content.etag}"',
        hdrs.CACHE_CONTROL: "no-cache",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if (
        name == _PAGE
    ):  # all else of its policy is in the page: with some options, ComfyUI replaces this header
        headers["Content-Security-Policy"] = "frame-ancestors 'self'"
    if any(tag.value in ("*", content.etag) for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    body = content.body
    if content.packed and "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        body, headers[hdrs.CONTENT_ENCODING] = content.packed, "gzip"
    kind = media_type(name)
    return web.Response(
        body=body,
        headers=headers,
        content_type=kind,
        charset="utf-8" if kind in _PACKED or kind == "text/plain" else None,
    )


def _read_file(path: Path) -> Content:
    return _read_version(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _read_version(path: Path, modified: int) -> Content:
    """A file as it was at a time, so that each version is read and packed once. Blocks."""
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0) if media_type(path.name) in _PACKED else None
    return Content(body, packed, hashlib.sha256(body).hexdigest())
