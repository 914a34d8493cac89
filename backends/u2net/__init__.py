"""U²-Net small: the mask of what a picture is of.

Qin et al. 2020, "U²-Net: Going Deeper with Nested U-Structure for Salient Object Detection".
"""

from .masks import NETWORK, predict_mask, predict_mask_closely

find_file, is_installed = NETWORK.find_file, NETWORK.is_installed
load_model, read_network = NETWORK.load, NETWORK.read_network

__all__ = [
    "find_file",
    "is_installed",
    "load_model",
    "predict_mask",
    "predict_mask_closely",
    "read_network",
]
