"""What preprocessing makes of a picture, for its node and for the service's POST /character/check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple, TypeAlias

from ..backends import birefnet, blazeface, blazepose, isnet, u2net
from ..pipeline import preprocessing
from ..pipeline.conventions import MASK_NETWORKS, PICTURE_VIEWS
from ..pipeline.figure import Figure
from ..pipeline.figure.face import Face
from ..pipeline.figure.pose_landmarks import PoseLandmarks
from ..pipeline.progress import Progress, ignore_progress
from ..pipeline.types import FloatArray, FramedPicture
from .identify import identify

_CUTTERS = {
    "birefnet": (birefnet, "predict_mask"),
    "isnet": (isnet, "predict_mask"),
    "u2netp": (u2net, "predict_mask_closely"),
}
"""Networks by their names, and the name of the function of each: none is imported before it is used."""


def list_networks(method: str, needs_prior: bool, cutters: Sequence[str] = MASK_NETWORKS) -> list[ModuleType]:
    """A network for the mask where it is needed, BlazeFace and BlazePose, as far as they are installed.

    `auto` takes the first of `cutters` that is installed, BiRefNet only where it is quick, and none without;
    a network that `method` names is listed in any case, and fails where it is loaded.
    """
    asked = [method] if method in _CUTTERS else []
    if method == "auto":
        usable = [name for name in cutters if name != "birefnet" or birefnet.is_quick()]
        asked = [name for name in usable if _CUTTERS[name][0].is_installed()][:1]
    networks = [_CUTTERS[name][0] for name in asked if needs_prior]
    return [*networks, *(network for network in (blazeface, blazepose) if network.is_installed())]


Reading: TypeAlias = "tuple[FramedPicture, Figure, Mapping[str, preprocessing.View]]"
"""A picture's framed subject, its figure, and the other views of a sheet by their sides."""


class FrontPicture(NamedTuple):
    """picture: (H, W, 3 or 4). mask: (h, w) or None. The rest is as of Preprocess Picture."""

    picture: FloatArray
    mask: FloatArray | None = None
    figure: int = -1
    views: str = PICTURE_VIEWS[0]
    size: int = 1024
    outline: int = 128
    method: str = "auto"

    def list_networks(self, cutters: Sequence[str] = MASK_NETWORKS) -> list[ModuleType]:
        """The networks that read it, as `list_networks` has them."""
        return list_networks(
            self.method, preprocessing.needs_prior(self.picture, self.mask, self.method), cutters
        )

    def identify(self, networks: Iterable[ModuleType], device: str) -> str:
        """Differs wherever what these networks read in it on a device may differ."""
        named = [f"{network.__name__} on {device}" for network in networks]
        mask = self.mask if self.mask is not None and self.mask.min() < 0.5 else None  # else it is ignored
        return identify(self._replace(mask=mask), named)


def read_front(
    front: FrontPicture, models: Mapping[ModuleType, Any], progress: Progress = ignore_progress
) -> Reading:
    """Cut out, frame and read a front. models: those of its networks, loaded."""
    options = {"mask": front.mask, "size": front.size, "outline": front.outline, "method": front.method}
    if front.views == PICTURE_VIEWS[0] and front.figure < 0:
        return read_sheet(front.picture, models, progress=progress, **options)
    framed, read = read_picture(front.picture, models, figure=front.figure, progress=progress, **options)
    return framed, read, {}


def read_picture(
    picture: FloatArray, models: Mapping[ModuleType, Any], *, figure: int = -1, **options: Any
) -> tuple[FramedPicture, Figure]:
    """Cut out and frame the subject of picture (H, W, 3 or 4), and read its figure.

    models: those of `list_networks`, loaded. figure: which one of several; -1 chooses. options: of
    preprocess_picture, whose errors it raises.
    """
    framed = cut_picture(picture, models, figure=None if figure < 0 else figure, **options)
    return framed, preprocessing.read_figure.read_figure(framed, *read_points(framed, models))


def read_sheet(
    picture: FloatArray, models: Mapping[ModuleType, Any], **options: Any
) -> tuple[FramedPicture, Figure, dict[str, preprocessing.View]]:
    """As read_picture, and the other views by their sides if picture (H, W, 3 or 4) is a sheet of them."""
    framed = preprocessing.preprocess_sheet(picture, prior=_find_prior(models), **options)
    if len(framed) < 2:
        read = preprocessing.read_figure.read_figure(framed[0], *read_points(framed[0], models))
        return framed[0], read, {}
    views = [read_view(view, models) for view in framed]
    names, left_out = preprocessing.name_views(views)
    front = views[names.pop("front")]
    note = describe_views(len(views), names, left_out) + "; views=front takes the front alone"
    figure = replace(front.figure, warnings=(note, *front.figure.warnings))
    return front.picture, figure, {name: views[number] for name, number in names.items()}


def read_view(framed: FramedPicture, models: Mapping[ModuleType, Any]) -> preprocessing.View:
    """What tells one view of a sheet from the others."""
    pose, face = read_points(framed, models)
    read = preprocessing.read_figure.read_figure(framed, pose, face)
    return preprocessing.View(framed, read, 0.0 if face is None else face.confidence)


def describe_views(count: int, names: Iterable[str], left_out: Sequence[int]) -> str:
    """What was made of the views of a sheet; names: of those beside the front."""
    used = ["front", *names]
    listed = " and ".join([", ".join(used[:-1]), used[-1]]) if len(used) > 1 else used[0]
    rest = f", without number {', '.join(map(str, left_out))} from the left" if left_out else ""
    return f"{count} views of one character found: used as {listed}{rest}"


def cut_picture(picture: FloatArray, models: Mapping[ModuleType, Any], **options: Any) -> FramedPicture:
    """Cut out and frame the subject of picture (H, W, 3 or 4) alone. options: of preprocess_picture."""
    return preprocessing.preprocess_picture(picture, prior=_find_prior(models), **options)


def cut_views(picture: FloatArray, models: Mapping[ModuleType, Any], **options: Any) -> list[FloatArray]:
    """The views of a sheet (H, W, 3 or 4). options: of split_sheet."""
    return preprocessing.split_sheet(picture, prior=_find_prior(models), **options)


def _find_prior(models: Mapping[ModuleType, Any]) -> preprocessing.Prior | None:
    priors = [
        preprocessing.Prior(name, partial(getattr(network, predict), models[network]))
        for name, (network, predict) in _CUTTERS.items()
        if network in models
    ]
    return priors[0] if priors else None


def read_points(
    framed: FramedPicture, models: Mapping[ModuleType, Any]
) -> tuple[PoseLandmarks | None, Face | None]:
    """BlazePose's points and BlazeFace's face. Where they differ BlazePose looks again, below the face."""
    color, alpha = framed.rgba[..., :3], framed.rgba[..., 3]
    face = blazeface.find_face(models[blazeface], color, alpha) if blazeface in models else None
    if blazepose not in models:
        return None, face
    pose = blazepose.read_landmarks(models[blazepose], color, alpha)
    if face is not None and not preprocessing.fits_face(pose, face):
        pose = blazepose.read_landmarks(models[blazepose], color, alpha, face)
    return pose, face
