"""The learned stage as a whole, and where it corrects ComfyUI."""

import importlib

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import PictureError
from character3d.pipeline.types import FramedPicture
from character3d.tests import small_hunyuan3d as small


@pytest.fixture
def load(hunyuan3d, models):
    def load(layout, name):
        small.save_checkpoint(models / name, small.draw_checkpoint(layout), torch.float32)
        return hunyuan3d.loading.load_shape_model(name)

    return load


@pytest.fixture
def picture():
    rgba = np.zeros((200, 200, 4), np.float32)
    rgba[40:160, 60:140] = (0.8, 0.4, 0.2, 1.0)
    return FramedPicture(rgba)


def few_latents(shape):
    """For speed: most of the time goes into the attention between a shape's tokens."""
    object.__setattr__(shape, "latent_count", 24)
    return shape


def generate(hunyuan3d, shape, pictures, seed=1, steps=2, **options):
    return hunyuan3d.generate.generate_field(
        shape, pictures, steps=steps, guidance_scale=5.5, seed=seed, resolution=16, **options
    )


def test_the_picture_is_framed_on_white_with_the_models_border(hunyuan3d, picture):
    image = hunyuan3d.conditioning.picture_to_image(picture)[0]
    assert image.shape == (518, 518, 3) and image[:30].min() == 1 and image[0, 0, 0] == 1
    rows = np.flatnonzero((image[:, 259] < 0.95).any(dim=-1).numpy())
    assert np.ptp(rows) + 1 == pytest.approx(518 * 0.85, abs=2)
    assert torch.allclose(image[259, 259], torch.tensor([0.8, 0.4, 0.2]), atol=1e-3)


@pytest.mark.nightly
def test_seed_and_picture_decide(hunyuan3d, load, picture):
    shape = few_latents(load("mini", "hunyuan3d-dit-v2-mini.safetensors"))
    other = FramedPicture(picture.rgba[:, ::-1] * np.array([0.2, 1, 1, 1], np.float32))
    first, again = (generate(hunyuan3d, shape, {"front": picture}).values for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, generate(hunyuan3d, shape, {"front": picture}, seed=2).values)
    assert not torch.equal(first, generate(hunyuan3d, shape, {"front": other}).values)


def test_sides_are_for_multiview_models(hunyuan3d, load, picture):
    shape = few_latents(load("mini", "hunyuan3d-dit-v2-mini.safetensors"))
    with pytest.raises(PictureError, match="takes one picture, from the front; found back, left as well"):
        generate(hunyuan3d, shape, {"front": picture, "left": picture, "back": picture})


@pytest.mark.nightly
def test_a_view_is_not_taken_for_another(hunyuan3d, load, picture):
    shape = few_latents(load("2.0", "hunyuan3d-dit-v2-mv.safetensors"))
    fields = [
        generate(hunyuan3d, shape, {"front": picture, side: picture}).values for side in ("left", "right")
    ]
    fields.append(generate(hunyuan3d, shape, {"front": picture}).values)
    assert not any(torch.equal(fields[a], fields[b]) for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(
    ("steps", "turbo", "sigmas"),
    [
        (5, False, [1, 0.75, 0.5, 0.25, 0]),
        (1, False, [1, 0]),
        (1, True, [1, 0]),
        # 1 minus numbers 0, 20, 40.. of the 100 times 0, 9, 19, 29 .. of 999
        (5, True, [1, 1 - 199 / 999, 1 - 399 / 999, 1 - 599 / 999, 1 - 799 / 999, 0]),
    ],
)
def test_schedules(hunyuan3d, steps, turbo, sigmas):
    assert hunyuan3d.sampling.build_sigmas(steps, turbo=turbo).tolist() == pytest.approx(sigmas, abs=1e-6)


def test_progress_covers_the_steps(hunyuan3d, load, picture):
    shape, seen = few_latents(load("mini", "hunyuan3d-dit-v2-mini.safetensors")), []
    generate(hunyuan3d, shape, {"front": picture}, steps=6, progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert len({value for value in seen if 0.05 < value <= 0.6}) == 5


def test_cancelling_stops_within_a_step(hunyuan3d, load, picture):
    """Signalled in the middle of the third step, as another thread would; no fourth one is begun."""
    management = importlib.import_module("comfy.model_management")
    shape = few_latents(load("mini", "hunyuan3d-dit-v2-mini.safetensors"))
    calls = []

    def count(module, inputs):
        calls.append(module)
        if len(calls) == 3:
            management.interrupt_current_processing()

    handle = shape.model.model.diffusion_model.final_layer.register_forward_pre_hook(count)
    try:
        with pytest.raises(management.InterruptProcessingException):
            generate(hunyuan3d, shape, {"front": picture}, steps=20)
    finally:
        handle.remove()
        management.interrupt_current_processing(False)
    assert len(calls) == 3


# -- Hunyuan3D 2.1, which ComfyUI runs only on pairs and only as stored ---------------------------------


@pytest.fixture
def model_2_1(load):
    shape = load("2.1", "hunyuan3d-dit-v2-1.safetensors")
    shape.model.patch_model()
    return shape.model.model.diffusion_model


def test_2_1_treats_every_entry_of_a_batch_by_itself(model_2_1):
    generator = torch.Generator().manual_seed(0)
    x, context = (torch.randn(shape, generator=generator) for shape in ((3, 64, 8), (3, 20, 1024)))
    time = torch.tensor([0.9, 0.5, 0.1])
    together = model_2_1(x, time, context)
    alone = [model_2_1(x[n : n + 1], time[n : n + 1], context[n : n + 1]) for n in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_2_1_answers_as_comfyui_where_comfyui_is_right(model_2_1):
    """One shape, with and without condition in one batch."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, 64, 8), generator=generator).repeat(2, 1, 1)
    context = torch.cat([torch.randn((1, 20, 1024), generator=generator), torch.zeros(1, 20, 1024)])
    time = torch.tensor([0.5, 0.5])
    theirs = type(model_2_1).forward(model_2_1, x, time, context)
    # PyTorch's attention rounds a batch of one otherwise than a batch of two.
    torch.testing.assert_close(model_2_1(x, time, context), theirs, atol=5e-6, rtol=0)


def test_2_1_lets_others_replace_its_blocks(model_2_1):
    """transformer_options reach the corrected forward pass as they reach ComfyUI's."""
    generator = torch.Generator().manual_seed(0)
    x, context = (torch.randn(shape, generator=generator) for shape in ((1, 64, 8), (1, 20, 1024)))
    plain, seen = model_2_1(x, torch.tensor([0.5]), context), []

    def replace(inputs, extra):
        seen.append(sorted(inputs))
        return extra["original_block"]({**inputs, "x": inputs["x"] * 1.5})

    options = {"patches_replace": {"dit": {("block", 1): replace}}}
    replaced = model_2_1(x, torch.tensor([0.5]), context, transformer_options=options)
    assert seen == [["cond", "skip", "t", "x"]] and not torch.equal(replaced, plain)


def test_2_1_is_left_alone_once_comfyui_runs_it_correctly(hunyuan3d, load, monkeypatch):
    corrections = importlib.import_module("character3d.backends.hunyuan3d.corrections")
    assert load("2.1", "hunyuan3d-dit-v2-1.safetensors").model.object_patches
    core = importlib.import_module("comfy.ldm.hunyuan3dv2_1.hunyuandit")
    monkeypatch.setattr(core.HunYuanDiTPlain, "forward", corrections._forward)
    monkeypatch.setattr(core.CrossAttention, "forward", corrections._attend)
    assert not load("2.1", "hunyuan3d-dit-v2-1-b.safetensors").model.object_patches


@pytest.mark.nightly
def test_2_1_runs_without_guidance(hunyuan3d, load, picture):
    shape = few_latents(load("2.1", "hunyuan3d-dit-v2-1.safetensors"))
    field = hunyuan3d.generate.generate_field(
        shape, {"front": picture}, steps=2, guidance_scale=1.0, seed=1, resolution=16
    )
    assert torch.isfinite(field.values).all()


@pytest.mark.nightly
@pytest.mark.parametrize("layout", ["2.0", "fast", "2.1"])
@pytest.mark.parametrize("stored", ["fp8_e4m3fn_unet", "fp16_unet"])
def test_weights_stored_in_another_precision_than_computed_in(
    hunyuan3d, load, picture, monkeypatch, layout, stored
):
    """What ComfyUI does for float8 files, and for half precision on cards that compute in float32."""
    exact = generate(hunyuan3d, few_latents(load(layout, "hunyuan3d.safetensors")), {"front": picture})
    monkeypatch.setattr(importlib.import_module("comfy.cli_args").args, stored, True)
    shape = few_latents(load(layout, "hunyuan3d-cast.safetensors"))
    model = shape.model.model
    assert model.manual_cast_dtype == torch.float32 != model.diffusion_model.dtype
    cast = generate(hunyuan3d, shape, {"front": picture})
    assert (cast.values - exact.values).abs().mean() < 0.3 * exact.values.std()


# -- decoding -----------------------------------------------------------------------------------------


def test_the_decoder_agrees_with_comfyuis_dense_one(hunyuan3d, load):
    """ComfyUI maps the field from -1..1 to 0..1 and cuts off what lies beyond."""
    shape = load("mini", "hunyuan3d-dit-v2-mini.safetensors")
    latent = torch.randn((1, 64, 24), generator=torch.Generator().manual_seed(0))
    ours = hunyuan3d.decoding.decode_field(shape.vae, latent, 24).values
    theirs = shape.vae.decode(latent, vae_options={"octree_resolution": 24, "num_chunks": 8000})[0]
    assert torch.allclose(((ours + 1) / 2).clamp(0, 1), theirs.permute(2, 1, 0), atol=1e-4)
    assert ((theirs > 0) & (theirs < 1)).float().mean() > 0.1


def test_chunks_fit_the_free_memory(hunyuan3d, load, monkeypatch):
    shape = load("mini", "hunyuan3d-dit-v2-mini.safetensors")
    decoder, tokens = shape.vae.first_stage_model, torch.zeros(1, 512, 64)
    sizes = []
    for free in (1, 2**26, 2**28, 2**40):
        monkeypatch.setattr(hunyuan3d.decoding.comfy.model_management, "get_free_memory", lambda d, f=free: f)
        sizes.append(hunyuan3d.decoding.choose_chunk(decoder, tokens, torch.device("cpu")))
    assert sizes == sorted(sizes) and sizes[0] == 1_000 and sizes[-1] == 10_000
