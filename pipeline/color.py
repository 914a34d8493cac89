"""sRGB to and from linear light, and to a color space with perceptually even distances."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .types import FloatArray, IntArray

_RGB_TO_XYZ = np.array(
    ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041)),
    dtype=np.float32,
)
_WHITE = np.array((0.95047, 1.0, 1.08883), dtype=np.float32)


def srgb_to_linear(rgb: FloatArray) -> FloatArray:
    """Decode sRGB 0..1 to linear light, element by element (IEC 61966-2-1). float32."""
    rgb = np.clip(rgb, 0.0, 1.0).astype(np.float32)
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** np.float32(2.4))


def linear_to_srgb(rgb: FloatArray) -> FloatArray:
    """Encode linear light 0..1 as sRGB, element by element (IEC 61966-2-1). float32."""
    rgb = np.clip(rgb, 0.0, 1.0).astype(np.float32)
    return np.where(rgb <= 0.0031308, rgb * 12.92, 1.055 * rgb ** np.float32(1 / 2.4) - 0.055)


def tint(texels: FloatArray | IntArray, factor: Sequence[float]) -> FloatArray | IntArray:
    """Multiply sRGB and alpha (..., 4), 0..1 or uint8, by a linear factor of three or four, as glTF does.

    The result has the dtype of `texels`.
    """
    scale = np.append(np.asarray(factor, np.float32).clip(0, 1), np.float32(1))[:4]
    if (scale == 1).all():
        return texels
    if texels.dtype == np.uint8:
        levels = np.repeat(np.arange(256, dtype=np.float32)[:, None] / 255, 4, axis=1)
        table = np.rint(tint(levels, factor) * 255).astype(np.uint8)
        return np.stack([table[texels[..., channel], channel] for channel in range(4)], axis=-1)
    color = linear_to_srgb(srgb_to_linear(texels[..., :3].astype(np.float32)) * scale[:3])
    return np.concatenate((color, texels[..., 3:] * scale[3]), axis=-1)


def srgb_to_lab(rgb: FloatArray) -> FloatArray:
    """Convert (..., 3) sRGB 0..1 to CIE L*a*b* under D65 (IEC 61966-2-1; CIE 15:2004)."""
    ratio = srgb_to_linear(rgb) @ (_RGB_TO_XYZ / _WHITE[:, None]).T
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def lab_to_srgb(lab: FloatArray) -> FloatArray:
    """Convert (..., 3) CIE L*a*b* to sRGB 0..1, the inverse of `srgb_to_lab`; others are clipped."""
    y = (lab[..., 0] + 16) / 116
    root = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    ratio = np.where(root > 6 / 29, root**3, (116 * root - 16) * (27 / 24389))
    return linear_to_srgb(ratio @ np.linalg.inv((_RGB_TO_XYZ / _WHITE[:, None]).T))
