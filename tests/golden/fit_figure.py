"""Fits the small shape decoder of tests/small_hunyuan3d.py to a figure: makes figure_decoder.npz (seed 0).

    python tests/golden/fit_figure.py

Whatever the diffusion model puts out, this decoder makes a person of capsules from it, arms and legs
spread, in Hunyuan3D's frame; so a test can follow a learned mesh through every stage. Its attention to the
latent is off.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import gelu, layer_norm, linear, smooth_l1_loss

WIDTH, STEPS, BATCH = 64, 6000, 8192
TRUNCATION = 0.06
LIMBS = (
    ((0, -0.02, 0), (0, 0.3, 0), 0.17), ((0, 0.48, 0), (0, 0.6, 0), 0.07),
    ((0, 0.72, 0.01), (0, 0.78, 0), 0.15),
    ((0.09, -0.08, 0), (0.2, -0.5, 0.02), 0.085), ((0.2, -0.5, 0.02), (0.27, -0.86, -0.01), 0.062),
    ((0.27, -0.885, -0.01), (0.3, -0.89, 0.13), 0.05), ((0.14, 0.4, 0), (0.42, 0.2, -0.01), 0.06),
    ((0.42, 0.2, -0.01), (0.67, 0.02, 0.02), 0.048), ((0.67, 0.02, 0.02), (0.76, -0.05, 0.03), 0.045),
)  # fmt: skip
"""Start, end and radius of the capsules of the left half (+X)."""


def measure_figure(points):
    """Truncated signed distance (N,) of points (N, 3), positive inside, 1 at TRUNCATION and beyond."""
    mirror = torch.tensor([1.0, 1.0, 1.0]), torch.tensor([-1.0, 1.0, 1.0])
    distance = torch.full((len(points),), torch.inf)
    for start, end, radius in LIMBS:
        for side in mirror:
            a, b = torch.tensor(start) * side, torch.tensor(end) * side
            t = (((points - a) @ (b - a)) / ((b - a) @ (b - a))).clamp(0, 1)
            limb = (points - a - t[:, None] * (b - a)).norm(dim=1) - radius
            # A smooth minimum: limbs grow out of the trunk.
            blend = (0.04 - (distance - limb).abs()).clamp(min=0)
            distance = torch.minimum(distance, limb) - blend**2 / 0.16
    return (-distance / TRUNCATION).clamp(-1, 1)


def draw_points(generator):
    """Half of them anywhere in the cube, half near the figure."""
    points = torch.rand((BATCH, 3), generator=generator) * 2.1 - 1.05
    limb = torch.randint(len(LIMBS), (BATCH // 2,), generator=generator)
    start, end = (torch.tensor([limb[part] for limb in LIMBS])[limb] for part in (0, 1))
    near = start + torch.rand((BATCH // 2, 1), generator=generator) * (end - start)
    near = near + torch.randn((BATCH // 2, 3), generator=generator) * 0.12
    near[::2, 0] *= -1
    points[: BATCH // 2] = near.clamp(-1.05, 1.05)
    return points


def embed(points):
    """The Fourier features of the shape decoder: x, sin and cos of 1, 2, 4 .. 128 times x."""
    waves = (points[..., None] * 2.0 ** torch.arange(8)).flatten(-2)
    return torch.cat([points, waves.sin(), waves.cos()], dim=-1)


def evaluate(weights, points):
    x = linear(embed(points), weights["query_proj.weight"], weights["query_proj.bias"])
    block = "cross_attn_decoder"
    hidden = layer_norm(x, (WIDTH,), weights[f"{block}.ln_3.weight"], weights[f"{block}.ln_3.bias"], 1e-6)
    hidden = gelu(linear(hidden, weights[f"{block}.mlp.c_fc.weight"], weights[f"{block}.mlp.c_fc.bias"]))
    x = x + linear(hidden, weights[f"{block}.mlp.c_proj.weight"], weights[f"{block}.mlp.c_proj.bias"])
    x = layer_norm(x, (WIDTH,), weights["ln_post.weight"], weights["ln_post.bias"])
    return linear(x, weights["output_proj.weight"], weights["output_proj.bias"])[:, 0]


def start_weights(generator):
    """Random, with little weight on the high frequencies, which would make noise between the points."""
    shapes = {"query_proj": (WIDTH, 51), "output_proj": (1, WIDTH)}
    shapes |= {
        "cross_attn_decoder.mlp.c_fc": (4 * WIDTH, WIDTH),
        "cross_attn_decoder.mlp.c_proj": (WIDTH, 4 * WIDTH),
    }
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        weights[f"{name}.bias"] = torch.zeros(shape[0])
    for name in ("ln_post", "cross_attn_decoder.ln_3"):
        weights |= {f"{name}.weight": torch.ones(WIDTH), f"{name}.bias": torch.zeros(WIDTH)}
    frequency = torch.cat([torch.ones(3), *2 * [(2.0 ** torch.arange(8)).repeat(3)]])
    weights["query_proj.weight"] *= 4 / frequency.clamp(min=1)
    return {name: value.requires_grad_() for name, value in weights.items()}


def main():
    generator = torch.Generator().manual_seed(0)
    weights = start_weights(generator)
    optimizer = torch.optim.Adam(weights.values(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        points = draw_points(generator)
        loss = smooth_l1_loss(evaluate(weights, points), measure_figure(points), beta=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    arrays = {
        f"vae.geo_decoder.{name}": value.detach().numpy().astype(np.float16)
        for name, value in weights.items()
    }
    np.savez_compressed(Path(__file__).with_name("figure_decoder.npz"), **arrays)


if __name__ == "__main__":
    main()
