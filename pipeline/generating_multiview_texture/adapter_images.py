"""The images that MV-Adapter's geometry-guided models are conditioned on: maps and reference picture.

The maps are in the frame of its reference implementation (huanngzh/MV-Adapter, load_mesh and render): +Z up,
the character faces -Y, the longest axis runs from -0.5 to 0.5. Its cameras are those of build_six_view_rig.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..errors import PictureError
from ..types import FloatArray, FramedPicture, ViewMaps

_BACKGROUND = 0.5
"""Gray: zero in the maps, and the background of the reference picture."""
_SUBJECT_SHARE = 0.9
"""Length of the subject's longer side as a share of the reference picture's side."""
_HALF_EXTENT = 0.55
"""Half extent of the adapter's cameras, in its units."""


def maps_to_condition(maps: ViewMaps) -> tuple[FloatArray, FloatArray]:
    """Convert maps of build_six_view_rig to position and normal images (N, S, S, 3), float32 0..1, 0.5 is 0.

    Our (x, y, z) is (x, -z, y) in the adapter's frame.
    """
    camera, inside = maps.rig.cameras[0], maps.mask[..., None]
    scale = _HALF_EXTENT / camera.half_extent
    position = _to_adapter_frame((maps.position - np.array(camera.target, np.float32)) * scale) + _BACKGROUND
    normal = _to_adapter_frame(maps.normal) / 2 + _BACKGROUND
    return (
        np.where(inside, position, _BACKGROUND).clip(0, 1).astype(np.float32),
        np.where(inside, normal, _BACKGROUND).clip(0, 1).astype(np.float32),
    )


def _to_adapter_frame(vectors: FloatArray) -> FloatArray:
    return np.stack((vectors[..., 0], -vectors[..., 2], vectors[..., 1]), axis=-1)


def frame_reference(picture: FramedPicture, size: int) -> FloatArray:
    """Center the subject on gray, its longer side 0.9 of the picture's: (size, size, 3) float32 sRGB.

    Raises PictureError if the picture is transparent everywhere.
    """
    rows, columns = (np.flatnonzero((picture.rgba[..., 3] > 0).any(axis=axis)) for axis in (1, 0))
    if len(rows) == 0:
        raise PictureError("the reference picture has no subject: its mask is black everywhere")
    cut = picture.rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _SUBJECT_SHARE * size / max(cut.shape[:2])
    height, width = (max(1, int(side * scale)) for side in cut.shape[:2])
    pixels = Image.fromarray((cut * 255).round().astype(np.uint8), "RGBA").resize((width, height))
    subject = np.asarray(pixels, np.float32) / 255
    color, alpha = subject[..., :3], subject[..., 3:]
    framed = np.full((size, size, 3), _BACKGROUND, np.float32)
    top, left = (size - height) // 2, (size - width) // 2
    framed[top : top + height, left : left + width] = color * alpha + _BACKGROUND * (1 - alpha)
    return framed
