"""The mesh that was unwrapped last: whoever paints over a view bakes onto the same mesh again and again.

A mesh is unwrapped while its views are made, which need no uvs: with two processors a job is done sooner.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch

from ..pipeline import texture_baking
from ..pipeline.progress import Progress
from ..pipeline.types import Mesh

_ARRAYS = ("positions", "faces", "normals", "uvs")
_STEP_SECONDS = 0.1


class _Unwrapped(NamedTuple):
    """mesh: as it came. texture_size and device: what else the result depends on."""

    mesh: Mesh
    texture_size: int
    device: torch.device
    result: Future[Mesh]


class _StoppedError(Exception):
    """Nobody wants the result any more."""


_last: list[_Unwrapped] = []
"""At most one."""
_beside = ThreadPoolExecutor(1, "character3d-unwrap")


def find_baked_size(prompt: Mapping[str, Any] | None, view_side: int) -> int:
    """The side in texels of the texture for which a prompt's Bake Texture unwraps; 0 if none does.

    view_side: of the views that it bakes, pixels.
    """
    nodes = (prompt or {}).values()
    bake = next((node["inputs"] for node in nodes if node["class_type"] == "C3DBakeTexture"), None)
    if bake is None or bake.get("keep_uvs") or isinstance(bake["texture_size"], list):
        return 0
    return (
        texture_baking.choose_texture_size(view_side)
        if bake["texture_size"] == "auto"
        else int(bake["texture_size"])
    )


@contextmanager
def unwrap_beside(mesh: Mesh, *, texture_size: int, device: torch.device) -> Iterator[None]:
    """Unwrap a mesh beside what the block does and after it; `unwrap_again` takes it, or waits for it.

    It stops where the block fails. Nothing is done at texture_size 0, nor on a GPU, whose memory the block
    may need whole.
    """
    if not texture_size or device.type != "cpu" or _find(mesh, texture_size, device):
        yield
        return
    has_failed = threading.Event()

    def step(fraction: float, /) -> None:
        if has_failed.is_set():
            raise _StoppedError

    result = _beside.submit(
        texture_baking.unwrap_mesh, mesh, texture_size=texture_size, device=device, progress=step
    )
    _last[:] = [_Unwrapped(mesh, texture_size, device, result)]
    try:
        yield
    except BaseException:
        has_failed.set()
        raise


def unwrap_again(mesh: Mesh, *, texture_size: int, device: torch.device, progress: Progress) -> Mesh:
    """As unwrap_mesh; at once for the mesh of the last call, which may have begun beside other work."""
    begun = _find(mesh, texture_size, device)
    while begun is not None and not wait((begun,), _STEP_SECONDS).done:
        progress(0.0)
    if begun is not None and begun.exception() is None:
        progress(1.0)
        return begun.result()
    made = Future[Mesh]()
    made.set_result(
        texture_baking.unwrap_mesh(mesh, texture_size=texture_size, device=device, progress=progress)
    )
    _last[:] = [_Unwrapped(mesh, texture_size, device, made)]
    return made.result()


def _find(mesh: Mesh, texture_size: int, device: torch.device) -> Future[Mesh] | None:
    for last in _last:
        if (last.texture_size, last.device) == (texture_size, device) and _is_same(last.mesh, mesh):
            return last.result
    return None


def _is_same(one: Mesh, two: Mesh) -> bool:
    if one.extras is not None or two.extras is not None or one.is_placed != two.is_placed:
        return False  # of what a file brings along nothing is compared
    pairs = ((getattr(one, name), getattr(two, name)) for name in _ARRAYS)
    return all(
        first is second or (first is not None and second is not None and np.array_equal(first, second))
        for first, second in pairs
    )
