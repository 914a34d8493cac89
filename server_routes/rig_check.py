"""POST /character/rig_check: what a rig would make of a mesh, at once and without a job.

As pictures, meshes are read in a thread, one after the other, outside ComfyUI's queue.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from aiohttp import web

from ..pipeline.errors import Character3DError, FormatError, MeshError
from .check_queue import CheckQueue
from .errors import PROCESSING_ERROR, ApiError, invalid_parameter, unsupported_format
from .redact import redact_paths
from .upload import MEBIBYTE, MESH, FilePart, read_form
from .upload_slots import UploadSlots

RIG_CHECK_PATH = "/character/rig_check"
FILES = {
    MESH: FilePart(
        64 * MEBIBYTE,
        "Mesh file is too large. The limit is 64 MB",
        "Missing mesh. Send a mesh file, such as a GLB, whose name says its format",
    )
}

RigReader = Callable[[Path], Mapping[str, Any]]
"""The path of a mesh file -> members of schemas.RigCheck. Called in any thread, one call at a time.

Raises FormatError if the file cannot be read, and MeshError if what it holds cannot be looked over.
"""

MeshReader = Callable[[IO[bytes], str], Mapping[str, Any]]
"""The same of an uploaded file and the suffix that says its format. Raises ApiError. Called in any thread."""

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}$")


class RigChecks:
    """Answers POST /character/rig_check. read: at most `turns` calls at a time."""

    def __init__(self, read: MeshReader, turns: int = 1) -> None:
        self._read = read
        self._queue = CheckQueue("rig_check", "meshes", turns)

    async def answer(self, request: web.Request, user: str, uploads: UploadSlots) -> web.Response:
        """Read the mesh of a form and say what was found."""
        return await self._queue.answer(user, lambda: self._answer(request, uploads))

    async def _answer(self, request: web.Request, uploads: UploadSlots) -> web.Response:
        async with read_form(request, uploads, FILES) as form, self._queue.turn:
            started, suffix = time.monotonic(), _SUFFIX.search(form.filenames[MESH])
            found = await asyncio.to_thread(self._read, form.files[MESH], suffix[0].lower() if suffix else "")
        return web.json_response({**found, "seconds": round(time.monotonic() - started, 3)})


def make_mesh_reader(read: RigReader) -> MeshReader:
    """What reads the meshes of forms here. read: the pack's nodes know how, the service does not."""

    def read_upload(file: IO[bytes], suffix: str) -> Mapping[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{MESH}{suffix}")
            with path.open("wb") as copy:
                shutil.copyfileobj(file, copy)
            try:
                return read(path)
            except FormatError as error:
                message = f"Mesh format not supported. {redact_paths(str(error), [folder])}"
                raise unsupported_format(message, parameter=MESH) from error
            except MeshError as error:
                message = f"Invalid mesh: {redact_paths(str(error), [folder])}"
                raise invalid_parameter(message, MESH) from error
            except Character3DError as error:
                raise ApiError(500, PROCESSING_ERROR, redact_paths(str(error), [folder])) from error

    return read_upload
