"""Broad feet are no longer than feet are; others, and what is above the ankle, stay as they were."""

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, Figure
from character3d.pipeline.mesh_generation.depth import Depth
from character3d.pipeline.mesh_generation.feet import shorten_feet
from character3d.pipeline.mesh_generation.ground import settle_on_ground
from character3d.pipeline.mesh_generation.silhouette import sample_silhouette
from character3d.pipeline.types import FramedPicture

SIDE = 256
Y, X = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
TRUNK = (np.abs(X - 0.5) < 0.2) & (Y > 0.1) & (Y < 0.5)


def measure(legs, half):
    """Length of the feet, and depth of the shins, before and after, as shares of the height."""
    places = dict.fromkeys(LANDMARKS, (0.5, 0.3)) | {"left_ankle": (0.6, 0.8), "right_ankle": (0.4, 0.8)}
    landmarks = np.array([(*places[name], 0.0) for name in LANDMARKS])
    figure = Figure("front", landmarks, np.ones(20), (0, 0, 1, 1), (0.4, 0.1, 0.6, 0.3), np.zeros((8, 8)))
    silhouette = sample_silhouette(FramedPicture(np.dstack([TRUNK | legs] * 4).astype(np.float32)))
    ground = settle_on_ground(silhouette)
    flat = np.full(ground.extended.shape, half * silhouette.height, np.float32)
    after = shorten_feet(Depth(np.zeros_like(flat), flat, flat), ground, silhouette, figure)
    thick = (after.front + after.back) / silhouette.height
    above = ground.height / silhouette.height
    sole = ground.extended & (above < 0.04)
    return float(thick[sole].max()), float(thick[ground.extended & (above > 0.14)].min())


@pytest.mark.parametrize("gap", [0.05, 0.0], ids=["apart", "touching"])
def test_broad_feet_are_one_and_a_half_times_as_long_as_wide(gap):
    legs = (np.abs(np.abs(X - 0.5) - 0.1) < 0.1 - gap / 2) & (Y > 0.4) & (Y < 0.9)
    foot, shin = measure(legs, 0.25)
    assert foot == pytest.approx(1.5 * (0.2 - gap) / 0.8, rel=0.06)
    assert shin == pytest.approx(0.5)


def test_narrow_feet_keep_their_length():
    legs = (np.abs(np.abs(X - 0.5) - 0.1) < 0.03) & (Y > 0.4) & (Y < 0.9)
    assert measure(legs, 0.065) == pytest.approx((0.13, 0.13))
