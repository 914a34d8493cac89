import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError
from character3d.pipeline.rasterize import list_covered_samples, rasterize_triangles
from character3d.pipeline.texture_baking import unwrap_mesh
from character3d.pipeline.texture_baking.flatten import flatten_charts
from character3d.pipeline.texture_baking.packing.bitmap_nesting import Bitmap, nest_bitmaps
from character3d.pipeline.texture_baking.split_large_charts import cut_sprawling_charts
from character3d.pipeline.types import Mesh
from character3d.tests.capsules import join_capsules
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

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
    return from_trimesh(join_capsules(limbs, 28))


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


@pytest.mark.nightly_cases
@pytest.mark.parametrize("side", [256, 512, 1024])
@pytest.mark.parametrize("name", SHAPES)
def test_unwrapping_keeps_the_surface_and_no_texel_is_in_two_faces(name, side):
    mesh = SHAPES[name]()
    unwrapped = unwrap_mesh(mesh, texture_size=side)
    np.testing.assert_array_equal(unwrapped.positions[unwrapped.faces], mesh.positions[mesh.faces])
    assert unwrapped.uvs.min() >= 0 and unwrapped.uvs.max() <= 1
    assert count_texels(unwrapped, side).max() == 1
    np.testing.assert_allclose(np.linalg.norm(unwrapped.normals, axis=1), 1, atol=1e-5)


def label_charts(mesh):
    """(F,): the pieces of the atlas that edges connect."""
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, edge = np.unique(edges, axis=0, return_inverse=True)
    links = sparse.coo_matrix((np.ones(len(edge)), (np.arange(len(edge)) // 3, edge)))
    return connected_components(links @ links.T, directed=False)[1]


def measure_stretch(mesh):
    """(F, 2): lengths in the atlas over those on the surface, least and greatest; 1 on the whole."""
    solid, flat = (values[mesh.faces].astype(float) for values in (mesh.positions, mesh.uvs))
    sides, flat_sides = solid[:, 1:] - solid[:, :1], flat[:, 1:] - flat[:, :1]
    metric, flat_metric = (item @ item.transpose(0, 2, 1) for item in (sides, flat_sides))
    ratio = np.sqrt(np.linalg.eigvals(np.linalg.solve(metric, flat_metric)).real)
    area = np.sqrt(np.linalg.det(metric))
    return np.sort(ratio, axis=1) / np.sqrt((ratio.prod(axis=1) * area).sum() / area.sum())


def test_unwrapping_a_figure_is_compact_with_few_little_stretched_charts(figure):
    mesh, unwrapped = figure
    assert label_charts(unwrapped).max() + 1 < 80
    assert count_texels(unwrap_mesh(mesh), 2048).mean() > 0.6
    stretch = measure_stretch(unwrapped)
    assert np.percentile(stretch, 1) > 0.9 and np.percentile(stretch, 99) < 1.15
    assert stretch.min() > 0.5 and stretch.max() < 2


@pytest.mark.nightly
def test_noise_cuts_no_charts():
    """Marching cubes of a noisy field: specks would make thousands of charts."""
    axis = np.linspace(-1.3, 1.3, 56)
    field = np.sqrt(sum(np.square(item) for item in np.meshgrid(axis, axis, axis))) - 1
    noise = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(field.shape), 0.7)
    mesh = Mesh(*marching_cubes(field + 0.6 * (axis[1] - axis[0]) * noise / noise.std(), 0.0)[:2])
    unwrapped = unwrap_mesh(mesh, texture_size=SIDE)
    assert len(mesh.faces) > 15_000 and label_charts(unwrapped).max() + 1 < len(mesh.faces) / 40
    assert count_texels(unwrapped, SIDE).max() == 1
    assert np.sqrt((measure_stretch(unwrapped) ** -2).mean()) < 1.2


@pytest.mark.nightly_cases
@pytest.mark.parametrize("padding", [0, 1, 2, 6])
def test_charts_keep_their_distance_from_each_other_and_from_the_border(padding):
    unwrapped = unwrap_mesh(make_figure(), texture_size=SIDE, padding=padding)
    chart = torch.from_numpy(label_charts(unwrapped))
    flat = torch.cat((torch.tensor(unwrapped.uvs) * SIDE, torch.zeros(len(unwrapped.uvs), 1)), dim=1)
    index = rasterize_triangles(flat, torch.tensor(unwrapped.faces), (SIDE, SIDE)).face_index
    owner = np.where(index >= 0, chart[index] + 1, 0)
    assert owner[padding : SIDE - padding, padding : SIDE - padding].sum() == owner.sum()
    for row in range(padding + 1):
        for column in range(-padding, padding + 1):
            one = owner[row:, max(column, 0) : SIDE + min(column, 0)]
            two = owner[: SIDE - row, max(-column, 0) : SIDE + min(-column, 0)]
            assert ((one == two) | (one == 0) | (two == 0)).all()


def test_unwrapping_is_deterministic_and_carries_normals_across_cuts(figure):
    mesh, unwrapped = figure
    again = unwrap_mesh(mesh, texture_size=SIDE)
    np.testing.assert_array_equal(again.uvs, unwrapped.uvs)
    np.testing.assert_array_equal(again.faces, unwrapped.faces)
    own = Mesh(mesh.positions, mesh.faces, np.tile(np.float32((0, 0, 1)), (len(mesh.positions), 1)))
    assert (unwrap_mesh(own, texture_size=SIDE).normals == (0, 0, 1)).all()


SCRAPS = {
    "no area": lambda: Mesh([[0, 0, 0], [1, 0, 0], [0, 1, 0], [2, 0, 0]], [[0, 1, 2], [0, 1, 3], [1, 1, 1]]),
    "one point": lambda: Mesh(np.zeros((3, 3)), [[0, 1, 2]]),
    "needle": lambda: Mesh([[0, 0, 0], [1000, 0, 0], [1000, 1e-3, 0]], [[0, 1, 2]]),
    "book": lambda: Mesh(np.eye(6)[:, :3] - np.eye(6)[:, 3:], [[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5]]),
    "soup": lambda: Mesh(np.random.default_rng(0).random((90, 3)), np.arange(300).reshape(-1, 3) * 7 % 90),
    "loose corners": lambda: explode(trimesh.creation.icosphere(3)),
    "double faces": lambda: make_ball(lambda faces: np.repeat(faces, 2, axis=0)),
    "inside out": lambda: make_ball(lambda faces: faces[:, ::-1]),
    "specks": lambda: make_specks(20_000),
}  # fmt: skip


def make_ball(change):
    ball = trimesh.creation.icosphere(2)
    return Mesh(ball.vertices, change(ball.faces))


def explode(solid):
    return Mesh(solid.vertices[solid.faces].reshape(-1, 3), np.arange(solid.faces.size).reshape(-1, 3))


def make_specks(count):
    places = np.random.default_rng(0).random((count, 1, 3))
    return Mesh((places + 0.003 * np.eye(3)).reshape(-1, 3), np.arange(3 * count).reshape(-1, 3))


@pytest.mark.nightly_cases
@pytest.mark.parametrize("name", SCRAPS)
def test_unwrapping_survives_scraps(name):
    mesh = SCRAPS[name]()
    unwrapped = unwrap_mesh(mesh, texture_size=SIDE)
    np.testing.assert_array_equal(unwrapped.positions[unwrapped.faces], mesh.positions[mesh.faces])
    assert unwrapped.uvs.min() >= 0 and unwrapped.uvs.max() <= 1
    assert count_texels(unwrapped, SIDE).max() <= 1


def test_corners_at_one_place_need_not_be_one_vertex():
    solid = trimesh.creation.icosphere(3)
    joined, loose = (unwrap_mesh(mesh, texture_size=SIDE) for mesh in (from_trimesh(solid), explode(solid)))
    np.testing.assert_array_equal(loose.uvs[loose.faces], joined.uvs[joined.faces])


def test_flattening_lays_a_quarter_of_a_cylinder_out_at_length():
    turn, high = np.meshgrid(np.linspace(0.1, np.pi / 2, 30), np.linspace(0, 1, 20), indexing="ij")
    solid = np.stack((np.cos(turn), high, np.sin(turn)), axis=-1).reshape(-1, 3)
    first = (np.arange(29)[:, None] * 20 + np.arange(19)).ravel()
    faces = np.concatenate((first[:, None] + (0, 20, 1), first[:, None] + (1, 20, 21)))
    flat = np.stack((-solid[:, 0], solid[:, 1]), axis=1)
    laid = flatten_charts(solid[faces], flat, faces, np.zeros(len(faces), np.int64))
    before, after = (
        np.linalg.norm(item - np.roll(item, 1, axis=1), axis=-1) for item in (solid[faces], laid[faces])
    )
    np.testing.assert_allclose(after, before, rtol=0.01)


def test_bitmaps_fill_each_others_bays():
    ring = np.ones((9, 9), bool)
    ring[2:7, 2:7] = False
    parts = [ring, np.ones((5, 5), bool), np.ones((9, 3), bool)]
    nesting = nest_bitmaps([Bitmap(part, part) for part in parts], 12, 9)
    assert nesting is not None and nesting.rows == 9
    taken = np.zeros((9, 12), int)
    for part, (row, column, turn) in zip(parts, nesting.places, strict=True):
        turned = np.rot90(part, turn)
        taken[row : row + turned.shape[0], column : column + turned.shape[1]] += turned
    assert (taken == 1).all()
    assert nest_bitmaps([Bitmap(part, part) for part in parts], 12, 8) is None


def test_bitmaps_of_one_height_fill_several_rows():
    grown = [Bitmap(np.ones((1, 1), bool), np.ones((5, 5), bool)) for _ in range(9)]
    nesting = nest_bitmaps(grown, 7, 7)  # three in a row, two cells apart
    assert nesting is not None and nesting.rows == 7
    assert len(np.unique(nesting.places[:, :2], axis=0)) == 9 and not (nesting.places[:, :2] % 3).any()


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
