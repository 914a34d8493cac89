"""Train the body network: `python train.py DATA OUT --minutes 72`.

It goes on from OUT/state.pt if there is one. The learning rate falls over the minutes that are given; the
weights that are kept are a running mean.
"""

from __future__ import annotations

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure.body_network import HEAT_SIDE, BodyNetwork, decode_landmarks
from hogwild import Task, parse_arguments, train
from samples import Batch, Figures
from torch import Tensor


def losses(network: BodyNetwork, batch: Batch) -> dict[str, Tensor]:
    """Depths (Laplace), extent of each row's depths, parts, places and depths of landmarks."""
    output = network(batch.outline, batch.hints, batch.colors)
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
def validate(network: BodyNetwork, figures: Figures) -> str:
    """Errors on figures that are never trained on, half of them without hints."""
    rng, totals = np.random.default_rng(0), []
    network.eval()
    for start in range(0, len(figures), 50):
        batch = figures.batch(np.arange(start, min(start + 50, len(figures))), rng)
        if start % 100 == 0:
            batch.hints.zero_()
        values = losses(network, batch)
        points, _ = decode_landmarks(network(batch.outline, batch.hints, batch.colors))
        seen = ((batch.landmarks[..., :2] > 0) & (batch.landmarks[..., :2] < 1)).all(dim=2)
        values["place"] = (points - batch.landmarks)[..., :2].norm(dim=2)[seen].mean()
        totals.append({name: float(value) for name, value in values.items()})
    names = totals[0]
    free, hinted = totals[::2], totals[1::2]
    return " ".join(
        f"{n} {np.mean([t[n] for t in free]):.4f}/{np.mean([t[n] for t in hinted]):.4f}" for n in names
    )


def main() -> None:
    """Train until the time is up."""
    arguments = parse_arguments(__doc__)
    figures = Figures(sorted(arguments.data.glob("shard_???.npz")))
    train(Task(BodyNetwork(), losses, _WEIGHTS, validate), figures, arguments)


if __name__ == "__main__":
    main()
