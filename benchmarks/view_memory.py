"""Memory of six views at full size, computed: every tensor of one guided step is counted, none is filled.

    python benchmarks/view_memory.py        a minute

SDXL and the IG2MV adapter are built in half precision at their published sizes on torch's fake tensors, which
have shapes and lifetimes but no numbers. What lives at one time is summed; the allocator's rounding and the
workspaces of kernels come on top (a few per cent on a GPU).
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import weakref
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from launcher.environment import prepare_own_comfyui  # noqa: E402

GIB = 2**30
VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


class CountBytes(TorchDispatchMode):
    """Bytes of the storages that are alive, and the most there ever were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def import_pack() -> None:
    """The pack under its alias and ComfyUI, on the CPU, with the attention of GPUs."""
    sys.path.append(str(prepare_own_comfyui(with_tests=True).comfyui))
    importlib.import_module("comfy.options").args_parsing = False
    args = importlib.import_module("comfy.cli_args").args
    args.cpu = args.use_pytorch_cross_attention = True
    spec = importlib.util.spec_from_file_location(
        "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    sys.modules["character3d"] = importlib.util.module_from_spec(spec)


def measure_step(size: int, groups: int) -> tuple[int, int, int]:
    """Bytes of the UNet, of the adapter, and the peak of what one step adds to them."""
    loading = importlib.import_module("character3d.backends.mv_adapter.loading")
    patch = importlib.import_module("character3d.backends.mv_adapter.patch")
    supported = importlib.import_module("comfy.supported_models")
    patcher = importlib.import_module("comfy.model_patcher").ModelPatcher
    small = importlib.import_module("character3d.tests.small_sdxl")
    config = supported.SDXL(dict(small.PUBLISHED_UNET))
    config.set_inference_dtype(torch.float16, None)
    cpu, side = torch.device("cpu"), size // 8
    model = patcher(config.get_model({}, device=cpu), cpu, cpu)
    adapter = patcher(
        small.build_published_adapter(loading.list_blocks(model), torch.float16).eval(), cpu, cpu
    )
    sizes = [sum(value.nbytes for value in module.parameters()) for module in (model.model, adapter.model)]
    patched = patch.apply_ig2mv(
        model, adapter, torch.empty((1, 4, side, side)), torch.empty((6, 6, size, size))
    )
    options = {
        **patched.model_options["transformer_options"],
        "wrappers": patched.wrappers,
        "cond_or_uncond": [0, 1][:groups],
    }
    rows = 6 * groups
    half = {"dtype": torch.float16}
    noise, context, pooled = (
        torch.empty(shape, **half) for shape in ((rows, 4, side, side), (rows, 77, 2048), (rows, 2816))
    )
    with CountBytes() as count:
        model.model.diffusion_model(noise, torch.empty(rows), context, pooled, None, options)
    return sizes[0], sizes[1], count.peak


def measure_decode(size: int, views: int) -> int:
    """Peak bytes of decoding so many views at once in half precision, without the weights."""
    module = importlib.import_module("comfy.ldm.models.autoencoder")
    torch.set_default_dtype(torch.float16)
    vae = module.AutoencoderKL(ddconfig=VAE, embed_dim=4).eval()
    torch.set_default_dtype(torch.float32)
    with CountBytes() as count:
        vae.decode(torch.empty((views, 4, size // 8, size // 8), dtype=torch.float16))
    return count.peak


def main() -> None:
    """Print a line for each size of view."""
    import_pack()
    print("GiB in half precision: UNet, adapter; what a step adds, guided and not; decoding 1 view and 6")
    for size in (512, 768, 1024):
        with torch.inference_mode(), FakeTensorMode(allow_non_fake_inputs=True):
            unet, adapter, guided = measure_step(size, 2)
            plain = measure_step(size, 1)[2]
            decode = [measure_decode(size, views) for views in (1, 6)]
        row = [value / GIB for value in (unet, adapter, guided, plain, *decode, unet + adapter + guided)]
        print(
            f"{size:5d}: "
            + " ".join(f"{value:6.2f}" for value in row[:-1])
            + f"  sum of a step {row[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
