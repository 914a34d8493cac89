"""Symmetrize: shape, texture or both of one half, through the sockets."""

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError

RED, BLUE = (200, 30, 30, 255), (30, 30, 200, 255)


@pytest.fixture
def symmetrize(load_nodes):
    return load_nodes("symmetrize").Symmetrize.execute


def make_box():
    """From x = -0.5 to 0.7; its left is red, its right blue."""
    box = trimesh.creation.box((1.0, 1.0, 0.6)).subdivide().subdivide()
    box.vertices[box.vertices[:, 0] > 0.45, 0] = 0.7
    x = box.vertices[box.faces].mean(axis=1)[:, 0]
    box.unmerge_vertices()
    colors = np.where((x > 0)[:, None], RED, BLUE).repeat(3, axis=0)
    return trimesh.Trimesh(box.vertices, box.faces, vertex_colors=colors, process=False)


@pytest.mark.parametrize(
    ("what", "extent", "right"),
    [("shape and texture", (-0.7, 0.7), RED), ("shape", (-0.7, 0.7), BLUE), ("texture", (-0.5, 0.7), RED)],
)
def test_what_is_mirrored_and_what_stays(symmetrize, what, extent, right):
    found, _ = symmetrize(make_box(), "left to right", what).result
    x = found.vertices[:, 0]
    np.testing.assert_allclose((x.min(), x.max()), extent, atol=1e-6)
    colors = np.asarray(found.visual.vertex_colors)
    for rows, color in ((x > 0.2, RED), (x < -0.2, right)):
        assert np.abs(colors[rows].astype(int) - color).max() <= 1


def test_the_other_direction(symmetrize):
    found, _ = symmetrize(make_box(), "right to left", "shape and texture").result
    np.testing.assert_allclose(found.bounds[:, 0], (-0.5, 0.5), atol=1e-6)


def test_a_mesh_without_color_has_no_texture_to_mirror(symmetrize):
    box = trimesh.creation.box().subdivide()
    assert symmetrize(box, "left to right", "shape").result
    with pytest.raises(MeshError, match="expected a mesh with a texture or vertex colors"):
        symmetrize(box, "left to right", "texture")


def test_views_and_masks_are_mirrored_alike(load_nodes):
    node = load_nodes("symmetrize").SymmetrizeViews
    views, masks = torch.rand(6, 16, 16, 3), torch.rand(6, 16, 16)
    color, shown = node.execute(views, masks, "left to right").result
    assert color.shape == views.shape and shown.shape == masks.shape
    assert torch.equal(color[3], views[1].flip(1)) and torch.equal(shown[0], shown[0].flip(1))
