"""Bake Texture with keep_uvs: into the mesh's own uvs where that is possible, and why not where it is not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.cameras import build_six_view_rig
from character3d.pipeline.formats import read_mesh, write_glb
from character3d.pipeline.generating_multiview_texture.maps import render_view_maps
from character3d.pipeline.orientation import place_mesh
from character3d.pipeline.texture_baking import read_own_uvs
from character3d.pipeline.types import Mesh

FILES = Path(__file__).parents[1] / "files"
SIDE = 512
CORNERS = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), np.float64)
MIRRORED = CORNERS[:, ::-1]


def make_box(islands, step=8):
    """A box of 1 x 2 x 0.5 m whose six sides have uvs at ((left, top), corners of the unit square) each."""
    positions, uvs, faces = [], [], []
    ticks = np.linspace(0, 1, step + 1)
    one, two = (axis.ravel() for axis in np.meshgrid(ticks, ticks))
    first = (np.arange(step)[:, None] * (step + 1) + np.arange(step)).ravel()
    quads = np.stack((first, first + 1, first + step + 2, first, first + step + 2, first + step + 1), 1)
    sides = [(axis, sign) for axis in range(3) for sign in (-1, 1)]
    for number, ((axis, sign), (corner, square)) in enumerate(zip(sides, islands, strict=True)):
        place = np.zeros((len(one), 3))
        place[:, axis] = sign
        place[:, (axis + 1) % 3], place[:, (axis + 2) % 3] = 2 * one - 1, 2 * two - 1
        weights = np.stack(((1 - one) * (1 - two), one * (1 - two), one * two, (1 - one) * two), 1)
        positions.append(place * (0.5, 1, 0.25) + (0, 1, 0))
        uvs.append(np.asarray(corner) + 0.27 * weights @ square)
        triangles = quads.reshape(-1, 3) if sign > 0 else quads.reshape(-1, 3)[:, ::-1]
        faces.append(triangles + number * len(one))
    return Mesh(np.concatenate(positions), np.concatenate(faces), None, np.concatenate(uvs))


def paint(points):
    """A smooth color for every place."""
    return (0.5 + 0.4 * np.sin(np.asarray(points) * (5, 3, 9))).astype(np.float32)


PLACES = [(0.03 + 0.31 * column, 0.03 + 0.31 * row) for row in range(2) for column in range(3)]
APART = [(place, MIRRORED if number % 2 else CORNERS) for number, place in enumerate(PLACES)]


@pytest.fixture
def bake(load_nodes):
    """(mesh, keep_uvs) -> TRIMESH, atlas and warnings of Bake Texture from painted views."""
    node, sockets = load_nodes("texture_baking").BakeTexture, load_nodes("sockets")

    def bake(mesh, keep_uvs=True):
        maps = render_view_maps(mesh, build_six_view_rig(mesh), 256)
        color = np.where(maps.mask[..., None], paint(maps.position), np.float32(1))
        views = torch.from_numpy(color), torch.from_numpy(maps.mask.astype(np.float32))
        done = node.execute(sockets.mesh_to_trimesh(mesh), *views, SIDE, keep_uvs=keep_uvs)
        return done.result[0], done.result[1][0].numpy(), done.ui["character3d_report"][0]["warnings"]

    return bake


@pytest.mark.parametrize("moved", [(0, 0), (0, -1)], ids=["in the square", "in another tile"])
def test_texels_land_where_the_meshs_own_uvs_say(bake, load_nodes, tmp_path, moved):
    mesh = make_box([(np.add(place, moved), square) for place, square in APART])
    baked, atlas, warnings = bake(mesh)
    assert warnings == []
    centers = mesh.uvs[mesh.faces].mean(axis=1) - moved
    column, row = (centers * SIDE).astype(int).T
    gap = np.abs(atlas[row, column] - paint(mesh.positions[mesh.faces].mean(axis=1))).max(axis=1)
    assert np.quantile(gap, 0.9) < 0.02 and gap.max() < 0.06
    path = tmp_path / "saved.glb"
    write_glb(path, load_nodes("sockets").socket_to_surface(baked))
    saved = trimesh.load_mesh(path, process=False)
    np.testing.assert_allclose(np.asarray(saved.visual.uv) * (1, -1) + (0, 1), mesh.uvs, atol=1e-6)
    np.testing.assert_array_equal(saved.faces, mesh.faces)
    texture = np.asarray(saved.visual.material.baseColorTexture)[..., :3]
    np.testing.assert_allclose(texture, atlas * 255, atol=0.51)


def test_a_border_between_islands_shows_no_background(bake):
    """Texels beside an island continue it, so that filters do not mix in what lies between."""
    mesh = make_box(APART)
    _, atlas, _ = bake(mesh)
    for corner, square in ((0.0, -1.0), (0.27, 1.0)):
        left, top = PLACES[0]
        row = int((top + 0.1) * SIDE)
        column = round((left + corner) * SIDE + square)
        inside = column - int(square * 3)
        np.testing.assert_allclose(atlas[row, column], atlas[row, inside], atol=0.03)


STACKED = [(PLACES[number // 2], MIRRORED if number % 2 else CORNERS) for number in range(6)]
REPEATED = [(place, 6 * square) for place, square in APART]
TILES = [(np.add(PLACES[0], (number, 0)), square) for number, (_, square) in enumerate(APART)]


@pytest.mark.parametrize(
    ("islands", "reason"),
    [
        (STACKED, "of their texels belong to several faces: islands lie upon each other"),
        (TILES, "of their texels belong to several faces: islands lie upon each other"),
        (REPEATED, "they reach beyond the uv square"),
        ([(place, square * 0) for place, square in APART], "100.0% of the surface has no area in them"),
        ([(place, square * 0.05) for place, square in APART], "they use 0.11% of the uv square"),
    ],
    ids=["stacked", "one upon the other in tiles", "repeated", "without area", "a palette"],
)
def test_uvs_that_cannot_be_baked(islands, reason):
    found = read_own_uvs(make_box(islands), texture_size=SIDE)
    assert found.uvs is None and reason in found.note


@pytest.mark.nightly_cases
@pytest.mark.parametrize(
    ("mesh", "reason"),
    [
        (make_box(STACKED), "belong to several faces: islands lie upon each other"),
        (Mesh(make_box(APART).positions, make_box(APART).faces), "unwrapped anew: it has none"),
    ],
    ids=["stacked", "none"],
)
def test_uvs_that_cannot_be_kept_are_replaced_and_it_is_said(bake, mesh, reason):
    baked, _, warnings = bake(mesh)
    assert warnings[0].startswith("the mesh's own uvs could not be kept and it was unwrapped anew: ")
    assert reason in warnings[0]
    assert len(baked.visual.uv) and baked.visual.uv.min() >= 0 and baked.visual.uv.max() <= 1


def test_a_few_folded_faces_are_kept_and_said():
    mesh = make_box(APART, step=16)
    uvs = np.array(mesh.uvs)
    uvs[8 * 17 + 8] += 0.04  # one vertex far beyond its neighbors
    found = read_own_uvs(replace(mesh, uvs=uvs), texture_size=SIDE)
    np.testing.assert_allclose(found.uvs, uvs, atol=1e-6)
    assert "belong to several faces and show what one of them does" in found.note


@pytest.mark.nightly
def test_a_mesh_far_from_the_origin_is_baked_as_one_at_the_origin(bake):
    far, near = (place_mesh(read_mesh(FILES / name).surface).surface for name in ("far_away.obj", "z_up.obj"))
    (*_, found), (*_, expected) = bake(far, keep_uvs=False), bake(near, keep_uvs=False)
    assert found == expected
