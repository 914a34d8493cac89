"""The requests of the service as methods."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import quote, urlencode
from urllib.request import OpenerDirector

from .connection import BROKEN, FIRST_PAUSE, Connection, RetryTimer, ServiceError, encode_form
from .downloads import PLAIN_NAME, fetch, hash_file
from .types import Acceptance, Check, CompletedJob, Event, FailedJob, Health, Job, JobList, Models, RigCheck

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .types import Parameters

log = logging.getLogger("character3d_client")

STREAM_SECONDS = 60.0
"""An event stream that is silent for so long is broken: the service sends something every 20 s."""
FOLLOW_SECONDS, POLL_SECONDS = 30.0, 1.0
"""The same where the status is asked for instead, and the pauses between."""

Picture = Path | bytes
"""A PNG or JPEG file, or the bytes of one."""


def _read_files(files: Mapping[str, Picture]) -> dict[str, tuple[str, bytes]]:
    """The files of a form, with names that say their formats alone."""
    return {
        name: (f"{name}{file.suffix}", file.read_bytes()) if isinstance(file, Path) else (name, file)
        for name, file in files.items()
    }


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


def _job(job_id: str) -> str:
    return f"/job/{quote(job_id, safe='')}"


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
        self._connection = Connection(address, api_key, timeout, opener)
        self._ask = self._connection.ask
        self.patience = patience

    @property
    def address(self) -> str:
        """The server's address."""
        return self._connection.address

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
        return self.submit(pictures, parameters, idempotency_key=idempotency_key)

    def submit(
        self, files: Mapping[str, Picture], fields: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> Acceptance:
        """Start a job from a form's own parts, its files and fields by their names; as `generate`."""
        return self._create("/generate_character", _read_files(files), fields, idempotency_key)

    def rig(
        self,
        mesh: Path,
        motion: Path | None = None,
        *,
        idempotency_key: str | None = None,
        **parameters: Unpack[Parameters],
    ) -> Acceptance:
        """Start a job that rigs a mesh file (GLB, FBX, OBJ and others), as generate does for a picture.

        motion: a file (BVH, FBX, GLB, VRMA or npz of SMPL) that becomes a clip of the character.
        """
        files = {"mesh": mesh} if motion is None else {"mesh": mesh, "motion": motion}
        path = "/character/rig" if motion is None else "/character/animate"
        return self._create(path, _read_files(files), parameters, idempotency_key)

    def _create(
        self,
        path: str,
        files: Mapping[str, tuple[str, bytes]],
        fields: Mapping[str, Any],
        idempotency_key: str | None,
    ) -> Acceptance:
        """Start a job; once more, under the same key, if the connection breaks."""
        key = str(uuid.uuid4()) if idempotency_key is None else idempotency_key
        body, media_type = encode_form(files, fields)
        headers = {"Content-Type": media_type, "Idempotency-Key": key}
        timer, tries = RetryTimer(self.patience), 0
        while True:
            tries += 1
            try:
                return self._ask("POST", path, body, headers)
            except BROKEN:
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
        path = f"/generate_character/jobs/{quote(job_id, safe='')}/views"
        return self._create(path, _read_files(pictures), {}, idempotency_key)

    def check(self, picture: Picture, *, figure: int = -1) -> Check:
        """What a job would read in a PNG or JPEG picture: kind, landmarks, warnings and a preview.

        figure: which one of several, as in a job's parameters.
        """
        body, media_type = encode_form(_read_files({"image": picture}), {"figure": figure})
        return self._ask("POST", "/character/check", body, {"Content-Type": media_type})

    def check_rig(self, mesh: Path) -> RigCheck:
        """What a rig would make of a mesh file (GLB, FBX, OBJ and others): what it is, what it lacks."""
        body, media_type = encode_form(_read_files({"mesh": mesh}))
        return self._ask("POST", "/character/rig_check", body, {"Content-Type": media_type})

    def status(self, job_id: str) -> Job:
        """The status of a job."""
        return self._ask("GET", f"{_job(job_id)}/status")

    def events(self, job_id: str, since: int = 0) -> Iterator[Event]:
        """The events of a job, from the one after number `since` to the last.

        A broken stream is resumed where it was. The progress of an ended job is not replayed.
        """
        timer, has_ended = RetryTimer(self.patience), False
        while True:
            before = since
            try:
                headers = {"Last-Event-ID": str(since)}
                path = f"{_job(job_id)}/events"
                with self._connection.open("GET", path, headers=headers, timeout=STREAM_SECONDS) as answer:
                    timer.restart()
                    for event in _read_events(answer):
                        since = event["seq"]
                        yield event
                        if event["type"] in ("job_completed", "error"):
                            return
                if has_ended and since == before:
                    return  # the caller knew the last event already
                has_ended = self.status(job_id)["status"] != "processing"
                time.sleep(FIRST_PAUSE)
            except BROKEN:
                if not timer.pause():
                    raise

    def follow(self, job_id: str) -> Iterator[Job]:
        """The status of a job now and whenever it changes; the last one is of its end.

        Where the event stream cannot be had, breaks or stays silent, as behind some proxies, the status is
        asked for every few seconds instead.
        """
        job = self.status(job_id)
        yield job
        try:
            for event in self._stream(job_id, 0, FOLLOW_SECONDS) if job["status"] == "processing" else ():
                found = cast("Job", event["data"])
                # The log begins anew, and progress never falls.
                if "stages" in found and found["progress"] >= job["progress"]:
                    yield (job := found)
        except (*BROKEN, ServiceError):
            log.info("job %s: no events, its status is asked for instead", job_id)
        timer = RetryTimer(self.patience)
        while job["status"] == "processing":
            time.sleep(POLL_SECONDS)
            try:
                yield (job := self.status(job_id))
                timer.restart()
            except BROKEN:
                if not timer.pause():
                    raise

    def _stream(self, job_id: str, since: int, timeout: float) -> Iterator[Event]:
        """The events after number `since` that one stream brings, up to the last."""
        headers = {"Last-Event-ID": str(since)}
        path = f"{_job(job_id)}/events"
        with self._connection.open("GET", path, headers=headers, timeout=timeout) as answer:
            for event in _read_events(answer):
                yield event
                if event["type"] in ("job_completed", "error"):
                    return

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
        return self._save("download", job_id, name, folder)

    def download_picture(self, job_id: str, name: str, folder: Path) -> Path:
        """As `download`, for a picture of the member `pictures`, while the service has it."""
        return self._save("pictures", job_id, name, folder)

    def _save(self, kind: str, job_id: str, name: str, folder: Path) -> Path:
        if not PLAIN_NAME.fullmatch(name):
            raise ValueError(f"name is {name!r}; expected a file name without folders")
        folder.mkdir(parents=True, exist_ok=True)
        path, part = f"{_job(job_id)}/{kind}/{quote(name, safe='')}", folder / f"{name}.part"
        try:
            tag = fetch(self._connection, path, part, self.patience)
            expected, found = self._find_hash(kind, job_id, name) or tag.strip('"'), hash_file(part)
            if found != expected:
                raise ServiceError(200, f"{name} came with SHA-256 {found}; expected {expected}")
            return part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)

    def _find_hash(self, kind: str, job_id: str, name: str) -> str | None:
        """The SHA-256 that the service states; it states none of pictures, nor while the job runs."""
        files = self.status(job_id)["downloads"] if kind == "download" else ()
        return next((file["sha256"] for file in files if file["name"] == name), None)

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
