"""Operations on masks and masked images: extending, blurring, resizing, sampling."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from ..device import array_to_tensor, tensor_to_array
from ..types import BoolArray, FloatArray


def extend_color(color: FloatArray, valid: BoolArray) -> FloatArray:
    """Give every pixel of (H, W, C) outside `valid`, (H, W) bool, the color of the nearest valid pixel."""
    if valid.all() or not valid.any():
        return color.copy()
    rows, columns = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    return color[rows, columns]


def blur_masked(
    values: FloatArray, mask: BoolArray | FloatArray, sigma: float | tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    """Gaussian blur of (H, W, C) over the pixels inside `mask` only (normalized convolution).

    sigma: pixels, for both axes or for (rows, columns). Returns the blurred values, 0 where no such pixel is
    near, and the share (H, W, 1) of the window that lies inside. Wide blurs run at a reduced size.
    """
    down, across = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    weight = np.asarray(mask, dtype=np.float32)[..., None]
    stacked = np.concatenate([values * weight, weight], axis=-1)
    factor = max(1, int(min(down, across) / 3))
    spread = (down / factor, across / factor, 0.0)
    small = ndimage.gaussian_filter(shrink(stacked, factor), spread, truncate=2.5)
    blurred = enlarge(small, values.shape[:2])
    share = blurred[..., -1:]
    return blurred[..., :-1] / np.maximum(share, 1e-6), share


def shrink(values: FloatArray, factor: int) -> FloatArray:
    """Average blocks of factor x factor pixels of (H, W, C), padded with its border to whole blocks."""
    if factor == 1:
        return values
    height, width = values.shape[:2]
    padded = np.pad(values, ((0, -height % factor), (0, -width % factor), (0, 0)), mode="edge")
    blocks = padded.reshape(len(padded) // factor, factor, padded.shape[1] // factor, factor, -1)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def enlarge(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Resize (H, W, C) bilinearly to `size`, by a whole factor and cropped: the inverse of `shrink`."""
    if values.shape[:2] == size:
        return values
    factor = max(-(-size[0] // values.shape[0]), -(-size[1] // values.shape[1]))
    tensor = array_to_tensor(values).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(
        tensor, scale_factor=factor, mode="bilinear", align_corners=False
    )
    return tensor_to_array(resized[0, :, : size[0], : size[1]].permute(1, 2, 0))


def resize(values: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Resize (H, W, C) to any `size`: smaller by averages, larger bilinearly."""
    if values.shape[:2] == size:
        return values
    tensor = array_to_tensor(values).permute(2, 0, 1)[None]
    if size[0] < len(values):
        resized = torch.nn.functional.adaptive_avg_pool2d(tensor, size)
    else:
        resized = torch.nn.functional.interpolate(tensor, size, mode="bilinear", align_corners=False)
    return tensor_to_array(resized[0].permute(1, 2, 0))


def resize_mask(mask: BoolArray, size: tuple[int, int]) -> BoolArray:
    """Resize a mask (H, W) to any `size` with smooth outlines."""
    return resize(mask[..., None].astype(np.float32), size)[..., 0] >= 0.5


def erode_mask(mask: BoolArray, pixels: float) -> BoolArray:
    """Pixels of `mask` farther than `pixels` from those outside of it; the image border does not count."""
    return ndimage.distance_transform_edt(mask) > pixels


def dilate_mask(mask: BoolArray, pixels: float) -> BoolArray:
    """Pixels within `pixels` of `mask`."""
    if not mask.any():
        return mask.copy()
    return ndimage.distance_transform_edt(~mask) <= pixels


def keep_large_components(mask: BoolArray, area: float) -> BoolArray:
    """Drop the 4-connected components of `mask` with fewer than `area` pixels."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask.copy()
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= area
    keep[0] = False
    return keep[labels]


def sample_bilinear(image: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Sample (H, W, C) bilinearly at pixel coordinates (centers are integers), clamped to the image."""
    height, width = image.shape[:2]
    x = np.clip(x, 0, width - 1)
    y = np.clip(y, 0, height - 1)
    x0 = np.minimum(x.astype(np.int32), width - 2)
    y0 = np.minimum(y.astype(np.int32), height - 2)
    fx = (x - x0).astype(np.float32)[..., None]
    fy = (y - y0).astype(np.float32)[..., None]
    pixels, first = image.reshape(height * width, -1), y0 * width + x0
    corners = (pixels.take(first + step, axis=0) for step in (0, 1, width, width + 1))
    upper_left, upper_right, lower_left, lower_right = corners
    top = upper_left * (1 - fx) + upper_right * fx
    bottom = lower_left * (1 - fx) + lower_right * fx
    return top * (1 - fy) + bottom * fy
