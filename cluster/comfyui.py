"""The ComfyUI beside a worker, asked through the pack's own API: it runs the job, the worker follows."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..client.client import Client, ServiceError
from ..client.connection import BROKEN, Connection, encode_form
from ..client.types import Acceptance
from ..server_routes.upload import MESH

log = logging.getLogger("character3d")

FOR_NOW = (409, 429, 503)
"""Full, or still busy with a request for this job whose connection broke."""
LONGEST_WAIT, LONGEST_CHECK, PAUSE = 60.0, 30.0, 1.0


class ComfyUI:
    """One ComfyUI with this pack, on loopback and without keys. Blocks; raises ServiceError or OSError."""

    def __init__(self, address: str) -> None:
        self._client = Client(address, patience=LONGEST_WAIT)
        self._connection = Connection(address, None, LONGEST_CHECK, None)

    def answers(self) -> bool:
        """Whether it is there."""
        try:
            self._client.models()
        except (ServiceError, OSError) as error:
            log.warning("the ComfyUI here does not answer: %s", error)
            return False
        return True

    def start(self, job_id: str, files: Mapping[str, Path], fields: Mapping[str, Any]) -> str:
        """Begin a job, or find it where it was begun before; returns its id there.

        The cluster's id is its idempotency key: a worker that starts again beside the same ComfyUI goes on
        with what runs there.
        """
        deadline = time.monotonic() + LONGEST_WAIT
        while (begun := self._try_start(job_id, files, fields, deadline)) is None:
            time.sleep(PAUSE)
        return begun

    def _try_start(
        self, job_id: str, files: Mapping[str, Path], fields: Mapping[str, Any], deadline: float
    ) -> str | None:
        """The id of the job; None where the ComfyUI is full, or away, for now."""
        try:
            return self._submit(job_id, files, fields)["job_id"]
        except (ServiceError, *BROKEN) as error:
            is_lasting = isinstance(error, ServiceError) and error.status not in FOR_NOW
            if is_lasting or time.monotonic() > deadline:
                raise
            log.warning("job %s: the ComfyUI here does not take it yet: %s", job_id, error)
            return None

    def _submit(self, key: str, files: Mapping[str, Path], fields: Mapping[str, Any]) -> Acceptance:
        if MESH in files:
            return self._client.rig(files[MESH], files.get("motion"), idempotency_key=key, **fields)
        return self._client.submit(files, fields, idempotency_key=key)

    def follow(self, local_id: str) -> Iterator[Mapping[str, Any]]:
        """The events of a job from its first; a restart of ComfyUI is waited for."""
        yield from self._client.events(local_id)

    def fetch(self, local_id: str, name: str, folder: Path) -> Path:
        """A result file, whole, in a folder."""
        return self._client.download(local_id, name, folder)

    def fetch_picture(self, local_id: str, name: str, folder: Path) -> Path | None:
        """A picture that a stage showed, in a folder; None where it is gone."""
        try:
            return self._client.download_picture(local_id, name, folder)
        except ServiceError as error:
            log.warning("job %s of the ComfyUI here, its picture %s: %s", local_id, name, error)
            return None

    def stop(self, local_id: str) -> bool:
        """Stop a job, which may take a moment; returns whether ComfyUI could be told."""
        return _succeeds(lambda: self._client.cancel(local_id), local_id)

    def forget(self, local_id: str) -> None:
        """Delete an ended job with its files, and its idempotency key; else it expires after a week."""
        _succeeds(lambda: self._client.delete(local_id), local_id)

    def discard(self, local_id: str) -> None:
        """Stop a job and forget it, so that the next start of the cluster's job begins anew."""
        if self.stop(local_id) and _succeeds(lambda: self._client.wait(local_id), local_id):
            self.forget(local_id)

    def check(self, path: str, files: Mapping[str, Path], fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a route answers that reads files without a job."""
        parts = {name: (file.name, file.read_bytes()) for name, file in files.items()}
        body, media_type = encode_form(parts, fields)
        return dict(self._connection.ask("POST", path, body, {"Content-Type": media_type}))

    def measure_memory(self) -> float | None:
        """GB of the device that it computes on, or of the machine without one; None if it does not say."""
        try:
            found = self._connection.ask("GET", "/system_stats")
            return float(found["devices"][0]["vram_total"]) / 1e9
        except (ServiceError, LookupError, TypeError, ValueError):
            return None

    def list_models(self) -> Mapping[str, Any]:
        """What its GET /models answers."""
        return dict(self._client.models())


def _succeeds(ask: Callable[[], object], local_id: str) -> bool:
    try:
        ask()
    except (ServiceError, OSError) as error:
        log.warning("job %s of the ComfyUI here: %s", local_id, error)
        return False
    return True
