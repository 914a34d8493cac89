"""IS-Net for general use: the mask of what a picture is of, at 1024 pixels.

Qin et al. 2022, "Highly Accurate Dichotomous Image Segmentation".
"""

from .masks import NETWORK, predict_mask

find_file, is_installed, load_model = NETWORK.find_file, NETWORK.is_installed, NETWORK.load

__all__ = ["find_file", "is_installed", "load_model", "predict_mask"]
