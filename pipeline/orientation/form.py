"""What a mesh is, judged by what bodies look like from the frames in which they would stand.

The mesh is described (profile.py) in the frame in which it looks most like a person, and in the
one in which it looks most like an animal; both descriptions, and numbers that no frame changes, go through a
multinomial logit model, which training/kinds.py fits to people, animals and things.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..mesh.blades import drop_blades, find_blades
from ..mesh.pieces import split_pieces
from ..types import Float64Array, Mesh
from .frame import list_axis_frames, standardize
from .profile import BodyPoints
from .shape_numbers import measure_shape

HUMANOID, HALF_BODY, BUST, QUADRUPED, ANIMAL, THING = (
    "humanoid",
    "half_body",
    "bust",
    "quadruped",
    "animal",
    "object",
)
KINDS = (HUMANOID, HALF_BODY, BUST, QUADRUPED, ANIMAL, THING)
"""animal: a bird, a fish, an insect, a snake or another that does not stand on four legs."""
FIGURES = (HUMANOID, HALF_BODY, BUST)
"""Those that get a person's skeleton."""
_NAMES = {
    HUMANOID: "a person",
    HALF_BODY: "half a person",
    BUST: "a bust",
    QUADRUPED: "an animal on four legs",
    ANIMAL: "an animal that does not stand on four legs",
    THING: "a thing",
}
_LEAST_FIGURE, _SURE_FIGURE, _SURE_ALONE = 0.15, 0.85, 0.97
"""Shares of all FIGURES together: below the first it is no person; from the second on it surely is one if the
joint network sees a person's joints in it too, from the third on whatever that sees. None of 110 people among
the meshes of others, and of the other things three in five, are below the first."""
_STANDING_BONUS = 4.0
"""Added to the score of the animal's frame in which meshes should stand."""
_NO_SYMMETRY = 0.05
"""Mean distance of a body from its mirror image, as a share of its size, of one without any symmetry."""
_LIMIT = 3.0


@dataclass(frozen=True, eq=False)
class Form:
    """kind: one of KINDS, that with the largest share. shares: of each kind, 0..1, together 1.

    symmetry: how alike the halves are in the frame of the kind, 0..1. rows: (3, 3) left, up and front there.
    """

    kind: str
    shares: Mapping[str, float]
    symmetry: float
    rows: Float64Array

    @property
    def confidence(self) -> float:
        """The share of the kind."""
        return self.shares[self.kind]

    @property
    def figure_share(self) -> float:
        """The share of all FIGURES together."""
        return sum(self.shares[kind] for kind in FIGURES)

    @property
    def is_figure(self) -> bool:
        """Whether a person's skeleton may fit."""
        return self.figure_share >= _LEAST_FIGURE

    def is_surely_figure(self, *, has_joints: bool) -> bool:
        """Whether a person's skeleton fits, without a doubt that would have to be said.

        has_joints: whether the joint network is sure of the joints that it sees. Half a person, in which it
        cannot be, is a form that things have too.
        """
        if has_joints:
            return self.figure_share >= _SURE_FIGURE
        return self.kind == HUMANOID and self.figure_share >= _SURE_ALONE

    @property
    def name(self) -> str:
        """The kind in words."""
        return _NAMES[self.kind]

    def rank(self) -> list[tuple[str, float]]:
        """The kinds in words with their shares, largest first."""
        ranked = sorted(self.shares.items(), key=lambda item: -item[1])
        return [(_NAMES[kind], share) for kind, share in ranked]


def read_form(mesh: Mesh) -> Form:
    """Tell what a mesh with faces is, whatever its frame along the axes and its unit."""
    faces = drop_blades(mesh.faces, find_blades(split_pieces(mesh)))
    body, frames = BodyPoints(mesh.positions.astype(np.float64), faces), list_axis_frames()
    described = np.stack([body.describe(frame) for frame in frames])
    person, _ = choose_frames(described)
    weights = _read_model()["kind_weights"].reshape(-1, len(KINDS))
    logits = describe_form(described, measure_shape(body.points)) @ weights
    shares = np.exp(logits - logits.max())
    shares /= shares.sum()
    kind = KINDS[int(shares.argmax())]
    standing = score_animal(described) + _STANDING_BONUS * (np.arange(len(frames)) == 0)
    rows = frames[person if kind in FIGURES else int(standing.argmax())]
    symmetry = 1.0 - min(body.measure_asymmetry(rows[0]) / _NO_SYMMETRY, 1.0)
    return Form(kind, dict(zip(KINDS, shares.tolist(), strict=True)), symmetry, rows)


def choose_frames(described: Float64Array) -> tuple[int, int]:
    """The numbers of the frames in which descriptions (24, 57) look most like a person and like an animal."""
    return int(score_person(described).argmax()), int(score_animal(described).argmax())


def score_person(described: Float64Array) -> Float64Array:
    """How much a body looks like a person that stands in the frames of descriptions (24, 57)."""
    return np.asarray(standardize(described) @ _read_model()["person_weights"])


def score_animal(described: Float64Array) -> Float64Array:
    """How much a body looks like an animal that stands in the frames of descriptions (24, 57)."""
    return np.asarray(standardize(described) @ _read_model()["animal_weights"])


def describe_form(described: Float64Array, shape: Float64Array) -> Float64Array:
    """The input of the model: descriptions (24, 57) in both frames and numbers (18,), and a constant 1."""
    model = _read_model()
    seen = np.clip((shape - model["shape_mean"]) / model["shape_spread"], -_LIMIT, _LIMIT)
    person, animal = (standardize(described[frame]) for frame in choose_frames(described))
    return np.concatenate((person, animal, seen, seen**2, (1.0,)))


@functools.cache
def _read_model() -> Mapping[str, Float64Array]:
    """person_weights, animal_weights: (114,). shape_mean, shape_spread: (18,).

    kind_weights: (265 * len(KINDS),).
    """
    text = Path(__file__).with_name("form_model.json").read_text(encoding="utf-8")
    return {name: np.array(values) for name, values in json.loads(text).items()}
