"""The files of a job: named by its nodes, found below ComfyUI's output folder."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

log = logging.getLogger("character3d")

MEDIA_TYPES: Mapping[str, str] = {
    ".glb": "model/gltf-binary",
    ".vrm": "model/gltf-binary",
    ".png": "image/png",
    ".webp": "image/webp",
    ".json": "application/json",
    ".zip": "application/zip",
    ".usdz": "model/vnd.usdz+zip",
}
OCTET_STREAM = "application/octet-stream"
_CHUNK = 2**20
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
# Without O_NONBLOCK, opening a pipe in the place of a file would wait for its writer.
_FILE = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


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

    def picture_url(self, job_id: str) -> str:
        """Where the file is found if it is a picture that a stage showed."""
        return f"/job/{job_id}/pictures/{quote(self.name)}"


def read_file_entry(entry: Mapping[str, Any], key: str, stage: str, folder: str = "output") -> JobFile | None:
    """A ui entry {"filename", "subfolder", "type"} as JobFile, or None for a file of another folder.

    folder: ComfyUI's name of the folder that the file is below.
    """
    if entry.get("type") != folder or not entry.get("filename"):
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
    """A file on disk: its size in bytes, its modification time in nanoseconds, and its hash."""

    size: int
    modified: int
    sha256: str

    @property
    def etag(self) -> str:
        """A strong entity tag."""
        return f'"{self.sha256}"'


def _open_folder(folder: Path, names: Sequence[str]) -> int:
    """The descriptor of a folder some levels below another; no level may be a link."""
    descriptor = os.open(folder, _FOLDER)
    for name in names:
        try:
            inner = os.open(name, _FOLDER | _NO_LINK, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _open_below(folder: Path, file: JobFile) -> int:
    if os.open not in os.supports_dir_fd:  # Windows, where links need a privilege
        path = locate_file(folder, file)
        if path is None:
            raise FileNotFoundError(file.name)
        return os.open(path, _FILE)
    way = PurePosixPath(file.relative)
    if way.is_absolute() or ".." in way.parts or not way.name:
        raise FileNotFoundError(file.name)
    *folders, name = way.parts
    parent = _open_folder(folder, folders)
    try:
        return os.open(name, _FILE, dir_fd=parent)
    finally:
        os.close(parent)


def open_file(output_folder: Path, file: JobFile) -> FileIO | None:
    """Open a job's file if it is a regular, non-empty file below the output folder, else None. Blocks.

    Each folder on the way is opened relative to its parent and none may be a link, so changes on the disk
    meanwhile cannot lead to another file. The output folder itself may be a link.
    """
    try:
        stream = FileIO(_open_below(output_folder, file), "rb")
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return None
    found = os.fstat(stream.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size:
        return stream
    stream.close()
    return None


def _hash_stream(stream: FileIO) -> str:
    digest = hashlib.sha256()
    stream.seek(0)
    while chunk := stream.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def read_facts(stream: FileIO, known: FileFacts | None = None) -> FileFacts | None:
    """The facts of an open file; it is hashed again only if size or time differ from `known`. Blocks.

    None for a file with several hard links and other bytes than `known`: such a link may have been put in the
    file's place to read something else. With the known bytes it is a link that somebody made to keep the
    result, and a file that was edited in place has one link.
    """
    found = os.fstat(stream.fileno())
    if known and (known.size, known.modified) == (found.st_size, found.st_mtime_ns):
        return known
    if found.st_nlink > 1 and (known is None or known.size != found.st_size):
        return None
    facts = FileFacts(found.st_size, found.st_mtime_ns, _hash_stream(stream))
    if found.st_nlink > 1 and known and facts.sha256 != known.sha256:
        return None
    return facts


def open_with_facts(
    output_folder: Path, file: JobFile, known: FileFacts | None = None
) -> tuple[FileIO, FileFacts] | None:
    """A job's file, open, and the facts of that open file; None where it cannot be opened. Blocks."""
    stream = open_file(output_folder, file)
    if stream is None:
        return None
    try:
        facts = read_facts(stream, known)
    except OSError:
        facts = None
    if facts is None:
        stream.close()
        return None
    return stream, facts


def measure_files(output_folder: Path, files: Iterable[JobFile]) -> dict[JobFile, FileFacts]:
    """The facts of each file that exists. Blocks."""
    measured = {}
    for file in files:
        if opened := open_with_facts(output_folder, file):
            opened[0].close()
            measured[file] = opened[1]
    return measured


def remove_files(output_folder: Path, files: Iterable[JobFile]) -> bool:
    """Delete the files that exist; returns whether none is left. Blocks."""
    gone = [_remove_file(output_folder, file) for file in files]
    return all(gone)


def _remove_file(output_folder: Path, file: JobFile) -> bool:
    path = locate_file(output_folder, file)
    try:
        if path:
            path.unlink(missing_ok=True)
    except OSError as error:  # Windows, while a reader has it open
        log.warning("%s could not be deleted: %s", file.name, error)
        return False
    return True
