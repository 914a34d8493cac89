"""Colors and textures of a mesh on another one of the same shape, with fewer faces."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import MeshError
from character3d.pipeline.mesh_extras import MeshExtras
from character3d.pipeline.mesh_generation import clean_whole_mesh
from character3d.pipeline.texture_baking import transfer_surface
from character3d.pipeline.types import Material, Mesh, TexturedMesh

SLANT = np.array((0.28, 0.0, 0.96))
"""A normal in tangent space that leans east on the globe."""


def make_ball(subdivisions, seam=False):
    """A ball of radius 1; with uvs by longitude and latitude, its vertices doubled along the date line."""
    ball = trimesh.creation.icosphere(subdivisions=subdivisions)
    if not seam:
        return Mesh(ball.vertices, ball.faces)
    points = ball.vertices[ball.faces]
    u = np.arctan2(points[..., 0], points[..., 2]) / (2 * np.pi) + 0.5
    u = np.where((np.ptp(u, axis=1) > 0.5)[:, None] & (u < 0.5), u + 1, u)
    v = np.arccos(points[..., 1].clip(-1, 1)) / np.pi
    is_pole = np.abs(points[..., 1]) > 1 - 1e-9
    u = np.where(is_pole, (u.sum(axis=1) - (u * is_pole).sum(axis=1))[:, None] / 2, u)
    flat, uvs = points.reshape(-1, 3), np.stack((u, v), axis=-1).reshape(-1, 2)
    return Mesh(flat, np.arange(len(flat)).reshape(-1, 3), normals=flat, uvs=uvs)


@pytest.fixture(scope="module")
def globe():
    """A ball painted by latitude and longitude, with a metallic-roughness map of the same pattern."""
    rows, columns = np.mgrid[:128, :256] + 0.5
    red, green = rows / 128, 0.5 + 0.5 * np.sin(columns / 256 * 2 * np.pi)
    picture = np.stack((red, green, 0 * red + 0.2), axis=-1)
    slanted = np.broadcast_to(SLANT / 2 + 0.5, (8, 8, 3))
    maps = {"metallic_roughness": picture[..., ::-1], "normal": slanted}
    texels = {role: np.rint(image * 255).astype(np.uint8) for role, image in maps.items()}
    material = Material(
        np.dstack((picture, np.ones_like(red))), metallic=0.5, wrap=("REPEAT", "CLAMP"), maps=texels
    )
    return TexturedMesh(make_ball(3, seam=True), material)


@pytest.fixture(scope="module")
def moved(globe):
    return transfer_surface(globe, make_ball(2), texture_size=256)


def list_centers(textured):
    """The middle of each face on the unit ball, and its uv."""
    middle = textured.mesh.positions[textured.mesh.faces].mean(axis=1)
    return middle / np.linalg.norm(middle, axis=1, keepdims=True), textured.uvs[textured.mesh.faces].mean(
        axis=1
    )


def sample(texture, uvs):
    column, row = (uvs * texture.shape[1::-1]).astype(int).T
    return texture[row, column] / 255


def test_every_map_lands_where_it_was(moved):
    points, uvs = list_centers(moved)
    latitude = np.arccos(points[:, 1]) / np.pi
    longitude = 0.5 + 0.5 * np.sin(np.arctan2(points[:, 0], points[:, 2]) + np.pi)
    expected = np.stack((latitude, longitude, 0 * latitude + 0.2), axis=1)
    np.testing.assert_allclose(sample(moved.material.texels, uvs)[:, :3], expected, atol=0.04)
    glossy = sample(moved.material.maps["metallic_roughness"], uvs)
    np.testing.assert_allclose(glossy, expected[:, ::-1], atol=0.04)
    assert moved.material.metallic == 0.5 and (moved.material.texels[..., 3] == 255).all()


def test_normal_maps_are_turned_into_the_new_tangent_space(moved):
    """Read here by Lengyel's tangents: u grows along them in each face."""
    mesh, (points, uvs) = moved.mesh, list_centers(moved)
    one, two = np.moveaxis(mesh.positions[mesh.faces][:, 1:] - mesh.positions[mesh.faces][:, :1], 1, 0)
    flat = mesh.uvs[mesh.faces][:, 1:] - mesh.uvs[mesh.faces][:, :1]
    inverse = np.linalg.inv(flat)
    tangent = one * inverse[:, 0, :1] + two * inverse[:, 0, 1:]
    bitangent = -(one * inverse[:, 1, :1] + two * inverse[:, 1, 1:])
    local = sample(moved.material.maps["normal"], uvs) * 2 - 1
    axes = [axis / np.linalg.norm(axis, axis=1, keepdims=True) for axis in (tangent, bitangent, points)]
    found = sum(axis * local[:, number, None] for number, axis in enumerate(axes))
    east = np.cross((0, 1, 0), points)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    expected = SLANT[0] * east + SLANT[2] * points
    angles = np.degrees(np.arccos((found * expected).sum(axis=1).clip(-1, 1)))
    away = np.abs(points[:, 1]) < 0.9  # at the poles there is no east
    assert np.quantile(angles[away], 0.95) < 6


def test_vertex_colors_stay_vertex_colors():
    ball = make_ball(3)
    colors = np.concatenate((ball.positions / 2 + 0.5, np.ones((len(ball.positions), 1))), axis=1)
    moved = transfer_surface(replace(ball, colors=colors), make_ball(2))
    np.testing.assert_allclose(moved.colors[:, :3], moved.positions / 2 + 0.5, atol=0.03)


def test_a_mesh_without_color_is_refused():
    with pytest.raises(MeshError, match="expected a mesh with materials or vertex colors"):
        transfer_surface(make_ball(1), make_ball(1))


def test_cleaning_keeps_all_of_the_faces_that_stay(globe):
    """Welding is for finding parts only: the seam stays, and what belongs to each vertex."""
    mesh = globe.mesh
    floater = Mesh(mesh.positions * 0.01 + (2, 0, 0), mesh.faces)
    positions = np.concatenate((floater.positions, mesh.positions))
    count = len(mesh.positions)
    tangents = np.tile((1.0, 0, 0, 1), (2 * count, 1))
    both = Mesh(
        positions,
        np.concatenate((floater.faces, mesh.faces + count)),
        normals=np.concatenate((mesh.normals, mesh.normals)),
        uvs=np.concatenate((mesh.uvs, mesh.uvs)),
        extras=MeshExtras(tangents=tangents),
    )
    cleaned = clean_whole_mesh(both)
    assert cleaned.mesh is None and cleaned.metrics["floaters"] == 1
    for name in ("faces", "normals", "uvs"):
        np.testing.assert_array_equal(getattr(cleaned.whole, name), getattr(mesh, name))
    np.testing.assert_array_equal(cleaned.whole.extras.tangents, tangents[count:])
    np.testing.assert_allclose(
        cleaned.whole.positions, (mesh.positions + np.array((0, 1, 0))) * 0.85, atol=1e-5
    )


def test_a_decimated_mesh_lies_on_the_whole_one(globe):
    cleaned = clean_whole_mesh(globe.mesh, face_count=400)
    assert len(cleaned.mesh.faces) <= 400 < len(cleaned.whole.faces)
    np.testing.assert_allclose(cleaned.mesh.bounds, cleaned.whole.bounds, atol=0.06)
