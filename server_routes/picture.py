"""The uploaded picture: validated, re-encoded, and kept in ComfyUI's input folder until its job ends."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
from pathlib import Path
from typing import IO

from PIL.Image import Image

from ..pipeline.errors import PictureError, PictureFormatError, PictureTooLargeError
from ..pipeline.preprocessing.decode import load_picture
from .errors import ApiError, file_too_large, invalid_parameter, unsupported_format
from .upload import MAX_IMAGE_BYTES

log = logging.getLogger("character3d")

FOLDER = "character3d"
_folder_lock = threading.Lock()
"""Guards against the folder being removed between mkdir and the first write.

It is removed when it is empty, since some of ComfyUI's nodes list empty folders."""

_encoding = threading.BoundedSemaphore(2)
"""More at a time would be no faster, and each may hold 40 million pixels twice."""

FORMATS = ["PNG", "JPG", "JPEG"]


def _picture_error(error: PictureError) -> ApiError:
    if isinstance(error, PictureFormatError):
        return unsupported_format("Image format not supported. Send a PNG or JPEG file", allowed=FORMATS)
    if isinstance(error, PictureTooLargeError):
        refusal = file_too_large(f"Image is too large: {error}")
        refusal.closes = False
        return refusal
    return invalid_parameter(f"Invalid image: {error}", "image")


def decode_upload(image: IO[bytes]) -> Image:
    """Decode an uploaded file to an upright RGB or RGBA picture.

    Blocks: call it in a thread. Raises ApiError 415, 413, or 400 (damaged or fully transparent).
    """
    try:
        loaded = load_picture(image, max_bytes=MAX_IMAGE_BYTES)
    except PictureError as error:
        raise _picture_error(error) from error
    if loaded.mode == "RGBA" and loaded.getchannel("A").getbbox() is None:
        raise invalid_parameter("Invalid image. It is fully transparent", "image")
    return loaded


def encode_upload(image: IO[bytes]) -> bytes:
    """As decode_upload, and return the picture as a TIFF without metadata.

    It is not compressed, since the client waits for it: writing a PNG takes ten times as long.
    """
    buffer = io.BytesIO()
    with _encoding:
        decode_upload(image).save(buffer, "TIFF")
    return buffer.getvalue()


def input_name(job_id: str) -> str:
    """The name that LoadImage takes for a job's picture."""
    return f"{FOLDER}/{job_id}.tif"


def store_input(input_folder: Path, job_id: str, data: bytes) -> str:
    """Write a picture below ComfyUI's input folder; returns the name that LoadImage takes. Blocks.

    It is on disk when this returns.
    """
    path = input_folder / input_name(job_id)
    with _folder_lock:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("wb")
    with stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return input_name(job_id)


def remove_input(input_folder: Path, job_id: str) -> bool:
    """Delete a job's picture, and the folder with the last one; returns whether it is gone. Blocks."""
    path = input_folder / input_name(job_id)
    try:
        with _folder_lock:
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds pictures of other jobs, or is not there
                path.parent.rmdir()
    except OSError as error:  # Windows, while a reader has it open
        log.warning("job %s: its picture could not be deleted: %s", job_id, error)
        return False
    return True
