"""A flat head becomes as deep as it is wide, most of it behind; a deep one, arms and the trunk stay."""

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.mesh_generation.depth import Depth
from character3d.pipeline.mesh_generation.heads import deepen_head
from character3d.pipeline.mesh_generation.silhouette import sample_silhouette
from character3d.pipeline.types import FramedPicture

SIDE = 256
Y, X = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
BODY = (np.abs(X - 0.5) < 0.1) & (Y > 0.1) & (Y < 0.9)
EARS = (np.abs(X - 0.5) < 0.2) & (Y > 0.2) & (Y < 0.26)
ARM = (X > 0.64) & (X < 0.74) & (Y > 0.12) & (Y < 0.6)
SHOULDER = (X > 0.5) & (X < 0.74) & (Y > 0.5) & (Y < 0.6)
WIDTH = 0.2 / 0.8
"""Of the head, as a share of the height."""


def deepen(half):
    """Reads nearest and farthest depth at a place, from a body whose half depth is a share of the height."""
    parts = np.where(Y < 0.4, PARTS.index("head"), PARTS.index("torso"))
    parts[ARM | SHOULDER] = PARTS.index("left_arm")
    places = dict.fromkeys(LANDMARKS, (0.5, 0.6)) | {"crown": (0.5, 0.1), "neck": (0.5, 0.4)}
    landmarks = np.array([(*places[name], 0.0) for name in LANDMARKS])
    figure = Figure("front", landmarks, np.ones(20), (0, 0, 1, 1), (0.4, 0.1, 0.6, 0.4), parts)
    silhouette = sample_silhouette(
        FramedPicture(np.dstack([BODY | EARS | ARM | SHOULDER] * 4).astype(np.float32))
    )
    flat = np.full(silhouette.alpha.shape, half * silhouette.height, np.float32)
    made = deepen_head(Depth(np.zeros_like(flat), flat, flat), silhouette.inside, silhouette, figure)

    def read(x, y):
        column, row = np.round(silhouette.locate(np.array((x, y)))).astype(int)
        near = made.centre + made.front
        far = made.centre - made.back
        return near[row, column] / silhouette.height, far[row, column] / silhouette.height

    return read


def test_a_flat_head_is_as_deep_as_it_is_wide_without_its_ears():
    read = deepen(0.1)
    near, far = read(0.5, 0.15)
    assert near - far == pytest.approx(WIDTH, rel=0.03)
    assert 0 < near - 0.1 < -0.1 - far


def test_a_head_becomes_at_most_two_fifths_deeper():
    near, far = deepen(0.05)(0.5, 0.15)
    assert near - far == pytest.approx(0.14, rel=0.01)


def test_a_deep_head_stays():
    assert deepen(0.15)(0.5, 0.15) == pytest.approx((0.15, -0.15))


@pytest.mark.parametrize("place", [(0.5, 0.41), (0.5, 0.7), (0.69, 0.2)], ids=["neck", "trunk", "arm"])
def test_what_is_no_head_stays(place):
    assert deepen(0.1)(*place) == pytest.approx((0.1, -0.1), abs=0.002)
