"""Train the joint network: `python train_joints.py DATA OUT --minutes 70`.

As `train.py`: it continues from OUT/state.pt where there is one.
"""

from __future__ import annotations

import numpy as np
import pack  # noqa: F401
import torch
from character3d.pipeline.figure.heat_maps import list_places
from character3d.pipeline.rigging.fit.joint_network import (
    HEAT_SIDE,
    JointMaps,
    JointNetwork,
    decode_joints,
)
from hogwild import Task, parse_arguments, train
from joint_samples import JointBatch, Surfaces
from torch import Tensor

_WEIGHTS = {"heat": 0.3, "place": 4.0, "depth": 6.0, "parts": 0.4}
_REPEATED = 2
"""How often each rigged mesh counts against a drawn figure."""
_SPREAD = 0.9
"""Of the heat map that is aimed at, in cells."""


def losses(network: JointNetwork, batch: JointBatch) -> dict[str, Tensor]:
    """Places and depths of the joints, and parts of both surfaces."""
    maps = network(batch.surface)
    known = batch.joints.isfinite().all(dim=2)
    joints = batch.joints.nan_to_num(0.5)
    target = _heat_target(joints)
    log = maps.heat.flatten(2).log_softmax(dim=2)
    y, x = list_places(HEAT_SIDE, log.device)
    chance = log.exp()
    place = torch.stack([chance @ x, chance @ y], dim=2) - joints[..., :2]
    depth = (maps.depth.flatten(2) * target).sum(dim=2) - joints[..., 2]
    return {
        "heat": -(target * log).sum(dim=2)[known].mean(),
        "place": place.norm(dim=2)[known].mean(),
        "depth": depth.abs()[known].mean(),
        "parts": _part_loss(maps, batch),
    }


def _part_loss(maps: JointMaps, batch: JointBatch) -> Tensor:
    truth = batch.parts[..., ::2, ::2]
    loss = torch.nn.functional.cross_entropy(maps.parts.flatten(0, 1), truth.flatten(0, 1), reduction="none")
    counted = 0.1 + (truth.flatten(0, 1) > 0)
    return (loss * counted).sum() / counted.sum()


def _heat_target(joints: Tensor) -> Tensor:
    centers = (torch.arange(HEAT_SIDE) + 0.5) / HEAT_SIDE
    spread = 2 * (_SPREAD / HEAT_SIDE) ** 2
    x, y = (torch.exp(-((centers - joints[..., i, None]) ** 2) / spread) for i in (0, 1))
    places = (y[..., :, None] * x[..., None, :]).flatten(2)
    return places / places.sum(dim=2, keepdim=True).clamp_min(1e-6)


@torch.inference_mode()
def validate(network: JointNetwork, figures: Surfaces) -> str:
    """Errors on figures that are never trained on."""
    rng, totals = np.random.default_rng(0), []
    network.eval()
    for start in range(0, len(figures), 50):
        batch = figures.batch(np.arange(start, min(start + 50, len(figures))), rng, augment=False)
        values = losses(network, batch)
        found, _ = decode_joints(network(batch.surface))
        off = (found - batch.joints).norm(dim=2)
        values["off"], values["median"] = off.nanmean(), off.nanmedian()
        totals.append({name: float(value) for name, value in values.items()})
    return " ".join(f"{n} {np.mean([t[n] for t in totals]):.4f}" for n in totals[0])


def main() -> None:
    """Train until the time is up."""
    arguments = parse_arguments(__doc__)
    drawn = sorted(arguments.data.glob("surface_???.npz"))
    rigged = sorted(arguments.data.glob("rigged_???.npz"))
    figures = Surfaces(drawn + _REPEATED * rigged)
    train(Task(JointNetwork(), losses, _WEIGHTS, validate), figures, arguments)


if __name__ == "__main__":
    main()
