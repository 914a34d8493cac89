"""Align the subject of the picture with the mesh's silhouette in the front view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..boxes import find_box
from ..errors import MeshError, PictureError
from ..types import BoolArray, FloatArray, FramedPicture
from .masked_images import erode_mask, extend_color


@dataclass(frozen=True, eq=False)
class FrontCanvas:
    """The picture, resampled to the pixels of the front view.

    color: (S, S, 3) float32 sRGB, the subject's colors extended over the whole square.
    mask: (S, S) bool, the mesh's silhouette. overlap: IoU of the silhouettes of picture and mesh.
    """

    color: FloatArray
    mask: BoolArray
    overlap: float


def align_picture(picture: FramedPicture, mask: BoolArray) -> FrontCanvas:
    """Map the subject's bounding box to that of the mesh's front silhouette (S, S) bool.

    Raises PictureError for a picture without a subject, MeshError for an empty silhouette.
    """
    warped = lay_picture(picture, mask)
    subject = warped[..., 3] >= 0.5
    overlap = float((subject & mask).sum() / max(1, (subject | mask).sum()))
    solid = select_solid(warped[..., 3], subject)
    color = np.clip(extend_color(warped[..., :3], solid), 0.0, 1.0)
    return FrontCanvas(color, mask, overlap)


def lay_picture(picture: FramedPicture, mask: BoolArray) -> FloatArray:
    """The picture (S, S, 4), resampled so that its subject's box lies on that of a silhouette (S, S).

    Raises PictureError for a picture without a subject, MeshError for an empty silhouette.
    """
    if not picture.mask.any():
        raise PictureError("the picture has no subject: expected alpha of one half or more somewhere")
    if not mask.any():
        raise MeshError("the front view of the mesh is empty: expected a silhouette")
    return map_box(picture.rgba, picture.box, find_box(mask), len(mask))


def map_box(
    image: FloatArray, source: tuple[int, int, int, int], target: tuple[int, int, int, int], side: int
) -> FloatArray:
    """Resample an image (S, S, C) to (side, side, C) such that the box `source` lands on the box `target`."""
    scale_x = (source[2] - source[0]) / (target[2] - target[0])
    scale_y = (source[3] - source[1]) / (target[3] - target[1])
    left = source[0] - target[0] * scale_x
    top = source[1] - target[1] * scale_y
    box = np.array([left, top, left + side * scale_x, top + side * scale_y])
    pad = max(0, *np.ceil(-box[:2]).astype(int), *np.ceil(box[2:] - len(image)).astype(int)) + 1
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    channels = [
        Image.fromarray(np.ascontiguousarray(padded[..., c])).resize(
            (side, side), Image.Resampling.BICUBIC, box=tuple(box + pad)
        )
        for c in range(image.shape[-1])
    ]
    return np.stack([np.asarray(channel, dtype=np.float32) for channel in channels], axis=-1)


def select_solid(alpha: FloatArray, subject: BoolArray) -> BoolArray:
    """Pixels (S, S) of the subject whose color is not mixed with the background: all but a rim of one."""
    solid = (alpha >= 0.9) & erode_mask(subject, 1.0 + len(subject) / 768)
    return solid if solid.any() else subject
