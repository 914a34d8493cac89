"""From where a figure of a quality report is worth a warning: the one table of it."""

from __future__ import annotations

from dataclasses import dataclass

from ..animation import MAX_STRETCH
from ..texture_baking.bake import LEAST_COVERAGE, MOST_SEAM_CONTRAST


@dataclass(frozen=True)
class Limit:
    """A bound of one figure.

    code: of the warning, for programs. part, name: where the report has the figure. bound: the least that it
    may be, or the most. message: takes the figure as {}; advice: what to do about it.
    """

    code: str
    part: str
    name: str
    is_least: bool
    bound: float
    message: str
    advice: str

    @property
    def figure(self) -> str:
        """Where the report has the figure: PART.NAME."""
        return f"{self.part}.{self.name}"

    def is_crossed(self, value: float) -> bool:
        """Whether a figure is worth a warning."""
        return value < self.bound if self.is_least else value > self.bound

    def to_dict(self) -> dict[str, float | None]:
        """The least that the figure may be, and the most; one of them is None."""
        return {"least": self.bound if self.is_least else None, "most": None if self.is_least else self.bound}


LIMITS = (
    Limit(
        "unsure_landmarks",
        "figure",
        "confidence",
        True,
        0.6,
        "the points of the body are unsure (confidence {:.2f} of 1)",
        "Look at the figure, and move wrong points with Edit Figure.",
    ),
    Limit(
        "outline_differs",
        "shape",
        "silhouette_iou",
        True,
        0.85,
        "the mesh's outline covers the picture's only by {:.0%}",
        "Look at the mesh from the front; thin or separate parts may be missing.",
    ),
    Limit(
        "many_triangles",
        "shape",
        "triangles",
        False,
        100_000,
        "the mesh has {:,.0f} triangles, more than games draw well",
        "Set a smaller face_count.",
    ),
    Limit(
        "coarse_texture",
        "texture",
        "texels_per_pixel",
        True,
        0.5,
        "the texture shows only {:.0%} of the picture's detail",
        "Bake with a larger texture_size.",
    ),
    Limit(
        "seams",
        "texture",
        "seam_error",
        False,
        MOST_SEAM_CONTRAST,
        "colors differ by {:.0%} on average where charts meet",
        "Bake with a larger texture_size, or paint over the seams.",
    ),
    Limit(
        "unseen",
        "texture",
        "unseen_share",
        False,
        round(1 - LEAST_COVERAGE, 6),
        "{:.0%} of the surface got no color from any view",
        "Use a picture in which the limbs hide less of the body, or paint the texture.",
    ),
    Limit(
        "still_limbs",
        "rig",
        "still_limbs",
        False,
        0,
        "{:.0f} of arms and legs do not move: they could not be told from the body",
        "Use a picture with arms and legs apart from the body and from each other.",
    ),
    Limit(
        "tears",
        "rig",
        "stretch",
        False,
        MAX_STRETCH,
        "the surface stretches up to {:.1f} times when the character walks or waves",
        "Use a picture in which arms, legs and what they hold are apart from the body.",
    ),
)
