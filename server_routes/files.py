"""The files of a job: named by its nodes, found below ComfyUI's output folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

MEDIA_TYPES: Mapping[str, str] = {
    ".glb": "model/gltf-binary",
    ".vrm": "model/gltf-binary",
    ".png": "image/png",
    ".webp": "image/webp",
}
OCTET_STREAM = "application/octet-stream"
_CHUNK = 2**20


@dataclass(frozen=True)
class JobFile:
    """One file that a node of the job wrote. relative: path below the output folder, with "/"."""

    key: str
    stage: str
    relative: str

    @property
    def name(self) -> str:
        """Last component of the path: what the download route takes."""
        return PurePosixPath(self.relative).name

    @property
    def public_path(self) -> str:
        """The path of the wire contract; never a path on disk."""
        return f"/output/{self.relative}"

    @property
    def media_type(self) -> str:
        """Media type by suffix."""
        return MEDIA_TYPES.get(PurePosixPath(self.relative).suffix.lower(), OCTET_STREAM)

    def url(self, job_id: str) -> str:
        """Where the file is downloaded."""
        return f"/job/{job_id}/download/{quote(self.name)}"


def read_file_entry(entry: Mapping[str, Any], key: str, stage: str) -> JobFile | None:
    """A ui entry {"filename", "subfolder", "type"} as JobFile, or None for anything but an output."""
    if entry.get("type") != "output" or not entry.get("filename"):
        return None
    subfolder = str(entry.get("subfolder") or "").replace("\\", "/").strip("/")
    return JobFile(key, stage, str(PurePosixPath(subfolder) / str(entry["filename"])))


def locate_file(output_folder: Path, file: JobFile) -> Path | None:
    """The regular, unlinked, non-empty file on disk below the output folder, or None. Blocks."""
    root = output_folder.resolve()
    path = root / file.relative
    try:
        if not path.is_file() or path.resolve() != path or not path.is_relative_to(root):
            return None
        return path if path.stat().st_size else None
    except OSError:
        return None


@dataclass(frozen=True)
class FileFacts:
    """What a file on disk is: its size in bytes, when it was written, and the hash of its bytes."""

    size: int
    modified: int
    sha256: str

    @property
    def etag(self) -> str:
        """A strong entity tag."""
        return f'"{self.sha256}"'


def read_facts(path: Path, known: FileFacts | None = None) -> FileFacts:
    """The facts of a file; it is hashed again only if it is not as `known` says. Blocks."""
    found = path.stat()
    if known and (known.size, known.modified) == (found.st_size, found.st_mtime_ns):
        return known
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return FileFacts(found.st_size, found.st_mtime_ns, digest.hexdigest())


def measure_files(output_folder: Path, files: list[JobFile]) -> dict[JobFile, FileFacts]:
    """The facts of each file that is there. Blocks."""
    located = {file: locate_file(output_folder, file) for file in files}
    return {file: read_facts(path) for file, path in located.items() if path}


def remove_files(output_folder: Path, files: Iterable[JobFile]) -> None:
    """Delete what there is of the files. Blocks."""
    for file in files:
        path = locate_file(output_folder, file)
        if path:
            path.unlink(missing_ok=True)
