"""What the command is asked to make: one job each, from files and form fields."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from .client import Client
from .downloads import hash_file
from .types import Acceptance

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Order:
    """One job. files: a picture; or a mesh, and a motion if it has one. fields: of the form, as text."""

    files: Sequence[Path]
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called: its first file."""
        return self.files[0].name

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture; else it is a mesh, and may have a motion."""
        return self.files[0].suffix.lower() in PICTURES

    @property
    def stem(self) -> str:
        """What its result is called, without the suffix; never as the mesh that it is made of."""
        done = "" if self.is_picture else "_animated" if len(self.files) > 1 else "_rigged"
        return f"{self.files[0].stem}{done}"

    def start(self, client: Client, key: str) -> Acceptance:
        """Start the job, or find the one that was started with the same key."""
        fields: dict[str, Any] = dict(self.fields)
        if self.is_picture:
            return client.generate(self.files[0], idempotency_key=key, **fields)
        return client.rig(*self.files, idempotency_key=key, **fields)

    def hash(self, address: str) -> str:
        """What tells it from others: the server, the bytes of its files and its fields."""
        told = [address, [hash_file(file) for file in self.files], sorted(self.fields.items())]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass(frozen=True)
class Record:
    """An order that has been begun. key: its idempotency key. job_id: empty until it is accepted."""

    order: str
    key: str
    job_id: str = ""


class Ledger:
    """The record of one order, in a file beside its results, where a command finds its job again."""

    def __init__(self, path: Path, order: str) -> None:
        self._path = path
        self.record = self._read(order) or Record(order, str(uuid.uuid4()))

    def _read(self, order: str) -> Record | None:
        try:
            record = Record(**json.loads(self._path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or of another program
            return None
        return record if record.order == order else None

    def begin(self) -> None:
        """Write the key down before the job is started."""
        self._write()

    def note_job(self, job_id: str) -> None:
        """Write down which job it is."""
        self.record = replace(self.record, job_id=job_id)
        self._write()

    def restart(self) -> None:
        """Forget the job, which is gone: the next one has another key."""
        self.record = Record(self.record.order, str(uuid.uuid4()))
        self._write()

    def close(self) -> None:
        """The order is done."""
        self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self.record)), encoding="utf-8")
        os.replace(new, self._path)
