"""A file, or where it is, as the answer to a request: conditions and ranges by RFC 9110, sections 13 and 14.

aiohttp's own FileResponse is not used: it treats an If-Range that names an older file as a match, and
refuses ranges that it should ignore.
"""

from __future__ import annotations

import asyncio
import re
from typing import IO
from urllib.parse import quote

from aiohttp import web

from .errors import INVALID_PARAMETERS, ApiError
from .files import OCTET_STREAM, FileFacts

_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


def content_disposition(name: str) -> str:
    """An attachment header (RFC 6266); with the RFC 8187 form where ASCII is not enough."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def _headers(name: str, facts: FileFacts) -> dict[str, str]:
    return {
        "ETag": facts.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": content_disposition(name),
        "X-Content-Type-Options": "nosniff",
    }


def _check_conditions(request: web.Request, facts: FileFacts) -> bool:
    """Whether the client already has this file; raises ApiError 412 when If-Match names others."""
    wanted, held = request.if_match, request.if_none_match
    if wanted and not any(
        tag.value == "*" or (tag.value == facts.sha256 and not tag.is_weak) for tag in wanted
    ):
        raise ApiError(
            412,
            INVALID_PARAMETERS,
            "The file is not the one that If-Match names",
            {"parameter": "If-Match", "allowed": [facts.etag]},
            headers={"ETag": facts.etag},
        )
    return any(tag.value in ("*", facts.sha256) for tag in held or ())


def _select_range(request: web.Request, facts: FileFacts) -> range | None:
    """The bytes to send, or None for all of them; raises ApiError 416 where there are none."""
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if request.method != "GET" or found is None or found.groups() == ("", ""):
        return None
    if request.headers.get("If-Range", facts.etag).strip() != facts.etag:
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(0, facts.size - int(last))
    stop = min(facts.size, int(last) + 1) if first and last else facts.size
    if start >= facts.size:
        raise ApiError(
            416,
            INVALID_PARAMETERS,
            f"The file has {facts.size} bytes",
            {"parameter": "Range", "provided": request.headers["Range"][:100], "maximum": facts.size - 1},
            headers={"Content-Range": f"bytes */{facts.size}", "ETag": facts.etag},
        )
    return range(start, stop)


async def send_file(request: web.Request, file: IO[bytes], name: str, facts: FileFacts) -> web.StreamResponse:
    """Answer a GET or HEAD with an open file: 200, 206 or 304; raises ApiError 412 or 416."""
    headers = _headers(name, facts)
    if _check_conditions(request, facts):
        return web.Response(status=304, headers=headers)
    selected = _select_range(request, facts)
    response = web.StreamResponse(status=200 if selected is None else 206, headers=headers)
    span = range(facts.size) if selected is None else selected
    if selected is not None:
        response.headers["Content-Range"] = f"bytes {span.start}-{span.stop - 1}/{facts.size}"
    response.content_type, response.content_length = OCTET_STREAM, len(span)
    await response.prepare(request)
    if request.method == "GET":
        await _send_bytes(response, file, span)
    await response.write_eof()
    return response


def wants_redirect(request: web.Request) -> bool:
    """Whether a file may be had from another host: scripts and pictures of pages are bound to this one."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode", "navigate") == "navigate"


def redirect_to_file(request: web.Request, url: str, name: str, facts: FileFacts) -> web.Response | None:
    """Answer a GET with where the file is, 302, or 304; raises ApiError 412 or 416.

    None for a range that is to be ignored, as that of an older file: the other host might not do so.
    """
    headers = _headers(name, facts)
    if _check_conditions(request, facts):
        return web.Response(status=304, headers=headers)
    if "Range" in request.headers and _select_range(request, facts) is None:
        return None
    return web.Response(status=302, headers={**headers, "Location": url})


async def _send_bytes(response: web.StreamResponse, file: IO[bytes], span: range) -> None:
    await asyncio.to_thread(file.seek, span.start)
    left = len(span)
    while left:
        chunk = await asyncio.to_thread(file.read, min(_CHUNK, left))
        if not chunk:  # truncated meanwhile: a short body tells the client so, a padded one would not
            raise ConnectionResetError("the file has become shorter")
        await response.write(chunk)
        left -= len(chunk)
