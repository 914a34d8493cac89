"""The learned methods where ComfyUI moves weights on demand: they answer as they do elsewhere."""

import importlib

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import WeightsError
from character3d.tests import small_hunyuan3d, small_make_it_animatable, small_networks, small_skintokens
from character3d.tests.dynamic_vram import enable

from .test_generate import few_latents, generate, load, picture  # noqa: F401
from .test_ig2mv import maps, patch, sample  # noqa: F401
from .test_networks import backends, folders, install, run_u2net  # noqa: F401
from .test_skintokens import ball  # noqa: F401


def is_dynamic(patcher):
    return patcher.is_dynamic() and any(hasattr(layer, "hidden_weights") for layer in patcher.model.modules())


@pytest.mark.nightly_cases
@pytest.mark.parametrize("layout", ["mini", "2.1"])
def test_hunyuan3d(hunyuan3d, load, picture, full_precision, monkeypatch, layout):  # noqa: F811
    """2.1 is corrected, and a MODEL without dynamic VRAM can be had of it."""
    plain = generate(hunyuan3d, few_latents(load(layout, "hunyuan3d-1.safetensors")), {"front": picture})
    enable(monkeypatch)
    shape = few_latents(load(layout, "hunyuan3d-2.safetensors"))
    field = generate(hunyuan3d, shape, {"front": picture})
    torch.testing.assert_close(field.values, plain.values, atol=1e-4, rtol=1e-4)
    patchers = shape.model, shape.image_encoder.patcher, shape.vae.patcher
    assert [is_dynamic(patcher) for patcher in patchers] == [True, True, True]
    assert {weight.dtype for weight in shape.vae.first_stage_model.parameters()} == {shape.vae.vae_dtype}
    object.__setattr__(shape, "model", shape.model.clone(disable_dynamic=True))
    assert not shape.model.is_dynamic()
    again = generate(hunyuan3d, shape, {"front": picture})
    torch.testing.assert_close(again.values, plain.values, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "key",
    [
        "model.double_blocks.1.img_attn.proj.weight",
        "vae.geo_decoder.query_proj.weight",
        small_hunyuan3d.DINO + "encoder.layer.1.attention.output.dense.weight",
    ],
)
def test_a_tensor_of_the_wrong_shape_is_named(hunyuan3d, models, monkeypatch, key):
    """ComfyUI sets it then without a look at its shape."""
    enable(monkeypatch)
    weights = small_hunyuan3d.draw_checkpoint("2.0")
    weights[key] = weights[key][:, :7].clone()
    small_hunyuan3d.save_checkpoint(models / "hunyuan3d.safetensors", weights)
    with pytest.raises(WeightsError, match=rf"does not fit .*{key.split('.', 3)[-1]}: found .*, 7\)"):
        hunyuan3d.loading.load_shape_model("auto")


def test_ig2mv(ig2mv, small_sdxl, sdxl, patch, maps, model_patches, monkeypatch):  # noqa: F811
    plain = sample(patch(sdxl(1)))
    unet = small_sdxl.draw_unet(1)
    enable(monkeypatch)
    patchers = importlib.import_module("comfy.model_patcher")
    model = small_sdxl.build_config().get_model({})
    model.diffusion_model.load_state_dict(unet, assign=True)
    base = patchers.CoreModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
    adapter = ig2mv.loading.load_adapter("2_mvadapter_ig2mv_sdxl.safetensors", base)
    views = sample(patch(base, adapter))
    torch.testing.assert_close(views, plain, atol=1e-4, rtol=1e-4)
    assert is_dynamic(base) and is_dynamic(adapter)


def test_make_it_animatable(make_it_animatable, rig_models, monkeypatch):
    small_make_it_animatable.save_files(rig_models, 12)
    points = torch.rand(2, 1024, 3, generator=torch.Generator().manual_seed(0))
    cloud = make_it_animatable.model.PointCloud(*points, 512)
    asked = {
        "joints": lambda model, latents: model.predict_joints(latents),
        "pose": lambda model, latents: model.predict_turns(latents, torch.ones(52, 6)),
        "bw_normal": lambda model, latents: model.predict_weights(latents, *points),
    }

    def ask(kind):
        patcher = make_it_animatable.loading.load_model(kind)
        model, _ = make_it_animatable.loading.move_model(patcher)
        return asked[kind](model, model.encode(cloud)), patcher

    plain = {kind: ask(kind)[0] for kind in asked}
    enable(monkeypatch)
    for kind in asked:
        answer, patcher = ask(kind)
        torch.testing.assert_close(answer, plain[kind])
        assert is_dynamic(patcher)


def test_skintokens(skintokens, token_models, ball, monkeypatch):  # noqa: F811
    small_skintokens.save_file(token_models, 5)
    monkeypatch.setattr(skintokens.generate, "POINTS", 2048)
    places, words = np.array(((0, 0.1, 0), (0, 0.5, 0), (0, 0.9, 0)), np.float32), torch.tensor([[3, 5, 8]])

    def ask(patcher):
        skin = skintokens.generate.predict_skin(ball, places, [-1, 0, 1], patcher)
        language = patcher.model.language
        return torch.from_numpy(skin), language.score(language(language.embed(words), []))

    plain = ask(skintokens.loading.load_model())
    enable(monkeypatch)
    patcher = skintokens.loading.load_model()
    torch.testing.assert_close(ask(patcher), plain)
    assert is_dynamic(patcher)


def test_networks_of_files(backends, install, monkeypatch):  # noqa: F811
    """Their weights are buffers, which ComfyUI moves whole."""
    install("u2net", small_networks.draw_u2net(1))
    plain = run_u2net(backends, 1)
    enable(monkeypatch)
    np.testing.assert_array_equal(run_u2net(backends, 1), plain)
    assert backends.u2net.load_model().is_dynamic()
