"""IG2MV through ComfyUI against MV-Adapter's own code, on identical random weights and inputs in float32.

tests/golden/ig2mv.npz holds what the reference (huanngzh/MV-Adapter at 4277e00 on diffusers 0.35.2; torch
2.13.0 on the CPU) answered for small_sdxl.draw_unet(11), draw_adapter(12), 128-pixel views: context rng(1),
pooled rng(2) (positive first), reference latent rng(3), maps rng(4) uniform, noise rng(5).
step_G, views_G   latents after one and after all of 10 steps with guidance G (1: none)
sigmas            the scheduler's levels, features the mean size of the encoder's four feature maps
uv, position      of 80 points of rng(6) seen by its six cameras, and as its position map has them
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from character3d.pipeline.cameras import build_six_view_rig, project_points
from character3d.pipeline.generating_multiview_texture import maps_to_condition
from character3d.pipeline.types import Mesh, ViewMaps

GOLDEN = np.load(Path(__file__).resolve().parents[1] / "golden" / "ig2mv.npz")
CLOSE = 1e-3
SIDE = 16


def draw(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def draw_inputs():
    """Conditioning (positive, negative), reference latent, maps and noise."""
    context, pooled = draw(1, 2, 77, 64), draw(2, 2, 32)
    conditioning = [[[context[row : row + 1], {"pooled_output": pooled[row : row + 1]}]] for row in (0, 1)]
    maps = torch.from_numpy(np.random.default_rng(4).random((6, 6, 128, 128), dtype=np.float32))
    return conditioning, draw(3, 1, 4, SIDE, SIDE), maps, draw(5, 6, 4, SIDE, SIDE)


def difference(ours, golden):
    assert tuple(ours.shape) == golden.shape
    return float(np.abs(np.asarray(ours) - golden).max())


def test_noise_levels_and_condition_features(ig2mv, sdxl, adapt):
    adapter = adapt(12)
    _, _, maps, _ = draw_inputs()
    sampling = ig2mv.schedule.shift_noise(sdxl(11).get_model_object("model_sampling"))
    assert difference(ig2mv.schedule.list_sigmas(sampling, 10), GOLDEN["sigmas"]) < 1e-5
    features = adapter.model.condition(maps)
    np.testing.assert_allclose([feature.abs().mean() for feature in features], GOLDEN["features"], rtol=1e-5)
    assert [tuple(feature.shape[1:]) for feature in features] == [
        (32, 8, 8),
        (64, 8, 8),
        (128, 4, 4),
        (128, 4, 4),
    ]


@pytest.mark.nightly_cases
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_one_step_and_ten(ig2mv, sdxl, adapt, guidance):
    (positive, negative), reference, maps, noise = draw_inputs()
    base = sdxl(11)
    model = ig2mv.patch.apply_ig2mv(base, adapt(12), base.model.process_latent_out(reference), maps)
    states = []
    model.set_model_sampler_post_cfg_function(
        lambda args: states.append(args["input"].clone()) or args["denoised"]
    )
    views = ig2mv.generate.sample_views(
        model,
        positive,
        negative,
        steps=10,
        cfg_scale=guidance,
        noise=noise,
        progress=lambda fraction: None,
    )
    assert difference(states[1], GOLDEN[f"step_{guidance:g}"]) < CLOSE
    assert difference(base.model.process_latent_in(views), GOLDEN[f"views_{guidance:g}"]) < CLOSE


def test_comfyui_s_ddim_uniform_has_the_reference_s_ten_steps(ig2mv, sdxl):
    from comfy.samplers import calculate_sigmas

    sampling = ig2mv.schedule.shift_noise(sdxl(11).get_model_object("model_sampling"))
    assert difference(calculate_sigmas(sampling, "ddim_uniform", 10), GOLDEN["sigmas"]) < 1e-5


def draw_points():
    points = np.random.default_rng(6).uniform(-0.8, 0.8, (40, 3)) * (0.4, 1, 0.3)
    return np.concatenate((points, -points))


def test_cameras_are_those_of_the_reference():
    """Wherever the mesh stands and however large it is: theirs are moved and scaled to the cameras."""
    points = draw_points() * 3 + (5, -1, 2)
    mesh = Mesh(points, np.arange(78).reshape(-1, 3))
    for camera, expected in zip(build_six_view_rig(mesh).cameras, GOLDEN["uv"], strict=True):
        uv, _ = project_points(camera, mesh.positions)
        np.testing.assert_allclose(uv, expected, atol=2e-6)


def test_position_maps_are_in_the_frame_of_the_reference():
    points = draw_points()
    rig = build_six_view_rig(Mesh(points, np.arange(78).reshape(-1, 3)))
    position = np.zeros((6, 10, 10, 3), np.float32)
    position[0].reshape(-1, 3)[:80] = points
    mask = np.zeros((6, 10, 10), np.bool_)
    mask[0].reshape(-1)[:80] = True
    normal = np.broadcast_to(np.array((0, 0, 1), np.float32), position.shape) * mask[..., None]
    made, normals = maps_to_condition(ViewMaps(rig, position, normal, np.zeros_like(mask, np.float32), mask))
    np.testing.assert_allclose(made[0].reshape(-1, 3)[:80], GOLDEN["position"], atol=1e-6)
    # Towards the viewer of the front view is -Y there; where nothing is, both are zero, which is grey.
    np.testing.assert_allclose(normals[0].reshape(-1, 3)[:80], np.tile((0.5, 0, 0.5), (80, 1)), atol=1e-7)
    assert (made[~mask] == 0.5).all() and (normals[~mask] == 0.5).all()
