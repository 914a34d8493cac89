"""BiRefNet: the mask of what a picture is of, by ComfyUI's own loader, where this ComfyUI has it.

Zheng et al. 2024, "Bilateral Reference for High-Resolution Dichotomous Image Segmentation".
"""

from .masks import find_file, is_installed, is_quick, load_model, predict_mask

__all__ = ["find_file", "is_installed", "is_quick", "load_model", "predict_mask"]
