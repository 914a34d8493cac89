"""The IG2MV patch: what it does to a MODEL, what it leaves alone, and what it refuses."""

import importlib
import re

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import PictureError, WeightsError
from safetensors.torch import save_file

SIDE = 8


def draw(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@pytest.fixture
def maps():
    return torch.from_numpy(np.random.default_rng(4).random((6, 6, 64, 64), dtype=np.float32))


@pytest.fixture
def patch(ig2mv, sdxl, adapt, maps):
    """(base) -> the patched MODEL."""
    return lambda base, adapter=None, reference=None: ig2mv.patch.apply_ig2mv(
        base, adapter or adapt(2), draw(3, 1, 4, SIDE, SIDE) if reference is None else reference, maps
    )


@pytest.fixture
def comfy(comfyui_modules):
    """ComfyUI, with the modules that are named here."""
    for name in ("model_base", "model_management", "model_patcher", "sample", "samplers", "supported_models"):
        importlib.import_module(f"comfy.{name}")
    return importlib.import_module("comfy")


def sample(model, *, prompts=(1, 2), cfg=2.0, steps=2, views=6, side=SIDE, control=None):
    """A KSampler's run: the latent of six views."""
    comfy = importlib.import_module("comfy.sample").comfy
    more = {} if control is None else {"control": control, "control_apply_to_uncond": True}
    positive, negative = (
        [[draw(seed, 1, 77, 64), {"pooled_output": draw(seed, 1, 32), **more}]] for seed in prompts
    )
    noise = draw(5, views, 4, side, side)
    return comfy.sample.sample(
        model, noise, steps, cfg, "euler", "ddim_uniform", positive, negative, torch.zeros_like(noise), seed=0
    )


def test_the_given_model_stays_as_it_was(sdxl, patch):
    base = sdxl(1)
    before = sample(base)
    patched = patch(base)
    assert not torch.equal(sample(patched), before)
    assert torch.equal(sample(base), before)


def test_a_patched_model_is_not_patched_again(sdxl, patch):
    with pytest.raises(ValueError, match="patched with IG2MV already"):
        patch(patch(sdxl(1)))


def test_two_samplings_of_one_patched_model_do_not_share_a_prompt(sdxl, patch):
    patched = patch(sdxl(1))
    first = sample(patched, prompts=(1, 2))
    second = sample(patched, prompts=(7, 8))
    assert not torch.equal(first, second)
    assert torch.equal(sample(patched, prompts=(1, 2)), first)


def test_every_view_sees_the_others_and_the_reference(ig2mv, sdxl, patch, maps):
    base = sdxl(1)
    plain = sample(patch(base))
    maps[5] = 0.5
    other_map = sample(patch(base))
    assert all(not torch.equal(one, two) for one, two in zip(plain, other_map, strict=True))
    other_picture = sample(patch(base, reference=draw(9, 1, 4, SIDE, SIDE)))
    assert all(not torch.equal(one, two) for one, two in zip(other_map, other_picture, strict=True))


def test_the_unconditional_half_has_no_reference(ig2mv, sdxl, patch):
    """Its hidden states are zero there, as they are for a picture whose latent nobody looks at."""
    base, seen = sdxl(1), []
    patched = patch(base)

    def run(apply, args):
        rows = apply(args["input"], args["timestep"], **args["c"]).chunk(len(args["cond_or_uncond"]))
        seen.append(rows[args["cond_or_uncond"].index(1)].clone())
        return torch.cat(rows)

    patched.set_model_unet_function_wrapper(run)
    sample(patched, steps=1)
    other = patch(base, reference=draw(9, 1, 4, SIDE, SIDE))
    other.set_model_unet_function_wrapper(run)
    sample(other, steps=1)
    torch.testing.assert_close(seen[0], seen[1])


def test_halves_may_run_one_after_the_other(comfy, sdxl, patch, monkeypatch):
    """As ComfyUI runs them when memory is short: the unconditional one first."""
    patched = patch(sdxl(1))
    together = sample(patched)
    monkeypatch.setattr(comfy.model_base.BaseModel, "memory_required", lambda *args, **kwargs: 1e18)
    monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda *args, **kwargs: 1.0)
    groups = []
    patched.set_model_unet_function_wrapper(
        lambda apply, args: (
            groups.append(args["cond_or_uncond"]) or apply(args["input"], args["timestep"], **args["c"])
        )
    )
    apart = sample(patched)
    assert groups[:2] == [[1], [0]]
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-4)


def test_a_lora_changes_the_views_and_the_reference_s_states(sdxl, patch):
    base = sdxl(1)
    with_lora = base.clone()
    weight = "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
    added = with_lora.add_patches({weight: ("diff", (draw(6, 64, 64),))}, 1.0)
    assert added == [weight]
    assert not torch.equal(sample(patch(with_lora)), sample(patch(base)))


def test_the_adapter_is_loaded_and_offloaded_by_comfyui(comfy, sdxl, patch, adapt, monkeypatch):
    loaded = []
    management = comfy.model_management
    load = management.load_models_gpu
    monkeypatch.setattr(
        management, "load_models_gpu", lambda models, *a, **k: loaded.extend(models) or load(models, *a, **k)
    )
    adapter = adapt(2)
    sample(patch(sdxl(1), adapter))
    assert adapter.model in [patcher.model for patcher in loaded]


def test_the_adapter_runs_while_its_weights_stay_off_the_card(adapt, maps):
    """ComfyUI's low memory mode: every module casts its weights when it is run."""
    adapter = adapt(2)
    place, hidden = ("middle", 0, 1), draw(1, 6, 4, 128)

    def run():
        attended = adapter.model.at(place)(hidden, [draw(2, 1, 4, 128)], 8, {})
        return *adapter.model.condition(maps), attended

    before = run()
    adapter.load(torch.device("cpu"), lowvram_model_memory=1)
    assert adapter.model.model_lowvram and adapter.lowvram_patch_counter() == 0
    modules = [module for module in adapter.model.modules() if hasattr(module, "comfy_cast_weights")]
    weights = sum(value.numel() for module in modules for value in module.parameters(recurse=False))
    assert weights == sum(value.numel() for value in adapter.model.parameters())
    for one, two in zip(before, run(), strict=True):
        assert torch.equal(one, two)


def test_half_precision_runs(ig2mv, small_sdxl, sdxl, model_patches, maps):
    small_sdxl.save(model_patches / "ig2mv_sdxl.safetensors", small_sdxl.draw_adapter(2))
    base = sdxl(1)
    base.model.diffusion_model.to(torch.bfloat16)
    base.model.manual_cast_dtype = None
    base.model.diffusion_model.dtype = torch.bfloat16
    adapter = ig2mv.loading.load_adapter("ig2mv_sdxl.safetensors", base)
    assert {value.dtype for value in adapter.model.parameters()} == {torch.bfloat16}
    views = sample(ig2mv.patch.apply_ig2mv(base, adapter, draw(3, 1, 4, SIDE, SIDE), maps))
    assert torch.isfinite(views).all()


@pytest.mark.parametrize(("views", "side", "found"), [(4, SIDE, "4 of 8x8"), (6, 16, "6 of 16x16")])
def test_another_latent_is_refused(sdxl, patch, views, side, found):
    with pytest.raises(PictureError, match=f"expected a latent batch of 6 with 8x8 pixels.*found {found}"):
        sample(patch(sdxl(1)), views=views, side=side)


def build_meta(comfy, config):
    """A MODEL of published size without weights."""
    config.set_inference_dtype(torch.float32, None)
    device = torch.device("meta")
    return comfy.model_patcher.ModelPatcher(config.get_model({}, device=device), device, device)


SD15 = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "model_channels": 320,
    "use_temporal_attention": False,
    "num_res_blocks": [2, 2, 2, 2],
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
    "context_dim": 768,
    "adm_in_channels": None,
    "use_linear_in_transformer": False,
    "num_heads": 8,
}


def test_the_adapter_of_the_published_size_fits_sdxl_key_by_key(comfy, small_sdxl, ig2mv):
    """738 tensors, 900,606,400 numbers: as the reference builds it."""
    model = build_meta(comfy, comfy.supported_models.SDXL(dict(small_sdxl.PUBLISHED_UNET)))
    blocks = ig2mv.loading.list_blocks(model)
    assert len(blocks) == 70 and sorted({block.width for block in blocks}) == [640, 1280]
    with torch.device("meta"):
        adapter = small_sdxl.build_published_adapter(blocks, torch.float16)
    state = adapter.state_dict()
    assert len(state) == 738 and sum(value.numel() for value in state.values()) == 900_606_400


def test_sd15_is_refused_by_name(comfy, ig2mv, adapt, model_patches):
    adapt(2)
    name = "2_mvadapter_ig2mv_sdxl.safetensors"
    with pytest.raises(
        WeightsError,
        match=r"made for an SDXL checkpoint \(17 self-attention blocks of width 64, 128\); the model given is"
        r" SD15 \(16 self-attention blocks of width 320, 640, 1280\)\. Choose an SDXL checkpoint",
    ):
        ig2mv.loading.load_adapter(name, build_meta(comfy, comfy.supported_models.SD15(dict(SD15))))


def test_a_model_that_is_no_unet_is_refused_by_name(ig2mv, adapt, sdxl, model_patches):
    adapt(2)
    base = sdxl(1)
    base.model.model_config.unet_config = {"image_model": "flux"}
    with pytest.raises(WeightsError, match=r"is SmallSDXL .no UNet with transformer blocks"):
        ig2mv.loading.load_adapter("2_mvadapter_ig2mv_sdxl.safetensors", base)


def test_a_missing_adapter_quotes_the_catalogue(ig2mv, sdxl, model_patches):
    with pytest.raises(WeightsError) as caught:
        ig2mv.loading.load_adapter("auto", sdxl(1))
    text = str(caught.value)
    assert "models/model_patches or models/controlnet; found none" in text
    assert re.search(r"mvadapter_ig2mv_sdxl.safetensors .*1.8 GB; Apache License 2.0, worldwide", text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: {"a": weights["adapter.conv_in.bias"]},
            "not an MV-Adapter IG2MV file.*found 1 keys, such as a",
        ),
        (
            lambda weights: {key: value for key, value in weights.items() if "_ref" not in key},
            "is damaged: it has no .*to_q_ref.weight",
        ),
        (
            lambda weights: {**weights, "adapter.conv_in.bias": torch.zeros(7)},
            r"is damaged: adapter\.conv_in\.bias has shape \(7,\); expected \(32,\)",
        ),
    ],
)
def test_another_kind_of_file_is_refused(ig2mv, small_sdxl, sdxl, model_patches, change, message):
    save_file(change(small_sdxl.draw_adapter(2)), str(model_patches / "ig2mv_sdxl.safetensors"))
    with pytest.raises(WeightsError, match=f"(?s){message}"):
        ig2mv.loading.load_adapter("ig2mv_sdxl.safetensors", sdxl(1))


def test_a_cut_off_file_is_refused(ig2mv, small_sdxl, sdxl, model_patches):
    path = model_patches / "ig2mv_sdxl.safetensors"
    small_sdxl.save(path, small_sdxl.draw_adapter(2))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"ig2mv_sdxl\.safetensors cannot be read"):
        ig2mv.loading.load_adapter("auto", sdxl(1))
