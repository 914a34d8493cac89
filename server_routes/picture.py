"""The uploaded pictures and motion: checked, and kept in ComfyUI's input folder until their job ends."""

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

from ..pipeline.conventions import MESH_SUFFIXES
from ..pipeline.decode import is_picture_whole, load_picture
from ..pipeline.errors import PictureError, PictureFormatError, PictureTooLargeError
from .errors import ApiError, file_too_large, invalid_parameter, unsupported_format
from .parameters import label
from .upload import EDITS, MAX_IMAGE_BYTES, MESH, SHEET, SIDE_PICTURES

log = logging.getLogger("character3d")

FOLDER = "character3d"
_folder_lock = threading.Lock()
"""Guards against the folder being removed between mkdir and the first write.

It is removed when it is empty, since some of ComfyUI's nodes list empty folders."""

_encoding = threading.BoundedSemaphore(2)
"""More at a time would be no faster, and each may hold 40 million pixels twice."""

DECODED_BYTES = 2**20
"""A machine that runs no job decodes a picture of so many bytes to check it."""

FORMATS = ["PNG", "JPG", "JPEG"]
MOTION_FORMATS = ["BVH", "FBX", "GLB", "VRMA", "NPZ"]
_PICTURE = ".tif"
PICTURE_SUFFIXES = {
    "image": _PICTURE,
    **{name: f"_{name.removeprefix('image_')}{_PICTURE}" for name in (SHEET, *SIDE_PICTURES)},
}
"""Form file -> what its name in the input folder ends with, after the job's id."""
EDIT_SUFFIXES = {name: f"_painted_{name}{_PICTURE}" for name in EDITS}
"""The same of views and textures that a person painted."""
MESH_INPUTS = tuple(f"_{MESH}{suffix}" for suffix in MESH_SUFFIXES)
"""What the name of a client's mesh ends with, by its format."""
_SIGNATURES = (
    (b"HIERARCHY", ".bvh"),
    (b"glTF", ".glb"),
    (b"Kaydara FBX Binary", ".fbx"),
    (b"; FBX", ".fbx"),
    (b"PK\x03\x04", ".npz"),
)
MOTION_SUFFIXES = tuple(dict.fromkeys(suffix for _, suffix in _SIGNATURES))


def _picture_error(error: PictureError, name: str) -> ApiError:
    words = label(name)
    if isinstance(error, PictureFormatError):
        message = f"{words.capitalize()} format not supported. Send a PNG or JPEG file"
        return unsupported_format(message, parameter=name, allowed=FORMATS)
    if isinstance(error, PictureTooLargeError):
        refusal = file_too_large(f"{words.capitalize()} is too large: {error}", parameter=name)
        refusal.closes = False
        return refusal
    return invalid_parameter(f"Invalid {words}: {error}", name)


def decode_upload(image: IO[bytes], name: str = "image") -> Image:
    """Decode an uploaded file to an upright RGB or RGBA picture. name: of its part of the form.

    Blocks: call it in a thread. Raises ApiError 415, 413, or 400 (damaged or fully transparent).
    """
    try:
        loaded = load_picture(image, max_bytes=MAX_IMAGE_BYTES)
    except PictureError as error:
        raise _picture_error(error, name) from error
    if loaded.mode == "RGBA" and loaded.getchannel("A").getbbox() is None:
        raise invalid_parameter(f"Invalid {label(name)}. It is fully transparent", name)
    return loaded


def check_upload(image: IO[bytes], name: str = "image") -> None:
    """As decode_upload, but a file of more than DECODED_BYTES that is whole is not decoded.

    Of those, a PNG whose pixels are damaged though its checksums are right, or all transparent, is not found.
    """
    with contextlib.suppress(PictureError):  # it is damaged, or may be: decoding tells
        if image.seek(0, os.SEEK_END) > DECODED_BYTES and is_picture_whole(image, max_bytes=MAX_IMAGE_BYTES):
            return
    decode_upload(image, name)


def decode_painted(image: IO[bytes], name: str, side: int | None) -> Image:
    """As decode_upload, without alpha, for a view of `side` pixels or a square texture (None).

    Raises ApiError 400 for another size.
    """
    painted = decode_upload(image, name)
    width, height = painted.size
    if width != height or (side is not None and width != side):
        expected = f"{side} x {side} pixels, as the view that was made" if side else "a square picture"
        message = f"Invalid {label(name)}. Expected {expected}; found {width} x {height}"
        raise invalid_parameter(message, name, provided=[width, height], expected=side)
    return painted.convert("RGB")


def encode_painted(image: IO[bytes], name: str, side: int | None) -> bytes:
    """As decode_painted, and return the picture as encode_upload."""
    buffer = io.BytesIO()
    with _encoding:
        decode_painted(image, name, side).save(buffer, "TIFF")
    return buffer.getvalue()


def encode_upload(image: IO[bytes], name: str = "image") -> bytes:
    """As decode_upload, and return the picture as a TIFF without metadata.

    It is not compressed, since the client waits for it: writing a PNG takes ten times as long.
    """
    buffer = io.BytesIO()
    with _encoding:
        decode_upload(image, name).save(buffer, "TIFF")
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
    """The name, below the input folder, of a job's file with that suffix."""
    return f"{FOLDER}/{job_id}{suffix}"


def find_pictures(input_folder: Path, job_id: str) -> dict[str, str]:
    """The names of a job's pictures below the input folder, by their names in the form. Blocks.

    In their place the mesh of a job that takes one. A front that is gone is named all the same: ComfyUI says
    that it is missing.
    """
    meshes = (input_name(job_id, suffix) for suffix in MESH_INPUTS)
    if mesh := next((name for name in meshes if (input_folder / name).is_file()), ""):
        return {MESH: mesh}
    names = {name: input_name(job_id, suffix) for name, suffix in PICTURE_SUFFIXES.items()}
    found = {name: file for name, file in names.items() if (input_folder / file).is_file()}
    return found if SHEET in found else {"image": names["image"], **found}


def find_motion(input_folder: Path, job_id: str) -> str:
    """The name of a job's motion below the input folder; empty without one. Blocks."""
    names = (input_name(job_id, suffix) for suffix in MOTION_SUFFIXES)
    return next((name for name in names if (input_folder / name).is_file()), "")


def find_edits(input_folder: Path, job_id: str) -> dict[str, str]:
    """The names of a job's painted views and texture below the input folder, by theirs. Blocks."""
    names = {name: input_name(job_id, suffix) for name, suffix in EDIT_SUFFIXES.items()}
    return {name: file for name, file in names.items() if (input_folder / file).is_file()}


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
            files = (*PICTURE_SUFFIXES.values(), *EDIT_SUFFIXES.values(), *MOTION_SUFFIXES, *MESH_INPUTS)
            for suffix in files:
                (input_folder / input_name(job_id, suffix)).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # it holds files of other jobs, or is not there
                (input_folder / FOLDER).rmdir()
    except OSError as error:  # Windows, while a reader has it open
        log.warning("job %s: its pictures or motion could not be deleted: %s", job_id, error)
        return False
    return True
