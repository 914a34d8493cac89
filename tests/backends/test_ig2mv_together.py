"""IG2MV beside what others patch into the same UNet: LoRA, ControlNet, IP-Adapter, perturbed attention.

Each changes the views; switched off it leaves them as they are; and where the order of two does not matter,
both orders give the same views.
"""

import importlib

import pytest
import torch

from .test_ig2mv import SIDE, draw, maps, patch, sample  # noqa: F401

LORA = "diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"


def add_lora(model, strength=1.0):
    changed = model.clone()
    assert changed.add_patches({LORA: ("diff", (draw(6, 64, 64),))}, strength) == [LORA]
    return changed


def add_ip_adapter(model, strength=1.0):
    """As IP-Adapter: attention to the text, and the mean of what the picture adds to it."""
    attention = importlib.import_module("comfy.ldm.modules.attention")

    def attend(n, context, value, extra):
        heads = extra["n_heads"]
        text = attention.optimized_attention(n, context, value, heads)
        picture = draw(8, 1, 4, n.shape[-1]).to(n).expand(len(n), -1, -1)
        return text + strength * attention.optimized_attention(n, picture, picture, heads)

    changed = model.clone()
    changed.set_model_attn2_replace(attend, "input", 4)
    return changed


def add_perturbed_attention(model, strength=1.0):
    """ComfyUI's own node, which was of the older kind until 2026."""
    node = importlib.import_module("comfy_extras.nodes_pag").PerturbedAttentionGuidance
    if hasattr(node, "execute"):
        return node.execute(model, strength).args[0]
    return node().patch(model, strength)[0]


@pytest.fixture
def control(comfyui_modules):
    """(strength) -> a ControlNet without a network: what it adds after the middle block."""
    controlnet = importlib.import_module("comfy.controlnet")

    class Control(controlnet.ControlBase):
        def get_control(self, x, t, cond, batched_number, transformer_options):
            return {"middle": [self.strength * draw(7, 1, 128, SIDE // 4, SIDE // 4).to(x)]}

        def copy(self):
            return self

        def get_models(self):
            return []

    def build(strength):
        built = Control()
        built.strength = strength
        return built

    return build


@pytest.mark.nightly
@pytest.mark.parametrize("add", [add_lora, add_ip_adapter, add_perturbed_attention])
def test_each_changes_the_views_and_switched_off_leaves_them(sdxl, patch, add):  # noqa: F811
    plain = sample(patch(sdxl(1)))
    torch.testing.assert_close(sample(add(patch(sdxl(1)), 0.0)), plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(sample(add(patch(sdxl(1)))), plain, atol=1e-3)


@pytest.mark.nightly
@pytest.mark.parametrize("add", [add_lora, add_ip_adapter, add_perturbed_attention])
def test_the_order_of_the_patches_does_not_matter(sdxl, patch, add):  # noqa: F811
    base = sdxl(1)
    torch.testing.assert_close(sample(add(patch(base))), sample(patch(add(base))), rtol=1e-4, atol=1e-5)


def test_perturbed_attention_adds_in_proportion(sdxl, patch):  # noqa: F811
    """A step of euler is linear in what the guidance adds."""
    plain, one, two = (sample(add_perturbed_attention(patch(sdxl(1)), n), steps=1) for n in (0.0, 1.0, 2.0))
    torch.testing.assert_close(two - plain, 2 * (one - plain), rtol=1e-3, atol=1e-4)


def test_a_control_net_acts_on_the_views_and_not_on_the_reference(sdxl, patch, control):  # noqa: F811
    plain = sample(patch(sdxl(1)))
    torch.testing.assert_close(sample(patch(sdxl(1)), control=control(0.0)), plain, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(sample(patch(sdxl(1)), control=control(1.0)), plain, atol=1e-3)


def test_all_together(sdxl, patch, control):  # noqa: F811
    first, second = sdxl(1), sdxl(1)
    for add in (add_lora, add_ip_adapter, add_perturbed_attention):
        first = add(first)
    second = add_perturbed_attention(add_lora(add_ip_adapter(patch(second))))
    views = [sample(model, control=control(1.0)) for model in (patch(first), second)]
    assert views[0].isfinite().all()
    torch.testing.assert_close(*views, rtol=1e-4, atol=1e-5)
