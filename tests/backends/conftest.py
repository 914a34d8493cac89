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


@pytest.fixture
def models(comfyui_modules, tmp_path, monkeypatch):
    """A folder that is ComfyUI's models/diffusion_models for this test; models/checkpoints is empty."""
    folder_paths = importlib.import_module("folder_paths")
    suffixes = folder_paths.supported_pt_extensions
    folders = {name: tmp_path / name for name in ("diffusion_models", "checkpoints")}
    for name, folder in folders.items():
        folder.mkdir()
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, ([str(folder)], suffixes))
        monkeypatch.setitem(folder_paths.filename_list_cache, name, None)
        folder_paths.filename_list_cache.pop(name)
    return folders["diffusion_models"]


@pytest.fixture
def full_precision(comfyui_modules, monkeypatch):
    """ComfyUI keeps image encoders in half precision unless told otherwise."""
    monkeypatch.setattr(importlib.import_module("comfy.cli_args").args, "fp32_text_enc", True)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield
