"""The learned methods inside this process, with small random checkpoints in ComfyUI's model folders."""

import importlib
from types import SimpleNamespace

import pytest
import torch


@pytest.fixture(scope="session")
def hunyuan3d(comfyui_modules):
    """The modules of backends/hunyuan3d."""
    names = ("checkpoint", "conditioning", "decoding", "generate", "loading", "sampling")
    package = "character3d.backends.hunyuan3d"
    return SimpleNamespace(**{name: importlib.import_module(f"{package}.{name}") for name in names})


@pytest.fixture(scope="session")
def ig2mv(comfyui_modules):
    """The modules of backends/mv_adapter."""
    names = ("attention", "generate", "loading", "patch", "schedule")
    package = "character3d.backends.mv_adapter"
    return SimpleNamespace(**{name: importlib.import_module(f"{package}.{name}") for name in names})


@pytest.fixture(scope="session")
def make_it_animatable(comfyui_modules):
    """The modules of backends/make_it_animatable."""
    names = ("frame", "generate", "joints", "loading", "model", "points", "rest", "skin", "tree")
    package = "character3d.backends.make_it_animatable"
    return SimpleNamespace(**{name: importlib.import_module(f"{package}.{name}") for name in names})


@pytest.fixture(scope="session")
def skintokens(comfyui_modules):
    """The modules of backends/skintokens."""
    names = ("generate", "layout", "loading", "sampling", "tokens")
    package = "character3d.backends.skintokens"
    return SimpleNamespace(**{name: importlib.import_module(f"{package}.{name}") for name in names})


@pytest.fixture
def token_models(skintokens, tmp_path, monkeypatch):
    """A folder that is ComfyUI's models/skintokens for this test."""
    folder_paths = importlib.import_module("folder_paths")
    folder = tmp_path / "skintokens"
    folder.mkdir()
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "skintokens", ([str(folder)], set()))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return folder


@pytest.fixture
def rig_models(make_it_animatable, tmp_path, monkeypatch):
    """A folder that is ComfyUI's models/make_it_animatable for this test."""
    folder_paths = importlib.import_module("folder_paths")
    folder = tmp_path / "make_it_animatable"
    folder.mkdir()
    entry = ([str(folder)], set())
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "make_it_animatable", entry)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return folder


@pytest.fixture(scope="session")
def small_sdxl(comfyui_modules):
    """tests/small_sdxl.py, whose checkpoints ComfyUI now recognises."""
    module = importlib.import_module("character3d.tests.small_sdxl")
    module.register()
    return module


@pytest.fixture
def sdxl(small_sdxl):
    """(seed) -> a MODEL: the small UNet in float32."""

    def build(seed):
        model = small_sdxl.build_config().get_model({})
        model.diffusion_model.load_state_dict(small_sdxl.draw_unet(seed))
        cpu = torch.device("cpu")
        return importlib.import_module("comfy.model_patcher").ModelPatcher(model, cpu, cpu)

    return build


@pytest.fixture
def model_patches(models, monkeypatch):
    """A folder that is ComfyUI's models/model_patches for this test; models/controlnet is empty."""
    folder_paths = importlib.import_module("folder_paths")
    for name in ("model_patches", "controlnet"):
        folder = models.parent / name
        folder.mkdir()
        entry = ([str(folder)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, entry)
        monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return models.parent / "model_patches"


@pytest.fixture
def adapt(ig2mv, small_sdxl, sdxl, model_patches):
    """(seed) -> the adapter in float32, loaded from a file in models/model_patches."""

    def load(seed):
        file = f"{seed}_mvadapter_ig2mv_sdxl.safetensors"
        small_sdxl.save(model_patches / file, small_sdxl.draw_adapter(seed), torch.float32)
        return ig2mv.loading.load_adapter(file, sdxl(0))

    return load


@pytest.fixture
def full_precision(comfyui_modules, monkeypatch):
    """ComfyUI keeps image encoders in half precision unless told otherwise."""
    monkeypatch.setattr(importlib.import_module("comfy.cli_args").args, "fp32_text_enc", True)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield
