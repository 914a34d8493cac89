"""Decoding a latent to a field: near the surface only, beside ComfyUI's dense grid, on the same weights.

    python benchmarks/decode.py [RESOLUTION ...]         default: 256 384 512; ten minutes on two cores

Each run has a process of its own, of 32 GB of addresses at most. The weights are the small random ones of
the tests whose decoder makes a figure; both ask the same decoder. Columns: points evaluated, seconds, growth
of the peak memory (resident set; on a GPU that of the card); then how often fewer and faster, and the edges
of the dense grid which its surface crosses and at whose ends the other one's values differ by more than 1e-4:
none, and the surface is the same.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from launcher.environment import prepare_own_comfyui  # noqa: E402
from launcher.installation import Installation  # noqa: E402

FILE = "hunyuan3d-dit-v2-mini.safetensors"
TOKENS = 16
MOST_MEMORY = 32 * 2**30


def main() -> None:
    """Measure each resolution with both and print a line for each."""
    resolutions = [int(word) for word in sys.argv[1:]] or [256, 384, 512]
    installation = prepare_own_comfyui(with_tests=True)
    print("resolution  method          points   seconds   peak MB    fewer   faster   differing edges")
    for resolution in resolutions:
        with tempfile.TemporaryDirectory() as folder:
            runs = {name: run_apart(installation, name, resolution, folder) for name in ("dense", "near")}
            for method, run in runs.items():
                print(f"{resolution:10}  {method:8}" + describe_run(run), end="")
                if method == "near" and "failed" not in runs["dense"]:
                    fewer, faster = (runs["dense"][key] / run[key] for key in ("points", "seconds"))
                    print(f"{fewer:8.1f}x{faster:8.1f}x{compare_fields(Path(folder), resolution):12}", end="")
                print(flush=True)


def run_apart(installation: Installation, method: str, resolution: int, folder: str) -> dict[str, Any]:
    """Run one method in a process of its own; what it measured, or how it failed."""
    command = [
        installation.python,
        "-P",
        __file__,
        "--child",
        method,
        resolution,
        folder,
        installation.comfyui,
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1][:80]}
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def describe_run(run: dict[str, Any]) -> str:
    """The columns of one run."""
    if "failed" in run:
        return f"   failed: {run['failed']}"
    return f"{run['points']:14,}{run['seconds']:10.1f}{run['megabytes']:10.0f}"


def load_pack(comfyui: str) -> tuple[Any, Any]:
    """Import the decoder's module and the tests' checkpoints inside a bare ComfyUI, without its server."""
    sys.path.append(comfyui)
    importlib.import_module("comfy.options").args_parsing = False
    torch = importlib.import_module("torch")
    importlib.import_module("comfy.cli_args").args.cpu = not torch.cuda.is_available()
    spec = importlib.util.spec_from_file_location(
        "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    assert spec is not None
    sys.modules["character3d"] = importlib.util.module_from_spec(spec)
    backend = importlib.import_module("character3d.backends.hunyuan3d")
    return backend, importlib.import_module("character3d.tests.small_hunyuan3d")


def run_child(method: str, resolution: int, folder: Path, comfyui: str) -> None:
    """Decode with one method; print the measurements and keep the field."""
    import numpy as np
    import torch

    if not torch.cuda.is_available():
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    backend, small = load_pack(comfyui)
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.folder_names_and_paths["diffusion_models"] = ([str(folder)], {".safetensors"})
    small.save_checkpoint(folder / FILE, small.draw_figure_checkpoint())
    vae = backend.load_shape_model(FILE).vae
    latent = torch.randn((1, 64, TOKENS), generator=torch.Generator().manual_seed(0))
    backend.decode_field(vae, latent, 16)
    before, start = read_peak(torch), time.monotonic()
    if method == "near":
        field = backend.decode_field(vae, latent, resolution)
        values, points = field.values, field.points
    else:
        with torch.inference_mode():
            options = {"octree_resolution": resolution, "num_chunks": 8000, "enable_pbar": False}
            values = vae.decode(latent, vae_options=options)[0]
        points = values.numel()
    seconds = time.monotonic() - start
    peak = read_peak(torch)
    if method == "dense":
        # ComfyUI's axes are z, y, x, and its values are moved from -1..1 to 0..1.
        values = values.permute(2, 1, 0) * 2 - 1
    np.save(folder / f"{method}.npy", values.numpy())
    print(json.dumps({"points": points, "seconds": seconds, "megabytes": peak - before}))


def read_peak(torch: Any) -> float:
    """Peak memory of this process, or of its GPU, in MB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def compare_fields(folder: Path, resolution: int) -> int:
    """Edges that the dense surface crosses and at whose ends the fields differ, where neither is cut off."""
    import numpy as np

    dense, near = (np.load(folder / f"{method}.npy", mmap_mode="r") for method in ("dense", "near"))
    count = 0
    for row in range(resolution):
        slab = slice(row, row + 2)
        theirs, ours = np.asarray(dense[slab]), np.clip(near[slab], -1, 1)
        wrong, inside = np.abs(theirs - ours) > 1e-4, theirs > 0
        for axis in range(3):
            last = inside.shape[axis] - 1
            one, other = (np.take(inside, range(start, last + start), axis) for start in (0, 1))
            bad, worse = (np.take(wrong, range(start, last + start), axis) for start in (0, 1))
            edges = (one != other) & (bad | worse)
            count += int(edges.sum() if axis == 0 else edges[0].sum())
    return count


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
    else:
        main()
