"""Bake Texture and Apply Texture: what they put out can be painted over and given back."""

import numpy as np
import pytest
import torch
import trimesh
from character3d.pipeline.errors import MeshError, PictureError


@pytest.fixture
def baked(load_nodes):
    """(weights) -> what Bake Texture puts out for a ball whose views are red, green, blue and so on."""
    node = load_nodes("texture_baking").BakeTexture
    views = torch.eye(3).repeat(2, 1)[:, None, None].expand(6, 64, 64, 3).contiguous()
    views[3:] = 1 - views[3:]
    ball = trimesh.creation.icosphere(3)
    return lambda weights=None: node.execute(ball, views, torch.ones(6, 64, 64), 1024, weights)


def test_weights_come_out_and_go_in_painted_over(baked):
    first = baked()
    _, texture, coverage, weights, _ = first.result
    assert texture.shape == (1, 1024, 1024, 3) and coverage.shape == (1, 1024, 1024)
    assert weights.shape == (6, 64, 64) and weights.min() >= 0 and weights.max() <= 1
    assert not weights[:, 0, 0].any() and (weights[:, 32, 32] > 0.9).all()
    painted = torch.zeros_like(weights)
    painted[0] = 1
    _, only_front, less, *_ = baked(painted).result
    seen = less[0] > 0.99
    assert 0.1 < seen.float().mean() < coverage.mean() / 1.5
    torch.testing.assert_close(only_front[0][seen], torch.tensor((1.0, 0, 0)).expand(int(seen.sum()), 3))
    report = first.ui["character3d_report"][0]["metrics"]
    assert {"texel_coverage", "hidden_share", "seam_contrast"} <= set(report)


def test_weights_of_another_size_are_refused(baked):
    with pytest.raises(PictureError, match=r"expected weights of shape \(6, 64, 64\)"):
        baked(torch.ones(6, 32, 32))


def test_a_painted_atlas_goes_back_onto_its_mesh(baked, load_nodes):
    mesh, texture, *_ = baked().result
    node = load_nodes("texture_baking").ApplyTexture
    again, _ = node.execute(mesh, 1 - texture).result
    assert np.array_equal(again.visual.uv, mesh.visual.uv) and np.array_equal(again.faces, mesh.faces)
    colors = np.asarray(again.visual.material.baseColorTexture)[..., :3]
    np.testing.assert_allclose(colors, (1 - texture[0]) * 255, atol=0.51)


def test_a_mesh_without_uvs_takes_no_texture(load_nodes):
    with pytest.raises(MeshError, match="needs a mesh with uvs, got one without"):
        load_nodes("texture_baking").ApplyTexture.execute(trimesh.creation.box(), torch.ones(1, 8, 8, 3))
