"""Limbs that touch in the picture are opened along the edge between them; clothes are not."""

import numpy as np
import pytest
from character3d.pipeline.figure import LANDMARKS, PARTS, Figure
from character3d.pipeline.mesh_generation import inflate_silhouette
from character3d.pipeline.mesh_generation.limb_seams import open_seams
from character3d.pipeline.mesh_generation.silhouette import sample_silhouette
from character3d.pipeline.types import FramedPicture
from scipy import ndimage

SIDE = 512
PLACES = {
    "crown": (0.5, 0.13),
    "head": (0.5, 0.18),
    "neck": (0.5, 0.25),
    "pelvis": (0.5, 0.5),
    "left_shoulder": (0.58, 0.29),
    "left_elbow": (0.612, 0.4),
    "left_wrist": (0.615, 0.5),
    "left_hand": (0.615, 0.54),
    "left_hip": (0.54, 0.5),
    "left_knee": (0.54, 0.68),
    "left_ankle": (0.54, 0.85),
    "left_toe": (0.55, 0.88),
}


def make_picture(crease=0.1):
    """Legs touch along x = 0.5 and the left arm touches the trunk; a dark line parts them."""
    y, x = (np.mgrid[0:SIDE, 0:SIDE] + 0.5) / SIDE
    head = np.hypot(x - 0.5, (y - 0.18)) < 0.06
    trunk = (np.abs(x - 0.5) < 0.09) & (y > 0.24) & (y < 0.54)
    legs = (np.abs(x - 0.5) < 0.085) & (y > 0.5) & (y < 0.88)
    arm = (x > 0.59) & (x < 0.64) & (y > 0.28) & (y < 0.55)
    shade = np.full((SIDE, SIDE), 0.6)
    shade[(np.abs(x - 0.5) < 0.003) & (y > 0.52)] = crease
    shade[(np.abs(x - 0.59) < 0.003) & (y > 0.3) & (y < 0.55)] = crease
    alpha = head | trunk | legs | arm
    return FramedPicture(np.dstack([shade, shade, shade, alpha]).astype(np.float32))


def make_figure(parts=None, **places):
    points = {**PLACES, **places}
    points |= {
        "right_" + name.removeprefix("left_"): (1 - x, y)
        for name, (x, y) in points.items()
        if name.startswith("left_") and "right_" + name.removeprefix("left_") not in points
    }
    landmarks = np.array([(*points[name], 0.0) for name in LANDMARKS])
    legs = ("hip", "knee", "ankle", "toe")
    confidence = np.array([not name.startswith("right_") or name.endswith(legs) for name in LANDMARKS], float)
    box = (0.36, 0.12, 0.64, 0.88)
    return Figure("front", landmarks, confidence, box, box, np.zeros((64, 64)) if parts is None else parts)


def count_parts(silhouette, low, high):
    """Connected parts of the silhouette between two heights, as shares of the picture's side."""
    rows = [round((share * SIDE - silhouette.origin[1]) / silhouette.step) for share in (low, high)]
    return ndimage.label(silhouette.inside[rows[0] : rows[1]])[1]


def test_legs_and_arm_come_apart_along_the_edges():
    silhouette = sample_silhouette(make_picture())
    opened = open_seams(silhouette, make_figure())
    assert count_parts(silhouette, 0.6, 0.87) == 1
    assert count_parts(opened, 0.6, 0.87) == 2
    assert count_parts(opened, 0.4, 0.5) == 2
    cut = np.argwhere(silhouette.inside & ~opened.inside)
    x = (silhouette.origin[0] + (cut[:, 1] + 0.5) * silhouette.step) / SIDE
    assert np.minimum(np.abs(x - 0.5), np.abs(x - 0.59)).max() < 0.012
    assert len(cut) < 0.03 * silhouette.inside.sum()


def test_legs_that_touch_are_round():
    mesh = inflate_silhouette(make_picture(), figure=make_figure(), face_count=20_000)
    height = np.ptp(mesh.positions[:, 1])
    shins = mesh.positions[np.abs(mesh.positions[:, 1] - 0.25 * height) < 0.04 * height]
    for leg in (shins[shins[:, 0] > 0], shins[shins[:, 0] < 0]):
        assert np.ptp(leg[:, 2]) < 1.5 * np.ptp(leg[:, 0])


def test_without_an_edge_nothing_is_cut():
    silhouette = sample_silhouette(make_picture(crease=0.6))
    opened = open_seams(silhouette, make_figure())
    np.testing.assert_array_equal(opened.alpha, silhouette.alpha)


def test_a_skirt_over_the_legs_stays_whole():
    parts = np.zeros((64, 64))
    parts[32:58] = PARTS.index("clothes")
    silhouette = sample_silhouette(make_picture())
    assert count_parts(open_seams(silhouette, make_figure(parts)), 0.6, 0.8) == 1


@pytest.mark.parametrize(
    "places",
    [
        {"left_wrist": (0.5, 0.42)},  # before the trunk
        {"left_elbow": (0.7, 0.25), "left_wrist": (0.8, 0.2)},  # raised
    ],
)
def test_arms_that_do_not_hang_are_left(places):
    silhouette = sample_silhouette(make_picture())
    assert count_parts(open_seams(silhouette, make_figure(**places)), 0.42, 0.5) == 1


def test_doubtful_landmarks_cut_nothing():
    silhouette, figure = sample_silhouette(make_picture()), make_figure()
    doubtful = Figure("front", figure.landmarks, np.zeros(20), figure.box, figure.box, figure.parts)
    np.testing.assert_array_equal(open_seams(silhouette, doubtful).alpha, silhouette.alpha)
