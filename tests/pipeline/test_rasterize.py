import numpy as np
import pytest
import torch
from character3d.pipeline.rasterize import (
    interpolate_attributes,
    iterate_covered_samples,
    rasterize_triangles,
    split_by_total,
)


def random_triangulation(seed, size, count=400):
    """A triangulated square that covers the image, with vertices on and off pixel centers."""
    from scipy.spatial import Delaunay

    rng = np.random.default_rng(seed)
    inside = rng.integers(0, size * 4, (count, 2)) / 4  # many on pixel centers and borders
    corners = np.array([[-3, -3], [-3, size + 3], [size + 3, -3], [size + 3, size + 3]])
    points = np.unique(np.concatenate((inside, corners)), axis=0)
    faces = Delaunay(points).simplices
    positions = np.concatenate((points, rng.random((len(points), 1))), axis=1)
    return torch.tensor(positions, dtype=torch.float32), torch.tensor(faces)


def count_coverage(positions, faces, size):
    total = torch.zeros(size, dtype=torch.int64)
    for face in faces:
        total += rasterize_triangles(positions, face[None], size).mask
    return total


@pytest.mark.nightly_cases
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("flip", [False, True])
def test_every_sample_of_a_tiling_belongs_to_exactly_one_face(seed, flip):
    positions, faces = random_triangulation(seed, 48)
    if flip:
        rows = torch.arange(len(faces)) % 2 == 0
        faces[rows] = faces[rows][:, [0, 2, 1]]
    assert torch.equal(count_coverage(positions, faces, (48, 48)), torch.ones(48, 48, dtype=torch.int64))


def test_samples_on_borders_follow_the_top_left_rule():
    square = torch.tensor([[0.5, 0.5, 0], [2.5, 0.5, 0], [2.5, 2.5, 0], [0.5, 2.5, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    mask = rasterize_triangles(square, faces, (4, 4)).mask
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[:2, :2] = True
    assert torch.equal(mask, expected)


def test_barycentrics_reproduce_the_pixel_centers():
    positions, faces = random_triangulation(3, 64)
    raster = rasterize_triangles(positions, faces, (64, 64))
    seen = interpolate_attributes(raster, faces, positions)
    rows, columns = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
    assert torch.allclose(seen[..., 0], columns, atol=1e-4)
    assert torch.allclose(seen[..., 1], rows, atol=1e-4)
    assert torch.allclose(raster.barycentric.sum(-1), torch.ones(64, 64), atol=1e-6)
    assert raster.barycentric.min() >= 0
    assert torch.allclose(raster.depth, seen[..., 2], atol=1e-6)


def test_matches_a_brute_force_z_buffer():
    generator = torch.Generator().manual_seed(5)
    positions = torch.rand((300, 3), generator=generator) * torch.tensor([40.0, 30.0, 1.0]) - torch.tensor(
        [4, 4, 0]
    )
    faces = torch.arange(300).reshape(100, 3)
    raster = rasterize_triangles(positions, faces, (24, 32))
    rows, columns = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    nearest, index = torch.full((24, 32), torch.inf), torch.full((24, 32), -1)
    for number, face in enumerate(faces):
        a, b, c = positions[face].double()
        edges = [(p, q) for p, q in ((b, c), (c, a), (a, b))]
        areas = torch.stack(
            [(p[0] - columns) * (q[1] - rows) - (p[1] - rows) * (q[0] - columns) for p, q in edges]
        )
        weights = areas / areas.sum(0)
        depth = (weights * torch.stack((a[2], b[2], c[2]))[:, None, None]).sum(0).float()
        closer = (weights > 0).all(0) & (depth < nearest)
        nearest[closer], index[closer] = depth[closer], number
    # Vertices are snapped to 1/256 pixel, so a few samples on borders may differ.
    assert (index != raster.face_index).float().mean() < 0.01
    same = (index == raster.face_index) & raster.mask
    assert (raster.depth - nearest)[same].abs().max() < 0.02


def test_nothing_is_drawn_for_empty_degenerate_or_outside_faces():
    positions = torch.tensor([[1.0, 1, 0], [5, 5, 0], [3, 3, 0], [100, 1, 0], [105, 1, 0], [100, 9, 0]])
    for faces in (torch.zeros((0, 3), dtype=torch.int64), torch.tensor([[0, 1, 2], [3, 4, 5], [0, 0, 1]])):
        raster = rasterize_triangles(positions, faces, (8, 8))
        assert not raster.mask.any()
        assert torch.isinf(raster.depth).all()
        assert not raster.barycentric.any()


def test_large_faces_over_several_blocks_and_nonsquare_images():
    positions = torch.tensor(
        [[0.0, 0, 1], [3000, 0, 1], [0, 1400, 1], [3000, 1400, 1], [0, 0, 2], [3000, 0, 2]]
    )
    faces = torch.tensor([[4, 5, 2], [0, 1, 2], [2, 1, 3]])
    raster = rasterize_triangles(positions, faces, (1400, 3000))
    assert raster.mask.all()
    assert raster.face_index.min() == 1
    assert torch.allclose(raster.depth, torch.ones(1400, 3000))


def test_negative_depths_order_before_positive_ones():
    corners = [(x, y, z) for z in (-1, -2, 3, 0) for x, y in ((0, 0), (9, 0), (0, 9))]
    positions = torch.tensor(corners, dtype=torch.float32)
    raster = rasterize_triangles(positions, torch.arange(12).reshape(4, 3), (4, 4))
    assert (raster.face_index == 1).all()


def test_split_by_total_covers_all_without_gaps():
    counts = torch.tensor([5, 0, 0, 50, 1, 1, 1, 1, 9, 0])
    ranges = split_by_total(counts, 8)
    assert [start for start, _ in ranges[1:]] == [stop for _, stop in ranges[:-1]]
    assert (ranges[0][0], ranges[-1][1]) == (0, 10)
    assert all(stop > start for start, stop in ranges)
    assert split_by_total(counts[:0], 8) == []


def test_faces_upon_each_other_come_in_blocks():
    """Four hundred faces over one square: their samples together would be many times its texels."""
    square, faces = torch.tensor([(0.0, 0.0), (512, 0), (0, 512)]), torch.tensor([(0, 1, 2)] * 400)
    sizes = [len(face) for face, _ in iterate_covered_samples(square, faces, (512, 512))]
    assert sum(sizes) == 400 * 512 * 511 // 2
    assert max(sizes) < sum(sizes) / 10
