"""Every tensor of small files of learned weights, taken out or changed in turn: each is refused by name."""

import re
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from character3d.pipeline.errors import WeightsError
from character3d.tests import small_make_it_animatable as small
from character3d.tests import small_skintokens
from safetensors.torch import save_file

KINDS = [file.removesuffix(".pth") for file in small.FILES]
CHANGES = {
    "missing": lambda _: None,
    "one row more": lambda tensor: torch.cat((tensor, tensor[:1])),
    "flattened": lambda tensor: tensor.flatten() if tensor.dim() > 1 else tensor[:, None],
    "scalar": lambda tensor: tensor.flatten()[0],
    "whole numbers": lambda tensor: tensor.to(torch.int8),
    "8-bit floats": lambda tensor: tensor.to(torch.float8_e4m3fn),
    "not a number": lambda tensor: torch.full_like(tensor, torch.nan),
}


def change(tensors: Mapping[str, torch.Tensor], key: str, name: str) -> dict[str, torch.Tensor]:
    changed = CHANGES[name](tensors[key])
    return {k: v for k, v in tensors.items() if k != key} | ({} if changed is None else {key: changed})


@pytest.mark.nightly_cases
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_tensor_of_make_it_animatable(make_it_animatable, monkeypatch, kind, name):
    loading, whole = make_it_animatable.loading, small.draw_file(f"{kind}.pth", 12)
    given = {}
    monkeypatch.setattr(loading, "read_weights", lambda *_: given["file"])
    for key in whole:
        given["file"] = change(whole, key, name)
        file = loading.WeightsFile(None, f"{kind}.pth", len(given), hash(key))
        with pytest.raises(WeightsError, match=rf"{kind}\.pth.*\b{re.escape(key)}\b"):
            loading._load_file(file, kind)


@pytest.mark.nightly_cases
@pytest.mark.parametrize("name", CHANGES)
def test_every_tensor_of_the_adapter(ig2mv, small_sdxl, sdxl, monkeypatch, name):
    loading, whole, model = ig2mv.loading, small_sdxl.draw_adapter(2), sdxl(1)
    base = loading._Base("SDXL", tuple(loading.list_blocks(model)), torch.float32)
    given = {}
    monkeypatch.setattr(loading, "read_weights", lambda *_: given["file"])
    for key in whole:
        given["file"] = change(whole, key, name)
        file = loading.WeightsFile(None, "a.safetensors", 1, hash(key))
        with pytest.raises(WeightsError, match=rf"a\.safetensors.*\b{re.escape(key)}\b"):
            loading._load_file(file, base)


@pytest.mark.nightly_cases
@pytest.mark.parametrize("name", CHANGES)
def test_every_tensor_of_skintokens(skintokens, monkeypatch, name):
    """The table of words may lack its copy, which must not differ; what training needs may be anything."""
    loading, layout, whole = skintokens.loading, skintokens.layout, small_skintokens.draw_file(5)
    given = {}
    monkeypatch.setattr(loading, "read_checkpoint_weights", lambda *_: given["file"])
    needed = [key for key in whole if not key.startswith(layout.TRAINING_ONLY)]
    for key in needed:
        if key == layout.SAME_TABLE and name == "missing":
            continue
        given["file"] = change(whole, key, name)
        file = loading.WeightsFile(None, "grpo_1400.ckpt", len(given), hash(key))
        with pytest.raises(WeightsError, match=rf"grpo_1400\.ckpt.*\b{re.escape(key)}\b"):
            loading._load_file(file)


def test_what_a_model_does_not_have_and_scaled_files(make_it_animatable, monkeypatch):
    loading, whole = make_it_animatable.loading, small.draw_file("bw.pth", 12)
    for key, message in (
        ("base.extra", "does not have: base.extra"),
        ("bw_head.scale_weight", "scaled to 8 bits"),
    ):
        monkeypatch.setattr(loading, "read_weights", lambda *_, key=key: {**whole, key: torch.ones(1)})
        with pytest.raises(WeightsError, match=message):
            loading._load_file(loading.WeightsFile(None, "bw.pth", 1, hash(key)), "bw")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"<!DOCTYPE html><html></html>", "it is a web page"),
        (b"\x80\x02}q\x00.", "damaged or cut off"),
        (None, "rename it to end with .safetensors"),
    ],
)
def test_files_that_hold_something_else(make_it_animatable, rig_models, content, message):
    small.save_files(rig_models, 12)
    if content is None:
        save_file(small.draw_file("bw.pth", 12), str(rig_models / "bw.pth"))
    else:
        (rig_models / "bw.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        make_it_animatable.loading.load_model("bw")
    assert "weights_only" not in str(caught.value)


def test_a_list_is_no_file_of_weights(make_it_animatable, rig_models):
    small.save_files(rig_models, 12)
    torch.save([torch.ones(3)], rig_models / "bw.pth")
    with pytest.raises(WeightsError, match="no file of weights"):
        make_it_animatable.loading.load_model("bw")


def test_a_thousand_steps_have_noise_levels(ig2mv, sdxl):
    sampling = sdxl(1).get_model_object("model_sampling")
    for steps in (999, 1000):
        sigmas = np.asarray(ig2mv.schedule.list_sigmas(sampling, steps))
        assert len(sigmas) == steps + 1 and (np.diff(sigmas) <= 0).all()
