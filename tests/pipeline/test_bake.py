"""The bake, against surfaces whose color at every point is known."""

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.cameras import build_six_view_rig, project_points
from character3d.pipeline.errors import MeshError, PictureError
from character3d.pipeline.generating_multiview_texture.maps import render_view_maps
from character3d.pipeline.rasterize import interpolate_attributes, rasterize_triangles
from character3d.pipeline.texture_baking import apply_texture, bake_views, unwrap_mesh
from character3d.pipeline.texture_baking.atlas import fill_gutters, rasterize_uv
from character3d.pipeline.texture_baking.bake import LEAST_COVERAGE, MOST_HIDDEN, MOST_SEAM_CONTRAST
from character3d.pipeline.texture_baking.fill_unseen import split_long_edges
from character3d.pipeline.texture_baking.seam_metrics import measure_seam_differences
from character3d.pipeline.types import Mesh, ViewImages
from character3d.tests.capsules import join_capsules

SIDE = 512
RED, GREEN, BLUE = np.eye(3, dtype=np.float32)


def make_figure():
    """Body, head, arms and legs that overlap, 8k faces: much is hidden, some from all sides."""
    limbs = [((0, 0.75, 0), (0, 1.2, 0), 0.14), ((0, 1.5, 0.02), (0, 1.56, 0.02), 0.14)]
    for side in (-1, 1):
        limbs.append(((0.2 * side, 1.2, 0), (0.5 * side, 0.75, 0.08), 0.05))
        limbs.append(((0.1 * side, 0.75, 0), (0.12 * side, 0.08, 0), 0.08))
    return from_trimesh(join_capsules(limbs, 26))


def from_trimesh(mesh):
    return Mesh(mesh.vertices, mesh.faces)


def make_quads(*boxes, step=0.05):
    """Flat squares facing +Z, each a grid with a chart of its own: (x, y of a corner, uv box) per square."""
    positions, uvs, faces = [], [], []
    ticks = np.linspace(0, 1, round(1 / step) + 1)
    u, v = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    row = len(ticks)
    first = (np.arange(row - 1)[:, None] * row + np.arange(row - 1)).ravel()
    for x, y, (left, top, right, bottom) in boxes:
        start = first + row * row * len(positions)
        positions.append(np.stack((x + u, y + v, 0 * u), axis=1))
        uvs.append(np.stack((left + u * (right - left), bottom + v * (top - bottom)), axis=1))
        faces += [np.stack((start, start + 1, start + row), 1)]
        faces += [np.stack((start + 1, start + row + 1, start + row), 1)]
    return Mesh(np.concatenate(positions), np.concatenate(faces), None, np.concatenate(uvs))


def paint_waves(points):
    """A smooth known color for every place."""
    x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    waves = np.stack((np.sin(9 * x + 4 * y), np.sin(7 * y + 2), np.sin(11 * z - 5 * x)), axis=-1)
    return (0.5 + 0.4 * waves).astype(np.float32)


def render(mesh, paint, size=512, background=(1, 0, 1), samples=2):
    """Antialiased views of a mesh painted with a function of the place."""
    maps = render_view_maps(mesh, build_six_view_rig(mesh), size * samples)
    color = np.where(maps.mask[..., None], paint(maps.position), np.float32(background))
    color, mask = (
        item.reshape(6, size, samples, size, samples, -1).mean(axis=(2, 4), dtype=np.float32)
        for item in (color, maps.mask)
    )
    return ViewImages(maps.rig, color, mask[..., 0])


def read_atlas(mesh, side=SIDE):
    """Chart mask (side, side) and the surface point of every texel."""
    flat = torch.cat((torch.tensor(mesh.uvs) * side, torch.zeros(len(mesh.uvs), 1)), dim=1)
    faces = torch.tensor(mesh.faces)
    raster = rasterize_triangles(flat, faces, (side, side))
    return raster.mask.numpy(), interpolate_attributes(raster, faces, torch.tensor(mesh.positions)).numpy()


def read_color(baked):
    return baked.textured.material.base_color[..., :3]


def measure_psnr(found, wanted):
    return -10 * np.log10(np.mean((found - wanted) ** 2))


@pytest.fixture(scope="module")
def figure():
    return unwrap_mesh(make_figure(), texture_size=SIDE)


@pytest.fixture(scope="module")
def sphere():
    return unwrap_mesh(from_trimesh(trimesh.creation.icosphere(4)), texture_size=SIDE)


@pytest.fixture(scope="module")
def waves(figure):
    return render(figure, paint_waves)


@pytest.fixture(scope="module")
def baked(figure, waves):
    return bake_views(figure, waves, texture_size=SIDE)


def test_baking_brings_the_paint_back(figure, baked):
    mask, points = read_atlas(figure)
    color, seen = read_color(baked), (baked.coverage == 1) & mask
    assert baked.textured.material.base_color.shape == (SIDE, SIDE, 4)
    assert (baked.textured.material.base_color[..., 3] == 1).all()
    # Splitting long edges may move a border by 1/256 of a texel.
    assert np.count_nonzero(baked.coverage[~mask]) <= 1e-4 * mask.sum()
    assert seen.sum() / mask.sum() > 0.64
    assert measure_psnr(color[seen], paint_waves(points[seen])) >= 52
    gap = np.abs(color[seen] - paint_waves(points[seen])).max(axis=1)
    assert np.quantile(gap, 0.999) < 0.04 and gap.max() < 0.1
    assert measure_psnr(color[mask], paint_waves(points[mask])) >= 25


@pytest.mark.nightly
def test_detail_of_three_pixels_comes_through(sphere):
    """Stripes 12 mm wide where a pixel is 4 mm: blur or a shift of half a pixel would cost 5 dB and more."""

    def paint(points):
        waves = np.sin(np.pi / 0.012 * np.asarray(points, np.float64).sum(axis=-1))
        return np.repeat((0.5 + 0.3 * waves).astype(np.float32)[..., None], 3, axis=-1)

    baked = bake_views(sphere, render(sphere, paint), texture_size=SIDE)
    mask, points = read_atlas(sphere)
    seen = mask & (baked.coverage == 1)
    assert measure_psnr(read_color(baked)[seen], paint(points[seen])) >= 26


@pytest.mark.nightly
def test_a_sphere_is_hidden_nowhere_and_comes_back_whole(sphere):
    baked, (mask, points) = (
        bake_views(sphere, render(sphere, paint_waves), texture_size=SIDE),
        read_atlas(sphere),
    )
    assert baked.metrics["hidden_share"] == 0
    assert baked.metrics["texel_coverage"] == 1
    assert baked.metrics["utilization"] == pytest.approx(mask.mean(), rel=1e-4)
    assert baked.metrics["seam_contrast"] < 0.002
    assert baked.warnings == ()
    assert measure_psnr(read_color(baked)[mask], paint_waves(points[mask])) >= 55


@pytest.mark.nightly
def test_no_background_reaches_charts_or_gutters(figure):
    """Paint without blue on blue, antialiased: any bleeding would show as blue."""
    images = render(figure, lambda points: np.broadcast_to(RED + GREEN, points.shape), 384, BLUE, samples=3)
    color = read_color(bake_views(figure, images, texture_size=SIDE))
    mask, _ = read_atlas(figure)
    near = torch.nn.functional.max_pool2d(torch.tensor(mask)[None].float(), 9, 1, 4)[0].numpy() > 0
    assert color[near][:, 2].max() < 0.02


@pytest.mark.parametrize(
    "radius",
    [pytest.param(0.3, id="ball"), pytest.param(0.004, id="thin rod", marks=pytest.mark.nightly)],
)
def test_what_hides_a_surface_is_not_printed_on_it(radius):
    """A green capsule upright in front of a big red ball."""
    rod = trimesh.creation.capsule(height=1.0, radius=radius).apply_transform(
        trimesh.geometry.align_vectors([0, 0, 1], [0, 1, 0])
    )
    ball = trimesh.creation.icosphere(5, 1.0)
    rod.vertices += (0.013, -0.5, 1.1 + radius)
    mesh = from_trimesh(trimesh.util.concatenate([rod, ball]))

    def paint(points):
        return np.where(np.linalg.norm(points, axis=-1, keepdims=True) > 1.05, GREEN, RED)

    unwrapped = unwrap_mesh(mesh, texture_size=SIDE)
    baked = bake_views(unwrapped, render(mesh, paint, 384, samples=3), texture_size=SIDE)
    mask, points = read_atlas(unwrapped)
    on_ball = mask & (np.linalg.norm(points, axis=-1) < 1.05)
    assert on_ball.sum() > 1000
    assert read_color(baked)[on_ball][:, 1].max() < 0.06


def make_gray_views(mesh, size=256):
    """A flat gray for each view: 0 the first, 1 the last."""
    rig = build_six_view_rig(mesh)
    gray = np.linspace(0, 1, 6, dtype=np.float32)[:, None, None, None]
    return ViewImages(rig, np.broadcast_to(gray, (6, size, size, 3)), render(mesh, paint_waves, size).mask)


def test_views_that_disagree_meet_in_a_smooth_seam(sphere):
    images = make_gray_views(sphere)
    gray = dict(zip((camera.name for camera in images.rig.cameras), np.linspace(0, 1, 6), strict=True))
    found = read_color(bake_views(sphere, images, texture_size=SIDE))[..., 0]
    mask, points = read_atlas(sphere)
    for axis in (0, 1):
        lower, upper = np.delete(mask, 0, axis), np.delete(mask, -1, axis)
        assert np.abs(np.diff(found, axis=axis))[lower & upper].max() < 0.16
    np.testing.assert_allclose(found[mask & (points[..., 2] > 0.8)], gray["front"], atol=0.03)
    np.testing.assert_allclose(found[mask & (points[..., 2] < -0.9)], gray["back"], atol=0.03)


def test_weights_are_high_where_a_view_looks_straight_and_far_from_outlines(baked, waves):
    weights = baked.weights
    assert weights.shape == waves.mask.shape and weights.dtype == np.float32
    assert weights.min() == 0 and 0.9 < weights.max() <= 1
    assert weights[waves.mask < 0.97].max() <= 0.01 and not weights[waves.mask == 0].any()


@pytest.mark.nightly
def test_baking_with_the_weights_that_were_found_changes_nothing(figure, waves, baked):
    again = bake_views(figure, waves, texture_size=SIDE, weights=baked.weights)
    np.testing.assert_array_equal(read_color(again), read_color(baked))
    np.testing.assert_array_equal(again.coverage, baked.coverage)


@pytest.mark.nightly
def test_painted_weights_choose_the_view(sphere):
    images, (mask, points) = make_gray_views(sphere), read_atlas(sphere)
    names = [camera.name for camera in images.rig.cameras]
    weights = np.zeros_like(images.mask)
    weights[names.index("left")] = 1
    baked = bake_views(sphere, images, texture_size=SIDE, weights=weights)
    seen = mask & (baked.coverage > 0)
    assert not (seen & (points[..., 0] < 0.05)).any()
    assert seen[mask & (points[..., 0] > 0.25)].all()
    np.testing.assert_allclose(read_color(baked)[mask], names.index("left") / 5, atol=1e-5)


def test_a_painted_view_changes_the_texels_under_the_paint_and_no_others(figure, waves, baked):
    front = [camera.name for camera in waves.rig.cameras].index("front")
    mask, points = read_atlas(figure)
    uv, _ = project_points(waves.rig.cameras[front], points)
    center = project_points(waves.rig.cameras[front], np.float32((0, 1, 0)))[0]
    pixel = (np.indices((512, 512)).transpose(1, 2, 0)[..., ::-1] + 0.5) / 512
    color = np.array(waves.color)
    color[front, np.linalg.norm(pixel - center, axis=-1) < 0.04] = 1
    found = read_color(bake_views(figure, ViewImages(waves.rig, color, waves.mask), texture_size=SIDE))
    changed = np.abs(found - read_color(baked)).max(axis=2) > 0.5 / 255
    away = np.linalg.norm(uv - center, axis=-1)
    seen = mask & (baked.coverage == 1)
    before = seen & (points[..., 2] > 0.06)
    assert not changed[seen & (away > 0.04 + 5 / 512)].any()
    assert not changed[seen & (points[..., 2] < -0.02)].any()
    assert changed[before & (away < 0.04 - 1 / 512)].all()
    assert (found[before & (away < 0.03)] > 0.999).all()


@pytest.mark.nightly
def test_black_mask_takes_a_view_out(sphere):
    images = make_gray_views(sphere)
    mask = np.array(images.mask)
    mask[1:] = 0
    baked = bake_views(sphere, ViewImages(images.rig, images.color, mask), texture_size=SIDE)
    assert read_color(baked).max() == 0
    assert not baked.coverage[read_atlas(sphere)[1][..., 2] < 0].any()


@pytest.mark.nightly
def test_fill_takes_the_neighbors_in_space_and_not_those_in_the_atlas():
    """Far squares side by side in the atlas: of the red one the half beside the blue one is unseen."""
    mesh = make_quads((-2, 0, (0.05, 0.1, 0.49, 0.9)), (2, 0, (0.51, 0.1, 0.95, 0.9)))
    images = render(mesh, lambda points: np.where(points[..., :1] < 0, RED, BLUE))
    left, right = (project_points(images.rig.cameras[0], np.float32([[x, 0, 0]]))[0][0, 0] for x in (-1.5, 1))
    columns = (np.arange(512) + 0.5) / 512
    mask = images.mask * ((columns < left) | (columns > right))
    baked = bake_views(mesh, ViewImages(images.rig, images.color, mask), texture_size=256)
    on_chart, points = read_atlas(mesh, 256)
    red = on_chart & (points[..., 0] < 0)
    assert (baked.coverage[red & (points[..., 0] > -1.45)] == 0).all()
    assert np.abs(read_color(baked)[red] - RED).max() < 1e-3
    assert np.abs(read_color(baked)[on_chart & (points[..., 0] > 0)] - BLUE).max() < 1e-3


def test_fill_crosses_from_chart_to_chart():
    """The unseen square touches a green one in space and a blue one in the atlas."""
    mesh = make_quads(
        (0, 0, (0.05, 0.1, 0.3, 0.9)), (1, 0, (0.65, 0.1, 0.9, 0.9)), (-2, 0, (0.35, 0.1, 0.6, 0.9))
    )
    images = render(mesh, lambda points: np.where(points[..., :1] < -0.5, BLUE, GREEN))
    columns, _ = project_points(images.rig.cameras[0], np.float32([[1, 0, 0]]))
    mask = np.array(images.mask)
    mask[:, :, int(columns[0, 0] * 512) :] = 0
    baked = bake_views(mesh, ViewImages(images.rig, images.color, mask), texture_size=256)
    on_chart, points = read_atlas(mesh, 256)
    unseen = on_chart & (points[..., 0] > 1.02)
    assert not baked.coverage[unseen].any()
    assert np.abs(read_color(baked)[unseen] - GREEN).max() < 1e-3


@pytest.mark.nightly
def test_fill_runs_smoothly_into_what_is_seen(sphere):
    """A band of a sphere unseen: its colors lie between those of its rims and join them."""

    def paint(points):
        return np.repeat(0.5 + 0.4 * np.asarray(points, np.float32)[..., 1:2], 3, axis=-1)

    images = render(sphere, paint)
    mask = np.array(images.mask)
    heights = (255.5 - np.arange(512)) / 512 * 2 * images.rig.cameras[0].half_extent
    for number, camera in enumerate(images.rig.cameras):
        mask[number][np.abs(heights) < 0.3] *= camera.elevation != 0
    mask[[camera.elevation != 0 for camera in images.rig.cameras]] = 0
    baked = bake_views(sphere, ViewImages(images.rig, images.color, mask), texture_size=SIDE)
    on_chart, points = read_atlas(sphere)
    band = on_chart & (np.abs(points[..., 1]) < 0.3)
    assert (baked.coverage[band] == 0).mean() > 0.98
    np.testing.assert_allclose(read_color(baked)[band], paint(points[band]), atol=0.03)


def test_borders_of_charts_agree_and_a_torn_atlas_does_not(figure, baked):
    assert baked.metrics["seam_contrast"] < 0.003
    noise = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32)
    torn = measure_seam_differences(figure, noise)
    assert torn.mean() > MOST_SEAM_CONTRAST
    assert measure_seam_differences(figure, np.full((8, 8, 3), 0.5, np.float32)).max() < 1e-6


def test_without_any_view_the_texture_is_gray_and_says_so(figure):
    images = ViewImages(build_six_view_rig(figure), np.ones((6, 64, 64, 3)), np.zeros((6, 64, 64)))
    baked = bake_views(figure, images, texture_size=SIDE)
    assert not baked.coverage.any()
    assert baked.metrics["texel_coverage"] == 0 < LEAST_COVERAGE
    assert "100%" in baked.warnings[0]
    np.testing.assert_allclose(read_color(baked), 0.5, atol=1e-6)


def test_warnings_appear_past_the_thresholds():
    nested = [trimesh.creation.icosphere(3, radius) for radius in (1.0, 0.8)]
    mesh = unwrap_mesh(from_trimesh(trimesh.util.concatenate(nested)), texture_size=256)
    baked = bake_views(mesh, render(mesh, paint_waves, 128), texture_size=256)
    assert baked.metrics["hidden_share"] > MOST_HIDDEN
    assert baked.metrics["texel_coverage"] < LEAST_COVERAGE
    assert [text.split()[1:4] for text in baked.warnings] == [["of", "the", "surface"]] * 2


@pytest.mark.nightly
def test_torn_colors_are_warned_of():
    """Noise in place of pictures: sides of a chart's border are read at other pixels, or from other views."""
    mesh = unwrap_mesh(from_trimesh(trimesh.creation.box()), texture_size=128)
    noise = np.random.default_rng(0).random((6, 512, 512, 3), np.float32)
    baked = bake_views(
        mesh, ViewImages(build_six_view_rig(mesh), noise, np.ones((6, 512, 512))), texture_size=128
    )
    assert baked.metrics["seam_contrast"] > MOST_SEAM_CONTRAST
    assert "charts meet" in baked.warnings[-1]


def test_a_painted_atlas_goes_back_onto_the_mesh(figure, baked):
    picture = np.random.default_rng(0).random((64, 64, 3), np.float32)
    textured = apply_texture(figure, picture)
    np.testing.assert_array_equal(textured.material.base_color[..., :3], picture)
    assert textured.mesh is figure and (textured.material.base_color[..., 3] == 1).all()
    whole = apply_texture(figure, baked.textured.material.base_color)
    np.testing.assert_array_equal(whole.material.base_color, baked.textured.material.base_color)


def test_what_cannot_be_baked_is_refused(sphere):
    bare = from_trimesh(trimesh.creation.icosphere(1))
    images = render(bare, paint_waves, 32)
    with pytest.raises(MeshError, match="uvs"):
        bake_views(bare, images)
    with pytest.raises(MeshError, match="uvs"):
        apply_texture(bare, np.zeros((4, 4, 3)))
    with pytest.raises(PictureError, match=r"\(6, 32, 32\)"):
        bake_views(sphere, images, weights=np.ones((6, 16, 16), np.float32))


@pytest.mark.nightly_cases
@pytest.mark.parametrize("size", [64, 75])
def test_any_side_of_view_and_texture_will_do(sphere, size):
    baked, (mask, points) = (
        bake_views(sphere, render(sphere, paint_waves, size), texture_size=size),
        read_atlas(sphere, size),
    )
    assert measure_psnr(read_color(baked)[mask], paint_waves(points[mask])) > 35


def test_progress_rises_to_one(figure):
    seen = []
    bake_views(figure, render(figure, paint_waves, 64), texture_size=256, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0


def test_gutters_continue_the_charts():
    index = torch.tensor([8 * 32 + 8, 8 * 32 + 24])
    filled = fill_gutters(torch.tensor([[0.25] * 3, [0.75] * 3]), index, 32)
    assert filled[8, 8].tolist() == [0.25] * 3 and filled[8, 24].tolist() == [0.75] * 3
    np.testing.assert_allclose(filled[6:10, 6:10], 0.25, atol=0.1)
    assert float(filled.min()) >= 0.25 and float(filled.max()) <= 0.75


def test_texels_beside_a_chart_continue_its_faces():
    mesh = make_quads((0, 0, (0.25, 0.25, 0.75, 0.75)))
    texels = rasterize_uv(mesh.uvs, mesh.faces, 64)
    assert int(texels.inside.sum()) == 32 * 32 and int((~texels.inside).sum()) == 34 * 34 - 32 * 32
    corners = mesh.positions[mesh.faces[texels.face.numpy()]]
    points = (corners * texels.weight.numpy()[..., None]).sum(axis=1)
    row, column = np.divmod(texels.texel.numpy(), 64)
    np.testing.assert_allclose(points[:, 0], (column + 0.5 - 16) / 32, atol=1e-4)
    np.testing.assert_allclose(points[:, 1], (47.5 - row) / 32, atol=1e-4)


def test_long_edges_are_split_and_the_surface_stays():
    box = trimesh.creation.box((1, 2, 0.1))
    vertices, faces = split_long_edges(np.asarray(box.vertices), np.asarray(box.faces))
    split = trimesh.Trimesh(vertices, faces, process=False)
    assert split.edges_unique_length.max() <= 2 / 64
    assert split.area == pytest.approx(box.area)
    again = split_long_edges(vertices, faces)
    assert again[0] is vertices and again[1] is faces


@pytest.mark.nightly
@pytest.mark.parametrize("unit", [0.01, 1000.0])
def test_the_unit_of_a_mesh_does_not_matter(figure, baked, unit):
    """Meshes of others come in centimetres and inches; their views and texture are the same."""
    scaled = Mesh(figure.positions * unit, figure.faces, figure.normals, figure.uvs)
    waves = render(scaled, lambda points: paint_waves(points / unit))
    again = bake_views(scaled, waves, texture_size=SIDE)
    gap = np.abs(read_color(again) - read_color(baked)).max(axis=2)
    assert gap[baked.coverage == 1].mean() < 1e-5
    # The fill starts from the nearest seen vertex; where two are as near, rounding decides.
    assert gap.mean() < 1e-3
    assert np.abs(again.coverage - baked.coverage).mean() < 1e-4
