"""Which models lie in ComfyUI's model folders. The nodes' inputs list them: no model is imported for that."""

from __future__ import annotations

from ..pipeline.weights import (
    SHAPE_MODEL_FOLDERS,
    VIEW_ADAPTER_FOLDERS,
    list_shape_models,
    list_view_adapters,
)
from .weight_files import list_files


def list_installed_models() -> list[str]:
    """Names of the shape models on disk, best first. ComfyUI caches the folder scan."""
    return list_shape_models(list_files(SHAPE_MODEL_FOLDERS))


def list_installed_adapters() -> list[str]:
    """Names of the view adapters on disk, best first. ComfyUI caches the folder scan."""
    return list_view_adapters(list_files(VIEW_ADAPTER_FOLDERS))
