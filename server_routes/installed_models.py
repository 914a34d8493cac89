"""Which models this ComfyUI has installed."""

from __future__ import annotations

import folder_paths

from ..pipeline import weights


def list_diffusion_models() -> list[str]:
    """Exactly the names that POST /generate_character accepts as model_name. Blocks: scans folders."""
    names = set(folder_paths.get_filename_list("checkpoints"))
    names -= set(weights.list_shape_models(names))
    return sorted(name for name in names if name.lower().endswith(".safetensors"))


def list_shape_models() -> list[str]:
    """Exactly the names that it accepts as mesh_model besides `auto`, best first. Blocks: scans folders."""
    return weights.list_shape_models(
        name for folder in weights.SHAPE_MODEL_FOLDERS for name in folder_paths.get_filename_list(folder)
    )
