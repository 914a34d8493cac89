"""pipeline/mesh against trimesh and closed forms."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.mesh.areas import measure_areas, measure_double_areas
from character3d.pipeline.mesh.components import (
    find_components,
    measure_component_extents,
    split_closed_components,
)
from character3d.pipeline.mesh.laplacian import (
    diffuse_values,
    link_neighbors,
    smooth_positions,
    solve_harmonic,
    weigh_edges,
)
from character3d.pipeline.mesh.topology import find_open_edges, is_closed, is_manifold, label_face_components
from character3d.pipeline.mesh.weld import weld_equal, weld_near
from character3d.pipeline.types import Mesh


@pytest.fixture(scope="module")
def bodies():
    """A sphere, an inward-wound box beside it, and a lone square: unwelded."""
    sphere = trimesh.creation.icosphere(subdivisions=2)
    box = trimesh.creation.box((1, 2, 3)).apply_translation((4, 0, 0))
    box.invert()
    square = trimesh.Trimesh([(8, 0, 0), (9, 0, 0), (9, 1, 0), (8, 1, 0)], [(0, 1, 2), (0, 2, 3)])
    parts = [sphere, box, square]
    corners = np.concatenate([part.triangles for part in parts])
    return parts, Mesh(corners.reshape(-1, 3), np.arange(len(corners) * 3).reshape(-1, 3))


@pytest.mark.parametrize("weld", [weld_equal, weld_near])
def test_welding_finds_the_vertices_that_were_split(bodies, weld):
    parts, mesh = bodies
    welded = weld(mesh.positions)
    assert len(welded.points) == sum(len(part.vertices) for part in parts)
    np.testing.assert_allclose(welded.points[welded.inverse], mesh.positions, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(welded.inverse[welded.first], np.arange(len(welded.points)))


def test_vertices_a_tenth_of_a_millionth_apart_are_near_and_not_equal():
    positions = np.array([(0, 0, 0), (1e-7, 0, 0), (1, 0, 0)], np.float32)
    assert len(weld_near(positions).points) == 2 and len(weld_equal(positions).points) == 3


def test_components_are_counted_measured_and_turned_outward(bodies):
    parts, mesh = bodies
    components = find_components(mesh)
    extents = sorted(np.linalg.norm(part.extents) for part in parts)
    np.testing.assert_allclose(sorted(measure_component_extents(components)), extents, rtol=1e-6)
    closed, loose = split_closed_components(components)
    volume = np.einsum("ij,ij->i", closed[:, 0], np.cross(closed[:, 1], closed[:, 2])).sum() / 6
    assert volume == pytest.approx(parts[0].volume + 6, rel=1e-6)  # the box's own winding would subtract 6
    assert len(loose) == 2


def test_areas_are_those_of_trimesh(bodies):
    mesh = trimesh.util.concatenate(bodies[0])
    np.testing.assert_allclose(measure_areas(mesh.vertices, mesh.faces), mesh.area_faces, rtol=1e-12)
    flat = mesh.triangles[:, :, :2]
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    signed = np.linalg.det(np.stack((one, two), axis=1))
    np.testing.assert_allclose(measure_double_areas(flat), signed, rtol=1e-9, atol=1e-12)


def test_face_components_are_those_of_trimesh(bodies):
    mesh = trimesh.util.concatenate(bodies[0])
    labels = label_face_components(mesh.faces, len(mesh.vertices))
    assert sorted(np.bincount(labels)) == sorted(len(part.faces) for part in bodies[0])


def test_closed_and_manifold():
    sphere = trimesh.creation.icosphere(subdivisions=1)
    assert is_closed(sphere.faces) and is_manifold(sphere.faces)
    assert not is_closed(sphere.faces[1:]) and not is_manifold(sphere.faces[1:])
    # Two tetrahedra that share one vertex: closed, and two fans meet there.
    tetrahedron = np.array([(0, 1, 2), (0, 3, 1), (1, 3, 2), (2, 3, 0)])
    pinched = np.concatenate((tetrahedron, np.where(tetrahedron == 0, 0, tetrahedron + 3)))
    assert is_closed(pinched) and not is_manifold(pinched)


def test_edges_that_nothing_runs_back_along_are_open():
    faces = np.random.default_rng(2).integers(0, 40, (300, 3))  # doubled, collapsed and crossing ones, too
    start, end = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edges = {*zip(start.tolist(), end.tolist(), strict=True)}
    alone = [(b, a) not in edges for a, b in zip(start.tolist(), end.tolist(), strict=True)]
    assert any(alone) and not all(alone)
    assert find_open_edges(start, end, 40).tolist() == alone


def test_smoothing_takes_the_noise_and_keeps_the_size():
    sphere = trimesh.creation.icosphere(subdivisions=4)
    noisy = sphere.vertices * (1 + np.random.default_rng(0).normal(0, 0.01, (len(sphere.vertices), 1)))
    smooth = smooth_positions(noisy, sphere.faces, 20)
    radius = np.linalg.norm(smooth, axis=1)
    assert radius.std() < 0.004 and radius.mean() == pytest.approx(1, abs=0.002)


def test_held_coordinates_stay():
    sphere = trimesh.creation.icosphere(subdivisions=2)
    held = np.tile((0.0, 1.0, 0.0), (len(sphere.vertices), 1))
    smooth = smooth_positions(np.asarray(sphere.vertices), sphere.faces, 5, held=held)
    np.testing.assert_array_equal(smooth[:, 1], sphere.vertices[:, 1])
    assert np.abs(smooth[:, 0] - sphere.vertices[:, 0]).max() > 0.01


def test_a_harmonic_function_on_a_tube_is_linear():
    """Known at both ends of a regular tube, it grows evenly between them."""
    around, along = 6, 21
    row, column = np.divmod(np.arange(around * along), around)
    a = np.arange(around * (along - 1))
    b = a - a % around + (a + 1) % around
    faces = np.concatenate(
        (np.stack((a, b, b + around), axis=1), np.stack((a, b + around, a + around), axis=1))
    )
    angle = column * 2 * np.pi / around
    positions = np.stack((np.cos(angle), row, np.sin(angle)), axis=1)
    known = (row == 0) | (row == along - 1)
    links = link_neighbors(faces, len(row), weigh_edges(positions, faces))
    values = np.where(known, row, 0.0)[:, None]
    found = solve_harmonic(links, values, known, spring=1e-9)
    np.testing.assert_allclose(found[:, 0], row[~known], atol=0.01)


def test_a_step_that_is_diffused_falls_by_e_in_the_length_asked_for():
    """In one dimension the solution of s - length² s'' = step is half an exponential on either side."""
    rows, columns = np.mgrid[:41, :201]
    plane = np.stack((columns + rows / 2, rows * 3**0.5 / 2, 0 * rows), axis=2).reshape(-1, 3) / 100
    a = np.arange(rows.size).reshape(rows.shape)[:-1, :-1].ravel()
    faces = np.concatenate((a[:, None] + (0, 1, 201), a[:, None] + (1, 202, 201)))
    across = plane[:, 0] - 1.102
    found = diffuse_values(plane, faces, (across > 0).astype(float)[:, None], 0.08)[:, 0]
    expected = 0.5 + np.sign(across) * (1 - np.exp(-np.abs(across) / 0.08)) / 2
    middle = (np.abs(across) < 0.4) & (np.abs(plane[:, 1] - 0.17) < 0.05)
    np.testing.assert_allclose(found[middle], expected[middle], atol=0.02)
