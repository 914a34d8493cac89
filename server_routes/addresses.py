"""Where a request comes from: IP addresses, proxies, and whether the client is on this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

from aiohttp import HttpVersion11, web

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

FORWARDED_FOR = "X-Forwarded-For"
_PROXY_HEADERS = (
    FORWARDED_FOR,
    "Forwarded",
    "Via",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Server",
    "X-Real-IP",
    "CF-Connecting-IP",
    "True-Client-IP",
)


def parse_address(text: str) -> Address | None:
    """An IP address without its zone, or None. IPv4-mapped IPv6 addresses are unwrapped."""
    try:
        found = ipaddress.ip_address(text.split("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def network_of(address: str) -> str:
    """What identifies a peer: its IPv4 address, or the /64 network of its IPv6 address."""
    parsed = parse_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed or "unknown")


def split_url(url: str) -> SplitResult:
    """The parts of a URL; all of them empty if it is malformed."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def host_name(request: web.Request) -> str:
    """The Host header without its port."""
    return (split_url(f"//{request.host}").hostname or "").rstrip(".")


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's loopback interface."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = parse_address(host)
    return address is not None and address.is_loopback


def is_in_networks(address: str, networks: Iterable[Network]) -> bool:
    """Whether an address belongs to one of some networks."""
    found = parse_address(address)
    return found is not None and any(found in network for network in networks)


def _list_forwarded(request: web.Request) -> list[str]:
    """What X-Forwarded-For says, the nearest proxy's word last; an empty text if there is none."""
    return [address.strip() for address in ",".join(request.headers.getall(FORWARDED_FOR, ())).split(",")]


def find_client(request: web.Request, proxies: tuple[Network, ...]) -> str:
    """The client's address: the peer's, or what trusted proxies forward, where the nearest one comes last."""
    forwarded = _list_forwarded(request)
    client = request.remote or ""
    while forwarded and is_in_networks(client, proxies):
        previous = forwarded.pop()
        if parse_address(previous) is None:
            break
        client = previous
    return client


def is_local(request: web.Request, proxies: tuple[Network, ...]) -> bool:
    """Whether the client runs on this machine.

    Behind a reverse proxy on this machine every peer is on loopback, so a request with any sign of a proxy
    is local only if a trusted one on this machine forwards nothing but loopback addresses. HTTP/1.0 is such a
    sign: nginx speaks it to its backends by default, without a header, and no client of today does.
    """
    peer = request.remote or ""
    if not is_loopback(peer):
        return False
    if not any(header in request.headers for header in _PROXY_HEADERS):
        return request.version >= HttpVersion11
    return is_in_networks(peer, proxies) and all(map(is_loopback, _list_forwarded(request)))
