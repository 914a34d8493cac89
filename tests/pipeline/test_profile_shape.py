"""A shape from a front and a side picture: its outline is theirs from both directions."""

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import frame_camera
from character3d.pipeline.mesh_generation import inflate_silhouette
from character3d.pipeline.mesh_generation.profile import make_profile, measure_distance
from character3d.pipeline.rasterize import rasterize_view
from scipy.spatial import cKDTree

from .test_inflation import POSES, assert_closed, capsule, frame, iou, person, signed_volume

NOSE = capsule((0.43, 0.15), (0.395, 0.16), 0.012)
TAIL = capsule((0.55, 0.5), (0.72, 0.36), 0.02)


def side(*more, lean=0.0, bite=None):
    """The person of test_inflation from its left side, its face to the left, feet forward."""
    parts = [
        capsule((0.5 + lean, 0.16), (0.5 + lean, 0.17), 0.062),
        capsule((0.51, 0.2), (0.51, 0.3), 0.03),
        capsule((0.5, 0.34), (0.52, 0.5), 0.06),
        capsule((0.51, 0.5), (0.51, 0.86), 0.04),
        capsule((0.51, 0.875), (0.43, 0.875), 0.018),
    ]
    whole = np.minimum.reduce([*parts, *more])
    return frame(whole if bite is None else np.maximum(whole, -bite))


def view(mesh, azimuth):
    """The silhouette, cut to its box and scaled to 256 rows."""
    camera = frame_camera(mesh, azimuth, 0.0, 0.02)
    raster = rasterize_view(camera, torch.tensor(mesh.positions), torch.tensor(mesh.faces), 512)
    return crop(raster.mask.numpy())


def crop(mask):
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    cut = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)
    scale = 256 / len(cut)
    size = 256, max(1, round(scale * cut.shape[1]))
    return (
        torch.nn.functional.interpolate(torch.tensor(cut)[None, None], size, mode="area")[0, 0].numpy() > 0.5
    )


def overlap(one, two):
    """IoU of two silhouettes of one height, at the best of all shifts."""
    wide = np.pad(two, ((0, 0), (one.shape[1], one.shape[1])))
    shifted = np.zeros((two.shape[1] + one.shape[1], *wide.shape), bool)
    for shift, plane in enumerate(shifted):
        plane[:, shift : shift + one.shape[1]] = one
    return max(iou(plane, wide) for plane in shifted)


@pytest.mark.nightly_cases
@pytest.mark.parametrize("more", [(NOSE, TAIL), (NOSE,), ()], ids=["nose and tail", "nose", "plain"])
def test_the_shape_has_the_outlines_of_both_pictures(more):
    front, left = person(POSES["A"]), side(*more)
    mesh = inflate_silhouette(front, sides={"left": left})
    assert_closed(mesh.faces)
    assert signed_volume(mesh) > 0
    assert overlap(view(mesh, 0), crop(front.mask)) > 0.96
    assert overlap(view(mesh, np.pi / 2), crop(left.mask)) > 0.96


@pytest.mark.nightly
def test_without_a_side_the_profile_is_another():
    left = side(NOSE, TAIL)
    assert overlap(view(inflate_silhouette(person(POSES["A"])), np.pi / 2), crop(left.mask)) < 0.85


@pytest.mark.nightly
def test_the_right_picture_is_the_mirror_image_of_the_left():
    front, left = person(POSES["A"]), side(NOSE)
    right = type(left)(left.rgba[:, ::-1])
    one, two = (inflate_silhouette(front, sides=sides) for sides in ({"left": left}, {"right": right}))
    apart, _ = cKDTree(one.positions).query(two.positions)
    assert np.quantile(apart, 0.99) < 0.012 and overlap(view(one, np.pi / 2), view(two, np.pi / 2)) > 0.99


@pytest.mark.nightly
def test_a_back_alone_changes_nothing():
    front = person(POSES["T"])
    one, two = (inflate_silhouette(front, sides=sides) for sides in ({}, {"back": front}))
    assert (one.positions == two.positions).all()


def test_a_tail_is_round_and_in_the_middle():
    front = person(POSES["A"])
    mesh = inflate_silhouette(front, sides={"left": side(TAIL)})
    behind = mesh.positions[mesh.positions[:, 2] < mesh.positions[:, 2].min() + 0.12]
    assert abs(behind[:, 0].mean()) < 0.02
    assert np.ptp(behind[:, 0]) == pytest.approx(2 * 0.02 * 1.7 / 0.795, rel=0.35)


@pytest.mark.nightly
def test_what_the_profile_cuts_off_leaves_no_flat_face():
    bite = side(bite=capsule((0.4, 0.43), (0.455, 0.43), 0.012))
    mesh = inflate_silhouette(person(POSES["A"]), sides={"left": bite})
    x, y, z = mesh.positions[mesh.positions[:, 2] > 0].T
    level = np.abs(y / y.max() - (1 - (0.43 - 0.1) / 0.795)) < 0.008
    middle, beside = level & (np.abs(x) < 0.035), level & (np.abs(np.abs(x) - 0.08) < 0.015)
    assert z[middle].mean() - z[beside].mean() > 0.007


def test_the_core_of_a_profile_is_one_run_a_level_without_what_is_thin():
    alpha = np.clip(0.5 - np.minimum(capsule((0.5, 0.1), (0.5, 0.9), 0.08), TAIL), 0, 1)
    profile = make_profile(measure_distance(alpha)[::-1])
    runs = np.abs(np.diff(profile.core.astype(int), axis=1)).sum(axis=1)
    assert set(runs) <= {0, 2}
    assert not profile.core[:, 340:].any() and profile.inside[:, 340:].any()


def test_the_distance_is_signed_and_exact_beside_a_straight_edge():
    alpha = np.zeros((9, 20), np.float32)
    alpha[:, :10], alpha[:, 10] = 1, 0.75
    distance = measure_distance(alpha)
    assert distance[4, 10] == pytest.approx(0.5) and (np.diff(distance[4]) <= 0).all()
    assert distance[4, 5] > 3.9 and distance[4, 15] < -3.9
