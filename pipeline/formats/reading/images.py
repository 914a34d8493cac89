"""Pictures of textures: opened here, decoded when their texels are asked for."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError

from ...errors import FormatError
from ...types import IntArray
from .soft_packages import import_soft

_KTX2 = b"\xabKTX 20\xbb\r\n\x1a\n"
_ENCODED = "encoded"
"""Where the bytes of a picture are kept, in its `info`."""
_ROWS = 256
"""Of a picture that are converted at once, so that it is in memory twice and not five times."""
MAX_SIDE = 16384
"""Pixels; a texture with a longer side is refused before it is decoded."""


def open_image(data: memoryview | bytes, name: str) -> Image.Image:
    """Open PNG, JPEG, WebP, TGA, BMP, TIFF or DDS, whatever the file says it is, or KTX2.

    FormatError if it is none of these, or too large.
    """
    if bytes(data[: len(_KTX2)]) == _KTX2:
        return _open_ktx2(bytes(data), name)
    try:
        image = _open(data)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise FormatError(f"{name} is not a picture that can be read") from error
    if max(image.size) > MAX_SIDE:
        raise FormatError(
            f"{name} is {image.width}x{image.height}; at most {MAX_SIDE} pixels a side are read"
        )
    image.info[_ENCODED] = data
    return image


def _open(data: memoryview | bytes) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data))


def decode_image(image: Image.Image, mode: str = "RGBA") -> IntArray:
    """(H, W, 4) uint8, or 3 for RGB, read-only; 16 bits become 8. What Pillow raises for a damaged file.

    The picture itself stays encoded: a file's textures would otherwise be in memory twice.
    """
    if _ENCODED in image.info:
        image = _open(image.info[_ENCODED])
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, np.float64)
        grey = values * 255 if image.mode == "F" else values / 257
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    width, height = image.size
    texels = np.empty((height, width, len(mode)), np.uint8)
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        texels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)).convert(mode))
    texels.setflags(write=False)
    return texels


def set_alpha(image: Image.Image, plane: Image.Image) -> Image.Image:
    """The picture with another as its alpha, resized if need be. What Pillow raises for a damaged file."""
    made = image.convert("RGB")
    made.info.pop(_ENCODED, None)
    made.putalpha(plane.convert("L").resize(made.size))
    return made


def _open_ktx2(data: bytes, name: str) -> Image.Image:
    """KTX2 with textures of Basis Universal, decoded at once."""
    basisu = import_soft("opengl_basisu", f"{name} is a KTX2 texture (KHR_texture_basisu)")
    try:
        return Image.fromarray(basisu.open(data).transcode("rgba8").data, "RGBA")
    except (basisu.BasisuError, ValueError, RuntimeError, MemoryError) as error:
        raise FormatError(f"{name} is a KTX2 texture that cannot be decoded ({error})") from error
