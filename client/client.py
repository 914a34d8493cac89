"""The requests of the service as methods."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import OpenerDirector, Request, build_opener

from .types import Acceptance, Check, CompletedJob, Event, FailedJob, Health, Job, JobList, Models, RigCheck

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .types import Parameters

STREAM_SECONDS = 60.0
"""An event stream that is silent for so long is broken: the service sends something every 20 s."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_BROKEN = (ConnectionError, TimeoutError)
_PLAIN_NAME = re.compile(r"(?!\.+$)[^/\\:\x00-\x1f]+")
_CHUNK = 2**18


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


Picture = Path | bytes
"""A PNG or JPEG file, or the bytes of one."""


def _read_picture(picture: Picture) -> bytes:
    return picture if isinstance(picture, bytes) else picture.read_bytes()


def _encode_form(
    files: Mapping[str, bytes], fields: Mapping[str, Any], filename: str = "picture.png"
) -> tuple[bytes, str]:
    """The body of a multipart form (RFC 7578), and its media type."""
    boundary = uuid.uuid4().hex
    parts = [(f'name="{name}"; filename="{filename}"', data) for name, data in files.items()]
    parts += [(f'name="{name}"', str(value).encode()) for name, value in fields.items()]
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
        for head, value in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def _read_events(lines: Iterator[bytes]) -> Iterator[Event]:
    """The events of a stream (WHATWG HTML, section 9.2.6). Only `data` is read: it has all the rest."""
    data: list[str] = []
    for line in lines:
        field, _, value = line.decode().strip("\r\n").partition(":")
        if field == "data":
            data.append(value)
        elif data and not line.strip():
            yield json.loads("\n".join(data))
            data = []


def _copy(answer: Any, sink: IO[bytes]) -> None:
    """Write a body to a file; raises ConnectionError if it is shorter than its headers say."""
    stop = sink.tell() + (answer.length or 0)
    shutil.copyfileobj(answer, sink)
    if sink.tell() < stop:
        raise ConnectionError(f"{answer.url} was cut off, {stop - sink.tell()} bytes are missing")


def _job(job_id: str) -> str:
    return f"/job/{quote(job_id, safe='')}"


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class _RetryTimer:
    """Pauses between tries, longer each time, until the server has been unreachable for too long."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Start anew: the server was reached."""
        self._pause, self._deadline = _FIRST_PAUSE, time.monotonic() + self._seconds

    def pause(self) -> bool:
        """Wait before the next try; False, without waiting, if there should be none."""
        if time.monotonic() + self._pause > self._deadline:
            return False
        time.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True


class Client:
    """The requests of one user to one server.

    address: such as http://127.0.0.1:8188. timeout: seconds of silence after which a connection counts
    as broken. patience: seconds for which an unreachable server is tried again. opener: the urllib opener
    that sends the requests, for proxies, certificates and so on.

    Every method raises ServiceError if the service refuses, and OSError (ConnectionError or TimeoutError)
    if it cannot be reached.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str | None = None,
        timeout: float = 60.0,
        patience: float = 60.0,
        opener: OpenerDirector | None = None,
    ) -> None:
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"address is {address!r}; expected http://HOST:PORT or https://HOST")
        self.address = address.rstrip("/")
        self.timeout = timeout
        self.patience = patience
        self._api_key = api_key
        self.opener = opener or build_opener()

    def generate(
        self,
        picture: Picture,
        *,
        left: Picture | None = None,
        right: Picture | None = None,
        back: Picture | None = None,
        top: Picture | None = None,
        is_sheet: bool = False,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> Acceptance:
        """Start a job for a PNG or JPEG picture.

        left, right, back, top: the same character from its other sides. is_sheet: whether `picture` shows
        several views of the character.

        If the connection breaks, the request is sent once more under the same key (a new one if none is
        given), so it never starts two jobs. Rate limits (429) and a busy server (503) are raised, with
        their retry_after.
        """
        sides = {"image_left": left, "image_right": right, "image_back": back, "image_top": top}
        pictures = {"image_sheet" if is_sheet else "image": picture}
        pictures |= {name: side for name, side in sides.items() if side is not None}
        files = {name: _read_picture(picture) for name, picture in pictures.items()}
        return self.submit(files, parameters, idempotency_key=idempotency_key)

    def submit(
        self, files: Mapping[str, bytes], fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Acceptance:
        """Start a job from a form's own parts, its files and fields by their names; as `generate`."""
        body, media_type = _encode_form(files, fields)
        return self._create("/generate_character", body, media_type, idempotency_key)

    def _create(self, path: str, body: bytes, media_type: str, idempotency_key: str | None) -> Acceptance:
        """Start a job; once more, under the same key, if the connection breaks."""
        key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
        headers = {"Content-Type": media_type, "Idempotency-Key": key}
        timer, tries = _RetryTimer(self.patience), 0
        while True:
            tries += 1
            try:
                return self._ask("POST", path, body, headers)
            except _BROKEN:
                if tries > 1 or not timer.pause():
                    raise
            except ServiceError as error:
                # 409: the server is still handling the request whose connection broke.
                if tries == 1 or error.status != 409 or not timer.pause():
                    raise

    def edit_views(
        self, job_id: str, pictures: Mapping[str, Picture], *, idempotency_key: str | None = None
    ) -> Acceptance:
        """Start a job that is a completed one with painted pictures in place of its own.

        pictures: by `front`, `left`, `back`, `right`, `top`, `bottom`, or `texture`. Else as generate.
        """
        files = {name: _read_picture(picture) for name, picture in pictures.items()}
        body, media_type = _encode_form(files, {})
        path = f"/generate_character/jobs/{quote(job_id, safe='')}/views"
        return self._create(path, body, media_type, idempotency_key)

    def check(self, picture: Picture, *, figure: int = -1) -> Check:
        """What a job would read in a PNG or JPEG picture: kind, landmarks, warnings and a preview.

        figure: which one of several, as in a job's parameters.
        """
        body, media_type = _encode_form({"image": _read_picture(picture)}, {"figure": figure})
        return self._ask("POST", "/character/check", body, {"Content-Type": media_type})

    def check_rig(self, mesh: Path) -> RigCheck:
        """What a rig would make of a mesh file (GLB, FBX, OBJ and others): what it is, what it lacks."""
        body, media_type = _encode_form({"mesh": mesh.read_bytes()}, {}, f"mesh{mesh.suffix}")
        return self._ask("POST", "/character/rig_check", body, {"Content-Type": media_type})

    def status(self, job_id: str) -> Job:
        """The status of a job."""
        return self._ask("GET", f"{_job(job_id)}/status")

    def events(self, job_id: str, since: int = 0) -> Iterator[Event]:
        """The events of a job, from the one after number `since` to the last.

        A broken stream is resumed where it was. The progress of an ended job is not replayed.
        """
        timer, has_ended = _RetryTimer(self.patience), False
        while True:
            before = since
            try:
                headers = {"Last-Event-ID": str(since)}
                path = f"{_job(job_id)}/events"
                with self._open("GET", path, headers=headers, timeout=STREAM_SECONDS) as answer:
                    timer.restart()
                    for event in _read_events(answer):
                        since = event["seq"]
                        yield event
                        if event["type"] in ("job_completed", "error"):
                            return
                if has_ended and since == before:
                    return  # the caller knew the last event already
                has_ended = self.status(job_id)["status"] != "processing"
                time.sleep(_FIRST_PAUSE)
            except _BROKEN:
                if not timer.pause():
                    raise

    def wait(self, job_id: str) -> CompletedJob | FailedJob:
        """Block until a job has ended, and return it: it completed, or it failed."""
        for _ in self.events(job_id):
            pass
        return self._ask("GET", f"{_job(job_id)}/status")

    def download(self, job_id: str, name: str, folder: Path) -> Path:
        """Download a file of a job into `folder`, which is created if needed; returns the file's path.

        The file appears whole or not at all: a broken download is resumed where it was, and the bytes
        must have the SHA-256 that the service states. Raises ServiceError if they do not, and ValueError
        if `name` is a path.
        """
        if not _PLAIN_NAME.fullmatch(name):
            raise ValueError(f"name is {name!r}; expected a file name without folders")
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{name}.part"
        try:
            tag = self._fetch(f"{_job(job_id)}/download/{quote(name, safe='')}", part)
            stated = [file["sha256"] for file in self.status(job_id)["downloads"] if file["name"] == name]
            expected, found = (stated and stated[0]) or tag.strip('"'), _hash_file(part)
            if found != expected:
                raise ServiceError(200, f"{name} came with SHA-256 {found}; expected {expected}")
            return part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)

    def cancel(self, job_id: str) -> Job:
        """Stop a job; one that has ended is not changed."""
        return self._ask("POST", f"{_job(job_id)}/cancel")

    def delete(self, job_id: str) -> Job:
        """Stop a running job; delete the files and the record of one that has ended."""
        return self._ask("DELETE", _job(job_id))

    def list_jobs(self, status: Literal["processing", "completed", "failed"] | None = None) -> Iterator[Job]:
        """The user's jobs, newest first."""
        query: dict[str, str] = {"status": status} if status else {}
        while True:
            page: JobList = self._ask("GET", f"/generate_character/jobs?{urlencode(query)}")
            yield from page["jobs"]
            if page["next"] is None:
                return
            query["before"] = page["next"]

    def models(self) -> Models:
        """The names that model_name and mesh_model accept."""
        return self._ask("GET", "/generate_character/models")

    def health(self) -> Health:
        """Whether a job would be accepted now, and if not, why."""
        return self._ask("GET", "/generate_character/health", also=503)

    def _ask(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        also: int | None = None,
    ) -> Any:
        """The JSON object of an answer. also: an error status that is answered normally, too."""
        with self._open(method, path, data, headers, also=also) as answer:
            body = _read_object(answer)
            if body is None:
                raise _refusal(answer)
            return body

    @contextmanager
    def _open(
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

    def _fetch(self, path: str, part: Path) -> str:
        """Download a file to `part`, resuming whenever the connection breaks; returns its entity tag."""
        timer, longest, tag = _RetryTimer(self.patience), 0, ""
        with part.open("wb") as sink:
            while True:
                headers = {"Range": f"bytes={sink.tell()}-", "If-Range": tag} if tag else {}
                try:
                    with self._open("GET", path, headers=headers) as answer:
                        if answer.status != 206:
                            sink.seek(0)
                            sink.truncate()
                        tag = answer.headers.get("ETag", "")
                        _copy(answer, sink)
                        return tag
                except _BROKEN:
                    if sink.tell() > longest:
                        longest = sink.tell()
                        timer.restart()
                    if not timer.pause():
                        raise
