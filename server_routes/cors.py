"""CORS for pages of other origins (WHATWG Fetch, section 3.3): preflights and the headers of every answer."""

from __future__ import annotations

from collections.abc import MutableMapping

from aiohttp import hdrs, web

from .idempotency import HEADER as IDEMPOTENCY_KEY

PREFLIGHT_SECONDS = 600

_PREFIX = "access-control-"
_METHODS = "GET, HEAD, POST, DELETE"
_REQUEST_HEADERS = (
    "Accept",
    "Authorization",
    "Comfy-User",
    "Content-Type",
    IDEMPOTENCY_KEY,
    "If-Match",
    "If-None-Match",
    "If-Range",
    "Last-Event-ID",
    "Range",
)
_RESPONSE_HEADERS = (
    "Accept-Ranges",
    "Allow",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
)


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks what a page of another origin may send."""
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def _list_headers(origin: str, is_preflight: bool) -> dict[str, str]:
    headers: dict[str, str] = {
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: origin,
        hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: ", ".join(_RESPONSE_HEADERS),
    }
    if is_preflight:
        headers |= {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: _METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ", ".join(_REQUEST_HEADERS),
            hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_SECONDS),
        }
    return headers


def set_headers(request: web.Request, headers: MutableMapping[str, str], origin: str | None) -> None:
    """Complete an answer's headers for a page of an allowed origin, or for any other client (None).

    What ComfyUI's `--enable-cors-header` has set is replaced: it allows more origins, and credentials.
    """
    for name in [name for name in headers if name.lower().startswith(_PREFIX)]:
        headers.pop(name, None)
    varied = [name.strip() for name in headers.get(hdrs.VARY, "").split(",") if name.strip()]
    if hdrs.ORIGIN.lower() not in map(str.lower, varied):
        headers[hdrs.VARY] = ", ".join([*varied, hdrs.ORIGIN])
    if origin is not None:
        headers.update(_list_headers(origin, is_preflight(request)))
