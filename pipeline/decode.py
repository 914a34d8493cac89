"""Decode PNG and JPEG files, however large, damaged or hostile they are."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .errors import PictureError, PictureFormatError, PictureTooLargeError
from .whole import is_whole

_SIGNATURES = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"}
_MIN_SIDE = 8
_PROFILED = ("L", "CMYK")
"""Modes that a profile is for; of all others it is for their RGB."""
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    KeyError,
    TypeError,
    IndexError,
    EOFError,
    struct.error,
    zlib.error,
)
"""What Pillow's PNG and JPEG readers raise for damaged files."""


def decode_picture(
    data: bytes, *, max_bytes: int = 10 * 2**20, max_pixels: int = 40_000_000
) -> npt.NDArray[np.uint8]:
    """Decode a PNG or JPEG to (H, W, 4) uint8 sRGB, straight alpha; otherwise like load_picture."""
    loaded = load_picture(io.BytesIO(data), max_bytes=max_bytes, max_pixels=max_pixels)
    return np.array(loaded.convert("RGBA"))


def load_picture(
    file: IO[bytes], *, max_bytes: int = 10 * 2**20, max_pixels: int = 40_000_000
) -> Image.Image:
    """Load a file as an RGB or RGBA picture, 8 bits each, straight alpha, upright as its EXIF says.

    The format, PNG or JPEG, is detected from the bytes, and the size is checked in the header before
    anything is decoded. The first frame of an animation is used; 16-bit channels are reduced to 8, and
    colors are converted to sRGB by the ICC profile.
    PictureFormatError: neither PNG nor JPEG. PictureTooLargeError: over `max_bytes` or `max_pixels`.
    PictureError: damaged, cut short, or smaller than 8 pixels on a side.
    """
    with _open_picture(file, max_bytes, max_pixels) as image:
        image.load()
        return _to_rgb(_turn_upright(image))


def is_picture_whole(file: IO[bytes], *, max_bytes: int = 10 * 2**20, max_pixels: int = 40_000_000) -> bool:
    """Whether load_picture can be told to load a file without decoding all of it, as is_whole says.

    Raises as load_picture does for what it would not load, and for some files that it would.
    """
    with _open_picture(file, max_bytes, max_pixels) as image:
        return is_whole(file, image)


@contextmanager
def _open_picture(file: IO[bytes], max_bytes: int, max_pixels: int) -> Iterator[Image.Image]:
    """A picture whose header has been checked; what Pillow raises becomes a PictureError."""
    size = file.seek(0, io.SEEK_END)
    if size > max_bytes:
        raise PictureTooLargeError(f"the picture has {size:,} bytes; at most {max_bytes:,} are accepted")
    file.seek(0)
    name = _sniff_format(file.read(8))
    try:
        with Image.open(file, formats=(name,)) as image:
            _check_size(image.size, max_pixels)
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PictureTooLargeError(
            f"the picture has too many pixels; at most {max_pixels:,} are accepted"
        ) from error
    except UnidentifiedImageError as error:
        raise PictureError(f"the {name} picture is damaged: its header cannot be read") from error
    except _DAMAGE as error:
        raise PictureError(f"the {name} picture is damaged or cut short: {error}") from error


def _sniff_format(data: bytes) -> str:
    """Return "PNG" or "JPEG" from the first bytes; PictureFormatError names what was found."""
    if not data:
        raise PictureError("the picture is empty: 0 bytes")
    for signature, name in _SIGNATURES.items():
        if data.startswith(signature):
            return name
    raise PictureFormatError(f"the bytes are neither PNG nor JPEG; they begin with {data!r}")


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        found = f"{width} x {height} = {width * height:,} pixels"
        raise PictureTooLargeError(f"the picture has {found}; at most {max_pixels:,} are accepted")
    if min(size) < _MIN_SIDE:
        raise PictureError(
            f"the picture has {width} x {height} pixels; at least {_MIN_SIDE} x {_MIN_SIDE} are needed"
        )


def _turn_upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (*_DAMAGE, RecursionError):
        return image  # the pixels may be intact although the EXIF block is damaged


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGBA where there is transparency, else to RGB, without metadata."""
    plain = _read_deep_gray(image) if image.mode.startswith("I") else _to_srgb(image)
    plain.info.clear()
    return plain


def _read_deep_gray(image: Image.Image) -> Image.Image:
    """Read 16-bit gray, which Pillow itself would clip at 255 instead of scaling, and its clear value."""
    levels = np.asarray(image).astype(np.int64)
    gray = Image.fromarray((levels / 257).round().clip(0, 255).astype(np.uint8)).convert("RGB")
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        gray.putalpha(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))
    return gray


def _to_srgb(image: Image.Image) -> Image.Image:
    """Convert colors by the picture's ICC profile; a damaged one, or one for other channels, is ignored."""
    has_alpha = image.has_transparency_data
    plain = image.convert("RGBA" if has_alpha else "RGB")
    stored = image.info.get("icc_profile")
    if not stored:
        return plain
    channels = image if image.mode in _PROFILED else plain.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(stored))
        colors = ImageCms.profileToProfile(
            channels, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *_DAMAGE):
        return plain
    if colors is not None and has_alpha:
        colors.putalpha(plain.getchannel("A"))
    return colors or plain
