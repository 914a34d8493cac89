"""Clean-up of raw surfaces: what is removed, and what must stay as it is."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import MeshError
from character3d.pipeline.mesh.topology import drop_unused_vertices, is_closed
from character3d.pipeline.mesh_generation import clean_mesh
from character3d.pipeline.mesh_generation.clean import (
    clean_surface,
    find_large_parts,
    find_outer_parts,
    measure_winding,
)
from character3d.pipeline.mesh_generation.decimate import decimate_surface
from scipy import ndimage
from skimage.measure import marching_cubes


def sphere(radius=1.0, centre=(0, 0, 0), subdivisions=4):
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius).apply_translation(centre)


def join(*meshes):
    joined = trimesh.util.concatenate(meshes)
    return joined.vertices.astype(np.float32), joined.faces.astype(np.int32)


def test_floaters_go_and_large_parts_stay():
    positions, faces = join(
        sphere(), sphere(0.5, (3, 0, 0)), sphere(0.02, (0, 2, 0)), sphere(0.03, (2, 2, 0))
    )
    kept, dropped = find_large_parts(positions, faces)
    left = trimesh.Trimesh(*drop_unused_vertices(positions, faces[kept]), process=False)
    assert dropped == 2 and left.body_count == 2


@pytest.mark.parametrize("inverted", [False, True])
def test_internal_shells_go_and_neighbours_stay(inverted):
    inner = sphere(0.8)
    if inverted:
        inner.invert()
    positions, faces = join(sphere(), inner, sphere(0.3, (0.1, 0, 0)), sphere(0.9, (1.95, 0, 0)))
    kept, dropped = find_outer_parts(positions, faces)
    assert dropped == 2
    left = trimesh.Trimesh(*drop_unused_vertices(positions, faces[kept]), process=False)
    assert left.body_count == 2 and left.volume == pytest.approx(4 / 3 * np.pi * (1 + 0.9**3), rel=0.01)


def test_a_part_in_the_crook_of_another_is_not_inside():
    ring = trimesh.creation.torus(1.0, 0.2)
    kept, dropped = find_outer_parts(*join(ring, sphere(0.5)))
    assert dropped == 0 and len(kept) == len(ring.faces) + len(sphere().faces)


@pytest.mark.parametrize(("point", "winding"), [((0, 0, 0), 1), ((0, 0.9, 0), 1), ((0, 1.1, 0), 0)])
def test_winding(point, winding):
    mesh = sphere()
    found = measure_winding(np.array(point), mesh.vertices, mesh.faces)
    assert found == pytest.approx(winding, abs=1e-9)


def test_degenerate_faces_go_and_loose_triangles_are_joined():
    mesh = sphere(subdivisions=2)
    soup = mesh.vertices[mesh.faces].reshape(-1, 3)
    faces = np.arange(len(soup)).reshape(-1, 3)
    faces = np.concatenate([faces, [[0, 0, 1], [0, 1, 0]]])
    cleaned = clean_surface(soup, faces, face_count=len(faces))
    assert (len(cleaned.positions), len(cleaned.faces)) == (len(mesh.vertices), len(mesh.faces))
    assert is_closed(cleaned.faces) and cleaned.kept.tolist() == list(range(len(mesh.faces)))


def test_nothing_left_is_an_error():
    with pytest.raises(MeshError, match="expected triangles with an area, found none"):
        clean_surface(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]]), face_count=1000)


def marched(seed, sigma, side=40):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((side,) * 3), sigma)
    noise = np.pad(noise, 1, constant_values=-1e-3)
    positions, faces, _, _ = marching_cubes(noise, 0)
    return positions.astype(np.float32), faces[:, ::-1].astype(np.int32)


@pytest.mark.nightly_cases
@pytest.mark.parametrize(("seed", "sigma"), [(0, 1.0), (1, 1.5), (2, 3.0), (3, 6.0)])
def test_a_closed_manifold_stays_one(seed, sigma):
    """Noise: the worst that a random field can make."""
    positions, faces = marched(seed, sigma)
    assert is_closed(faces)
    smaller, fewer = decimate_surface(positions, faces, len(faces) // 10)
    assert is_closed(fewer) and len(fewer) <= 1.3 * len(faces) // 10
    mesh = trimesh.Trimesh(smaller, fewer, process=False)
    assert mesh.volume == pytest.approx(trimesh.Trimesh(positions, faces, process=False).volume, rel=0.1)


def test_an_open_mesh_is_reduced_too():
    mesh = sphere(subdivisions=5)
    open_faces = mesh.faces[mesh.triangles_center[:, 1] > -0.5].astype(np.int32)
    _, fewer = decimate_surface(mesh.vertices.astype(np.float32), open_faces, 2000)
    assert 0 < len(fewer) <= 2000


def test_a_clean_mesh_stands_on_the_ground():
    made = clean_mesh(*join(sphere(0.4, (5, 7, 0)), sphere(0.01, (5, 9, 0))), face_count=1500)
    low, high = made.mesh.bounds
    assert low[1] == 0 and high[1] == pytest.approx(1.7) and len(made.mesh.faces) <= 1500
    assert made.metrics["floaters"] == 1 and made.metrics["raw_faces"] > 5000
