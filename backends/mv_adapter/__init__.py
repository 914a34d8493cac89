"""MV-Adapter IG2MV (image and geometry to multi-view) on any SDXL checkpoint."""

from .generate import (
    BaseModel,
    empty_latent,
    encode_reference,
    find_checkpoint,
    generate_views,
    list_checkpoints,
    load_base,
    stack_maps,
)
from .loading import find_adapter, load_adapter
from .patch import apply_ig2mv

__all__ = [
    "BaseModel",
    "apply_ig2mv",
    "empty_latent",
    "encode_reference",
    "find_adapter",
    "find_checkpoint",
    "generate_views",
    "list_checkpoints",
    "load_adapter",
    "load_base",
    "stack_maps",
]
