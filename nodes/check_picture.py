"""What a job would read in a picture, for the service's POST /character/check."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from ..pipeline.figure import PARTS, Figure
from ..pipeline.figure.document import describe_figure
from ..pipeline.figure.draw import draw_figure
from ..pipeline.preprocessing import composite_on_gray, needs_prior
from ..pipeline.types import FloatArray, FramedPicture
from .read_picture import list_networks, read_picture

_SIDE, _OUTLINE = 384, 48
"""Less than a job's, for speed: the networks that find the landmarks see 256 pixels of it."""
_SHOWN = 768
"""Side of the preview in pixels."""


def check_picture(picture: FloatArray, figure: int = -1) -> tuple[dict[str, Any], bytes]:
    """Read a figure in a picture (H, W, 3 or 4), sRGB 0..1: lengths in its pixels, and a PNG of it.

    figure: as of Preprocess Picture.
    The networks run on the CPU: ComfyUI may be running a job with others of their files on its device. Of
    those for the mask it is the smallest, whichever a job takes.
    PictureError: no subject, or no such figure.
    """
    networks = list_networks("auto", needs_prior(picture, None, "auto"), cutters=("u2netp",))
    models = {network: network.read_network() for network in networks}
    framed, read = read_picture(picture, models, size=_SIDE, outline=_OUTLINE, figure=figure)
    height, width = picture.shape[:2]
    found = {"width": width, "height": height, "method": framed.method, **_describe(read, framed)}
    return found, _draw(framed, read)


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
