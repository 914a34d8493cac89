"""ComfyUI as it is with an NVIDIA or AMD card since 2026: it moves weights on demand ("dynamic VRAM").

Its ModelPatcher for that never runs with a processor alone. `enable` puts it to work there all the same, with
its own loader of files and its own layers. What stands for the card: an address space that hands out numbers,
and weights that are only to be had by ComfyUI's cast once a model is loaded, wherever they are.
"""

import contextlib
import importlib

import pytest
import torch

_DEVICE = torch.device("cpu", 0)  # ComfyUI takes a device without a number for the host's memory


class _Addresses:
    """In place of comfy_aimdo's ModelVBAR."""

    def __init__(self):
        self._end = 0

    def alloc(self, size):
        start, self._end = self._end, self._end + size
        return self, start, size

    def prioritize(self):
        """The card would free other models' memory first."""

    def loaded_size(self):
        return 0

    def free_memory(self, _size):
        return 0


def enable(monkeypatch):
    """Switch it on until the end of the test. Skips where ComfyUI or this system has none."""
    patchers, ops = (importlib.import_module(f"comfy.{name}") for name in ("model_patcher", "ops"))
    if not hasattr(patchers, "ModelPatcherDynamic"):
        pytest.skip("this ComfyUI has no dynamic VRAM")
    if not importlib.import_module("comfy_aimdo.control").init("cuda"):
        pytest.skip("comfy-aimdo has nothing for this system")
    for name in (
        "host_buffer",
        "model_mmap",
        "model_vbar",
    ):  # they look for the library when they are imported
        importlib.reload(importlib.import_module(f"comfy_aimdo.{name}"))
    vbar = importlib.import_module("comfy_aimdo.model_vbar")
    monkeypatch.setattr(vbar, "vbars_analyze", lambda _device: 0)
    monkeypatch.setattr(vbar, "vbar_unpin", lambda _address: None)
    monkeypatch.setattr(patchers, "CoreModelPatcher", _build_patcher_class(patchers.ModelPatcherDynamic))
    monkeypatch.setattr(importlib.import_module("comfy.memory_management"), "aimdo_enabled", True)
    cast = ops.cast_bias_weight

    def cast_shown(layer, *args, **options):
        with _show_weights(layer):
            return cast(layer, *args, **options)

    monkeypatch.setattr(ops, "cast_bias_weight", cast_shown)


def _build_patcher_class(dynamic):
    class Patcher(dynamic):
        def __new__(cls, *_args, **_options):
            return object.__new__(cls)  # its own gives the older class to models of the processor

        def __init__(self, model, load_device, offload_device, size=0, weight_inplace_update=False):
            super().__init__(model, _DEVICE, offload_device, size, weight_inplace_update)

        def _vbar_get(self, create=False):
            addresses = self.model.dynamic_vbars
            if create:
                addresses.setdefault(self.load_device, _Addresses())
            return addresses.get(self.load_device)

        def load(self, *args, **options):
            super().load(*args, **options)
            for layer in self.model.modules():
                if hasattr(layer, "_v") and not hasattr(layer, "hidden_weights"):
                    _hide_weights(layer)

    return Patcher


def _hide_weights(layer):
    """Whoever computes with them now fails: their values are gone."""
    layer.hidden_weights = dict(layer.named_parameters(recurse=False))
    for name, value in layer.hidden_weights.items():
        setattr(layer, name, torch.nn.Parameter(torch.empty_like(value, device="meta"), requires_grad=False))


@contextlib.contextmanager
def _show_weights(layer):
    hidden = vars(layer).pop("hidden_weights", None)
    for name, value in (hidden or {}).items():
        setattr(layer, name, value)
    yield
    if hidden is not None:
        _hide_weights(layer)
