"""POST /character/check: what a job would read in a picture, at once and without a job.

The pictures are read in a thread, one after the other, outside ComfyUI's queue: a job may be running.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
from aiohttp import web

from ..pipeline.errors import Character3DError, PictureError
from ..pipeline.types import FloatArray
from .check_queue import CheckQueue
from .errors import PROCESSING_ERROR, ApiError, invalid_parameter
from .parameters import label, parse_parameters
from .picture import decode_upload
from .redact import redact_paths
from .upload import read_form
from .upload_slots import UploadSlots

CHECK_PATH = "/character/check"
FORMATS = ("json", "png")

READ_FIELDS = ("figure", "views", "mesh_input_size", "outline_size")
"""The fields of a job's form that change what is read."""

PictureReader = Callable[[FloatArray, Mapping[str, Any]], tuple[Mapping[str, Any], bytes]]
"""Picture (H, W, 3 or 4), sRGB 0..1, and the values of READ_FIELDS -> members of schemas.Check and
a PNG of them.

Raises PictureError if there is no subject. Called in any thread, one call at a time.
"""

UploadReader = Callable[[IO[bytes], str, Mapping[str, Any]], tuple[Mapping[str, Any], bytes]]
"""The same of an uploaded file, and the name of its part of the form. Raises ApiError.

Called in any thread.
"""


class PictureChecks:
    """Answers POST /character/check. read: at most `turns` calls at a time."""

    def __init__(self, read: UploadReader, turns: int = 1) -> None:
        self._read = read
        self._queue = CheckQueue("check", "pictures", turns)

    async def answer(self, request: web.Request, user: str, uploads: UploadSlots) -> web.Response:
        """Read the picture of a form and say what was found, as JSON or as a picture."""
        return await self._queue.answer(user, lambda: self._answer(request, uploads))

    async def _answer(self, request: web.Request, uploads: UploadSlots) -> web.Response:
        kind = _read_format(request)
        async with read_form(request, uploads) as form, self._queue.turn:
            started = time.monotonic()
            sent = {name: text for name, text in form.fields.items() if name in READ_FIELDS}
            values = {name: parse_parameters(sent, ()).values[name] for name in READ_FIELDS}
            name, image = next(iter(form.pictures.items()))
            found, preview = await asyncio.to_thread(self._read, image, name, values)
        if kind == "png":
            return web.Response(body=preview, content_type="image/png")
        seconds = round(time.monotonic() - started, 3)
        encoded = base64.b64encode(preview).decode()
        return web.json_response({**found, "preview": encoded, "seconds": seconds})


def make_upload_reader(read: PictureReader) -> UploadReader:
    """What reads the pictures of forms here. read: the pack's nodes know how, the service does not."""

    def read_upload(
        image: IO[bytes], name: str, values: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], bytes]:
        decoded = decode_upload(image, name)
        try:
            return read(np.asarray(decoded, np.float32) / 255, values)
        except PictureError as error:
            raise invalid_parameter(f"Invalid {label(name)}: {error}", name) from error
        except Character3DError as error:
            raise ApiError(500, PROCESSING_ERROR, redact_paths(str(error))) from error

    return read_upload


def _read_format(request: web.Request) -> str:
    found = request.query.get("format", FORMATS[0])
    if found not in FORMATS:
        message = f"Invalid format. Must be {' or '.join(FORMATS)}"
        raise invalid_parameter(message, "format", provided=found[:100], allowed=list(FORMATS))
    return found
