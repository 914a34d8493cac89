"""The download `report` of a job as types: a component of the OpenAPI document. See pipeline/quality."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import TypedDict

Share = Annotated[float, Field(ge=0, le=1)]


class QualityFigure(TypedDict):
    """What was read in the picture, and how sure that is."""

    kind: Annotated[
        str, Field(description="front, three_quarter, side, back, sitting, half_body, bust, other.")
    ]
    source: Annotated[str, Field(description="What the landmarks were read from.")]
    yaw: Annotated[float, Field(description="Degrees that the body is turned to its own left, as seen.")]
    confidence: Annotated[Share, Field(description="Mean of the landmarks'.")]
    landmarks: Annotated[dict[str, float], Field(description="Confidence by name, 0..1.")]


class QualityShape(TypedDict):
    """The mesh."""

    triangles: int
    vertices: int
    height_meters: float
    silhouette_iou: Annotated[
        Share | None, Field(description="Of the outlines of mesh and picture, from the front.")
    ]


class QualityTexture(TypedDict):
    """The texture; null is what could not be measured."""

    sizes: Annotated[
        dict[str, list[int]], Field(description="Width and height by NUMBER.ROLE of a material.")
    ]
    texels_per_meter: Annotated[float, Field(ge=0, description="Along the surface, the mean over its area.")]
    texels_per_pixel: Annotated[float | None, Field(description="The same, per pixel of the framed picture.")]
    seam_error: Annotated[Share | None, Field(description="Mean color difference where charts meet.")]
    unseen_share: Annotated[Share | None, Field(description="Of the surface, without a color from a view.")]


class QualityRig(TypedDict):
    """Skeleton and skin."""

    joints: int
    influences: Annotated[int, Field(description="Joints per vertex at most.")]
    is_humanoid: bool
    clips: list[str]
    morphs: int
    still_limbs: Annotated[
        int | None,
        Field(description="Arms and legs that move nothing: they could not be told from the body."),
    ]
    stretch: Annotated[
        float | None,
        Field(description="999 of 1000 edges stretch less when it walks and waves; 1 is not at all."),
    ]


class QualityWarning(TypedDict):
    """A figure beyond its limit."""

    code: Annotated[str, Field(description="For programs: always the same for the same figure.")]
    message: str
    advice: Annotated[str, Field(description="What to do.")]
    figure: Annotated[str, Field(description="PART.NAME of what was measured, as in limits.")]
    value: float
    limit: float


class QualityLimit(TypedDict):
    """From where a figure is worth a warning: the least that it may be, or the most."""

    least: float | None
    most: float | None


class QualityReport(TypedDict):
    """The file of the download `report`: what was measured of a character, what was guessed, what to look at.

    A part that there is nothing of is null: rig without rigging.
    """

    version: Literal[1]
    figure: QualityFigure | None
    shape: QualityShape
    texture: QualityTexture
    rig: QualityRig | None
    guessed: Annotated[list[str], Field(description="What could not be seen, in sentences.")]
    warnings: list[QualityWarning]
    limits: Annotated[
        dict[str, QualityLimit], Field(description="Of each figure that has one, by PART.NAME.")
    ]
