"""Requests to one server, and what is refused or cannot be reached."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import OpenerDirector, Request, build_opener

BROKEN = (ConnectionError, TimeoutError)
"""What is raised where a connection cannot be made, or breaks."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0


class ServiceError(Exception):
    """A request was refused, or was answered by something other than a Character3D service.

    status: HTTP status. error_code: one of ErrorCode, or None if the answer is not the service's.
    details: what was found and what is accepted. retry_after: seconds, if the server gave a number.
    """

    def __init__(
        self,
        status: int,
        message: str,
        error_code: str | None = None,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {error_code}: {message}" if error_code else message)
        self.status = status
        self.message = message
        self.error_code = error_code
        self.details = dict(details or {})
        self.retry_after = retry_after


def _read_object(answer: Any) -> dict[str, Any] | None:
    """The JSON object in an answer, or None if it holds anything else."""
    try:
        body = json.loads(answer.read())
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _refusal(answer: Any) -> ServiceError:
    """The error for an answer that is not the expected one."""
    body, pause = _read_object(answer) or {}, answer.headers.get("Retry-After", "")
    if "error_code" not in body:
        kind = answer.headers.get("Content-Type", "no Content-Type")
        body["message"] = f"No Character3D service at {answer.url}: found {answer.status} with {kind}"
    return ServiceError(
        answer.status,
        body["message"],
        body.get("error_code"),
        body.get("details"),
        float(pause) if pause.isascii() and pause.isdigit() else None,
    )


def encode_form(
    files: Mapping[str, tuple[str, bytes]], fields: Mapping[str, Any] = MappingProxyType({})
) -> tuple[bytes, str]:
    """The body of a multipart form (RFC 7578), and its media type. files: name and bytes of each."""
    boundary = uuid.uuid4().hex
    parts = [(f'name="{name}"; filename="{filename}"', data) for name, (filename, data) in files.items()]
    parts += [(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
        for head, value in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


class RetryTimer:
    """Pauses between tries, longer each time, until the server has been unreachable for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Start anew: the server was reached."""
        self._pause, self._deadline = FIRST_PAUSE, time.monotonic() + self._seconds

    def pause(self) -> bool:
        """Wait before the next try; False, without waiting, if there should be none."""
        if time.monotonic() + self._pause > self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        return True


class Connection:
    """A server as one user sees it. timeout: seconds of silence after which a connection counts as broken."""

    def __init__(
        self, address: str, api_key: str | None, timeout: float, opener: OpenerDirector | None
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"address is {address!r}; expected http://HOST:PORT or https://HOST")
        self.address = address.rstrip("/")
        self.timeout = timeout
        self._api_key = api_key
        self.opener = opener or build_opener()

    def ask(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        also: int | None = None,
    ) -> Any:
        """The JSON object of an answer. also: an error status that is answered normally, too."""
        with self.open(method, path, data, headers, also=also) as answer:
            body = _read_object(answer)
            if body is None:
                raise _refusal(answer)
            return body

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        also: int | None = None,
    ) -> Iterator[Any]:
        """An open answer, to be read inside the block."""
        request = Request(self.address + path, data, dict(headers or {}), method=method)
        if self._api_key is not None:
            # Unredirected: the key must not go to another host.
            request.add_unredirected_header("Authorization", f"Bearer {self._api_key}")
        try:
            with self._send(request, timeout or self.timeout) as answer:
                if answer.length is None and not answer.chunked:
                    # Headers that were cut off look complete to http.client.
                    raise ConnectionError(f"{answer.url} was cut off")
                if answer.status >= 400 and answer.status != also:
                    raise _refusal(answer)
                yield answer
        except URLError as error:
            raise ConnectionError(f"{self.address} does not answer: {error.reason}") from error
        except HTTPException as error:
            raise ConnectionError(f"the connection to {self.address} broke: {error!r}") from error

    def _send(self, request: Request, timeout: float) -> Any:
        try:
            return self.opener.open(request, timeout=timeout)
        except HTTPError as error:
            return error  # an answer like any other
