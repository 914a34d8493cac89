"""Wings and loose hair hang behind the body; what a hand holds, and thin staffs, stay where they are."""

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.mesh_generation.depth import Depth
from character3d.pipeline.mesh_generation.silhouette import sample_silhouette
from character3d.pipeline.mesh_generation.trailing import bring_trailing_back
from character3d.pipeline.types import FramedPicture

SIDE, HALF = 256, 20.0
Y, X = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
BODY = (np.abs(X - 0.5) < 0.1) & (Y > 0.1) & (Y < 0.9)
PLACES = {
    **dict.fromkeys(LANDMARKS, (0.5, 0.5)),
    "crown": (0.5, 0.1),
    "neck": (0.5, 0.3),
    "pelvis": (0.5, 0.6),
    "left_shoulder": (0.6, 0.35),
    "right_shoulder": (0.4, 0.35),
}


def bring_back(beside, part="prop", places=PLACES, arms="left_arm"):
    """How far the centre moves (H, W), in cells, and where a point of the picture is on it."""
    parts = np.where(Y < 0.3, PARTS.index("head"), PARTS.index("torso"))
    parts[(np.abs(X - 0.5) < 0.08) & (np.abs(Y - 0.8) < 0.08)] = PARTS.index(arms)
    parts[beside] = PARTS.index(part)
    landmarks = np.array([(*places[name], 0.0) for name in LANDMARKS])
    figure = Figure("front", landmarks, np.ones(20), (0, 0, 1, 1), (0.4, 0.1, 0.6, 0.3), parts)
    silhouette = sample_silhouette(FramedPicture(np.dstack([BODY | beside] * 4).astype(np.float32)))
    still = np.zeros(silhouette.alpha.shape, np.float32)
    depth = Depth(still, still + HALF, still + HALF)
    moved = bring_trailing_back(depth, silhouette.inside, silhouette, figure)
    np.testing.assert_array_equal(moved.front, depth.front)

    def read(x, y):
        column, row = np.round(silhouette.locate(np.array((x, y)))).astype(int)
        return float(moved.centre[row, column])

    return read


def test_a_wing_is_as_far_back_as_the_back():
    read = bring_back((X > 0.6) & (X < 0.85) & (Y > 0.35) & (Y < 0.75))
    assert read(0.8, 0.5) == pytest.approx(-HALF, rel=0.02)
    assert read(0.5, 0.5) == pytest.approx(0, abs=0.01)
    assert -HALF < read(0.63, 0.5) < 0  # it sweeps back from where it begins


def test_hair_hangs_behind_the_head():
    read = bring_back((X > 0.6) & (X < 0.8) & (Y > 0.15) & (Y < 0.45), "hair")
    assert read(0.75, 0.22) == pytest.approx(-HALF, rel=0.02)
    assert read(0.5, 0.22) == pytest.approx(0, abs=0.01)


def test_what_is_held_and_what_is_slender_stays():
    bag = (X > 0.6) & (X < 0.75) & (Y > 0.5) & (Y < 0.6)
    held = PLACES | {"left_hand": (0.7, 0.55)}
    assert bring_back(bag, places=held)(0.7, 0.58) == 0
    assert bring_back(bag)(0.72, 0.58) < -0.5 * HALF
    staff = ((np.abs(X - 0.75) < 0.01) & (Y > 0.2) & (Y < 0.9)) | (
        (np.abs(Y - 0.5) < 0.01) & (X > 0.5) & (X < 0.75)
    )
    assert bring_back(staff)(0.75, 0.8) == 0


def test_ears_stay_beside_the_head():
    read = bring_back((X > 0.6) & (X < 0.8) & (Y > 0.1) & (Y < 0.2))
    assert read(0.75, 0.15) == 0


def test_wings_of_a_figure_without_arms_are_its_arms():
    wing = (X > 0.6) & (X < 0.85) & (Y > 0.35) & (Y < 0.75)
    assert bring_back(wing, arms="torso")(0.8, 0.5) == 0
    assert bring_back(wing)(0.8, 0.5) < -0.9 * HALF
