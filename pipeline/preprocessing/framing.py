"""Crop, center and scale the subject into a square, with clean colors around it."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from ..progress import Progress, ignore_progress
from ..types import FloatArray

_OPAQUE = 0.95
_MARGIN = 0.008
"""Width of the rim in which the subject's colors are extended outward, as a share of the side."""
_BACKGROUND_GRAY = 0.5


def frame_subject(
    rgb: FloatArray, alpha: FloatArray, size: int, outline: int, progress: Progress = ignore_progress
) -> FloatArray:
    """Return (size, size, 4) float32: the subject of rgb (H, W, 3) and alpha (H, W), straight alpha.

    The bounding box of alpha >= 0.5, which must not be empty, is centered and scaled so that its longer
    side has size - 2 * outline pixels.
    """
    return cut_square(rgb, alpha, place_frame(alpha, size, outline), size, progress)


def cut_square(
    rgb: FloatArray,
    alpha: FloatArray,
    square: tuple[float, float, float],
    size: int,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """As `frame_subject`, for a given square: left, top and side in pixels of alpha (H, W)."""
    premultiplied = np.concatenate([rgb * alpha[..., None], alpha[..., None]], axis=-1)
    framed = _resample(premultiplied, *square, size)
    framed[..., 3] = np.clip(framed[..., 3], 0.0, 1.0)
    progress(0.5)
    framed[..., :3] /= np.maximum(framed[..., 3:], 1e-3)
    return bleed_color(np.clip(framed, 0.0, 1.0))


def place_frame(alpha: FloatArray, size: int, outline: int) -> tuple[float, float, float]:
    """Left, top and side of the square that `frame_subject` cuts, in pixels of alpha (H, W)."""
    rows, columns = (np.flatnonzero((alpha >= 0.5).any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    side = float(max(bottom - top, right - left) * size / (size - 2 * outline))
    return (left + right - side) / 2, (top + bottom - side) / 2, side


def _resample(image: FloatArray, x: float, y: float, side: float, size: int) -> FloatArray:
    """Resample the square at (x, y) with `side`, in pixels of image (H, W, C), to (size, size, C)."""
    height, width = image.shape[:2]
    low = np.floor((y, x)).astype(int) - 2
    high = np.ceil((y + side, x + side)).astype(int) + 2
    pad = [(max(0, -low[0]), max(0, high[0] - height)), (max(0, -low[1]), max(0, high[1] - width)), (0, 0)]
    padded = np.pad(image, pad)
    low = low + np.array([pad[0][0], pad[1][0]])
    box = (x - np.floor(x) + 2, y - np.floor(y) + 2)
    window = padded[low[0] : low[0] + int(np.ceil(side)) + 5, low[1] : low[1] + int(np.ceil(side)) + 5]
    limits = (*box, min(box[0] + side, window.shape[1]), min(box[1] + side, window.shape[0]))
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(window[..., channel], dtype=np.float32)).resize(
                (size, size), Image.Resampling.BICUBIC, box=limits
            )
        )
        for channel in range(image.shape[-1])
    ]
    return np.stack(planes, axis=-1)


def resize_plane(plane: FloatArray, shape: tuple[int, int], filter_: Image.Resampling) -> FloatArray:
    """Resize (H, W) or (H, W, C) float32 to `shape` (height, width)."""
    if plane.ndim == 3:
        channels = [resize_plane(plane[..., c], shape, filter_) for c in range(plane.shape[-1])]
        return np.stack(channels, axis=-1)
    image = Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32))
    return np.array(image.resize((shape[1], shape[0]), filter_))


def bleed_color(rgba: FloatArray) -> FloatArray:
    """Give every pixel that is not opaque the color of the nearest opaque pixel inside the subject.

    rgba: (H, W, 4). Soft edges, and the opaque pixels that touch them, still contain background
    color; sources are therefore taken one pixel farther inside where the subject is thick enough.
    """
    opaque = rgba[..., 3] >= _OPAQUE
    if not opaque.any():
        opaque = rgba[..., 3] >= rgba[..., 3].max()
    core = ndimage.binary_erosion(opaque)
    near_core = ndimage.binary_dilation(core, iterations=3)
    sources = core | (opaque & ~near_core)
    nearest = ndimage.distance_transform_edt(~sources, return_distances=False, return_indices=True)
    result = rgba.copy()
    result[..., :3] = rgba[..., :3][tuple(nearest)]
    return result


def composite_on_gray(rgba: FloatArray) -> FloatArray:
    """Composite the framed subject (S, S, 4) on mid gray, its colors extended a little; returns (S, S, 3)."""
    distance = ndimage.distance_transform_edt(rgba[..., 3] < 0.5)
    near = (distance <= _MARGIN * len(rgba))[..., None]
    return np.where(near, rgba[..., :3], np.float32(_BACKGROUND_GRAY))
