"""ComfyUI's layers that cast their weights while they run, built whole.

Where ComfyUI moves weights on demand (dynamic VRAM, on by default with NVIDIA's and AMD's cards since 2026),
its own Linear and Embedding have no weight until a file is loaded, and then take the shape and the precision
that the file has. It builds whole what loads weights in a way of its own.
"""

from __future__ import annotations

import comfy.ops
import torch

_LAYERS = comfy.ops.manual_cast


class _Whole:
    """Loads weights as torch's modules do."""

    _load_from_state_dict = torch.nn.Module._load_from_state_dict


class manual_cast(_LAYERS):  # type: ignore[misc, valid-type]
    """What comfy.ops.manual_cast has, of the layers that are named here."""

    class Linear(_Whole, _LAYERS.Linear): ...  # type: ignore[name-defined, misc]  # noqa: D106

    class Embedding(_Whole, _LAYERS.Embedding): ...  # type: ignore[name-defined, misc]  # noqa: D106

    class Conv2d(_Whole, _LAYERS.Conv2d): ...  # type: ignore[name-defined, misc]  # noqa: D106

    class LayerNorm(_Whole, _LAYERS.LayerNorm): ...  # type: ignore[name-defined, misc]  # noqa: D106

    class RMSNorm(_Whole, _LAYERS.RMSNorm): ...  # type: ignore[name-defined, misc]  # noqa: D106


def check_layers(model: torch.nn.Module) -> None:
    """Raise RuntimeError, as torch does, if a weight does not fit its layer.

    For models that ComfyUI has built and filled: see above, it may not have looked.
    """
    for name, layer in model.named_modules():
        if isinstance(layer, torch.nn.Linear):
            found, expected = tuple(layer.weight.shape), (layer.out_features, layer.in_features)
            if found != expected:
                raise RuntimeError(f"size mismatch for {name}.weight: found {found}, expected {expected}")
