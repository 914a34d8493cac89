"""Textures as PNG, and writing files atomically: a file appears complete or not at all."""

from __future__ import annotations

import contextlib
import io
import os
import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ..types import FloatArray, IntArray

_STRATEGY = zlib.Z_RLE
"""Encodes a 2048² atlas in a quarter of zlib's default time; the PNG is a few percent larger."""


def encode_png(base_color: FloatArray | IntArray) -> tuple[bytes, bool]:
    """(H, W, 4) sRGB, 0..1 or uint8, as PNG, and whether it is opaque; then it has no alpha channel."""
    is_8bit = base_color.dtype == np.uint8
    texels = base_color.astype(np.uint8) if is_8bit else np.rint(base_color.clip(0, 1) * 255).astype(np.uint8)
    is_opaque = bool((texels[..., 3] == 255).all())
    return encode_texels(texels[..., :3] if is_opaque else texels), is_opaque


def encode_texels(texels: IntArray) -> bytes:
    """(H, W, 3 or 4) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(texels).save(stream, "PNG", compress_type=_STRATEGY)
    return stream.getvalue()


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, replacing a file of that name. Raises OSError."""
    with _write_beside(path, data) as temporary:
        temporary.replace(path)


def create_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically; FileExistsError if the name is taken, OSError from writing."""
    with _write_beside(path, data) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # no hard links here: exFAT and some network drives
            path.touch(exist_ok=False)
            temporary.replace(path)


@contextlib.contextmanager
def _write_beside(path: Path, data: bytes) -> Iterator[Path]:
    """A hidden file with `data` in the folder of `path`; it is removed at the end unless it was renamed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(data)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
