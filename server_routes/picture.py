"""The uploaded picture and motion: checked, and kept in ComfyUI's input folder until their job ends."""

from __future__ import annotations

import codecs
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
MOTION_FORMATS = ["BVH", "FBX", "GLB", "VRMA", "NPZ"]
_PICTURE = ".tif"
_SIGNATURES = (
    (b"HIERARCHY", ".bvh"),
    (b"glTF", ".glb"),
    (b"Kaydara FBX Binary", ".fbx"),
    (b"; FBX", ".fbx"),
    (b"PK\x03\x04", ".npz"),
)
MOTION_SUFFIXES = tuple(dict.fromkeys(suffix for _, suffix in _SIGNATURES))


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


def read_motion(motion: IO[bytes]) -> tuple[str, bytes]:
    """Return the suffix of a motion's format, told by its first bytes, and its bytes.

    Raises ApiError 415 for other formats. The motion itself is read where it is put onto the character.
    """
    data = motion.read()
    start = data[:64].removeprefix(codecs.BOM_UTF8).lstrip()
    suffix = next((suffix for sign, suffix in _SIGNATURES if start.startswith(sign)), None)
    if suffix is None:
        raise unsupported_format(
            "Motion format not supported. Send a BVH, FBX, GLB, VRMA or SMPL npz file",
            parameter="motion",
            allowed=MOTION_FORMATS,
        )
    return suffix, data


def input_name(job_id: str, suffix: str = _PICTURE) -> str:
    """The name of a job's picture below the input folder, or of its motion with that suffix."""
    return f"{FOLDER}/{job_id}{suffix}"


def find_motion(input_folder: Path, job_id: str) -> str:
    """The name of a job's motion below the input folder; empty without one. Blocks."""
    names = (input_name(job_id, suffix) for suffix in MOTION_SUFFIXES)
    return next((name for name in names if (input_folder / name).is_file()), "")


def store_input(input_folder: Path, job_id: str, data: bytes, suffix: str = _PICTURE) -> str:
    """Write a file below ComfyUI's input folder; returns its name there. Blocks.

    It is on disk when this returns.
    """
    path = input_folder / input_name(job_id, suffix)
    with _folder_lock:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("wb")
    with stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    return input_name(job_id, suffix)


def remove_input(input_folder: Path, job_id: str) -> bool:
    """Delete a job's files, and the folder with the last one; returns whether they are gone. Blocks."""
    try:
        with _folder_lock:
            for suffix in (_PICTURE, *MOTION_SUFFIXES):
                (input_folder / input_name(job_id, suffix)).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds files of other jobs, or is not there
                (input_folder / FOLDER).rmdir()
    except OSError as error:  # Windows, while a reader has it open
        log.warning("job %s: its picture or motion could not be deleted: %s", job_id, error)
        return False
    return True
