"""IS-Net for general use: the mask of what a picture is of, at 1024 pixels.

Qin et al. 2022, "Highly Accurate Dichotomous Image Segmentation".
"""

from .masks import NETWORK, predict_mask

find_file, is_installed = NETWORK.find_file, NETWORK.is_installed
load_model, read_network = NETWORK.load, NETWORK.read_network

__all__ = ["find_file", "is_installed", "load_model", "predict_mask", "read_network"]
