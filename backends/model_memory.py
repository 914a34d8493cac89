"""Learned models in memory: how ComfyUI moves them, and how callers share them."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import comfy.model_management
import comfy.model_patcher
import torch

T = TypeVar("T")

_LIBC = ctypes.CDLL(None) if os.name == "posix" else None


def make_patcher(module: torch.nn.Module) -> Any:
    """Wrap a module for inference in a ModelPatcher, which ComfyUI loads, offloads and evicts."""
    management = comfy.model_management
    return find_patcher_class()(
        module.eval().requires_grad_(False),
        load_device=management.get_torch_device(),
        offload_device=management.unet_offload_device(),
    )


def find_patcher_class() -> Any:
    """The class that ComfyUI wraps its own models in.

    Since 2026 that may be the one for dynamic VRAM, which leaves weights in host memory until a layer asks
    for them; a model of the older class makes ComfyUI unload those of the newer one.
    """
    patchers = comfy.model_patcher
    return getattr(patchers, "CoreModelPatcher", patchers.ModelPatcher)


def share_loaded(load: Callable[..., T]) -> Callable[..., T]:
    """Give callers with equal arguments the same object for as long as one of them holds it.

    Nothing is kept alive here: the nodes decide how long a model stays in memory (nodes/model_node.py).
    """
    alive: weakref.WeakValueDictionary[Any, T] = weakref.WeakValueDictionary()

    @functools.wraps(load)
    def find_or_load(*args: Any) -> T:
        found = alive.get(args)
        if found is None:
            found = alive[args] = load(*args)
        return found

    return find_or_load


def return_freed_memory() -> None:
    """Give memory that was freed back to the system, as far as the C library can be told to.

    glibc otherwise keeps freed tensors of less than 32 MB, which most of a model's are, for itself.
    """
    gc.collect()
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)
