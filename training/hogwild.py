"""Training on several cores: workers step the same weights without locks (Hogwild, Niu et al. 2011).

The learning rate falls over the minutes that are given; the weights that are kept are a running mean.
"""

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

_BATCH, _RATE, _DECAY, _SAVE_SECONDS = 16, 2e-3, 0.99, 240
_HELD_OUT = 100


class Task(NamedTuple):
    """losses: of a batch, by name; weights: of each; validate: says in words how good the network is."""

    network: nn.Module
    losses: Callable[[Any, Any], dict[str, Tensor]]
    weights: dict[str, float]
    validate: Callable[[Any, Any], str]


def parse_arguments(description: str | None) -> argparse.Namespace:
    """data, out, minutes and workers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=72)
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def train(task: Task, figures: Any, arguments: argparse.Namespace) -> None:
    """Train until the time is up; figures have a length, `split` and `batch`."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, state = task.network, {}
    if (path := arguments.out / "state.pt").exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
    network.share_memory()
    held = figures.split(_HELD_OUT)
    print(f"{len(figures)} figures, {sum(p.numel() for p in network.parameters())} parameters", flush=True)
    began = time.monotonic() - state.get("spent", 0.0)
    context = multiprocessing.get_context("fork")
    rest = (task, figures, state, began, 60 * arguments.minutes)
    others = [context.Process(target=_work, args=(i, *rest)) for i in range(1, arguments.workers)]
    for process in others:
        process.start()
    _work(0, *rest, arguments.out, held)
    for process in others:
        process.join()


def _work(
    worker: int,
    task: Task,
    figures: Any,
    state: dict,
    began: float,
    seconds: float,
    out: Path | None = None,
    held: Any = None,
) -> None:
    """Step the shared weights; the worker that is given `out` also keeps their running mean and saves."""
    network = task.network
    optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-2)
    mean, step = copy.deepcopy(network), state.get("step", 0)
    if state:
        optimizer.load_state_dict(state["optimizer"])
        mean.load_state_dict(state["mean"])
    rng = np.random.default_rng((worker, step))
    saved, running = time.monotonic(), {}
    while (elapsed := time.monotonic() - began) < seconds:
        fall = 0.5 * (1 + math.cos(math.pi * elapsed / seconds))
        rate = _RATE * min(1, (step + 1) / 200) * max(0.01, fall)
        for group in optimizer.param_groups:
            group["lr"] = rate
        network.train()
        values = task.losses(network, figures.batch(rng.integers(0, len(figures), _BATCH), rng))
        loss = sum(task.weights[name] * value for name, value in values.items())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        step += 1
        if out is None or held is None:
            continue
        _follow(mean, network, min(_DECAY, step / (step + 20)))
        for name, value in values.items():
            running[name] = 0.98 * running.get(name, value.item()) + 0.02 * value.item()
        if step % 50 == 0:
            words = " ".join(f"{name} {value:.4f}" for name, value in running.items())
            print(f"{step} {elapsed / 60:.1f} min: {words}", flush=True)
        if time.monotonic() - saved > _SAVE_SECONDS or elapsed + 5 > seconds:
            saved = time.monotonic()
            print(f"held out, {task.validate(mean, held)}", flush=True)
            _save(out, network, mean, optimizer, step, elapsed)


@torch.no_grad()
def _follow(mean: nn.Module, network: nn.Module, decay: float) -> None:
    for a, b in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if a.dtype.is_floating_point:
            a.mul_(decay).add_(b, alpha=1 - decay)


def _save(out: Path, network, mean, optimizer, step: int, spent: float) -> None:  # noqa: ANN001
    state = {"network": network.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "step": step, "spent": spent}, out / "state.part")
    os.replace(out / "state.part", out / "state.pt")
    half = {n: v.half().contiguous() for n, v in mean.state_dict().items() if v.dtype.is_floating_point}
    save_file(half, out / "network.safetensors")
