"""One half of a mesh or of its views mirrored onto the other."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import MeshError, PictureError
from character3d.pipeline.generating_multiview_texture import symmetrize_views
from character3d.pipeline.mesh.symmetrize import symmetrize_mesh
from character3d.pipeline.types import Mesh


def make_lopsided():
    """A closed ball, off the middle, with a bump on its left; uvs are its x and y; a color for each side."""
    ball = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    positions = ball.vertices + np.array((0.1, 0, 0))
    positions[:, 0] += 0.3 * np.exp(-20 * ((ball.vertices - (0.5, 0, 0)) ** 2).sum(axis=1))
    colors = np.ones((len(positions), 4))
    colors[:, 0] = positions[:, 0] > 0
    return Mesh(positions, ball.faces, normals=ball.vertex_normals, uvs=positions[:, :2] + 0.5, colors=colors)


@pytest.mark.parametrize(("kept", "sign"), [("left", 1), ("right", -1)])
def test_both_halves_are_the_kept_one(kept, sign):
    mesh = make_lopsided()
    found = symmetrize_mesh(mesh, kept)
    solid = trimesh.Trimesh(found.positions, found.faces, process=False)
    assert solid.is_watertight and solid.is_winding_consistent and solid.volume > 0
    own = {tuple(point) for point in np.round(found.positions, 6).tolist()}
    assert own == {(-x if x else 0.0, y, z) for x, y, z in own}
    np.testing.assert_allclose(np.abs(found.positions[:, 0]) * sign + 0.5, found.uvs[:, 0], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, atol=1e-5)
    assert (found.normals[:, 0] * found.positions[:, 0] > 0).mean() > 0.7


def test_the_halves_are_all_of_the_mesh():
    """Twice the left half and twice the right half are twice the whole."""
    mesh = make_lopsided()
    made = (symmetrize_mesh(mesh, kept) for kept in ("left", "right"))
    volumes = [trimesh.Trimesh(item.positions, item.faces).volume for item in (*made, mesh)]
    assert volumes[0] > 1.2 * volumes[1]
    assert volumes[0] + volumes[1] == pytest.approx(2 * volumes[2], rel=1e-5)


def test_a_symmetric_mesh_stays_as_large():
    box = trimesh.creation.box().subdivide()
    found = symmetrize_mesh(Mesh(box.vertices, box.faces), "right")
    assert trimesh.Trimesh(found.positions, found.faces).volume == pytest.approx(1, rel=1e-6)
    assert len(found.faces) == len(box.faces) and len(found.positions) == len(box.vertices)


def test_materials_go_along():
    mesh = make_lopsided()
    numbers = (mesh.positions[:, 1] > 0).astype(np.uint16)
    found = symmetrize_mesh(Mesh(mesh.positions, mesh.faces, material_numbers=numbers))
    assert set(found.material_numbers.tolist()) == {0, 1}
    below = found.positions[:, 1] < -0.05
    assert (found.material_numbers[below] == 0).all()


def test_what_cannot_be_mirrored_is_refused():
    mesh = make_lopsided()
    with pytest.raises(MeshError, match="expected a mesh with a right half"):
        symmetrize_mesh(Mesh(mesh.positions + np.float32(2), mesh.faces), "right")
    with pytest.raises(ValueError, match="no half 'top'; there are: left, right"):
        symmetrize_mesh(mesh, "top")
    with pytest.raises(PictureError, match=r"expected six views, front, left, .*; found 4"):
        symmetrize_views(np.zeros((4, 8, 8, 3), np.float32))


@pytest.mark.parametrize("side", [8, 9])
def test_views_of_the_kept_half_are_mirrored(side):
    """In the front view the character's left lies on the image's right, in the others on its left."""
    views = np.random.default_rng(0).random((6, side, side, 3), np.float32)
    front, left, back, right, top, bottom = symmetrize_views(views)
    half = side // 2
    for view in (front, back, top, bottom):
        assert (view == view[:, ::-1]).all()
    assert (front[:, side - half :] == views[0][:, side - half :]).all()
    for view, number in ((back, 2), (top, 4), (bottom, 5)):
        assert (view[:, :half] == views[number][:, :half]).all()
    assert (left == views[1]).all() and (right == views[1][:, ::-1]).all()
    other = symmetrize_views(views, "right")
    assert (other[3] == views[3]).all() and (other[0][:, :half] == views[0][:, :half]).all()
    assert (symmetrize_views(views[..., 0], "right") == other[..., 0]).all()
