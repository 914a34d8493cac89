"""The files of a job: named by its nodes, found below ComfyUI's output folder, sent as attachments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from aiohttp import web

MEDIA_TYPES: Mapping[str, str] = {
    ".glb": "model/gltf-binary",
    ".vrm": "model/gltf-binary",
    ".png": "image/png",
    ".webp": "image/webp",
}
OCTET_STREAM = "application/octet-stream"


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


def measure_files(output_folder: Path, files: list[JobFile]) -> dict[JobFile, int]:
    """Size in bytes of each file that is there. Blocks."""
    located = {file: locate_file(output_folder, file) for file in files}
    return {file: path.stat().st_size for file, path in located.items() if path}


def content_disposition(name: str) -> str:
    """An attachment header (RFC 6266); the RFC 8187 form is added where ASCII does not do."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def file_response(path: Path) -> web.FileResponse:
    """The file as bytes to save: never shown, never sniffed."""
    return web.FileResponse(
        path,
        headers={
            "Content-Type": OCTET_STREAM,
            "Content-Disposition": content_disposition(path.name),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-cache",
        },
    )
