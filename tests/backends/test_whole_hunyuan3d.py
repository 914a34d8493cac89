"""Hunyuan3D files without a block, or with values that are no numbers: refused by the file's own names."""

import importlib
import re

import pytest
import torch
from character3d.pipeline.errors import WeightsError
from character3d.tests import small_hunyuan3d as small

BLOCK = re.compile(r"(.*?(?:blocks|layer)\.)(\d+)\.")


@pytest.fixture
def check_whole(hunyuan3d):
    return importlib.import_module(f"{hunyuan3d.loading.__package__}.whole").check_whole


def make_published(double, single):
    """The names of a model of the published widths, one tensor for each block."""
    shapes = {"model.latent_in.weight": (1024, 64), "vae.post_kl.weight": (1024, 64)}
    shapes[small.DINO + "layernorm.weight"] = (1536,)
    for start, depth in (
        ("model.double_blocks.", double),
        ("model.single_blocks.", single),
        (small.DINO + "encoder.layer.", 40),
        ("vae.transformer.resblocks.", 16),
    ):
        shapes |= {f"{start}{number}.a": (1,) for number in range(depth)}
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("layout", small.LAYOUTS)
def test_every_block_but_the_last_of_its_kind(check_whole, layout):
    whole, numbers = small.draw_checkpoint(layout), {}
    check_whole("a.safetensors", whole)
    for match in filter(None, map(BLOCK.match, whole)):
        numbers.setdefault(match[1], set()).add(int(match[2]))
    assert len(numbers) >= 3
    for block in (f"{start}{number}" for start, own in numbers.items() for number in range(max(own))):
        left = {key: value for key, value in whole.items() if not key.startswith(f"{block}.")}
        with pytest.raises(WeightsError, match=rf"a\.safetensors is damaged: it has no {re.escape(block)}$"):
            check_whole("a.safetensors", left)


@pytest.mark.parametrize(
    ("depths", "last"),
    [
        ((16, 32), "model.double_blocks.15"),
        ((16, 32), "model.single_blocks.31"),
        ((8, 16), "model.double_blocks.7"),
        ((8, 16), "model.single_blocks.15"),
        ((8, 16), small.DINO + "encoder.layer.39"),
        ((8, 16), "vae.transformer.resblocks.15"),
    ],
)
def test_the_last_blocks_of_published_networks(check_whole, depths, last):
    whole = make_published(*depths)
    check_whole("a.safetensors", whole)
    left = {key: value for key, value in whole.items() if f"{last}." not in key}
    with pytest.raises(WeightsError, match=rf"has no {re.escape(last)}$"):
        check_whole("a.safetensors", left)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to(torch.int8), "is int8; expected floating-point numbers"),
        (lambda tensor: torch.full_like(tensor, torch.nan), "has values that are not finite numbers"),
        (lambda tensor: torch.full_like(tensor, -torch.inf).half(), "has values that are not finite numbers"),
    ],
)
def test_every_tensor_of_values_that_are_no_numbers(check_whole, change, message):
    whole = small.draw_checkpoint("2.0")
    for key in whole:
        with pytest.raises(WeightsError, match=rf"{re.escape(key)} {message}"):
            check_whole("a.safetensors", {**whole, key: change(whole[key])})


def test_scaled_files_are_refused_before_a_model_is_built(hunyuan3d, models):
    weights = small.draw_checkpoint("2.0") | {"model.latent_in.scale_weight": torch.ones(1)}
    small.save_checkpoint(models / "hunyuan3d-scaled.safetensors", weights)
    with pytest.raises(WeightsError, match=r"scaled to 8 bits \(model\.latent_in\.scale_weight\)"):
        hunyuan3d.loading.load_shape_model("hunyuan3d-scaled.safetensors")
