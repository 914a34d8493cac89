"""One job: send the picture, follow its WebSocket, say where the files are."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import socket
import struct
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .server import HOST, Server, fetch_json
from .terminal import QuickstartError, format_seconds, terminal


def post_picture(server: Server, picture: Path) -> str:
    """Send the picture to POST /generate_character and return the job's id.

    Raises QuickstartError with the server's own words where it refuses.
    """
    boundary = uuid.uuid4().hex
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="picture"\r\n\r\n'
    body = head.encode() + picture.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    try:
        answer = fetch_json(
            f"{server.address}/generate_character", body, f"multipart/form-data; boundary={boundary}"
        )
    except urllib.error.HTTPError as error:
        if error.code in (404, 405):  # ComfyUI's own answers: nobody has that route
            log = server.installation.log
            raise QuickstartError(
                f"ComfyUI runs, but the pack did not load. Its log says why: {log}"
            ) from error
        said = error.read().decode(errors="replace")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            said = json.loads(said)["message"]
        raise QuickstartError(f"The server refused {picture} ({error.code}): {said}") from error
    return str(answer["job_id"])


def read_events(port: int, path: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON messages of a WebSocket until the server closes it (RFC 6455).

    Raises OSError where the connection is refused or breaks.
    """
    with socket.create_connection((HOST, port), timeout=60) as connection:
        key = base64.b64encode(os.urandom(16)).decode()
        connection.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stream = connection.makefile("rb")

        def read(count: int) -> bytes:
            data = stream.read(count)
            if len(data) < count:
                raise ConnectionError("the WebSocket broke")
            return data

        if b" 101 " not in stream.readline():
            raise ConnectionError("the server does not speak WebSocket here")
        while stream.readline().strip():
            pass
        message = b""
        while True:
            first, length = read(2)
            if length >= 126:
                (length,) = struct.unpack("!H", read(2)) if length == 126 else struct.unpack("!Q", read(8))
            payload, opcode = read(length), first & 0x0F
            if opcode == 0x8:
                return
            if opcode == 0x9:  # ping: the pong is masked, with a mask of zeros
                connection.sendall(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
            if opcode in (0x0, 0x1):
                message += payload
                if first & 0x80:
                    yield json.loads(message)
                    message = b""


class StageList:
    """Shows the five stages as they finish, each with its method and its seconds."""

    def __init__(self) -> None:
        self.shown: set[str] = set()

    def show(self, status: dict[str, Any]) -> None:
        """Show what is new in a status answer."""
        for stage in status.get("stages", ()):
            if stage["status"] in ("completed", "failed") and stage["name"] not in self.shown:
                self.shown.add(stage["name"])
                mark = terminal.done_mark if stage["status"] == "completed" else terminal.fail_mark
                seconds = format_seconds(stage["seconds"]) if stage.get("seconds") is not None else ""
                method = stage.get("method") or ""
                terminal.say(f"  {mark} {stage['name']:<30} {method:<24} {seconds:>8}".rstrip())
        progress, name = status.get("progress", 0), status.get("current_stage", "")
        if status["status"] == "processing":
            terminal.live(f"    {name:<30} {terminal.bar(progress / 100)} {progress:3d} %")


def follow_job(server: Server, job_id: str) -> dict[str, Any]:
    """Show the job's progress until it ends and return its final status answer."""
    stages = StageList()
    while True:
        try:
            for event in read_events(server.port, f"/ws/{job_id}"):
                if "stages" in event["data"]:
                    stages.show(event["data"])
        except OSError:
            server.check()  # where ComfyUI runs, a broken connection is no answer: the status is
        status: dict[str, Any] = fetch_json(f"{server.address}/job/{job_id}/status")
        stages.show(status)
        if status["status"] in ("completed", "failed"):
            return status
        time.sleep(1)


def list_results(status: dict[str, Any]) -> list[str]:
    """Return the paths of all result files, as the server names them."""
    results = status.get("results") or {}
    meshes = [results.get(name) for name in ("raw_mesh", "textured_mesh", "rigged_character")]
    return [path for path in (*meshes, *results.get("preview_images", ())) if path]


def download_file(server: Server, job_id: str, name: str, folder: Path) -> Path:
    """Copy one result file into `folder` through the download route."""
    folder.mkdir(parents=True, exist_ok=True)
    address = f"{server.address}/job/{job_id}/download/{urllib.parse.quote(name)}"
    with urllib.request.urlopen(address, timeout=60) as answer, (folder / name).open("wb") as sink:
        shutil.copyfileobj(answer, sink)
    return folder / name


def show_end(status: dict[str, Any]) -> None:
    """Say how the job ended, and what it noted."""
    for warning in status.get("warnings", ()):
        terminal.say(f"    note: {warning}")
    if status["status"] == "completed":
        terminal.say(f"\nDone in {status['processing_time']}. The files:")
    else:
        terminal.say(f"\nThe job failed in {status['failed_stage']}: {status['error']}")
        terminal.say(f"    {status['error_details']}")


def run_job(server: Server, picture: Path, out: Path | None) -> bool:
    """Send the picture, show the job, say where its files are; True where it completed."""
    terminal.say(f"\n{picture}")
    job_id = post_picture(server, picture)
    status = follow_job(server, job_id)
    show_end(status)
    for path in list_results(status):
        if out is None:
            file = server.installation.base / "output" / path.removeprefix("/output/")
        else:
            file = download_file(server, job_id, path.rsplit("/", 1)[-1], out)
        terminal.say(f"    {file}  ({file.stat().st_size / 1e6:.1f} MB)")
    return bool(status["status"] == "completed")
