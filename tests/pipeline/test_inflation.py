from itertools import pairwise

import numpy as np
import pytest
import torch
from character3d.pipeline.conventions import CHARACTER_HEIGHT
from character3d.pipeline.errors import MeshError
from character3d.pipeline.mesh_generation import inflate_silhouette
from character3d.pipeline.mesh_generation.poisson import solve_roundness
from character3d.pipeline.mesh_generation.silhouette_triangulation import join_sheets, trace_outline
from character3d.pipeline.rasterize import rasterize_triangles
from character3d.pipeline.types import FramedPicture

SIZE = 512


def capsule(start, stop, radius):
    """Signed distance on the SIZE grid, coordinates as shares of the side, y down."""
    y, x = (np.mgrid[0:SIZE, 0:SIZE] + 0.5) / SIZE
    start, stop = np.array(start), np.array(stop)
    along = stop - start
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
    return (np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1]) - radius) * SIZE


def frame(distance, seed=0):
    alpha = np.clip(0.5 - distance, 0, 1)
    shade = np.random.default_rng(seed).uniform(0.4, 0.6, (SIZE, SIZE, 3))
    return FramedPicture(np.dstack([shade, alpha]).astype(np.float32))


def person(hand):
    """Head, neck, trunk, legs, feet; arms from the shoulders to `hand` and its mirror image."""
    (hand_x, hand_y), shoulder = hand, 0.29
    parts = [
        capsule((0.5, 0.16), (0.5, 0.17), 0.058),
        capsule((0.5, 0.2), (0.5, 0.3), 0.026),
        capsule((0.5, 0.34), (0.5, 0.5), 0.085),
    ]
    for side in (-1, 1):
        parts += [
            capsule((0.5 + side * 0.07, shoulder), (0.5 + side * (hand_x - 0.5), hand_y), 0.025),
            capsule((0.5 + side * 0.045, 0.5), (0.5 + side * 0.06, 0.86), 0.035),
            capsule((0.5 + side * 0.05, 0.875), (0.5 + side * 0.08, 0.875), 0.018),
        ]
    return frame(np.minimum.reduce(parts))


POSES = {"T": (0.82, 0.29), "A": (0.74, 0.5), "hands up": (0.75, 0.12), "on hips": (0.6, 0.56)}


@pytest.fixture(scope="module", params=POSES)
def posed(request):
    picture = person(POSES[request.param])
    return picture, inflate_silhouette(picture, face_count=20_000)


def front_mask(mesh, picture):
    """The mesh seen from the front, its bounds mapped to the bounds of the picture's subject."""
    low, high = mesh.bounds
    rows, columns = (np.flatnonzero(picture.mask.any(axis=axis)) for axis in (1, 0))
    x = columns[0] + (mesh.positions[:, 0] - low[0]) / (high[0] - low[0]) * (np.ptp(columns) + 1)
    y = rows[0] + (high[1] - mesh.positions[:, 1]) / (high[1] - low[1]) * (np.ptp(rows) + 1)
    pixels = torch.tensor(np.stack([x, y, -mesh.positions[:, 2]], axis=1), dtype=torch.float32)
    return rasterize_triangles(pixels, torch.tensor(mesh.faces), picture.mask.shape).mask.numpy()


def iou(one, two):
    return (one & two).sum() / (one | two).sum()


def assert_closed(faces):
    """Every directed edge once, and its opposite once: closed, manifold, consistently wound."""
    edges = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    directed = {(int(a), int(b)) for a, b in edges}
    assert len(directed) == len(edges)
    assert directed == {(b, a) for a, b in directed}


def signed_volume(mesh):
    a, b, c = (mesh.positions[mesh.faces[:, corner]].astype(float) for corner in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def euler_characteristic(mesh):
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return len(mesh.positions) - len(np.unique(edges, axis=0)) + len(mesh.faces)


def depth_range(mesh, low, high, half_width=9.0):
    """Front and back of what lies between two heights (shares), within half_width metres of x = 0."""
    height = mesh.positions[:, 1] / CHARACTER_HEIGHT
    chosen = (height > low) & (height < high) & (np.abs(mesh.positions[:, 0]) < half_width)
    return mesh.positions[chosen, 2].min(), mesh.positions[chosen, 2].max()


@pytest.mark.nightly_cases
def test_closed_outward_and_of_the_asked_size(posed):
    _, mesh = posed
    assert_closed(mesh.faces)
    assert signed_volume(mesh) > 0.01
    assert 0.8 * 20_000 <= len(mesh.faces) <= 1.02 * 20_000
    corners = mesh.positions[mesh.faces].astype(float)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    assert area.min() > 0


@pytest.mark.nightly_cases
def test_every_vertex_is_used_and_has_a_unit_normal(posed):
    _, mesh = posed
    assert len(np.unique(mesh.faces)) == len(mesh.positions)
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-5)


def test_stands_on_the_ground_between_its_feet(posed):
    _, mesh = posed
    low, high = mesh.bounds
    assert low[1] == pytest.approx(0, abs=1e-6)
    assert high[1] == pytest.approx(CHARACTER_HEIGHT, rel=1e-5)
    soles = mesh.positions[mesh.positions[:, 1] < 0.02]
    assert (soles[:, 0].min() + soles[:, 0].max()) / 2 == pytest.approx(0, abs=0.02)


def test_front_view_is_the_silhouette(posed):
    picture, mesh = posed
    assert iou(front_mask(mesh, picture), picture.mask) >= 0.975


def test_proportions_in_depth(posed):
    _, mesh = posed
    head_width = 2 * 0.058 / 0.795 * CHARACTER_HEIGHT
    back, front = depth_range(mesh, 0.88, 1.0, half_width=0.15)
    assert 0.8 < (front - back) / head_width < 1.4
    trunk_width = 2 * 0.085 / 0.795 * CHARACTER_HEIGHT
    back, front = depth_range(mesh, 0.55, 0.68, half_width=0.1)
    assert 0.45 < (front - back) / trunk_width < 0.95
    leg_width = 2 * 0.035 / 0.795 * CHARACTER_HEIGHT
    back, front = depth_range(mesh, 0.2, 0.25, half_width=0.2)
    assert 0.75 < (front - back) / leg_width < 1.25


def test_feet_point_forward_on_flat_soles(posed):
    _, mesh = posed
    back, front = depth_range(mesh, 0.0, 0.04)
    ankle_back, ankle_front = depth_range(mesh, 0.12, 0.16)
    assert front > ankle_front + 0.05
    assert back > ankle_back - 0.06
    normal = np.cross(
        *(np.diff(mesh.positions[mesh.faces], axis=1).transpose(1, 0, 2).astype(float))
    )  # twice the area, along the face's normal
    flat = (mesh.positions[mesh.faces][:, :, 1].max(axis=1) < 0.004) & (normal[:, 1] < 0)
    assert -normal[flat, 1].sum() / 2 > 0.008  # square metres of sole


@pytest.mark.nightly
def test_background_between_arm_and_trunk_stays_open():
    picture = person(POSES["A"])
    gap = int(0.45 * SIZE), int(0.63 * SIZE)
    assert not picture.mask[gap]
    assert not front_mask(inflate_silhouette(picture, face_count=5_000), picture)[gap]


def test_holes_stay_holes():
    ring = np.abs(capsule((0.5, 0.45), (0.5, 0.451), 0.2)) - 40
    picture = frame(np.minimum(ring, capsule((0.5, 0.75), (0.5, 0.9), 0.04)))
    mesh = inflate_silhouette(picture, face_count=5_000)
    assert euler_characteristic(mesh) == 0  # one handle
    assert not front_mask(mesh, picture)[int(0.45 * SIZE), SIZE // 2]


def test_thin_parts_survive():
    ear = capsule((0.5, 0.2), (0.72, 0.12), 0.006)
    picture = frame(np.minimum(capsule((0.5, 0.25), (0.5, 0.8), 0.1), ear))
    mesh = inflate_silhouette(picture)
    seen = front_mask(mesh, picture)
    assert (seen & (ear < 0)).sum() / (ear < 0).sum() > 0.9


@pytest.mark.nightly
def test_separate_parts_are_closed_parts_and_specks_are_dropped():
    body, ball = capsule((0.4, 0.2), (0.4, 0.8), 0.1), capsule((0.7, 0.3), (0.7, 0.31), 0.05)
    speck = capsule((0.8, 0.8), (0.8, 0.801), 0.004)
    mesh = inflate_silhouette(frame(np.minimum.reduce([body, ball, speck])))
    assert_closed(mesh.faces)
    assert euler_characteristic(mesh) == 4


def test_no_ridge_along_the_middle():
    """The front of a limb is as round as an ellipse: its normals turn evenly, without a crease."""
    mesh = inflate_silhouette(person(POSES["A"]))
    shin = (np.abs(mesh.positions[:, 1] - 0.4) < 0.05) & (mesh.positions[:, 0] > 0)
    x, z = mesh.positions[shin, 0], mesh.positions[shin, 2]
    radius = np.ptp(x) / 2
    x = x - x.min() - radius
    centre = np.median(z[np.abs(x) > 0.95 * radius])
    half_depth = z.max() - centre
    assert 0.6 < half_depth / radius < 1.1
    distance = np.hypot(x / radius, (z - centre) / half_depth)[z > centre]
    assert np.percentile(np.abs(distance - 1), 90) < 0.22
    assert np.abs(distance - 1).max() < 0.25
    near_middle = (np.abs(x) < 0.2 * radius) & (z > centre)
    assert near_middle.sum() > 5 and mesh.normals[shin][near_middle, 2].min() > 0.85


@pytest.mark.nightly_cases
@pytest.mark.parametrize("seed", [0, 3])
def test_any_region_gives_a_closed_surface(seed):
    """Blobs with holes, pinches and single-pixel links."""
    from scipy import ndimage

    noise = np.random.default_rng(seed).normal(size=(SIZE // 4, SIZE // 4))
    blobs = ndimage.zoom(ndimage.gaussian_filter(noise, 2.5), 4, order=1)
    mesh = inflate_silhouette(frame(-2000 * blobs, seed), face_count=20_000)
    assert_closed(mesh.faces)
    assert signed_volume(mesh) > 0


@pytest.mark.nightly_cases
@pytest.mark.parametrize(
    "where", [np.s_[:, :], np.s_[20:40:2, 20:40:2], np.s_[30:32, 2:60], np.s_[2:60, 30:32], np.s_[0:6, 58:64]]
)
def test_odd_regions_give_closed_surfaces(where):
    rgba = np.zeros((64, 64, 4), np.float32)
    rgba[(*where, 3)] = 1
    mesh = inflate_silhouette(FramedPicture(rgba), face_count=10_000)
    assert_closed(mesh.faces)
    assert np.isfinite(mesh.positions).all()


def test_nothing_is_no_mesh():
    with pytest.raises(MeshError, match="no subject"):
        inflate_silhouette(FramedPicture(np.zeros((64, 64, 4), np.float32)))


def test_a_line_is_no_mesh():
    rgba = np.zeros((1024, 1024, 4), np.float32)
    rgba[100:900, 500, 3] = 1
    with pytest.raises(MeshError, match="too thin"):
        inflate_silhouette(FramedPicture(rgba))


@pytest.mark.nightly
def test_deterministic():
    picture = person(POSES["A"])
    one, two = (inflate_silhouette(picture, face_count=5_000) for _ in range(2))
    np.testing.assert_array_equal(one.positions, two.positions)
    np.testing.assert_array_equal(one.faces, two.faces)


def test_progress_rises_and_can_cancel():
    told = []

    def cancel(fraction):
        told.append(fraction)
        if fraction > 0.6:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        inflate_silhouette(person(POSES["A"]), progress=cancel)
    assert len(told) > 3
    assert all(a <= b for a, b in pairwise(told))


def test_strip_gives_a_circle():
    """-laplace(u) = 2 between lines 2w apart: u = w² - x², wherever between the cells the lines lie."""
    columns = np.arange(40)[None, :].repeat(200, axis=0)
    alpha = np.clip(0.5 + 11.3 - np.abs(columns - 19.7), 0, 1).astype(np.float32)
    alpha[:2] = alpha[-2:] = 0
    u = solve_roundness(alpha > 0.5, trace_outline(alpha))
    exact = np.maximum(11.3**2 - (columns[100] - 19.7) ** 2, 0)
    assert np.abs(u[100] - exact).max() < 0.02 * exact.max()


def test_sheets_join_into_a_closed_surface():
    alpha = np.zeros((9, 9), np.float32)
    alpha[2:7, 2:7] = 1
    alpha[4, 4] = 0
    outline = trace_outline(alpha)
    points = outline.points
    inner = np.arange(len(points)) < len(outline.inner)
    front, back = (np.column_stack([points[:, 1], -points[:, 0], sign * inner]) for sign in (1, -1))
    positions, faces = join_sheets(outline.triangles, front, back)
    assert_closed(faces)
    assert len(positions) == len(points) + inner.sum()
