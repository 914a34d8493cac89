"""Decoding a latent to a field: near the surface only, beside ComfyUI's dense grid, on the same weights.

    python benchmarks/decode.py [RESOLUTION ...]          default: 256 384 512; about ten minutes on two cores

Each run has a process of its own. The weights are the small random ones of the tests whose decoder makes a
figure; both ask the same decoder. Columns: points evaluated, seconds (two runs, the shorter one), growth of the
peak memory (resident set; on a GPU that of the card); then how often fewer and faster, and the edges of the dense
grid which its surface crosses and at whose ends the other one's values differ by more than 1e-4: none, and
the surface is the same.
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

FILE = "hunyuan3d-dit-v2-mini.safetensors"
TOKENS = 16


def main() -> None:
    """Measure each resolution with both and print a line for each."""
    resolutions = [int(word) for word in sys.argv[1:]] or [256, 384, 512]
    installation = prepare_own_comfyui(with_tests=True)
    print(
        "resolution  method          points   seconds   peak MB    fewer   faster   crossed edges that differ"
    )
    for resolution in resolutions:
        with tempfile.TemporaryDirectory() as folder:
            runs = {}
            for method in ("dense", "near"):
                command = [installation.python, "-P", __file__, "--child", method, resolution, folder]
                done = subprocess.run(
                    [str(word) for word in (*command, installation.comfyui)], capture_output=True, text=True
                )
                if done.returncode:
                    raise SystemExit(done.stderr)
                runs[method] = json.loads(done.stdout.splitlines()[-1])
            differing = compare_fields(Path(folder), resolution)
        dense, near = runs["dense"], runs["near"]
        for method, run in runs.items():
            row = f"{resolution:10}  {method:8}{run['points']:14,}{run['seconds']:10.1f}{run['megabytes']:10.0f}"
            if method == "near":
                fewer, faster = (dense[key] / near[key] for key in ("points", "seconds"))
                row += f"{fewer:8.1f}x{faster:8.1f}x{differing:12}"
            print(row, flush=True)


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
    """Decode twice with one method; print the measurements and keep the field."""
    import numpy as np
    import torch

    backend, small = load_pack(comfyui)
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.folder_names_and_paths["diffusion_models"] = ([str(folder)], {".safetensors"})
    small.save_checkpoint(folder / FILE, small.draw_figure_checkpoint())
    vae = backend.load_shape_model(FILE).vae
    latent = torch.randn((1, 64, TOKENS), generator=torch.Generator().manual_seed(0))
    backend.decode_field(vae, latent, 16)
    before, seconds = read_peak(torch), []
    for _ in range(2):
        start = time.monotonic()
        if method == "near":
            field = backend.decode_field(vae, latent, resolution)
            values, points = field.values, field.points
        else:
            with torch.inference_mode():
                options = {"octree_resolution": resolution, "num_chunks": 8000, "enable_pbar": False}
                values = vae.decode(latent, vae_options=options)[0]
            points = values.numel()
        seconds.append(time.monotonic() - start)
    peak = read_peak(torch)
    if method == "dense":
        # ComfyUI's axes are z, y, x, and its values are moved from -1..1 to 0..1.
        values = values.permute(2, 1, 0) * 2 - 1
    np.save(folder / f"{method}.npy", values.numpy())
    print(json.dumps({"points": points, "seconds": min(seconds), "megabytes": peak - before}))


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
            one, other = (
                np.take(inside, range(start, inside.shape[axis] - 1 + start), axis) for start in (0, 1)
            )
            bad, worse = (
                np.take(wrong, range(start, wrong.shape[axis] - 1 + start), axis) for start in (0, 1)
            )
            edges = (one != other) & (bad | worse)
            count += int(edges.sum() if axis == 0 else edges[0].sum())
    return count


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run_child(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5])
    else:
        main()
