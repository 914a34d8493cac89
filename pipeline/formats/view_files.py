"""Views of a mesh as files that a person paints over: pictures, masks and the cameras that made them.

NAME.png and NAME_mask.png for each camera, and cameras.json: {"version": 1, "size": side of a picture in
pixels, "views": [{"name", "azimuth", "elevation", "half_extent", "target"}]} in the order of the views.
Angles are radians and lengths meters, as conventions.py says: azimuth turns from the front (0) to the
character's left, elevation lifts the camera, the picture shows the square of half_extent around the target,
from infinitely far away.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..conventions import CAMERAS_FILE
from ..errors import FormatError
from ..types import Camera, CameraRig, FloatArray, ViewImages

SHEET = "sheet.png"
_COLUMNS = 3
_COMPRESSION = 3
"""Of PNG: more takes seconds and saves little."""
_MOST_BYTES = 2**28
"""Of one picture or text in a zip: what unpacks to more is no view."""


def write_views(images: ViewImages, *, has_sheet: bool = False) -> dict[str, bytes]:
    """The files of views by their names. has_sheet: also one picture of them all, three in a row."""
    files: dict[str, bytes] = {CAMERAS_FILE: json.dumps(_describe(images), indent=1).encode()}
    for camera, color, mask in zip(images.rig.cameras, images.color, images.mask, strict=True):
        files[f"{camera.name}.png"] = _encode(color)
        files[f"{camera.name}_mask.png"] = _encode(mask)
    if has_sheet:
        files[SHEET] = _encode(_lay_out(images.color))
    return files


def read_views(files: Mapping[str, bytes]) -> ViewImages:
    """The views of write_views, painted over or not. FormatError says what is missing or of another size."""
    described = _read_cameras(files)
    cameras = tuple(_read_camera(view) for view in described["views"])
    side = described["size"]
    color = [_decode(files, f"{camera.name}.png", "RGB", side) for camera in cameras]
    mask = [_decode(files, f"{camera.name}_mask.png", "L", side) for camera in cameras]
    return ViewImages(CameraRig(cameras), np.stack(color), np.stack(mask))


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """A zip of files; pictures are compressed already."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time: the same views, the same bytes
    return buffer.getvalue()


def unpack_files(data: bytes) -> dict[str, bytes]:
    """The files of a zip by their names without folders. FormatError if it is none, or one is huge."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if huge := [entry.filename for entry in entries if entry.file_size > _MOST_BYTES]:
                raise FormatError(f"{huge[0]} in the zip unpacks to over {_MOST_BYTES // 2**20} MiB")
            return {entry.filename.rpartition("/")[2]: archive.read(entry) for entry in entries}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise FormatError(f"expected a zip of views: {error}") from error


def _describe(images: ViewImages) -> dict[str, Any]:
    views = [
        {
            "name": camera.name,
            "azimuth": camera.azimuth,
            "elevation": camera.elevation,
            "half_extent": camera.half_extent,
            "target": list(camera.target),
        }
        for camera in images.rig.cameras
    ]
    return {"version": 1, "size": images.mask.shape[-1], "views": views}


def _read_cameras(files: Mapping[str, bytes]) -> dict[str, Any]:
    if CAMERAS_FILE not in files:
        raise FormatError(
            f"expected {CAMERAS_FILE} beside the views; found {', '.join(sorted(files)) or 'no file'}"
        )
    try:
        described: dict[str, Any] = json.loads(files[CAMERAS_FILE])
        if described["version"] != 1:
            raise FormatError(f"{CAMERAS_FILE} has version {described['version']}; expected 1")
        if not described["views"]:
            raise FormatError(f"{CAMERAS_FILE} has no views")
        described["size"] = int(described["size"])
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{CAMERAS_FILE} cannot be read: {error!r}") from error
    return described


def _read_camera(view: Mapping[str, Any]) -> Camera:
    try:
        x, y, z = map(float, view["target"])
        angles = float(view["azimuth"]), float(view["elevation"])
        return Camera(str(view["name"]), *angles, float(view["half_extent"]), (x, y, z))
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{CAMERAS_FILE} has a view that cannot be read: {error!r}") from error


def _encode(picture: FloatArray) -> bytes:
    """PNG of (H, W, 3) or (H, W)."""
    buffer = io.BytesIO()
    pixels = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def _decode(files: Mapping[str, bytes], name: str, mode: str, side: int) -> FloatArray:
    """A square picture (side, side, 3) or (side, side). What painting has left transparent shows black."""
    if name not in files:
        raise FormatError(f"{CAMERAS_FILE} names {name}, which is not there")
    try:
        with Image.open(io.BytesIO(files[name]), formats=("PNG",)) as picture:
            if picture.size != (side, side):
                width, height = picture.size
                raise FormatError(f"{name} has {width} x {height} pixels; expected {side} x {side}")
            return np.asarray(picture.convert(mode), np.float32) / 255
    except (OSError, SyntaxError, ValueError) as error:
        raise FormatError(f"{name} is not a PNG that can be read: {error}") from error


def _lay_out(color: FloatArray) -> FloatArray:
    count, side = color.shape[:2]
    rows = -(-count // _COLUMNS)
    sheet = np.ones((rows * side, min(count, _COLUMNS) * side, 3), np.float32)
    for number, view in enumerate(color):
        row, column = divmod(number, _COLUMNS)
        sheet[row * side : (row + 1) * side, column * side : (column + 1) * side] = view
    return sheet
