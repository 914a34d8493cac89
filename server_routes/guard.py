"""The middleware in front of all of ComfyUI's: it decides which requests reach which routes.

Requests to the service's own routes are checked by `Access`, and pages of allowed origins get CORS there. If
there are API keys, all other routes of this ComfyUI are closed to clients on other machines, because they
show, change and stop everybody's jobs: closed by default, so that no route that ComfyUI or another pack adds
is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import hdrs, web

from .access import Access, refuse_origin
from .cors import is_preflight, set_headers
from .errors import INVALID_PARAMETERS, ApiError, Handler, error_response

Predicate = Callable[[web.Request], bool]

_ORIGIN: Any = "character3d_origin"
if hasattr(web, "RequestKey"):  # aiohttp 3.14; without one it warns
    _ORIGIN = web.RequestKey(_ORIGIN, object)
_PAGE_HEADERS = frozenset({hdrs.ORIGIN.lower(), "sec-fetch-site"})


class Guard:
    """Goes by the handler that a request was resolved to, so that no spelling of a path gets past it."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._own: dict[Handler, Predicate] = {}
        self._public: set[Handler] = set()

    def install(self, app: web.Application) -> None:
        """Become the first middleware; ComfyUI's own refuses all pages of other origins on loopback."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._answer(request, handler)

        app.middlewares.insert(0, guard)
        app.on_response_prepare.append(_prepare_response)

    def add_own(self, handler: Handler, is_public: bool = False) -> None:
        """Add a handler of the service; a public one needs no key."""
        self._own[handler] = lambda request: True
        if is_public:
            self._public.add(handler)

    def add_shared(self, handler: Handler, is_own: Predicate) -> None:
        """Add a handler that stands in for one of ComfyUI's, and say which requests are the service's."""

        def is_own_now(request: web.Request) -> bool:
            is_foreign = hdrs.ORIGIN in request.headers and not self._access.find_allowed_origin(request)
            return is_own(request) and not is_foreign

        self._own[handler] = is_own_now

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        target = request.match_info.handler
        try:
            if target not in self._own or not self._own[target](request):
                self._access.check_comfyui(request)
                return await handler(request)
            origin = request[_ORIGIN] = self._access.find_allowed_origin(request)
            if is_preflight(request):
                return self._answer_preflight(request, origin)
            if target not in self._public:
                self._access.check(request)
            return await handler(_hide_page(request) if origin else request)
        except ApiError as error:
            return error_response(request, error)

    def _answer_preflight(self, request: web.Request, origin: str | None) -> web.Response:
        """Answered without a key: browsers send none with a preflight."""
        if origin is None:
            raise refuse_origin(request.headers[hdrs.ORIGIN])
        return web.Response(status=204)


def _hide_page(request: web.Request) -> web.Request:
    """The request as a program would send it: ComfyUI's own guard knows no allowed origins."""
    headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _PAGE_HEADERS]
    try:
        return request.clone(headers=headers)
    except UnicodeEncodeError as error:
        message = "Headers must be UTF-8 text"
        raise ApiError(400, INVALID_PARAMETERS, message, {"parameter": "headers"}, closes=True) from error


async def _prepare_response(request: web.Request, response: web.StreamResponse) -> None:
    """Called by aiohttp when an answer's headers are about to be sent, streams and errors included."""
    if _ORIGIN in request:
        set_headers(request, response.headers, request[_ORIGIN])
