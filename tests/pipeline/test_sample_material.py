"""Colors of materials at texture coordinates."""

import numpy as np
import pytest
import torch
from character3d.pipeline.color import linear_to_srgb, srgb_to_linear, tint
from character3d.pipeline.sample_material import sample_material
from character3d.pipeline.types import Material

TEXELS = np.random.default_rng(0).integers(0, 256, (4, 8, 4), dtype=np.uint8)


@pytest.mark.parametrize("texels", [TEXELS, TEXELS.astype(np.float32) / 255])
@pytest.mark.parametrize(
    ("mode", "column"),
    [
        ("REPEAT", lambda number: number % 8),
        ("CLAMP", lambda number: min(max(number, 0), 7)),
        ("MIRROR", lambda number: min(number % 16, 15 - number % 16)),
    ],
)
def test_uvs_beyond_the_texture_wrap(texels, mode, column):
    """Along u by the mode, at the texels' centers; the torch and the numpy sampler agree."""
    material = Material(texels, wrap=(mode, "CLAMP"))
    numbers = np.arange(-20, 21)
    uvs = np.stack(((numbers + 0.5) / 8, np.full(len(numbers), 0.375)), axis=1)
    columns = [column(number) for number in numbers.tolist()]
    expected = TEXELS[1, columns] / 255
    np.testing.assert_allclose(material.sample(uvs), expected, atol=1e-6)
    found = sample_material(material, torch.from_numpy(uvs.astype(np.float32)))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)


def test_between_texels_colors_are_mixed():
    material = Material(
        np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], np.uint8), wrap=("REPEAT", "CLAMP")
    )
    found = sample_material(material, torch.tensor([[0.5, 0.5], [0.0, 0.5]]))
    np.testing.assert_allclose(found[:, 0], (0.5, 0.5), atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_tint_multiplies_in_linear_light(dtype):
    texels = TEXELS if dtype is np.uint8 else TEXELS.astype(np.float32) / 255
    tinted = tint(texels, (0.5, 1, 0.25, 0.5))
    assert tinted.dtype == dtype
    expected = linear_to_srgb(srgb_to_linear(TEXELS[..., :3] / 255) * (0.5, 1, 0.25))
    scale = 255 if dtype is np.uint8 else 1
    np.testing.assert_allclose(tinted[..., :3] / scale, expected, atol=0.002)
    np.testing.assert_allclose(tinted[..., 3] / scale, TEXELS[..., 3] / 255 / 2, atol=0.002)
    assert tint(texels, (1, 1, 1)) is texels
