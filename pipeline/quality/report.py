"""One document on the quality of a finished character."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ..conventions import VIEW_NAMES
from ..figure import LANDMARKS, Figure
from ..texture_baking.seam_metrics import measure_seam_differences
from ..types import FloatArray, FramedPicture, Material, PictureSet, RiggedCharacter, TexturedMesh
from .limits import LIMITS, Limit
from .measures import (
    count_still_limbs,
    measure_silhouette_iou,
    measure_texel_density,
    measure_unseen_share,
)

VERSION = 1
_SURE_LANDMARK = 0.3
"""Confidence below which a landmark counts as guessed."""
_DIGITS = 4


@dataclass(frozen=True)
class FigureQuality:
    """kind, source, yaw: see Figure. confidence: mean over the landmarks, and of each, 0..1."""

    kind: str
    source: str
    yaw: float
    confidence: float
    landmarks: Mapping[str, float]


@dataclass(frozen=True)
class ShapeQuality:
    """silhouette_iou: of mesh and picture from the front, 0..1; None without a picture."""

    triangles: int
    vertices: int
    height_meters: float
    silhouette_iou: float | None


@dataclass(frozen=True)
class TextureQuality:
    """sizes: width and height in texels, by material and role. texels_per_meter: mean along the surface.

    texels_per_pixel: the same, per pixel of the framed picture. seam_error: mean color difference, 0..1,
    across chart borders; None for several materials. unseen_share: of the surface, without a color from a
    view; None without coverage.
    """

    sizes: Mapping[str, tuple[int, int]]
    texels_per_meter: float
    texels_per_pixel: float | None
    seam_error: float | None
    unseen_share: float | None


@dataclass(frozen=True)
class RigQuality:
    """joints, influences: per skeleton and vertex. clips: by name. morphs: how many the mesh has.

    still_limbs: arms and legs that move nothing, see count_still_limbs. stretch: 999 of 1000 edges stretch
    less in walk and wave, 1 is none; None for a skeleton that cannot walk.
    """

    joints: int
    influences: int
    is_humanoid: bool
    clips: tuple[str, ...]
    morphs: int
    still_limbs: int | None
    stretch: float | None


@dataclass(frozen=True)
class QualityWarning:
    """A figure beyond its limit. code, message, advice: see Limit; figure: PART.NAME."""

    code: str
    message: str
    advice: str
    figure: str
    value: float
    limit: float


@dataclass(frozen=True)
class QualityReport:
    """What was measured, guessed and is worth a warning; a part that there is nothing of is None."""

    figure: FigureQuality | None
    shape: ShapeQuality
    texture: TextureQuality
    rig: RigQuality | None
    guessed: tuple[str, ...] = ()
    warnings: tuple[QualityWarning, ...] = field(default_factory=tuple)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the members of this class, and the limits beside them."""
        limits = {limit.figure: limit.to_dict() for limit in LIMITS}
        return {"version": VERSION, **_to_plain(asdict(self)), "limits": limits}


def report_quality(
    textured: TexturedMesh,
    *,
    picture: FramedPicture | None = None,
    figure: Figure | None = None,
    pictures: PictureSet | None = None,
    coverage: FloatArray | None = None,
    character: RiggedCharacter | None = None,
) -> QualityReport:
    """Measure a textured mesh, and what else there is of the character that it belongs to.

    picture, figure: what it was made from. pictures: of other sides. coverage: (T, T) of the bake into the
    mesh's uvs. character: the same mesh, rigged.
    """
    shape = _describe_shape(textured, picture)
    texture = _describe_texture(textured, picture, shape.height_meters, coverage)
    parts = {
        "figure": None if figure is None else _describe_figure(figure),
        "shape": shape,
        "texture": texture,
        "rig": None if character is None else _describe_rig(character),
    }
    guessed = _list_guesses(figure, pictures, character)
    if picture is not None:
        guessed = (*_list_made_up(pictures), *guessed)
    return QualityReport(**parts, guessed=guessed, warnings=_find_warnings(parts))  # type: ignore[arg-type]


def _describe_figure(figure: Figure) -> FigureQuality:
    trust = {name: round(float(value), 3) for name, value in zip(LANDMARKS, figure.confidence, strict=True)}
    mean = round(float(figure.confidence.mean()), _DIGITS)
    return FigureQuality(figure.kind, figure.source, round(figure.yaw, 1), mean, trust)


def _describe_shape(textured: TexturedMesh, picture: FramedPicture | None) -> ShapeQuality:
    mesh = textured.mesh
    overlap = None if picture is None else round(measure_silhouette_iou(mesh, picture), _DIGITS)
    height = round(float(np.ptp(mesh.positions[:, 1])), _DIGITS)
    return ShapeQuality(len(mesh.faces), len(mesh.positions), height, overlap)


def _describe_texture(
    textured: TexturedMesh, picture: FramedPicture | None, height: float, coverage: FloatArray | None
) -> TextureQuality:
    density = measure_texel_density(textured)
    per_pixel = None
    if picture is not None and height > 0:
        pixels = picture.box[3] - picture.box[1]
        per_pixel = round(density * height / pixels, _DIGITS)
    unseen = None if coverage is None else round(measure_unseen_share(textured, coverage), _DIGITS)
    return TextureQuality(
        _list_sizes(textured.materials), round(density, 1), per_pixel, _measure_seams(textured), unseen
    )


def _measure_seams(textured: TexturedMesh) -> float | None:
    if textured.others:
        return None
    seams = measure_seam_differences(textured.mesh, textured.material.base_color)
    return round(float(seams.mean()), _DIGITS) if len(seams) else 0.0


def _list_sizes(materials: tuple[Material, ...]) -> dict[str, tuple[int, int]]:
    """Width and height of every texture, by `NUMBER.ROLE`, the number being the material's."""
    sizes = {}
    for number, material in enumerate(materials):
        for role, texels in {"base_color": material.texels, **material.maps}.items():
            sizes[f"{number}.{role}"] = (int(texels.shape[1]), int(texels.shape[0]))
    return sizes


def _describe_rig(character: RiggedCharacter) -> RigQuality:
    stretch = character.metrics.get("stretch_999")
    extras = character.textured.mesh.extras
    return RigQuality(
        joints=len(character.skeleton.names),
        influences=character.skin.influences,
        is_humanoid=bool(character.skeleton.roles),
        clips=tuple(clip.name for clip in character.clips),
        morphs=0 if extras is None else len(extras.morphs),
        still_limbs=count_still_limbs(character),
        stretch=None if stretch is None else round(stretch, 3),
    )


def _list_made_up(pictures: PictureSet | None) -> tuple[str, ...]:
    """The sides of which there was no picture; the top and bottom of a standing figure show little."""
    shown = () if pictures is None else tuple(pictures.sides)
    unseen = [name for name in VIEW_NAMES[1:4] if name not in shown]
    return (f"there was no picture of its {', '.join(unseen)}: colors and depth there are made up",) * bool(
        unseen
    )


def _list_guesses(
    figure: Figure | None, pictures: PictureSet | None, character: RiggedCharacter | None
) -> tuple[str, ...]:
    """What the stages said that they could not see, and landmarks that are little more than averages."""
    said: list[str] = []
    if figure is not None:
        unsure = [
            name.replace("_", " ")
            for name, trust in zip(LANDMARKS, figure.confidence, strict=True)
            if trust < _SURE_LANDMARK
        ]
        said += figure.warnings
        said += [f"where it could not be seen, placed by proportions: {', '.join(unsure)}"] if unsure else []
    if pictures is not None:
        said += pictures.notes
    if character is not None:
        said += character.warnings
    return tuple(said)


def _find_warnings(parts: Mapping[str, Any]) -> tuple[QualityWarning, ...]:
    return tuple(
        _warn(limit, float(value))
        for limit in LIMITS
        if (value := getattr(parts[limit.part], limit.name, None)) is not None
        and limit.is_crossed(float(value))
    )


def _warn(limit: Limit, value: float) -> QualityWarning:
    return QualityWarning(
        limit.code, limit.message.format(value), limit.advice, limit.figure, value, limit.bound
    )


def _to_plain(value: Any) -> Any:
    """Tuples as lists."""
    if isinstance(value, Mapping):
        return {name: _to_plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_plain(item) for item in value]
    return value
