"""A worker beside one ComfyUI: it claims a job, has ComfyUI run it, and stores what happens."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..client.client import ServiceError
from ..server_routes.database import Delivery, JobDatabase, Row
from ..server_routes.database_engine import DatabaseError
from ..server_routes.events import JOB_COMPLETED, TERMINAL, Event
from ..server_routes.files import FileFacts, JobFile
from ..server_routes.jobs import COMPLETED, Failure
from ..server_routes.upload import MESH
from ..server_routes.webhooks import make_delivery
from .comfyui import ComfyUI
from .endings import fail_job
from .files import ClusterFiles
from .ledger import FencedError, Ledger
from .metrics import WorkerMetrics
from .mirror import Mirror
from .queues import QUEUE

log = logging.getLogger("character3d")

T = TypeVar("T")

MOST_ATTEMPTS = 4
"""How often a job is begun at most: one that kills its workers must not do so forever."""
BEAT_SECONDS = 2.0
PATIENCE, PAUSE = 60.0, 1.0
GIVEN_UP, REFUSAL = "Given up", "The worker's ComfyUI refuses the job"
REFUSED = (400, 413, 415, 422)
"""Statuses that no other try would change."""


class Worker:
    """Runs one job at a time. queue: that it takes from."""

    def __init__(
        self,
        name: str,
        database: JobDatabase,
        files: ClusterFiles,
        comfyui: ComfyUI,
        queue: str = QUEUE,
    ) -> None:
        self.metrics = WorkerMetrics()
        self._name, self._queue = name, queue
        self._database = database
        self._ledger = Ledger(database.engine)
        self._files = files
        self._comfyui = comfyui

    @property
    def checks(self) -> dict[str, Callable[[], object]]:
        """Of the parts beside the broker that a worker needs, as operations.Check."""
        return {"database": self._ledger.count_workers, "comfyui": self._comfyui.list_models}

    def register(self) -> None:
        """Say that the worker is there, and what its ComfyUI has; raises as ComfyUI and Ledger do."""
        models, memory = self._comfyui.list_models(), self._comfyui.measure_memory()
        self._ledger.register(self._name, models, self._queue, memory)

    def is_ready(self) -> bool:
        """Whether the ComfyUI beside the worker answers."""
        return self._comfyui.answers()

    def run_job(self, job_id: str, is_redelivered: bool) -> None:
        """Run the job of a message to its end; when this returns, the message can be acknowledged.

        Raises DatabaseError, ServiceError or OSError where another worker should try.
        """
        attempt = _persist(lambda: self._ledger.claim(job_id, self._name, is_redelivered))
        if attempt is None:
            log.info("job %s: it needs no worker, its message is dropped", job_id)
            return
        row = _persist(lambda: self._database.find(job_id))
        try:
            if row is not None:
                self.metrics.count_begin(row, attempt)
                with self.metrics.busy.track_inprogress():
                    self._run_attempt(row, attempt)
        except FencedError:
            self.metrics.fenced.inc()
            log.warning("job %s: another worker has it, attempt %d is over", job_id, attempt)

    def _run_attempt(self, row: Row, attempt: int) -> None:
        if manifest := _persist(
            lambda: self._files.read_manifest(row.id)
        ):  # all was done but the last commit
            self._commit_manifest(row, attempt, manifest)
        elif attempt > MOST_ATTEMPTS:
            reason = f"The worker stopped while the job was running, {attempt - 1} times"
            self._fail(row, attempt, Failure(GIVEN_UP, reason, None))
        else:
            self._follow(row, attempt)

    def _follow(self, row: Row, attempt: int) -> None:
        try:
            local_id = self._start(row)
        except ServiceError as error:
            if error.status not in REFUSED:
                raise
            self._fail(row, attempt, Failure(REFUSAL, str(error), None))
            return
        try:
            self._mirror(row, attempt, local_id)
        except FencedError:
            self._comfyui.discard(local_id)
            raise
        self._comfyui.forget(local_id)

    def _start(self, row: Row) -> str:
        """Begin the job on ComfyUI, with what its client sent; returns its id there."""
        with tempfile.TemporaryDirectory() as folder:
            files = _persist(lambda: self._files.fetch_uploads(row.id, Path(folder)))
            drawn = () if MESH in files else ("seed",)
            names = {*row.body["sent"], *drawn} - {"webhook_url"}
            return self._comfyui.start(row.id, files, {name: row.body["values"][name] for name in names})

    def _mirror(self, row: Row, attempt: int, local_id: str) -> None:
        """Store what happens to a job of ComfyUI until it ends. Raises FencedError."""
        mirror = Mirror(row, attempt, local_id)
        with self._beat(row.id, attempt, local_id), tempfile.TemporaryDirectory() as folder:
            for event in self._comfyui.follow(local_id):
                self._copy_files(mirror, event, attempt, Path(folder))
                self._store(mirror, attempt, mirror.translate(event))

    def _store(self, mirror: Mirror, attempt: int, event: Event) -> None:
        delivery = _make_delivery(mirror.row, event) if event.type in TERMINAL else None
        row = mirror.row
        if event.type == JOB_COMPLETED:
            manifest = {"attempt": attempt, "record": row.body, "status": row.status}
            published = _persist(lambda: self._files.publish(row.id, manifest))
            if published["attempt"] != attempt:
                self._commit_manifest(row, attempt, published)
                return
        _persist(lambda: self._ledger.record(row, attempt, event, delivery))
        if event.type in TERMINAL:
            self.metrics.count_end(row)

    def _commit_manifest(self, row: Row, attempt: int, manifest: Mapping[str, Any]) -> None:
        """Store the end that an earlier attempt has published."""
        data, moment = json.loads(manifest["status"]), time.time()
        ended = replace(
            row, body=manifest["record"], status=manifest["status"], state=COMPLETED, ended=moment
        )
        event = Event(JOB_COMPLETED, row.id, 0, int(moment * 1000), data)
        _persist(lambda: self._ledger.record(ended, attempt, event, _make_delivery(ended, event)))
        self.metrics.count_end(ended)

    def _fail(self, row: Row, attempt: int, failure: Failure) -> None:
        self.metrics.count_end(fail_job(self._ledger, row, attempt, failure))

    def _copy_files(self, mirror: Mirror, event: Mapping[str, Any], attempt: int, folder: Path) -> None:
        """Store the new files that an event names, before anybody hears of them."""
        job_id = mirror.row.id
        for file in mirror.find_new(event):
            path = self._comfyui.fetch(mirror.local_id, file.name, folder)
            mirror.add_file(file, self._keep(job_id, attempt, path, file))
        for picture in mirror.find_new_pictures(event):
            if found := self._comfyui.fetch_picture(mirror.local_id, picture.name, folder):
                mirror.add_picture(picture, self._keep(job_id, attempt, found, picture))

    def _keep(self, job_id: str, attempt: int, path: Path, file: JobFile) -> FileFacts:
        """Move a job's file to where all can read it."""
        _persist(lambda: self._files.keep_result(job_id, attempt, path, file.relative))
        facts = FileFacts(path.stat().st_size, 0, _hash_file(path))
        path.unlink()
        return facts

    @contextlib.contextmanager
    def _beat(self, job_id: str, attempt: int, local_id: str) -> Iterator[None]:
        """Say that the worker lives while the block runs; stop ComfyUI's job where it is not wanted."""
        is_over = threading.Event()

        def beat() -> None:
            while not is_over.wait(BEAT_SECONDS):
                try:
                    is_unwanted = self._ledger.beat(job_id, attempt)
                except FencedError:
                    is_unwanted = True
                except DatabaseError as error:
                    log.warning("job %s: its heartbeat could not be stored: %s", job_id, error)
                    continue
                if is_unwanted and self._comfyui.stop(local_id):
                    return

        thread = threading.Thread(target=beat, name=f"beat {job_id}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()


def _persist(work: Callable[[], T]) -> T:
    """What work returns; it is tried again while the database or the files are away, for a minute.

    Raises DatabaseError or OSError after that, and FileNotFoundError at once.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return work()
        except FileNotFoundError:
            raise
        except (DatabaseError, OSError) as error:
            if time.monotonic() > deadline:
                raise
            log.warning("the database or the files are away, it is tried again: %s", error)
        time.sleep(PAUSE)


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _make_delivery(row: Row, event: Event) -> Delivery | None:
    url = row.body["values"]["webhook_url"]
    kind = "character.completed" if row.state == COMPLETED else "character.failed"
    return make_delivery(row.id, url, kind, event.data) if url else None
