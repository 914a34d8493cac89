"""What preprocessing makes of a picture, for its node and for the service's POST /character/check."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..backends import blazepose, u2net
from ..pipeline.figure import Figure
from ..pipeline.preprocessing import preprocess_picture
from ..pipeline.preprocessing.read_figure import read_figure
from ..pipeline.types import FloatArray, FramedPicture


def list_networks(method: str, needs_prior: bool) -> list[ModuleType]:
    """U²-Net for the mask where it is needed, BlazePose for the landmarks, as far as they are installed.

    Without its file `auto` does without U²-Net; `u2netp` lists it all the same, and fails where it is loaded.
    """
    is_asked = method == "u2netp" or (method == "auto" and u2net.is_installed())
    networks = [u2net] if needs_prior and is_asked else []
    return [*networks, *([blazepose] if blazepose.is_installed() else [])]


def read_picture(
    picture: FloatArray, models: Mapping[ModuleType, Any], *, figure: int = -1, **options: Any
) -> tuple[FramedPicture, Figure]:
    """Cut out and frame the subject of picture (H, W, 3 or 4), and read its figure.

    models: those of `list_networks`, loaded. figure: which one of several; -1 chooses. options: of
    preprocess_picture, whose errors it raises.
    """
    prior = u2net.predict_mask_closely(models[u2net], picture[..., :3]) if u2net in models else None
    framed = preprocess_picture(picture, prior=prior, figure=None if figure < 0 else figure, **options)
    color, alpha = framed.rgba[..., :3], framed.rgba[..., 3]
    pose = blazepose.read_landmarks(models[blazepose], color, alpha) if blazepose in models else None
    return framed, read_figure(framed, pose)
