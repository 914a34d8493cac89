"""De-light Picture as a node; tests/pipeline/test_delight.py has what it computes."""

import torch
import trimesh


def run(load_nodes, shading):
    """A ball of one gray times `shading`, (96, 96)."""
    y, x = torch.meshgrid(*[(torch.arange(96) + 0.5 - 48) / 40] * 2, indexing="ij")
    mask = ((x**2 + y**2) < 1).float()[None]
    image = (0.6 * shading(x, y))[None, ..., None].expand(1, 96, 96, 3)
    ball = trimesh.creation.icosphere(subdivisions=3)
    return image, mask[0] > 0, load_nodes("delight").DelightPicture.execute(image, mask, ball)


def test_light_from_the_left_is_taken_out(load_nodes):
    image, inside, done = run(load_nodes, lambda x, y: 0.7 - 0.3 * x)
    color, shading = done.args
    assert color.shape == (1, 96, 96, 3) and shading.shape == (1, 96, 96)
    assert color[0][inside].std() < 0.4 * image[0][inside].std()
    assert shading[0, 48, 20] > 1.3 * shading[0, 48, 76]
    assert done.ui["text"] == ["certainty that the picture was lit: 100%"]


def test_a_flat_picture_goes_through(load_nodes):
    image, _, done = run(load_nodes, lambda x, y: torch.ones_like(x))
    assert torch.equal(done.args[0], image) and (done.args[1] == 1).all()
    assert done.ui["text"] == ["no light was found in the picture; it stays as it is"]
