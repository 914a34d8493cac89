"""MV-Adapter IG2MV as a patch of a MODEL. ComfyUI still samples, offloads, casts and applies LoRAs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP

from ...pipeline.errors import PictureError
from .attention import VIEW_COUNT
from .loading import Place, ViewAdapter
from .schedule import shift_noise

_KEY = "character3d_ig2mv"
_FEATURE_BLOCKS = {3: 0, 5: 1, 8: 2}
"""Input blocks of SDXL after which the encoder's first three features are added. The fourth is added after
the middle block, that is, before the first output block."""
_MIDDLE_FEATURE = 3
_LATENT_PIXELS = 8


def apply_ig2mv(model: Any, adapter: Any, reference: torch.Tensor, maps: torch.Tensor) -> Any:
    """Return a patched clone of a MODEL that denoises six views of one object at once.

    adapter: from load_adapter, for this model. reference: (1, 4, H, W), the picture's latent from the VAE.
    maps: (6, 6, S, S), 0..1, position and normal maps from `maps_to_condition`. ValueError if the MODEL is
    patched already.
    """
    if model.get_additional_models_with_key(_KEY):
        raise ValueError("the model is patched with IG2MV already; connect the checkpoint's own model")
    patched = model.clone()
    guide = _ViewGuide(adapter.model, model.model.process_latent_in(reference), maps)
    patched.set_additional_models(_KEY, [adapter])
    patched.add_object_patch("model_sampling", shift_noise(model.get_model_object("model_sampling")))
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, _KEY, guide.sample)
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, _KEY, guide.denoise)
    patched.set_model_attn1_patch(guide.attend)
    patched.set_model_attn1_output_patch(guide.add_attention)
    patched.set_model_input_block_patch(guide.add_input_feature)
    patched.set_model_output_block_patch(guide.add_middle_feature)
    return patched


class _ViewGuide:
    """State shared by the patches of one model: the inputs, and what each sampling run derives from them."""

    def __init__(self, adapter: ViewAdapter, reference: torch.Tensor, maps: torch.Tensor) -> None:
        self._adapter, self._reference, self._maps = adapter, reference, maps
        self._reset()

    def __deepcopy__(self, _memo: object) -> _ViewGuide:
        # Releases up to 0.3.75 deep-copy the patches of a MODEL whenever a later node clones it.
        return self

    def _reset(self) -> None:
        self._features: list[torch.Tensor] = []
        self._pictures: dict[Place, torch.Tensor] = {}
        self._groups: list[int] = []
        self._added = torch.zeros(())

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Wrap a sampling run. The reference's states depend on its prompt and LoRAs, so they end with it."""
        self._reset()
        try:
            return executor(*args, **kwargs)
        finally:
            self._reset()

    def denoise(
        self,
        executor: Any,
        x: torch.Tensor,
        timesteps: torch.Tensor,
        context: torch.Tensor,
        y: torch.Tensor,
        control: Any,
        options: dict[str, Any],
        **kwargs: Any,
    ) -> Any:
        """Wrap each evaluation of the UNet: prepare what the patches need."""
        self._groups = options["cond_or_uncond"]
        self._check(x)
        if not self._features:
            maps = self._maps.to(x.device, x.dtype)
            self._features = self._adapter.condition(maps)
        if not self._pictures and 0 in self._groups:
            row = self._groups.index(0) * VIEW_COUNT
            self._pictures = self._read_reference(
                executor.original, x, context[row : row + 1], y[row : row + 1], options
            )
        return executor(x, timesteps, context, y, control, options, **kwargs)

    def _check(self, x: torch.Tensor) -> None:
        side = self._maps.shape[-1] // _LATENT_PIXELS
        expected, found = (VIEW_COUNT, side, side), (len(x) // len(self._groups), *x.shape[-2:])
        if found != expected:
            raise PictureError(
                f"the model was patched for six views at once: expected a latent batch of {expected[0]} with "
                f"{side}x{side} pixels, as the node puts out; found {found[0]} of {found[2]}x{found[1]}"
            )

    def _read_reference(
        self,
        run: Callable[..., Any],
        x: torch.Tensor,
        context: torch.Tensor,
        y: torch.Tensor,
        options: dict[str, Any],
    ) -> dict[Place, torch.Tensor]:
        """The normed hidden states (1, M, C) of the noiseless reference at time 0, keyed by block."""
        states: dict[Place, torch.Tensor] = {}

        def capture(
            n: torch.Tensor, context: torch.Tensor, value: torch.Tensor, extra: dict[str, Any]
        ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            states[_locate(extra)] = n
            return n, context, value

        # Other packs' patches are meant for the views, so the reference goes through the bare model.
        bare = {
            **options,
            "patches": {"attn1_patch": [capture]},
            "patches_replace": {},
            "cond_or_uncond": [0],
        }
        run(self._reference.to(x.device, x.dtype), x.new_zeros(1), context, y, None, bare)
        return states

    def attend(
        self, n: torch.Tensor, context: torch.Tensor, value: torch.Tensor, extra: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """attn1_patch: reads the normed hidden states and returns them unchanged."""
        place = _locate(extra)
        pictures = [None if group else self._pictures[place] for group in self._groups]
        self._added = self._adapter.at(place)(n, pictures, extra["n_heads"], extra)
        return n, context, value

    def add_attention(self, n: torch.Tensor, _extra: dict[str, Any]) -> torch.Tensor:
        """attn1_output_patch: add both branches after the block's own output projection."""
        return n + self._added

    def add_input_feature(self, h: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
        """input_block_patch: add one of the first three features."""
        feature = _FEATURE_BLOCKS.get(options["block"][1])
        return h if feature is None else self._add_feature(h, feature)

    def add_middle_feature(
        self, h: torch.Tensor, skip: torch.Tensor, options: dict[str, Any]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """output_block_patch: add the fourth feature, as ComfyUI has no patch after the middle block."""
        return (self._add_feature(h, _MIDDLE_FEATURE) if options["block"][1] == 0 else h), skip

    def _add_feature(self, h: torch.Tensor, number: int) -> torch.Tensor:
        return h + self._features[number].repeat(len(self._groups), 1, 1, 1)


def _locate(extra: dict[str, Any]) -> Place:
    return (*extra["block"], extra["block_index"])
