"""Whether PNG and JPEG files are whole, told without decoding all of their pixels."""

from __future__ import annotations

import io
import re
from typing import IO

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_FRAMES = (b"\xff\xc0", b"\xff\xc1")
"""Of JPEGs that are baseline or extended, with Huffman's codes: not those that are progressive."""
_ENDING = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""What ends the pixels of a JPEG (ISO/IEC 10918-1, B.1.1.2)."""
_ROWS, _BEGIN = 16, 2**16
"""Of a JPEG's pixels, the rows that are decoded, and the bytes of them at most."""


def is_whole(file: IO[bytes], image: Image.Image) -> bool:
    """Whether a picture that Pillow has just opened has all that its format says; it cannot be loaded after.

    A PNG: all chunks to the last, with their checksums. A JPEG: one scan of all components up to its end,
    whose first rows can be decoded, so that its tables are right; others are not said to be whole.
    Raises as Pillow does for damaged files.
    """
    if isinstance(image, PngImageFile):
        image.verify()
        return True
    file.seek(0)
    return _is_whole_jpeg(file.read())


def _is_whole_jpeg(data: bytes) -> bool:
    """Its segments (B.1.1.4) are walked to the scan, and that is searched for its end."""
    at, frame = 2, 0
    while (marker := data[at : at + 2]) != _SCAN:
        if marker[:1] != b"\xff":
            return False
        frame = at if marker in _FRAMES else frame
        at += 2 + _read_short(data, at + 2)
    if not frame or data[frame + 9] != data[at + 4]:  # as of many components
        return False
    scan = at + 2 + _read_short(data, at + 2)
    _decode_begin(data[: scan + _BEGIN], frame)
    ending = _ENDING.search(data, scan)
    return ending is not None and ending.group() == _END


def _read_short(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _decode_begin(data: bytes, frame: int) -> None:
    """Decode the first rows of a JPEG, as if it had no more."""
    rows = min(_ROWS, _read_short(data, frame + 5)).to_bytes(2, "big")
    with Image.open(io.BytesIO(data[: frame + 5] + rows + data[frame + 7 :] + _END)) as begin:
        begin.load()
