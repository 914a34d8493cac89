"""A sitting figure sits: its knees are as far forward as its thighs are long."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.mesh_generation.depth import Depth
from character3d.pipeline.mesh_generation.seated import bring_knees_forward, sit_down
from character3d.pipeline.mesh_generation.silhouette import sample_silhouette
from character3d.pipeline.types import FramedPicture

SIDE = 256
HIP, KNEE, ANKLE = 0.5, 0.56, 0.8


def make_figure(knee=KNEE):
    places = dict.fromkeys(LANDMARKS, (0.5, 0.3))
    for side, x in (("left", 0.55), ("right", 0.45)):
        places |= {f"{side}_hip": (x, HIP), f"{side}_knee": (x, knee), f"{side}_ankle": (x, ANKLE)}
    parts = np.full((64, 64), PARTS.index("torso"))
    parts[32:] = PARTS.index("left_leg")
    landmarks = np.array([(*places[name], 0.0) for name in LANDMARKS])
    return Figure("sitting", landmarks, np.ones(20), (0.35, 0.1, 0.65, 0.85), (0.4, 0.1, 0.6, 0.25), parts)


@pytest.fixture(scope="module")
def silhouette():
    y, x = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    alpha = (np.abs(x - 0.5) < 0.15) & (y > 0.1) & (y < 0.85)
    return sample_silhouette(FramedPicture(np.dstack([alpha] * 4).astype(np.float32)))


def test_knees_come_forward_by_the_length_of_the_thighs(silhouette):
    still = np.zeros(silhouette.alpha.shape, np.float32)
    moved = bring_knees_forward(still, silhouette.inside, silhouette, make_figure())
    row = {
        share: int((share * SIDE - silhouette.origin[1]) / silhouette.step)
        for share in (0.3, HIP, KNEE, ANKLE)
    }
    shin = row[ANKLE] - row[KNEE]
    wanted = np.sqrt((0.85 * shin) ** 2 - (row[KNEE] - row[HIP]) ** 2)
    middle = moved.shape[1] // 2
    assert moved[row[0.3], middle] == pytest.approx(0, abs=0.01 * shin)
    assert moved[row[KNEE] + 5, middle] == pytest.approx(wanted, rel=0.03)
    legs = moved[row[KNEE] + 5][silhouette.inside[row[KNEE] + 5]]
    np.testing.assert_allclose(legs, wanted, rtol=0.03)  # the rim too


def test_thighs_that_hang_are_left(silhouette):
    still = np.zeros(silhouette.alpha.shape, np.float32)
    moved = bring_knees_forward(still, silhouette.inside, silhouette, make_figure(knee=0.85))
    np.testing.assert_array_equal(moved, still)


def make_plush(sole):
    """Soles beside each other at the bottom; sole: their height, as a share of the side."""
    figure = make_figure()
    shares = (np.arange(SIDE) + 0.5) / SIDE
    y, x = np.meshgrid(shares, shares, indexing="ij")
    parts = np.where((np.abs(x - 0.5) < 0.15) & (y > 0.1) & (y < 0.85), PARTS.index("torso"), 0)
    for side, middle in (("left", 0.58), ("right", 0.42)):
        parts[(np.abs(x - middle) < 0.06) & (y < 0.85) & (y > 0.85 - sole)] = PARTS.index(f"{side}_foot")
    landmarks = figure.landmarks.copy()
    landmarks[LANDMARKS.index("pelvis"), :2] = 0.5, 0.7
    return replace(figure, parts=parts, landmarks=landmarks)


@pytest.mark.parametrize("sole", [0.2, 0.06])
def test_soles_that_are_seen_lie_before_the_belly(silhouette, sole):
    still = np.zeros(silhouette.alpha.shape, np.float32)
    figure = make_plush(sole)
    moved = sit_down(Depth(still, still + 30, still + 30), silhouette.inside, silhouette, figure)
    column, row = np.round(silhouette.locate(np.array((0.58, 0.82)))).astype(int)
    trunk = silhouette.locate(figure["pelvis"])[1] - silhouette.locate(figure["neck"])[1]
    is_sole = sole > 0.1
    front = (moved.centre + moved.front)[row, column]
    assert (front == pytest.approx(30 + 0.4 * trunk, rel=0.01)) == is_sole
    if is_sole:  # the leg is lengthened: it still begins at the back
        assert (moved.centre - moved.back)[row, column] == pytest.approx(-30, abs=0.01)
        column, row = np.round(silhouette.locate(np.array((0.5, 0.4)))).astype(int)
        assert moved.front[row, column] == pytest.approx(30, abs=0.01)
