"""What clients sent and what workers made, in any file system of fsspec: a folder, NFS, S3.

uploads/{job}/{part}, results/{job}/{attempt}/{name}, results/{job}/{attempt}/pictures/{name} of what stages
showed, and results/{job}/manifest.json, which is written once: a result is there when all of its files are.
questions/{id}/{part} while a worker is asked about a file.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import fsspec

from ..server_routes.downloads import content_disposition
from ..server_routes.files import OCTET_STREAM

_CHUNK = 2**20
QUESTION_SECONDS = 600.0
"""Nobody waits for the answer to a question for so long."""

SIGNED_SECONDS = 900
"""A signed URL may be followed, and resumed, for so long."""


class ClusterFiles:
    """Files below a URL such as file:///srv/character3d or s3://bucket/jobs. Blocks; raises OSError."""

    def __init__(self, url: str) -> None:
        self._system, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False)
        self._is_local = "file" in self._system.protocol

    def keep_uploads(self, job_id: str, files: Mapping[str, IO[bytes]]) -> None:
        """Store the files of a form; they are at their starts before and after."""
        self._keep("uploads", job_id, files)

    def _keep(self, kind: str, number: str, files: Mapping[str, IO[bytes]]) -> None:
        self._make_folder(kind, number)
        for name, file in files.items():
            file.seek(0)
            self._write(self._path(kind, number, name), file)
            file.seek(0)

    def copy_uploads(self, source: str, target: str) -> None:
        """Store the files of a job's form as those of another's, too."""
        self._make_folder("uploads", target)
        for name in self.list_uploads(source):
            self._system.cp_file(self._path("uploads", source, name), self._path("uploads", target, name))

    def list_uploads(self, job_id: str) -> dict[str, int]:
        """The names of the files of a job's form, and their sizes in bytes; none if they are gone."""
        return {name: entry["size"] for name, entry in self._list("uploads", job_id).items()}

    def _list(self, *parts: str) -> dict[str, Any]:
        """What is in a folder, by its names; nothing where there is none."""
        try:
            found = self._system.ls(self._path(*parts), detail=True)
        except FileNotFoundError:
            return {}
        return {str(entry["name"]).rpartition("/")[2]: entry for entry in found}

    def fetch_uploads(self, job_id: str, folder: Path) -> dict[str, Path]:
        """Copy the files of a job's form into a folder; returns them by their names in it, without suffix.

        Raises FileNotFoundError if they are gone.
        """
        return self._fetch("uploads", job_id, folder)

    def _fetch(self, kind: str, number: str, folder: Path) -> dict[str, Path]:
        names = self._list(kind, number)
        if not names:
            raise FileNotFoundError(f"{kind} of {number}")
        for name in names:
            self._system.get_file(self._path(kind, number, name), str(folder / name))
        return {Path(name).stem: folder / name for name in names}

    @contextmanager
    def hold_question(self, files: Mapping[str, IO[bytes]]) -> Iterator[str]:
        """Store the files of a question to a worker while the block runs; gives the question's id."""
        number = f"{int(time.time())}-{uuid.uuid4().hex}"
        try:
            self._keep("questions", number, files)
            yield number
        finally:
            self._remove("questions", number)

    def fetch_question(self, number: str, folder: Path) -> dict[str, Path]:
        """As fetch_uploads, for the files of a question."""
        return self._fetch("questions", number, folder)

    def remove_old_questions(self) -> None:
        """Delete the files of questions whose front door has died."""
        for number in self._list("questions"):
            if int(number.partition("-")[0]) < time.time() - QUESTION_SECONDS:
                self._remove("questions", number)

    def keep_result(self, job_id: str, attempt: int, file: Path, name: str) -> None:
        """Store a file that an attempt at a job has made. name: its own, or `pictures/` and its own."""
        folder, _, name = name.rpartition("/")
        place = ("results", job_id, str(attempt), *([folder] if folder else []))
        self._make_folder(*place)
        with file.open("rb") as source:
            self._write(self._path(*place, name), source)

    def open_result(self, job_id: str, attempt: int, name: str) -> IO[bytes]:
        """A result file, to be read and sought, by the name in keep_result; raises FileNotFoundError."""
        return self._system.open(self._path("results", job_id, str(attempt), name), "rb")

    def sign_result(self, job_id: str, attempt: int, name: str) -> str | None:
        """A URL of a result file that needs no key for a while; None if it is gone, or not in S3."""
        path = self._path("results", job_id, str(attempt), name)
        if "s3" not in self._system.protocol or not self._system.exists(path):
            return None
        disposition = content_disposition(name.rpartition("/")[2])
        shown = {"ResponseContentDisposition": disposition, "ResponseContentType": OCTET_STREAM}
        return str(self._system.sign(path, expiration=SIGNED_SECONDS, **shown))

    def publish(self, job_id: str, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Say once how a job ended; returns what was said first, this time or by an earlier attempt."""
        path, data = self._path("results", job_id, "manifest.json"), json.dumps(manifest).encode()
        self._make_folder("results", job_id)
        try:
            self._create(path, data)
        except FileExistsError:
            return dict(json.loads(self._system.cat_file(path)))
        return manifest

    def read_manifest(self, job_id: str) -> Mapping[str, Any] | None:
        """What was published of a job, if anything was."""
        try:
            return dict(json.loads(self._system.cat_file(self._path("results", job_id, "manifest.json"))))
        except FileNotFoundError:
            return None

    def remove(self, job_id: str) -> None:
        """Delete all files of a job; those that are gone are no error."""
        for kind in ("uploads", "results"):
            self._remove(kind, job_id)

    def _remove(self, kind: str, number: str) -> None:
        if self._system.exists(self._path(kind, number)):
            self._system.rm(self._path(kind, number), recursive=True)

    def _path(self, *parts: str) -> str:
        return "/".join((self._root, *parts))

    def _make_folder(self, *parts: str) -> None:
        if self._is_local:  # object stores have none
            self._system.makedirs(self._path(*parts), exist_ok=True)

    def _write(self, path: str, source: IO[bytes]) -> None:
        """Write a file, which is there whole or not at all."""
        if not self._is_local:  # object stores do so by themselves
            with self._system.open(path, "wb") as target:
                _copy(source, target)
            return
        part = f"{path}.{uuid.uuid4().hex}.part"
        with open(part, "wb") as target:
            _copy(source, target)
            target.flush()
            os.fsync(target.fileno())
        os.replace(part, path)

    def _create(self, path: str, data: bytes) -> None:
        """Write a file whole unless there is one; raises FileExistsError."""
        if not self._is_local:
            self._system.pipe_file(path, data, mode="create")  # S3: If-None-Match
            return
        part = f"{path}.{uuid.uuid4().hex}.part"
        Path(part).write_bytes(data)
        try:
            os.link(part, path)
        finally:
            os.unlink(part)


def _copy(source: IO[bytes], target: IO[bytes]) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)
