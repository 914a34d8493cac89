"""Reader of binary STL, with the colors that Magics and VisCAM keep in it; trimesh reads STL of text."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...color import srgb_to_linear
from ...errors import FormatError
from ...types import FloatArray, IntArray
from .face_colors import split_by_color
from .model import Model, Part
from .through_trimesh import read_through_trimesh

_HEADER = 84
_TRIANGLE = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_stl(path: Path) -> Model:
    """Read an .stl file, binary or text. FormatError if it is damaged."""
    data = path.read_bytes()
    if _is_text(data):
        return read_through_trimesh(path)
    if len(data) < _HEADER:
        raise FormatError(f"{path.name} is damaged: it cannot be parsed as STL")
    count = int.from_bytes(data[_HEADER - 4 : _HEADER], "little")
    if len(data) < _HEADER + count * _TRIANGLE.itemsize:
        raise FormatError(f"{path.name} is damaged: it ends before the last of its {count} triangles")
    triangles = np.frombuffer(data, _TRIANGLE, count, _HEADER)
    positions = triangles["corners"].reshape(-1, 3).astype(np.float64)
    faces = np.arange(3 * count).reshape(-1, 3)
    colors = _read_colors(data[: _HEADER - 4], triangles["attribute"])
    if colors is None:
        return Model((Part(path.stem, positions, faces),))
    rows, faces, colors = split_by_color(faces, colors)
    return Model((Part(path.stem, positions[rows], faces, colors=colors),))


def _is_text(data: bytes) -> bool:
    """Whether it begins as text does; some binary files begin with that word too. Empty files count."""
    begin = data[:1024].lower()
    return not data or (begin.lstrip().startswith(b"solid") and b"\0" not in begin)


def _read_colors(header: bytes, attribute: IntArray) -> FloatArray | None:
    """(F, 4) linear colors of the faces, or None. Fifteen bits hold a color, the highest one its meaning.

    Magics has a color of the whole in the header, which faces with the highest bit take; its red is lowest.
    VisCAM sets the highest bit of faces that have a color, and its blue is lowest.
    """
    high = attribute >> 15 == 1
    levels = np.stack([attribute >> shift & 31 for shift in (0, 5, 10)], axis=1) / 31
    place = header.find(b"COLOR=")
    if 0 <= place <= len(header) - 10:
        whole = np.frombuffer(header, np.uint8, 3, place + 6) / 255
        srgb = np.where(high[:, None], whole, levels)
    elif high.any() and not attribute[~high].any():
        srgb = np.where(high[:, None], levels[:, ::-1], 1.0)
    else:
        return None
    return np.concatenate((srgb_to_linear(srgb), np.ones((len(srgb), 1))), axis=1)
