"""What preprocessing makes of a picture, for its node and for the service's POST /character/check."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import ModuleType
from typing import Any

from ..backends import blazeface, blazepose, u2net
from ..pipeline.figure import Figure
from ..pipeline.figure.face import Face
from ..pipeline.figure.pose_landmarks import PoseLandmarks
from ..pipeline.preprocessing import preprocess_picture
from ..pipeline.preprocessing.face_hints import fits_face
from ..pipeline.preprocessing.read_figure import read_figure
from ..pipeline.types import FloatArray, FramedPicture


def list_networks(method: str, needs_prior: bool) -> list[ModuleType]:
    """U²-Net for the mask where it is needed, BlazeFace and BlazePose, as far as they are installed.

    Without its file `auto` does without U²-Net; `u2netp` lists it all the same, and fails where it is loaded.
    """
    is_asked = method == "u2netp" or (method == "auto" and u2net.is_installed())
    networks = [u2net] if needs_prior and is_asked else []
    return [*networks, *(network for network in (blazeface, blazepose) if network.is_installed())]


def read_picture(
    picture: FloatArray, models: Mapping[ModuleType, Any], *, figure: int = -1, **options: Any
) -> tuple[FramedPicture, Figure]:
    """Cut out and frame the subject of picture (H, W, 3 or 4), and read its figure.

    models: those of `list_networks`, loaded. figure: which one of several; -1 chooses. options: of
    preprocess_picture, whose errors it raises.
    """
    prior = partial(u2net.predict_mask_closely, models[u2net]) if u2net in models else None
    framed = preprocess_picture(picture, prior=prior, figure=None if figure < 0 else figure, **options)
    return framed, read_figure(framed, *read_points(framed, models))


def read_points(
    framed: FramedPicture, models: Mapping[ModuleType, Any]
) -> tuple[PoseLandmarks | None, Face | None]:
    """BlazePose's points and BlazeFace's face. Where they differ BlazePose looks again, below the face."""
    color, alpha = framed.rgba[..., :3], framed.rgba[..., 3]
    face = blazeface.find_face(models[blazeface], color, alpha) if blazeface in models else None
    if blazepose not in models:
        return None, face
    pose = blazepose.read_landmarks(models[blazepose], color, alpha)
    if face is not None and not fits_face(pose, face):
        pose = blazepose.read_landmarks(models[blazepose], color, alpha, face)
    return pose, face
