"""The nodes compute on ComfyUI's device, and what they put out is in host memory."""

import importlib

import numpy as np
import pytest
import torch
import trimesh
from character3d.tests.humanoids import CHIBI, make_humanoid
from character3d.tests.pipeline.other_device import HOST, OTHER, OtherDevice

PLENTY = 1 << 40
VIEW = 64


@pytest.fixture
def choose(comfyui_modules, monkeypatch):
    """(device, free bytes) makes these ComfyUI's; returns the requests for memory on it."""
    management = importlib.import_module("comfy.model_management")

    def set_device(device, free=PLENTY):
        requests = []
        monkeypatch.setattr(management, "get_torch_device", lambda: device)
        monkeypatch.setattr(management, "get_free_memory", lambda asked: free if asked == device else 0)
        monkeypatch.setattr(management, "free_memory", lambda size, device: requests.append((size, device)))
        return requests

    return set_device


@pytest.fixture
def reserve(load_nodes):
    return load_nodes("stage").reserve_device


def test_models_make_room_on_a_graphics_card(choose, reserve):
    requests = choose(OTHER)
    assert reserve(1000) == OTHER
    ((size, device),) = requests
    assert device == OTHER and size > 1000
    choose(OTHER, size)
    assert reserve(1000) == OTHER


def test_a_graphics_card_without_room_is_not_used(choose, reserve):
    requests = choose(OTHER)
    reserve(1000)
    choose(OTHER, requests[0][0] - 1)
    assert reserve(1000) == HOST


@pytest.mark.parametrize("name", ["cpu", "mps", "xpu", "privateuseone"])
def test_other_devices_leave_the_work_to_the_processor(choose, reserve, name):
    """No float64 on Apple's and most of Intel's; operators are missing from DirectML."""
    requests = choose(torch.device(name))
    assert reserve(1000) == HOST
    assert requests == []


def render_maps(load_nodes):
    return load_nodes("view_steps").RenderViewMaps.execute(trimesh.creation.icosphere(2), VIEW)


def synthesize(load_nodes):
    y, x = torch.meshgrid(torch.linspace(-1, 1, VIEW), torch.linspace(-1, 1, VIEW), indexing="ij")
    node, mask = load_nodes("generating_multiview_texture").GenerateViews, (x * x + y * y < 0.8).float()[None]
    image = torch.stack((x, y, x * y), dim=-1)[None] / 2 + 0.5
    ball = trimesh.creation.icosphere(2)
    return node.execute(ball, image, mask, method="projection", image_size=VIEW, model_name="", seed=1)


def bake(load_nodes):
    views, masks = torch.rand(6, VIEW, VIEW, 3), torch.ones(6, VIEW, VIEW)
    return load_nodes("texture_baking").BakeTexture.execute(trimesh.creation.icosphere(2), views, masks, 256)


def preview(load_nodes):
    return load_nodes("export").PreviewMesh.execute(trimesh.creation.icosphere(2), VIEW, 0.3, 0.1, "ball")


def list_tensors(output):
    """Those of a node's outputs, also in outputs that are lists."""
    items = [item for value in output.result for item in (value if isinstance(value, list) else [value])]
    return [item for item in items if isinstance(item, torch.Tensor)]


@pytest.mark.parametrize("run", [render_maps, synthesize, bake, preview])
def test_nodes_compute_on_the_device_and_put_out_host_memory(choose, load_nodes, tmp_path, run):
    importlib.import_module("folder_paths").set_output_directory(str(tmp_path))
    torch.manual_seed(0)
    choose(OTHER)
    with OtherDevice() as device:
        found = list_tensors(run(load_nodes))
    torch.manual_seed(0)
    choose(HOST)
    wanted = list_tensors(run(load_nodes))
    assert device.calls > 100 and len(found) == len(wanted) > 0
    for one, two in zip(wanted, found, strict=True):
        assert type(two) is torch.Tensor
        torch.testing.assert_close(one, two, atol=1e-4, rtol=0)


@pytest.mark.parametrize("motion", ["turntable", "walk"])
def test_moving_previews_are_rendered_on_the_device(choose, load_nodes, tmp_path, monkeypatch, motion):
    importlib.import_module("folder_paths").set_output_directory(str(tmp_path))
    choose(OTHER)
    animation, seen = load_nodes("animation"), []

    def render(*subject, device, **options):
        seen.append(device)
        return np.zeros((2, VIEW, VIEW, 4), np.float32)

    monkeypatch.setattr(animation.preview, "render_turntable", render)
    monkeypatch.setattr(animation.preview, "render_animation", render)
    animation.PreviewAnimation.execute(make_humanoid(CHIBI), motion, VIEW, 0.3, "moving")
    assert seen == [OTHER]
