"""MV-Adapter IG2MV (image and geometry to multi-view) on any SDXL checkpoint that ComfyUI has loaded."""

from .generate import (
    empty_latent,
    encode_reference,
    generate_views,
    list_checkpoints,
    load_base,
    stack_maps,
)
from .loading import list_installed_adapters, load_adapter
from .patch import apply_ig2mv

__all__ = [
    "apply_ig2mv",
    "empty_latent",
    "encode_reference",
    "generate_views",
    "list_checkpoints",
    "list_installed_adapters",
    "load_adapter",
    "load_base",
    "stack_maps",
]
