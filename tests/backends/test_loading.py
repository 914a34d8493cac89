"""Files of every layout that people have, and files that are not what they seem."""

import importlib
import json
import pickle
from pathlib import Path

import pytest
import torch
from character3d.pipeline.errors import WeightsError
from character3d.tests import small_hunyuan3d as small

LAYOUTS = {
    # name of the file: layout, (latents, multiview, turbo, guidance embedding)
    "hunyuan3d-dit-v2-0-fp16.safetensors": ("2.0", (3072, False, False, False)),
    "hunyuan3d-dit-v2_fp16.safetensors": ("2.0", (3072, False, False, False)),
    "hunyuan3d-dit-v2-0-fast/model.fp16.safetensors": ("fast", (3072, False, False, True)),
    "hunyuan3d-dit-v2-0-turbo-fp16.safetensors": ("fast", (3072, False, True, True)),
    "hunyuan3d-dit-v2-mini/model.fp16.ckpt": ("mini", (512, False, False, False)),
    "hunyuan3d-dit-v2-mv_fp16.safetensors": ("2.0", (3072, True, False, False)),
    "hunyuan3d-dit-v2-mv-turbo_fp16.safetensors": ("fast", (3072, True, True, True)),
    "hunyuan3d-dit-v2-1/model.fp16.ckpt": ("2.1", (4096, False, False, False)),
}


@pytest.mark.nightly_cases
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_loads_whole(hunyuan3d, models, name):
    layout, expected = LAYOUTS[name]
    weights = small.draw_checkpoint(layout)
    small.save_checkpoint(models / name, weights, torch.float32)
    shape = hunyuan3d.loading.load_shape_model(name)
    traits = shape.traits
    assert (shape.latent_count, traits.multiview, traits.turbo, shape.has_guidance_embedding) == expected
    for prefix, module in (
        ("model.", shape.model.model.diffusion_model),
        ("vae.", shape.vae.first_stage_model),
        (small.DINO, shape.image_encoder.model),
    ):
        loaded = module.state_dict()
        given = {key[len(prefix) :]: value for key, value in weights.items() if key.startswith(prefix)}
        if prefix == "model.":  # ComfyUI has names of its own for some since 2026
            given = shape.model.model.model_config.process_unet_state_dict(given)
        assert loaded.keys() == given.keys()
        tolerance = 1e-2 if prefix == small.DINO else 0  # ComfyUI keeps image encoders in float16
        assert all((loaded[key].float() - given[key]).abs().max() <= tolerance for key in given)


def test_comfyuis_own_prefix_for_diffusion_models_is_known(hunyuan3d, models):
    weights = small.draw_checkpoint("mini")
    renamed = {key.replace("model.", "model.model.", 1) if key.startswith("model.") else key: value
               for key, value in weights.items()}  # fmt: skip
    small.save_checkpoint(models / "hunyuan3d.safetensors", renamed)
    assert hunyuan3d.loading.load_shape_model("auto").latent_count == 512


def test_the_image_encoders_are_configured_as_comfyui_configures_them(hunyuan3d, comfyui_folder, monkeypatch):
    """DINOv2 giant and large, from the sizes in the published files."""
    loading, seen = hunyuan3d.loading, []

    class Stop(Exception):
        pass

    def read(path):
        seen.append(json.loads(Path(path).read_text(encoding="utf-8")))
        raise Stop

    monkeypatch.setattr(loading.comfy.clip_vision, "ClipVisionModel", read)
    for file, width, layers, swiglu in (("dino2_giant", 1536, 40, True), ("dino2_large", 1024, 24, False)):
        names = small.list_dino(width, layers, swiglu)
        weights = {name: torch.empty(shape, device="meta") for name, shape in names.items()}
        checkpoint = loading.Checkpoint("giant", {}, weights, {})
        with pytest.raises(Stop):
            loading._build_image_encoder(checkpoint)
        core = json.loads((comfyui_folder / "comfy/image_encoders" / f"{file}.json").read_text())
        ours = seen.pop()
        shared = ours.keys() & core.keys()
        assert {key: ours[key] for key in shared} == {key: core[key] for key in shared}
        assert len(shared) >= 8


def test_a_missing_key_is_named(hunyuan3d, models):
    for key, part in (
        ("model.double_blocks.1.img_attn.qkv.weight", "diffusion model"),
        ("vae.transformer.resblocks.0.ln_1.bias", "shape decoder"),
        (small.DINO + "encoder.layer.1.norm1.weight", "image encoder"),
    ):
        weights = small.draw_checkpoint("2.0")
        del weights[key]
        name = f"hunyuan3d-without-{part.replace(' ', '-')}.safetensors"
        small.save_checkpoint(models / name, weights)
        with pytest.raises(
            WeightsError, match=rf"{name} is damaged: .* {part} 1 are missing, among them {key}"
        ):
            hunyuan3d.loading.load_shape_model(name)


def test_a_tensor_of_the_wrong_shape_is_named(hunyuan3d, models):
    weights = small.draw_checkpoint("2.0")
    weights["vae.geo_decoder.query_proj.weight"] = torch.zeros(64, 7)
    small.save_checkpoint(models / "hunyuan3d.safetensors", weights)
    with pytest.raises(WeightsError, match=r"(?s)does not fit the architecture.*query_proj\.weight"):
        hunyuan3d.loading.load_shape_model("auto")


@pytest.mark.parametrize("part", ["model.", "vae.", "conditioner."])
def test_a_file_of_one_part_says_which_are_missing(hunyuan3d, models, part):
    weights = {key: value for key, value in small.draw_checkpoint("mini").items() if key.startswith(part)}
    small.save_checkpoint(models / "hunyuan3d-part.safetensors", weights)
    with pytest.raises(WeightsError, match=r"not a complete Hunyuan3D model: it has no .* and no .*Expected"):
        hunyuan3d.loading.load_shape_model("auto")


def test_a_pickle_with_code_is_not_run(hunyuan3d, models, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (models / "hunyuan3d.ckpt").write_bytes(pickle.dumps(Evil()))
    torch.save({"model": Evil()}, models / "hunyuan3d-zip.ckpt")
    for name in ("hunyuan3d.ckpt", "hunyuan3d-zip.ckpt"):
        with pytest.raises(WeightsError, match=f"{name} cannot be read"):
            hunyuan3d.loading.load_shape_model(name)
    assert not (tmp_path / "ran").exists()


def test_a_missing_model_quotes_the_catalogue(hunyuan3d, models):
    with pytest.raises(WeightsError) as caught:
        hunyuan3d.loading.load_shape_model("auto")
    text = str(caught.value)
    assert text.startswith(
        "a Hunyuan3D model is not in models/diffusion_models or models/checkpoints; found none"
    )
    for words in ("hunyuan3d-dit-v2-0-fp16.safetensors", "4.9 GB", "Community License", "European Union"):
        assert words in text


def test_auto_prefers_a_model_for_the_pictures_that_are_given(hunyuan3d, models):
    for name in ("hunyuan3d-dit-v2-mv-fp16.safetensors", "hunyuan3d-dit-v2-0-fp16.safetensors"):
        (models / name).touch()
    (models.parent / "checkpoints" / "hunyuan_3d_v2.1.safetensors").touch()
    find = hunyuan3d.loading.find_model
    assert find("auto", multiview=False) == "hunyuan_3d_v2.1.safetensors"
    assert find("auto", multiview=True) == "hunyuan3d-dit-v2-mv-fp16.safetensors"


def test_a_file_that_changed_is_read_again(hunyuan3d, models):
    load = hunyuan3d.loading.load_shape_model
    small.save_checkpoint(models / "hunyuan3d.safetensors", small.draw_checkpoint("mini"))
    first = load("auto")
    assert load("auto") is first
    small.save_checkpoint(models / "hunyuan3d.safetensors", small.draw_checkpoint("2.0"))
    assert load("auto").latent_count == 3072


def test_an_unknown_latent_format_is_named(hunyuan3d, models, monkeypatch):
    monkeypatch.setattr(hunyuan3d.loading, "_LATENTS", {"Known": 1})
    small.save_checkpoint(models / "hunyuan3d.safetensors", small.draw_checkpoint("mini"))
    message = r"hunyuan3d\.safetensors: ComfyUI takes its latents for Hunyuan3Dv2mini; expected one of Known"
    with pytest.raises(WeightsError, match=message):
        hunyuan3d.loading.load_shape_model("auto")


def test_comfyui_s_classes_stay_in_place_while_a_model_is_built(hunyuan3d, models, monkeypatch):
    """Another pack may load a shape VAE in another thread at that time."""
    sd, vae = (importlib.import_module(f"comfy.{name}") for name in ("sd", "ldm.hunyuan3d.vae"))
    original, build, seen = vae.ShapeVAE, sd.VAE, []
    monkeypatch.setattr(sd, "VAE", lambda **options: seen.append(vae.ShapeVAE) or build(**options))
    small.save_checkpoint(models / "hunyuan3d.safetensors", small.draw_checkpoint("mini"))
    hunyuan3d.loading.load_shape_model("auto")
    assert seen == [original]
