"""What all stage nodes share: progress, cancellation, the report and the log line."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

import comfy.model_management
import comfy.utils
import torch

from ..pipeline.device import CPU
from ..pipeline.types import StageReport

_LOG = logging.getLogger("character3d")
_TICKS = 1000
_BYTES_PER_PIXEL = 256
"""Scratch memory per pixel: twice what a bake, the largest work, was measured to take."""


class StageRun:
    """One run of one stage. `progress` updates ComfyUI's progress bar and is where a run is cancelled."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._start = time.monotonic()
        self._bar = comfy.utils.ProgressBar(_TICKS)
        self._tick = -1

    def progress(self, fraction: float, /) -> None:
        """A pipeline Progress; raises InterruptProcessingException if the prompt was cancelled."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        tick = int(min(max(fraction, 0.0), 1.0) * _TICKS)
        if tick > self._tick:
            self._tick = tick
            self._bar.update_absolute(tick, _TICKS)

    def finish(
        self,
        method: str,
        warnings: Iterable[str] = (),
        metrics: Mapping[str, float] | None = None,
        ignored_inputs: Iterable[str] = (),
    ) -> dict[str, list[object]]:
        """Log how the stage ran and return the report as the node's ui output."""
        seconds = round(time.monotonic() - self._start, 3)
        report = StageReport(
            self._stage, method, seconds, tuple(warnings), dict(metrics or {}), tuple(ignored_inputs)
        )
        _LOG.info("%s: %s, %.1f s", self._stage, method, seconds)
        for warning in report.warnings:
            _LOG.warning("%s: %s", self._stage, warning)
        return {"character3d_report": [report.to_dict()]}


def join_reports(reports: Iterable[Mapping[str, list[object]]]) -> dict[str, list[object]]:
    """The ui output of a node that ran once for each mesh of a batch."""
    joined: dict[str, list[object]] = {}
    for report in reports:
        for name, entries in report.items():
            joined.setdefault(name, []).extend(entries)
    return joined


def reserve_device(pixels: int) -> torch.device:
    """The device that ComfyUI computes on, with memory made free to rasterize so many pixels at a time.

    Falls back to the CPU if unloading models does not free enough, and for anything but CUDA (which is also
    ROCm's name): MPS, DirectML and most of Intel's GPUs lack float64, which exact coverage needs.
    """
    device: torch.device = comfy.model_management.get_torch_device()
    if device.type != "cuda":
        return CPU
    comfy.model_management.free_memory(pixels * _BYTES_PER_PIXEL, device)
    free = comfy.model_management.get_free_memory(device)
    return device if free >= pixels * _BYTES_PER_PIXEL else CPU


def choose_method(name: str, methods: Iterable[str], installed: Iterable[str] | None = None) -> str:
    """Resolve `auto` to the first of `installed`, which defaults to all `methods`; both are best first."""
    known = tuple(methods)
    if name == "auto":
        return next(iter(known if installed is None else installed))
    if name not in known:
        raise ValueError(f"no method {name!r}; there are: auto, {', '.join(known)}")
    return name
