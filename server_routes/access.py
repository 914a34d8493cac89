"""Who may ask, and as whom: API keys where they are configured, and no foreign web page.

CHARACTER3D_API_KEYS: keys, separated by commas; with them every request needs one.
CHARACTER3D_ALLOWED_ORIGINS: origins of web pages that may use the service, separated by commas.
CHARACTER3D_TRUSTED_PROXIES: addresses or networks of proxies whose X-Forwarded-For is believed.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aiohttp import web

from .errors import INVALID_PARAMETERS, ApiError
from .limits import network_of, parse_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

log = logging.getLogger("character3d")

KEYS, ORIGINS = "CHARACTER3D_API_KEYS", "CHARACTER3D_ALLOWED_ORIGINS"
PROXIES = "CHARACTER3D_TRUSTED_PROXIES"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _refuse_origin(found: str) -> ApiError:
    return ApiError(
        403,
        INVALID_PARAMETERS,
        f"Web pages of other origins are refused. {ORIGINS} names those that may ask",
        {"parameter": "Origin", "provided": found[:100]},
        closes=True,
    )


def _refuse_host(found: str) -> ApiError:
    return ApiError(
        403,
        INVALID_PARAMETERS,
        f"The server listens on loopback and has no such name. {ORIGINS} names others that lead to it",
        {"parameter": "Host", "provided": found[:100]},
        closes=True,
    )


def _split(url: str) -> SplitResult:
    """The parts of a URL; of one that is none, none."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def _read_network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        log.error("%s: expected addresses or networks, found %s, which is left out", PROXIES, text)
        return None


@dataclass(frozen=True)
class Access:
    """The rules of one server. keys: hashes of the API keys. origins: as browsers send them."""

    keys: frozenset[bytes] = frozenset()
    origins: frozenset[str] = frozenset()
    proxies: tuple[Network, ...] = ()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Access:
        """The rules that the environment variables give."""
        keys, origins, proxies = (
            [item.strip() for item in environment.get(name, "").split(",") if item.strip()]
            for name in (KEYS, ORIGINS, PROXIES)
        )
        return cls(
            frozenset(map(_hash, keys)),
            frozenset(origin.rstrip("/") for origin in origins),
            tuple(network for network in map(_read_network, proxies) if network),
        )

    def warn_when_open(self, address: str) -> None:
        """Say it loudly when a server that listens on `address` asks nobody for a key."""
        if not self.keys and not _is_loopback(address):
            log.warning("ANYBODY WHO REACHES %s MAY USE THE SERVICE: set %s", address, KEYS)

    def check(self, request: web.Request) -> None:
        """Raise ApiError, 401 or 403, for a request that may not pass; its body is not read for it."""
        if self.keys:
            if self._find_key(request) is None:
                raise ApiError(
                    401,
                    INVALID_PARAMETERS,
                    "An API key is needed. Send it as Authorization: Bearer",
                    {"parameter": "Authorization"},
                    headers={"WWW-Authenticate": "Bearer"},
                    closes=True,
                )
            return
        self._check_page(request)

    def may_see(self, user: str, owner: str) -> bool:
        """Whether a user may see an owner's job: whoever has its id; where there are keys, the owner only."""
        return not self.keys or user == owner

    def identify(self, request: web.Request, user_manager: Any) -> str:
        """The user: of an API key, else ComfyUI's where it has several, else the peer's network.

        ComfyUI's header is an identity for the limits, not a proof of one.
        """
        key = self._find_key(request)
        if key:
            return f"key:{key.hex()[:16]}"
        name = request.headers.get("comfy-user")
        users = getattr(user_manager, "users", {})
        if name and name != "default" and name in users:
            return f"user:{name}"
        return f"peer:{network_of(self._find_peer(request))}"

    def _find_peer(self, request: web.Request) -> str:
        """The address that asks; trusted proxies say whom they speak for, the nearest one last."""
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", ())).split(",")
        peer = request.remote or ""
        while forwarded and self._is_proxy(peer):
            said = forwarded.pop().strip()
            if parse_address(said) is None:
                break
            peer = said
        return peer

    def _is_proxy(self, address: str) -> bool:
        found = parse_address(address)
        return found is not None and any(found in network for network in self.proxies)

    def _find_key(self, request: web.Request) -> bytes | None:
        scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # Browsers can set no header on a WebSocket or an event stream.
            sent = request.query.get("api_key", "") if request.method == "GET" else ""
        offered = _hash(sent.strip())
        return next((key for key in self.keys if hmac.compare_digest(key, offered)), None)

    def _check_page(self, request: web.Request) -> None:
        """Refuse what a page of another origin sends: forms need no leave of ours, nor do WebSockets."""
        origin = request.headers.get("Origin")
        if origin is not None and origin.rstrip("/") in self.origins:
            return
        self._check_host(request)
        reads = request.method in _READING and "websocket" not in request.headers.get("Upgrade", "").lower()
        if reads:
            return
        if origin is not None and _split(origin).netloc.lower() != request.host.lower():
            raise _refuse_origin(origin)
        if origin is None and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise _refuse_origin(request.headers["Sec-Fetch-Site"])

    def _check_host(self, request: web.Request) -> None:
        """On loopback a Host of another name means that a page made its own name point here.

        Browsers mark what such a page reads in no other way: to them it is the page's own server.
        """
        socket = request.transport and request.transport.get_extra_info("sockname")
        if "Host" not in request.headers or not socket or not _is_loopback(str(socket[0])):
            return
        host = (_split(f"//{request.host}").hostname or "").rstrip(".")
        if not _is_loopback(host) and host not in {_split(origin).hostname for origin in self.origins}:
            raise _refuse_host(host)
