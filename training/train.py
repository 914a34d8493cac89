"""Train the outline network: `python train.py DATA OUT --minutes 72`.

It goes on from OUT/state.pt if there is one. The learning rate falls over the minutes that are given; the
weights that are kept are a running mean.
"""

from __future__ import annotations

import argparse
import copy
import math
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure.outline_network import HEAT_SIDE, OutlineNetwork, decode_landmarks
from safetensors.torch import save_file
from samples import Batch, Figures
from torch import Tensor

_BATCH, _RATE, _DECAY, _SAVE_SECONDS = 16, 2e-3, 0.99, 240
_HELD_OUT = 100


def losses(network: OutlineNetwork, batch: Batch) -> dict[str, Tensor]:
    """Depths (Laplace), extent of each row's depths, parts, places and depths of landmarks."""
    output = network(batch.outline, batch.hints)
    inside = torch.isfinite(batch.front)
    truth = torch.stack([batch.front, batch.back], dim=1).nan_to_num(0)
    guess, scale = output.surfaces[:, :2], output.surfaces[:, 2:].clamp(-7, 0)
    error = (guess - truth).abs()
    weight = inside[:, None] / inside.sum(dim=(1, 2)).clamp_min(1)[:, None, None, None] / len(truth)
    depth = (error * weight).sum() / 2
    likelihood = ((error * torch.exp(-scale) + scale) * weight).sum() / 2
    parts = torch.nn.functional.cross_entropy(output.parts, batch.part[:, ::2, ::2], reduction="none")
    counted = 0.15 + inside[:, ::2, ::2]
    parts = (parts * counted).sum() / counted.sum()
    places, share = _heat_target(batch.landmarks)
    heat = -(places * output.heat.log_softmax(dim=2)).sum(dim=2).mean()
    at = (output.depth.flatten(2) * places[..., :-1]).sum(dim=2)
    joint = ((at - batch.landmarks[..., 2]).abs() * share).mean()
    return {
        "depth": depth,
        "likelihood": likelihood,
        "rows": _row_extent(guess, truth, inside),
        "parts": parts,
        "heat": heat,
        "joint": joint,
    }


_WEIGHTS = {"depth": 15.0, "likelihood": 0.3, "rows": 6.0, "parts": 0.4, "heat": 0.3, "joint": 8.0}


def _row_extent(guess: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
    """Error of the nearest and the farthest depth of each row: the outline that the side view shows."""
    far = torch.where(inside, 0.0, 9.0)
    rows = inside.any(dim=2)
    near = (guess[:, 0] - far).amax(dim=2) - (truth[:, 0] - far).amax(dim=2)
    last = (guess[:, 1] + far).amin(dim=2) - (truth[:, 1] + far).amin(dim=2)
    return ((near.abs() + last.abs()) * rows).sum() / rows.sum() / 2


def _heat_target(landmarks: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities (B, 20, 1025), and 1 for each landmark inside the picture (B, 20)."""
    centers = (torch.arange(HEAT_SIDE) + 0.5) / HEAT_SIDE
    spread = 2 * (0.7 / HEAT_SIDE) ** 2
    x, y = (torch.exp(-((centers - landmarks[..., i, None]) ** 2) / spread) for i in (0, 1))
    places = (y[..., :, None] * x[..., None, :]).flatten(2)
    share = ((landmarks[..., :2] > 0) & (landmarks[..., :2] < 1)).all(dim=2).float()
    places = places / places.sum(dim=2, keepdim=True).clamp_min(1e-6) * share[..., None]
    return torch.cat([places, 1 - share[..., None]], dim=2), share


@torch.inference_mode()
def validate(network: OutlineNetwork, figures: Figures) -> str:
    """Errors on figures that are never trained on, half of them without hints."""
    rng, totals = np.random.default_rng(0), []
    network.eval()
    for start in range(0, len(figures), 50):
        batch = figures.batch(np.arange(start, min(start + 50, len(figures))), rng)
        if start % 100 == 0:
            batch.hints.zero_()
        values = losses(network, batch)
        points, _ = decode_landmarks(network(batch.outline, batch.hints))
        seen = ((batch.landmarks[..., :2] > 0) & (batch.landmarks[..., :2] < 1)).all(dim=2)
        values["place"] = (points - batch.landmarks)[..., :2].norm(dim=2)[seen].mean()
        totals.append({name: float(value) for name, value in values.items()})
    names = totals[0]
    free, hinted = totals[::2], totals[1::2]
    return " ".join(
        f"{n} {np.mean([t[n] for t in free]):.4f}/{np.mean([t[n] for t in hinted]):.4f}" for n in names
    )


def main() -> None:
    """Train until the time is up: workers step the same weights without locks (Hogwild, Niu et al. 2011)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=72)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, state = OutlineNetwork(), {}
    if (path := arguments.out / "state.pt").exists():
        state = torch.load(path, weights_only=True)
        network.load_state_dict(state["network"])
    network.share_memory()
    figures = Figures(sorted(arguments.data.glob("shard_???.npz")))
    held = figures.split(_HELD_OUT)
    print(f"{len(figures)} figures, {sum(p.numel() for p in network.parameters())} parameters", flush=True)
    began = time.monotonic() - state.get("spent", 0.0)
    context = multiprocessing.get_context("fork")
    rest = (network, figures, state, began, 60 * arguments.minutes)
    others = [context.Process(target=_work, args=(i, *rest)) for i in range(1, arguments.workers)]
    for process in others:
        process.start()
    _work(0, *rest, arguments.out, held)
    for process in others:
        process.join()


def _work(
    worker: int,
    network: OutlineNetwork,
    figures: Figures,
    state: dict,
    began: float,
    seconds: float,
    out: Path | None = None,
    held: Figures | None = None,
) -> None:
    """Step the shared weights; the worker that is given `out` also keeps their running mean and saves."""
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
        values = losses(network, figures.batch(rng.integers(0, len(figures), _BATCH), rng))
        loss = sum(_WEIGHTS[name] * value for name, value in values.items())
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
            print(f"held out, without/with hints: {validate(mean, held)}", flush=True)
            _save(out, network, mean, optimizer, step, elapsed)


@torch.no_grad()
def _follow(mean: OutlineNetwork, network: OutlineNetwork, decay: float) -> None:
    for a, b in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if a.dtype.is_floating_point:
            a.mul_(decay).add_(b, alpha=1 - decay)


def _save(out: Path, network, mean, optimizer, step: int, spent: float) -> None:  # noqa: ANN001
    state = {"network": network.state_dict(), "mean": mean.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "step": step, "spent": spent}, out / "state.part")
    os.replace(out / "state.part", out / "state.pt")
    half = {n: v.half().contiguous() for n, v in mean.state_dict().items() if v.dtype.is_floating_point}
    save_file(half, out / "network.safetensors")


if __name__ == "__main__":
    main()
