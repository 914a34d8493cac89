"""Who may ask, and as whom: API keys, clients on other machines, and web pages of other origins.

CHARACTER3D_API_KEYS: keys, separated by commas; if there are any, every request needs one.
CHARACTER3D_ALLOW_OPEN: `1` serves clients on other machines although there are no keys.
CHARACTER3D_OPEN_COMFYUI: `1` leaves ComfyUI's own routes open to other machines although there are keys.
CHARACTER3D_ALLOWED_ORIGINS: origins of web pages that may use the service, separated by commas.
CHARACTER3D_TRUSTED_PROXIES: addresses or networks of proxies whose X-Forwarded-For is believed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import hdrs, web

from .addresses import Network, find_client, host_name, is_local, is_loopback, network_of, split_url
from .errors import INVALID_PARAMETERS, ApiError

log = logging.getLogger("character3d")

KEYS, ORIGINS = "CHARACTER3D_API_KEYS", "CHARACTER3D_ALLOWED_ORIGINS"
PROXIES = "CHARACTER3D_TRUSTED_PROXIES"
ALLOW_OPEN, OPEN_COMFYUI = "CHARACTER3D_ALLOW_OPEN", "CHARACTER3D_OPEN_COMFYUI"

_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_STREAMS = re.compile(r"(?:/api)?/(?:ws/[^/]+|job/[^/]+/events)")
"""Paths where a browser cannot send a header: WebSocket and EventSource have no way to."""


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _refusal(message: str, parameter: str, provided: str | None = None) -> ApiError:
    details = {"parameter": parameter} if provided is None else {"parameter": parameter, "provided": provided}
    return ApiError(403, INVALID_PARAMETERS, message, details, closes=True)


def refuse_origin(found: str) -> ApiError:
    """The error for a web page of an origin that is not allowed."""
    message = f"Web pages of other origins are refused. {ORIGINS} names those that may ask"
    return _refusal(message, "Origin", found[:100])


def _refuse_host(found: str) -> ApiError:
    message = f"The server listens on loopback and has no such name. {ORIGINS} names others that lead to it"
    return _refusal(message, "Host", found[:100])


def _refuse_open() -> ApiError:
    message = (
        f"Without API keys only clients on the server's own machine are served. Set {KEYS} on the server, "
        f"or {ALLOW_OPEN}=1 to serve everybody"
    )
    return _refusal(message, "Authorization")


def _refuse_comfyui() -> ApiError:
    message = (
        "With API keys ComfyUI's own routes are open to clients on the server's own machine only. "
        f"{OPEN_COMFYUI}=1 on the server opens them"
    )
    return _refusal(message, "path")


def _refuse_key(request: web.Request) -> ApiError:
    message, parameter = "An API key is needed. Send it as Authorization: Bearer", "Authorization"
    if "api_key" in request.query and not _takes_key_in_query(request):
        message = (
            "An API key in the address is accepted for WebSockets and event streams only. "
            "Send it as Authorization: Bearer"
        )
        parameter = "api_key"
    return ApiError(
        401,
        INVALID_PARAMETERS,
        message,
        {"parameter": parameter},
        headers={"WWW-Authenticate": "Bearer"},
        closes=True,
    )


def _takes_key_in_query(request: web.Request) -> bool:
    return request.method == hdrs.METH_GET and _STREAMS.fullmatch(request.path) is not None


def _read_network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        log.error("%s: expected addresses or networks; %s is ignored", PROXIES, text)
        return None


def _read_origin(text: str) -> str | None:
    """An origin as browsers send it; None, and an error in the log, for any other text."""
    parts = split_url(text.rstrip("/").lower())
    if parts.scheme and parts.hostname and not (parts.path or parts.query or parts.fragment or "@" in text):
        return f"{parts.scheme}://{parts.netloc}"
    log.error("%s: expected origins such as https://app.example; %s is ignored", ORIGINS, text)
    return None


@dataclass(frozen=True)
class Access:
    """The rules of one server. keys: hashes of the API keys. origins: as browsers send them."""

    keys: frozenset[bytes] = frozenset()
    origins: frozenset[str] = frozenset()
    proxies: tuple[Network, ...] = ()
    allows_open: bool = False
    opens_comfyui: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Access:
        """The rules that the environment variables give."""
        keys, origins, proxies = (
            [item.strip() for item in environment.get(name, "").split(",") if item.strip()]
            for name in (KEYS, ORIGINS, PROXIES)
        )
        return cls(
            frozenset(map(_hash, keys)),
            frozenset(origin for origin in map(_read_origin, origins) if origin),
            tuple(network for network in map(_read_network, proxies) if network),
            environment.get(ALLOW_OPEN, "").strip() == "1",
            environment.get(OPEN_COMFYUI, "").strip() == "1",
        )

    def warn_when_open(self, address: str) -> None:
        """Say in the log what a server that listens on `address` means for clients on other machines."""
        if is_loopback(address):
            return
        if not self.keys and self.allows_open:
            log.warning("ANYBODY WHO REACHES %s MAY USE THE SERVICE: set %s", address, KEYS)
        elif not self.keys:
            log.warning(
                "THE SERVICE REFUSES CLIENTS ON OTHER MACHINES, although ComfyUI listens on %s: "
                "set %s, or %s=1 to serve everybody",
                *(address, KEYS, ALLOW_OPEN),
            )
        elif self.opens_comfyui:
            log.warning("COMFYUI'S OWN ROUTES SHOW EVERY JOB to anybody who reaches %s", address)

    def check(self, request: web.Request) -> None:
        """Raise ApiError, 401 or 403, for a request that may not pass. Its body is not read."""
        if self.keys:
            if self._find_key(request) is None:
                raise _refuse_key(request)
        elif not self.allows_open and not is_local(request, self.proxies):
            raise _refuse_open()
        self._check_page(request)

    def check_comfyui(self, request: web.Request) -> None:
        """Raise ApiError 403 for a request to ComfyUI's own routes that may not pass."""
        if not self.keys or self.opens_comfyui:
            return
        if not is_local(request, self.proxies) or not is_loopback(host_name(request)):
            raise _refuse_comfyui()

    def find_allowed_origin(self, request: web.Request) -> str | None:
        """The origin of the page that asks, if it is another than the server's own and allowed."""
        origin = request.headers.get(hdrs.ORIGIN, "").rstrip("/").lower()
        return origin if origin in self.origins else None

    def may_see(self, user: str, owner: str) -> bool:
        """Whether a user may see an owner's job: with keys only the owner may, else whoever has its id."""
        return not self.keys or user == owner

    def identify(self, request: web.Request, user_manager: Any) -> str:
        """The user: of an API key, else ComfyUI's where it has several, else the client's network.

        ComfyUI's header is an identity for the limits, not a proof of one.
        """
        key = self._find_key(request)
        if key:
            return f"key:{key.hex()[:16]}"
        name = request.headers.get("comfy-user")
        users = getattr(user_manager, "users", {})
        if name and name != "default" and name in users:
            return f"user:{name}"
        return f"peer:{network_of(find_client(request, self.proxies))}"

    def _find_key(self, request: web.Request) -> bytes | None:
        scheme, _, sent = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        if scheme.lower() != "bearer":
            sent = request.query.get("api_key", "") if _takes_key_in_query(request) else ""
        offered = _hash(sent.strip())
        return next((key for key in self.keys if hmac.compare_digest(key, offered)), None)

    def _check_page(self, request: web.Request) -> None:
        """Refuse what pages of other origins send. Forms and WebSockets are sent without a preflight."""
        if self.find_allowed_origin(request):
            return
        if not self.keys:
            self._check_host(request)
        origin = request.headers.get(hdrs.ORIGIN)
        if request.method in _READING and "websocket" not in request.headers.get(hdrs.UPGRADE, "").lower():
            return
        if origin is not None and split_url(origin).netloc.lower() != request.host.lower():
            raise refuse_origin(origin)
        if origin is None and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise refuse_origin(request.headers["Sec-Fetch-Site"])

    def _check_host(self, request: web.Request) -> None:
        """Refuse DNS rebinding: a page that made its own name resolve to loopback.

        To its browser the server is then the page's own origin, so nothing but the Host header tells. A page
        that was rebound has no API key, so where there are keys any name will do, such as a proxy's.
        """
        socket = request.transport and request.transport.get_extra_info("sockname")
        if hdrs.HOST not in request.headers or not socket or not is_loopback(str(socket[0])):
            return
        host = host_name(request)
        if not is_loopback(host) and host not in {split_url(origin).hostname for origin in self.origins}:
            raise _refuse_host(host)
