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
def full_precision(comfyui_modules, monkeypatch):
    """ComfyUI keeps image encoders in half precision unless told otherwise."""
    monkeypatch.setattr(importlib.import_module("comfy.cli_args").args, "fp32_text_enc", True)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.inference_mode():
        yield
