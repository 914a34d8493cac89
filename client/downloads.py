"""A file of a job: downloaded whole, over connections that may break."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from typing import IO, Any

from .connection import BROKEN, Connection, RetryTimer

PLAIN_NAME = re.compile(r"(?!\.+$)[^/\\:\x00-\x1f]+")
"""A file name without folders."""

_CHUNK = 2**18


def _copy(answer: Any, sink: IO[bytes]) -> None:
    """Write a body to a file; raises ConnectionError if it is shorter than its headers say."""
    stop = sink.tell() + (answer.length or 0)
    shutil.copyfileobj(answer, sink)
    if sink.tell() < stop:
        raise ConnectionError(f"{answer.url} was cut off, {stop - sink.tell()} bytes are missing")


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch(connection: Connection, path: str, part: Path, patience: float) -> str:
    """Download a file to `part`, resuming whenever the connection breaks; returns its entity tag."""
    timer, longest, tag = RetryTimer(patience), 0, ""
    with part.open("wb") as sink:
        while True:
            headers = {"Range": f"bytes={sink.tell()}-", "If-Range": tag} if tag else {}
            try:
                with connection.open("GET", path, headers=headers) as answer:
                    if answer.status != 206:
                        sink.seek(0)
                        sink.truncate()
                    tag = answer.headers.get("ETag", "")
                    _copy(answer, sink)
                    return tag
            except BROKEN:
                if sink.tell() > longest:
                    longest = sink.tell()
                    timer.restart()
                if not timer.pause():
                    raise
