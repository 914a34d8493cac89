"""One order of the command: started or found again, followed to its end, its files downloaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from .client import Client
from .connection import BROKEN, ServiceError
from .orders import Ledger, Order
from .types import CompletedJob, Job

RESULTS = ("rigged_character", "textured_mesh", "raw_mesh")
"""The first of them that a job has is what was ordered."""
BUSY = (409, 429, 503)
"""The same request may succeed later: it is in progress, or a limit of the user or the server is reached."""
GONE = (404, 410)

Show = Callable[[str, int], None]
"""Takes what an order is doing, and its progress 0..100."""


class Stopped(Exception):
    """The person stopped the command."""


class JobFailed(Exception):
    """The job failed; the message says where and why."""


class Run:
    """An order on its way. stop: set to stop the command. patience: seconds that a server may be busy."""

    def __init__(
        self, client: Client, order: Order, out: Path, stop: threading.Event, patience: float = 600.0
    ) -> None:
        self._client = client
        self.order = order
        self._out = out
        self._stop = stop
        self._patience = patience
        self._ledger = Ledger(out / f".{order.stem}.character3d.json", order.hash(client.address))
        self.is_resumed = False

    @property
    def job_id(self) -> str:
        """Empty until the job is accepted."""
        return self._ledger.record.job_id

    def finish(self, show: Show, every_file: bool = False) -> tuple[CompletedJob, list[Path]]:
        """Do all of it; returns the job and its files here.

        Raises Stopped, JobFailed, ServiceError, and OSError where the server cannot be reached.
        """
        job = self._follow(show)
        if job["status"] != "completed":
            self._ledger.close()
            if job["status"] == "failed" and job.get("cancelled"):
                raise Stopped
            raise JobFailed(_describe_failure(job))
        show("downloading", 100)
        paths = list(self._download(job, every_file))
        self._ledger.close()
        return job, paths

    def _follow(self, show: Show) -> Job:
        """Start the job, or find it; returns how it ended."""
        found = self._find()
        self.is_resumed = found is not None
        if found is None:
            self._start(show)
        for job in self._client.follow(self.job_id):
            stage = job["current_stage"] if job["status"] == "processing" else job["status"]
            show(stage.replace("_", " "), job["progress"])
            if self._stop.is_set():
                self.cancel()  # it may have been accepted only after all that were known were cancelled
                raise Stopped
        return job

    def _find(self) -> Job | None:
        """The job of an earlier command that was killed, if it can still be had."""
        if not self.job_id:
            return None
        try:
            job = self._client.status(self.job_id)
        except ServiceError as error:
            if error.status not in GONE:
                raise
            job = None
        if job is None or job["status"] == "failed":
            self._ledger.restart()
            return None
        return job

    def _start(self, show: Show) -> None:
        """Start the job, waiting while the server is busy."""
        self._ledger.begin()
        show("sending", 0)
        waited = 0.0
        while True:
            try:
                self._ledger.note_job(self._order_job())
                return
            except ServiceError as error:
                pause = error.retry_after or 2.0
                if error.status not in BUSY or waited + pause > self._patience:
                    raise
                show(f"waiting {pause:.0f} s: {error.message}", 0)
            waited += pause
            if self._stop.wait(pause):
                raise Stopped

    def _order_job(self) -> str:
        try:
            return self.order.start(self._client, self._ledger.record.key)["job_id"]
        except ServiceError as error:
            if error.status in GONE:  # the key's job was deleted
                self._ledger.restart()
                return self.order.start(self._client, self._ledger.record.key)["job_id"]
            raise

    def cancel(self) -> bool:
        """Cancel the job; returns whether the server was told. What it was is forgotten."""
        if not self.job_id:
            return False
        try:
            self._client.cancel(self.job_id)
        except (ServiceError, *BROKEN):
            return False
        self._ledger.close()
        return True

    def _download(self, job: CompletedJob, every_file: bool) -> Iterator[Path]:
        """The result under the order's name; or every file of the job, in a folder of that name."""
        if every_file:
            for file in job["downloads"]:
                yield self._client.download(self.job_id, file["name"], self._out / self.order.stem)
            return
        by_result = {file["result"]: file["name"] for file in reversed(job["downloads"])}
        name = next((by_result[result] for result in RESULTS if result in by_result), "")
        if not name:
            raise JobFailed("the job made no file")
        path = self._client.download(self.job_id, name, self._out)
        yield path.replace(self._out / f"{self.order.stem}{path.suffix}")


def _describe_failure(job: Job) -> str:
    failed = cast("dict[str, str]", job)
    stage = (failed["failed_stage"] or "the queue").replace("_", " ")
    return f"{failed['error']} in {stage}: {failed['error_details']}"
