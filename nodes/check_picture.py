"""What a job would read in a picture, for the service's POST /character/check."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from ..backends import blazepose, u2net
from ..pipeline.figure import PARTS, Figure
from ..pipeline.figure.document import describe_figure
from ..pipeline.figure.draw import draw_figure
from ..pipeline.preprocessing import composite_on_gray, needs_prior, preprocess_picture
from ..pipeline.preprocessing.read_figure import read_figure
from ..pipeline.types import FloatArray, FramedPicture

_SIDE, _OUTLINE = 384, 48
"""Less than a job's, for speed: the networks that find the landmarks see 256 pixels of it."""
_SHOWN = 768
"""Side of the preview in pixels."""


def check_picture(picture: FloatArray, figure: int = -1) -> tuple[dict[str, Any], bytes]:
    """Read a figure in a picture (H, W, 3 or 4), sRGB 0..1: lengths in its pixels, and a PNG of it.

    figure: as of Preprocess Picture.
    The networks run on the CPU and are dropped again: ComfyUI may be running a job with them on its device.
    PictureError: no subject, or no such figure.
    """
    prior = None
    if needs_prior(picture, None, "auto") and u2net.is_installed():
        prior = u2net.predict_mask_closely(u2net.read_network(), picture[..., :3])
    framed = preprocess_picture(
        picture, prior=prior, size=_SIDE, outline=_OUTLINE, figure=None if figure < 0 else figure
    )
    read = _read_figure(framed)
    height, width = picture.shape[:2]
    found = {"width": width, "height": height, "method": framed.method, **_describe(read, framed)}
    return found, _draw(framed, read)


def _read_figure(framed: FramedPicture) -> Figure:
    if not blazepose.is_installed():
        return read_figure(framed)
    rgba = framed.rgba
    return read_figure(
        framed, blazepose.read_landmarks(blazepose.read_network(), rgba[..., :3], rgba[..., 3])
    )


def _describe(figure: Figure, framed: FramedPicture) -> dict[str, Any]:
    left, top, side = (framed.metrics[f"frame_{name}"] for name in ("left", "top", "side"))
    counts = np.bincount(figure.parts.ravel(), minlength=len(PARTS))[1:]
    shares = counts / max(counts.sum(), 1)
    parts = {name: round(float(share), 3) for name, share in zip(PARTS[1:], shares, strict=True) if share > 0}
    return describe_figure(figure, side, (left, top)) | {"parts": parts}


def _draw(framed: FramedPicture, figure: Figure) -> bytes:
    subject = _to_image(composite_on_gray(framed.rgba)).resize((_SHOWN, _SHOWN), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    _to_image(draw_figure(np.asarray(subject, np.float32) / 255, figure)).save(buffer, "PNG")
    return buffer.getvalue()


def _to_image(picture: FloatArray) -> Image.Image:
    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))
