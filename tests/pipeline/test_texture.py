import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError
from character3d.pipeline.rasterize import list_covered_samples, rasterize_triangles
from character3d.pipeline.texture import unwrap_mesh
from character3d.pipeline.texture.charts import segment_charts
from character3d.pipeline.texture.cuts import cut_sprawling_charts
from character3d.pipeline.types import Mesh

SIDE = 512


def make_figure():
    """A rough humanoid of overlapping closed parts, 10k faces."""
    limbs = [
        ((0, 0.75, 0), (0, 1.2, 0), 0.14),
        ((0, 1.5, 0.02), (0, 1.56, 0.02), 0.14),
        ((0.2, 1.2, 0), (0.5, 0.75, 0.08), 0.05),
        ((-0.2, 1.2, 0), (-0.5, 0.75, 0.08), 0.05),
        ((0.1, 0.75, 0), (0.12, 0.08, 0), 0.08),
        ((-0.1, 0.75, 0), (-0.12, 0.08, 0), 0.08),
    ]
    parts = []
    for start, stop, radius in limbs:
        axis = np.subtract(stop, start)
        part = trimesh.creation.capsule(height=np.linalg.norm(axis), radius=radius, count=[28, 28])
        place = trimesh.geometry.align_vectors([0, 0, 1], axis)
        place[:3, 3] = start
        parts.append(part.apply_transform(place))
    whole = trimesh.util.concatenate(parts)
    return Mesh(whole.vertices, whole.faces)


def count_texels(mesh, side):
    _, pixel = list_covered_samples(torch.tensor(mesh.uvs) * side, torch.tensor(mesh.faces), (side, side))
    return np.bincount(pixel.numpy(), minlength=side * side).reshape(side, side)


def make_helicoid():
    """Three turns that lie above each other: one projection must not serve them all."""
    turn, out = np.meshgrid(np.linspace(0, 6 * np.pi, 150), np.linspace(0.2, 1, 10), indexing="ij")
    points = np.stack((out * np.cos(turn), turn * 0.05, out * np.sin(turn)), axis=-1).reshape(-1, 3)
    first = (np.arange(149)[:, None] * 10 + np.arange(9)).ravel()
    faces = [np.stack((first, first + 1, first + 10), 1), np.stack((first + 1, first + 11, first + 10), 1)]
    return Mesh(points, np.concatenate(faces))


def from_trimesh(mesh):
    return Mesh(mesh.vertices, mesh.faces)


SHAPES = {
    "figure": make_figure,
    "sphere": lambda: from_trimesh(trimesh.creation.icosphere(4)),
    "box": lambda: from_trimesh(trimesh.creation.box((1, 2, 0.01))),
    "torus": lambda: from_trimesh(trimesh.creation.torus(1, 0.3)),
    "helicoid": make_helicoid,
    "triangle": lambda: Mesh(np.eye(3), [[0, 1, 2]]),
}


@pytest.fixture(scope="module")
def figure():
    mesh = make_figure()
    return mesh, unwrap_mesh(mesh, texture_size=SIDE)


@pytest.mark.parametrize("name", SHAPES)
def test_unwrapping_keeps_the_surface_and_overlaps_nowhere(name):
    mesh = SHAPES[name]()
    unwrapped = unwrap_mesh(mesh, texture_size=SIDE)
    np.testing.assert_array_equal(unwrapped.positions[unwrapped.faces], mesh.positions[mesh.faces])
    assert unwrapped.uvs.min() >= 0 and unwrapped.uvs.max() <= 1
    assert count_texels(unwrapped, SIDE).max() == 1
    np.testing.assert_allclose(np.linalg.norm(unwrapped.normals, axis=1), 1, atol=1e-5)


def test_unwrapping_a_figure_is_compact_with_few_little_stretched_charts(figure):
    mesh, unwrapped = figure
    charts = segment_charts(mesh)
    assert charts.chart.max() + 1 < 80
    assert count_texels(unwrap_mesh(mesh), 2048).mean() > 0.58
    flat, solid = (values[unwrapped.faces].astype(float) for values in (unwrapped.uvs, unwrapped.positions))
    after, before = (np.linalg.norm(item - np.roll(item, 1, axis=1), axis=-1) for item in (flat, solid))
    ratio = after / before
    assert np.percentile(ratio, 99) / np.percentile(ratio, 5) < 2.5


@pytest.mark.parametrize("padding", [2, 6])
def test_charts_keep_their_distance_from_each_other_and_from_the_border(padding):
    mesh = make_figure()
    unwrapped = unwrap_mesh(mesh, texture_size=SIDE, padding=padding)
    chart = torch.from_numpy(segment_charts(mesh, SIDE**2).chart)
    flat = torch.cat((torch.tensor(unwrapped.uvs) * SIDE, torch.zeros(len(unwrapped.uvs), 1)), dim=1)
    index = rasterize_triangles(flat, torch.tensor(unwrapped.faces), (SIDE, SIDE)).face_index
    owner = torch.where(index >= 0, chart[index] + 1, 0).float()
    assert not torch.cat([owner[:padding], owner[-padding:]]).any()
    assert not torch.cat([owner[:, :padding], owner[:, -padding:]], dim=1).any()
    for rows, columns in ((padding, 0), (0, padding), (padding - 1, padding - 1)):
        one, two = owner[rows:, columns:], owner[: SIDE - rows, : SIDE - columns]
        assert ((one == two) | (one == 0) | (two == 0)).all()


def test_unwrapping_is_deterministic_and_carries_normals_across_cuts(figure):
    mesh, unwrapped = figure
    again = unwrap_mesh(mesh, texture_size=SIDE)
    np.testing.assert_array_equal(again.uvs, unwrapped.uvs)
    np.testing.assert_array_equal(again.faces, unwrapped.faces)
    own = Mesh(mesh.positions, mesh.faces, np.tile(np.float32((0, 0, 1)), (len(mesh.positions), 1)))
    assert (unwrap_mesh(own, texture_size=SIDE).normals == (0, 0, 1)).all()


def test_unwrapping_survives_faces_without_area():
    mesh = Mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], [[0, 1, 2], [0, 1, 3], [1, 1, 1]])
    unwrapped = unwrap_mesh(mesh, texture_size=64)
    np.testing.assert_array_equal(unwrapped.positions[unwrapped.faces], mesh.positions[mesh.faces])
    assert unwrapped.uvs.min() >= 0 and unwrapped.uvs.max() <= 1


def test_unwrapping_refuses_what_it_cannot_cut():
    with pytest.raises(MeshError, match="without"):
        unwrap_mesh(Mesh(np.eye(3), np.zeros((0, 3))))
    with pytest.raises(MeshError, match="NaN"):
        unwrap_mesh(Mesh(np.eye(3) * np.nan, [[0, 1, 2]]))


def test_progress_rises_to_one(figure):
    mesh, _ = figure
    seen = []
    unwrap_mesh(mesh, texture_size=256, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0


def make_flat(cells):
    """Corners (F, 3, 2) of the two triangles of each cell of a grid that the picture marks with #."""
    found = []
    for row, line in enumerate(cells):
        for column, mark in enumerate(line):
            if mark == "#":
                a, b, c, d = ((column + x, -row + y) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))
                found += [(a, b, c), (a, c, d)]
    return np.array(found, float)


def test_sprawling_charts_are_cut_where_their_boxes_are_emptiest():
    body = "....####...."
    spread = make_flat([body, "############", *[body] * 7])
    chart, areas = np.zeros(len(spread), np.int64), np.ones(len(spread))
    far = cut_sprawling_charts(spread, chart, areas)
    assert 0 < far.sum() < len(far)
    boxes = [np.ptp(spread[side].reshape(-1, 2), axis=0).prod() for side in (far, ~far)]
    assert sum(boxes) < 0.6 * np.ptp(spread.reshape(-1, 2), axis=0).prod()


def test_compact_and_small_charts_stay_whole():
    square = make_flat(["######"] * 6)
    assert not cut_sprawling_charts(square, np.zeros(len(square), np.int64), np.ones(len(square))).any()
    bar = make_flat(["#...", "####", "#..."])
    chart = np.repeat((0, 1), (len(square), len(bar)))
    areas = np.where(chart == 0, 1.0, 1e-4)
    assert not cut_sprawling_charts(np.concatenate((square, bar)), chart, areas).any()
