"""Hunyuan3D through ComfyUI against Tencent's own code, on identical random weights and inputs in float32.

tests/golden/hunyuan3d_*.npz holds what the reference (Tencent/Hunyuan3D-2 at 2ee4770, Hunyuan3D-2.1 at
5e3ec6d; torch 2.13.0 on the CPU) answered for the weights of draw_checkpoint(layout, seed) below:
tokens   every 100th token of the picture(s) of rng(7)
step     the diffusion model at time 0.3 on rng(2) noise (1, 32, 64) with rng(1) context (1, 20, D)
latent   the pipeline's latent from the same noise and context after 10 steps (turbo: 5), guidance 5.5
field    the decoder at 500 points of rng(3), uniform in the cube, for that latent
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from character3d.tests import small_hunyuan3d as small

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
CLOSE = 1e-4
CASES = {
    "2.0": ("2.0", 10, "hunyuan3d-dit-v2-0.safetensors"),
    "mini": ("mini", 20, "hunyuan3d-dit-v2-mini.safetensors"),
    "mv": ("2.0", 30, "hunyuan3d-dit-v2-mv.safetensors"),
    "turbo": ("fast", 40, "hunyuan3d-dit-v2-0-turbo.safetensors"),
    "fast": ("fast", 50, "hunyuan3d-dit-v2-0-fast.safetensors"),
    "2.1": ("2.1", 60, "hunyuan3d-dit-v2-1.safetensors"),
}
every_model = pytest.mark.parametrize("case", CASES)


def draw(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@pytest.fixture
def load(hunyuan3d, models, full_precision):
    def load(case):
        layout, seed, file = CASES[case]
        small.save_checkpoint(models / file, small.draw_checkpoint(layout, seed), torch.float32)
        return hunyuan3d.loading.load_shape_model(file), np.load(GOLDEN / f"hunyuan3d_{case}.npz")

    return load


def difference(ours, golden):
    assert ours.shape == golden.shape
    return float(np.abs(ours.numpy() - golden).max())


def context(shape):
    width = 1024 if shape.latent_count == 4096 else 128
    return draw(1, 1, 20, width)


@every_model
def test_image_encoder(load, hunyuan3d, monkeypatch, case):
    shape, golden = load(case)
    pictures = torch.from_numpy(
        np.random.default_rng(7).integers(0, 256, (2, 518, 518, 3)).astype(np.float32)
    )
    monkeypatch.setattr(
        hunyuan3d.conditioning, "picture_to_image", lambda number: pictures[number][None] / 255
    )
    views = {"front": 0, "left": 1} if case == "mv" else {"front": 0}
    positive, negative = hunyuan3d.conditioning.encode_pictures(shape, views, 5.5)
    assert difference(positive[0][0][0, ::100], golden["tokens"]) < CLOSE
    assert negative[0][0].shape == positive[0][0].shape and not negative[0][0].any()


@every_model
def test_one_step(load, case):
    shape, golden = load(case)
    model = shape.model.model.diffusion_model
    options = {"guidance": torch.tensor([5.5])} if shape.has_guidance_embedding else {}
    shape.model.patch_model()
    velocity = -model(draw(2, 1, 32, 64).movedim(-1, -2), torch.tensor([0.7]), context(shape), **options)
    assert difference(velocity[0].T, golden["step"]) < CLOSE


@every_model
def test_whole_sampler_and_decoder(load, hunyuan3d, case):
    shape, golden = load(case)
    embeds = context(shape)
    latent = hunyuan3d.sampling.sample_latent(
        shape,
        [[embeds, {"guidance": 5.5}]],
        [[torch.zeros_like(embeds), {"guidance": 5.5}]],
        steps=5 if case == "turbo" else 10,
        guidance_scale=5.5,
        noise=draw(2, 1, 32, 64).movedim(-1, -2).contiguous(),
        progress=lambda fraction: None,
    )
    unscaled = shape.model.model.process_latent_in(latent)
    assert difference(unscaled[0].T, golden["latent"]) < CLOSE
    points = np.random.default_rng(3).uniform(-1.01, 1.01, (1, 500, 3)).astype(np.float32)
    query, _ = hunyuan3d.decoding.open_decoder(shape.vae, latent)
    assert difference(query(torch.from_numpy(points[0])), golden["field"]) < CLOSE
