"""What a job would read in a picture, for the service's POST /character/check."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ..pipeline import preprocessing
from ..pipeline.figure import PARTS, Figure
from ..pipeline.figure.document import describe_figure
from ..pipeline.figure.draw import draw_figure
from ..pipeline.types import FloatArray, FramedPicture
from .kept_readings import READINGS
from .read_picture import FrontPicture, read_front

_SHOWN = 768
"""Side of the preview in pixels."""


def check_picture(picture: FloatArray, values: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Read a figure in a picture (H, W, 3 or 4), sRGB 0..1: lengths in its pixels, and a PNG of it.

    values: figure, views, mesh_input_size and outline_size, as of Preprocess Picture.
    It reads what a job with these values reads, and keeps it for that job. The networks run on the CPU:
    ComfyUI may be running a job with others of their files on its device. Of those for the mask it is the
    smallest, whichever a job takes.
    PictureError: no subject, or no such figure.
    """
    mask = picture[..., 3] if picture.shape[2] == 4 else None
    sizes = values["mesh_input_size"], values["outline_size"]
    front = FrontPicture(picture[..., :3], mask, values["figure"], values["views"], *sizes)
    networks = front.list_networks(cutters=("u2netp",))
    key = front.identify(networks, "cpu")
    framed, read, _ = READINGS.make(
        key, lambda: read_front(front, {network: network.read_network() for network in networks})
    )
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
    subject = _to_image(preprocessing.composite_on_gray(framed.rgba)).resize(
        (_SHOWN, _SHOWN), Image.Resampling.BICUBIC
    )
    buffer = io.BytesIO()
    _to_image(draw_figure(np.asarray(subject, np.float32) / 255, figure)).save(buffer, "PNG")
    return buffer.getvalue()


def _to_image(picture: FloatArray) -> Image.Image:
    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))
