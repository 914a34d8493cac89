"""The hierarchical decoder against the dense grid, and the surface that comes out of either."""

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError
from character3d.pipeline.mesh.topology import is_closed
from character3d.pipeline.mesh_generation.sparse_field_sampling import (
    SampledField,
    list_resolutions,
    sample_field,
)
from character3d.pipeline.mesh_generation.surface import extract_surface

HALF = 1.01
CAPSULES = (
    ((0, -0.1, 0), (0, 0.45, 0), 0.16), ((0, 0.7, 0), (0, 0.72, 0), 0.16),
    ((0.1, -0.1, 0), (0.14, -0.95, 0), 0.07), ((-0.1, -0.1, 0), (-0.14, -0.95, 0), 0.07),
    ((0.15, 0.4, 0), (0.7, 0.1, 0), 0.05), ((-0.15, 0.4, 0), (-0.7, 0.1, 0), 0.05),
    *(((0.7, 0.1, 0), (0.82, 0.02 + 0.03 * k, 0.05 * k - 0.1), 0.006) for k in range(5)),
    ((-0.7, 0.1, 0), (-0.75, 0.9, 0.1), 0.008),
)  # fmt: skip
"""A body with fingers and a staff thinner than the cells of a coarse grid."""


def figure(truncation):
    starts, ends = (torch.tensor([c[part] for c in CAPSULES]).float() for part in (0, 1))
    radii, along = torch.tensor([c[2] for c in CAPSULES]), ends - starts

    def query(points):
        t = ((points[:, None] - starts) * along).sum(-1) / (along * along).sum(-1)
        distance = (points[:, None] - starts - t.clamp(0, 1)[..., None] * along).norm(dim=-1) - radii
        inside = -distance.amin(dim=1)
        return (inside / truncation).clamp(-1, 1) if truncation else inside

    return query


def sample_dense(query, resolution):
    axis = torch.linspace(-HALF, HALF, resolution + 1, dtype=torch.float64).float()
    points = torch.cartesian_prod(axis, axis, axis)
    values = torch.cat([query(part) for part in points.split(200_000)])
    return values.view(3 * (resolution + 1,))


@pytest.mark.nightly_cases
@pytest.mark.parametrize("truncation", [0, 0.02, 0.1, 0.008])
def test_the_surface_is_that_of_the_dense_grid(truncation):
    """Every edge that the surface crosses has the dense grid's values at both ends: the same surface."""
    query = figure(truncation)
    field, dense = sample_field(query, 160, chunk=100_000), sample_dense(query, 160)
    assert ((field.values > 0) == (dense > 0)).all()
    wrong = (field.values - dense).abs() > 1e-4
    for axis in range(3):
        one, other = (slice(None, -1), slice(1, None))
        at = [tuple(s if a == axis else slice(None) for a in range(3)) for s in (one, other)]
        crossed = (dense[at[0]] > 0) != (dense[at[1]] > 0)
        assert crossed.any() and not (crossed & (wrong[at[0]] | wrong[at[1]])).any()


def test_few_points_are_evaluated():
    asked = []

    def query(points):
        asked.append(len(points))
        return figure(0.05)(points)

    field = sample_field(query, 256, chunk=50_000)
    assert field.points == sum(asked) and max(asked) <= 50_000
    assert field.values.numel() / field.points > 15


@pytest.mark.parametrize(
    ("resolution", "levels"),
    [(256, [64, 128, 256]), (384, [96, 192, 384]), (512, [128, 256, 512]), (380, [95, 190, 380]), (65, [65])],
)
def test_levels_are_halves(resolution, levels):
    assert list_resolutions(resolution) == levels


def test_noise_is_followed_everywhere():
    """A field that crosses zero everywhere is evaluated everywhere: slow, but right."""

    def query(points):
        return torch.sin(points @ torch.tensor([127.1, 311.7, 74.7]) * 40)

    field, dense = sample_field(query, 128, chunk=100_000), sample_dense(query, 128)
    assert ((field.values > 0) == (dense > 0)).float().mean() > 0.99


def test_progress_rises_and_cancels():
    seen = []
    sample_field(figure(0), 128, chunk=20_000, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 10

    def cancel(fraction):
        if fraction > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample_field(figure(0), 128, chunk=20_000, progress=cancel)


def test_a_sphere_has_its_place_and_size():
    centre, radius = torch.tensor([0.3, -0.2, 0.1]), 0.5
    field = sample_field(lambda p: radius - (p - centre).norm(dim=-1), 128)
    positions, faces = extract_surface(field)
    distance = np.linalg.norm(positions - centre.numpy(), axis=1)
    assert np.abs(distance - radius).max() < 0.1 * 2 * HALF / 128
    mesh = trimesh.Trimesh(positions, faces, process=False)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)


def test_what_reaches_the_side_of_the_cube_is_closed():
    positions, faces = extract_surface(sample_field(lambda p: 0.5 - p[:, :2].norm(dim=-1), 64))
    assert is_closed(faces) and np.abs(positions[:, 2]).max() == pytest.approx(HALF, abs=2 * HALF / 64)


def test_values_of_zero_make_no_degenerate_faces():
    grid = torch.zeros(20, 20, 20) - 1
    grid[5:15, 5:15, 5:15] = 0
    grid[6:14, 6:14, 6:14] = 1
    positions, faces = extract_surface(SampledField(grid, HALF, grid.numel()))
    areas = trimesh.Trimesh(positions, faces, process=False).area_faces
    assert is_closed(faces) and areas.min() > 1e-9


@pytest.mark.parametrize("value", [-0.5, 0.5])
def test_a_field_without_a_surface_says_so(value):
    field = sample_field(lambda p: torch.full((len(p),), value), 64)
    with pytest.raises(MeshError, match=f"no surface.*found values from {value} to {value} at all 274625"):
        extract_surface(field)
