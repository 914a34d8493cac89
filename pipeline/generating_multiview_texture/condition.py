"""What MV-Adapter's geometry-guided models are shown: maps and reference picture in their frame and ranges.

The frame is that of the reference (huanngzh/MV-Adapter, load_mesh and render): +Z up, the front looks along
-Y, the longest axis from -0.5 to 0.5. Their cameras are those of build_six_view_rig.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import PictureError
from ..types import FloatArray, FramedPicture, ViewMaps

_GROUND = 0.5
"""Grey behind the maps, which is zero in them, and behind the reference picture."""
_FILLED = 0.9
"""Share of the reference picture's side that the subject's longer side takes."""
_HALF_EXTENT = 0.55


def maps_to_condition(maps: ViewMaps) -> tuple[FloatArray, FloatArray]:
    """Position and normal maps (N, S, S, 3), float32 0..1, as the adapter takes them; 0.5 is zero.

    maps: of build_six_view_rig. Ours (x, y, z) is theirs (x, -z, y).
    """
    camera, inside = maps.rig.cameras[0], maps.mask[..., None]
    scale = _HALF_EXTENT / camera.half_extent
    position = _turn((maps.position - np.array(camera.target, np.float32)) * scale) + _GROUND
    normal = _turn(maps.normal) / 2 + _GROUND
    return (
        np.where(inside, position, _GROUND).clip(0, 1).astype(np.float32),
        np.where(inside, normal, _GROUND).clip(0, 1).astype(np.float32),
    )


def _turn(vectors: FloatArray) -> FloatArray:
    return np.stack((vectors[..., 0], -vectors[..., 2], vectors[..., 1]), axis=-1)


def frame_reference(picture: FramedPicture, size: int) -> FloatArray:
    """The subject on grey, its longer side 0.9 of the picture's: (size, size, 3) float32.

    PictureError: nothing in the picture is opaque.
    """
    rows, columns = (np.flatnonzero((picture.rgba[..., 3] > 0).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        raise PictureError("the reference picture has no subject: its mask is black everywhere")
    cut = picture.rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _FILLED * size / max(cut.shape[:2])
    height, width = (max(1, int(side * scale)) for side in cut.shape[:2])
    pixels = Image.fromarray((cut * 255).round().astype(np.uint8), "RGBA").resize((width, height))
    subject = np.asarray(pixels, np.float32) / 255
    color, alpha = subject[..., :3], subject[..., 3:]
    framed = np.full((size, size, 3), _GROUND, np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    framed[top : top + height, left : left + width] = color * alpha + _GROUND * (1 - alpha)
    return framed
