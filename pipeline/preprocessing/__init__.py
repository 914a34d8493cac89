"""Stage `preprocessing`: decode a picture, cut its subject out and frame it. Does not import torch."""

from .agree import bring_together
from .cutout import LEARNED, METHODS, needs_prior
from .decode import decode_picture, load_picture
from .framing import composite_on_gray, frame_subject
from .preprocess import Prior, preprocess_picture, preprocess_sheet, split_sheet

__all__ = [
    "LEARNED",
    "METHODS",
    "Prior",
    "bring_together",
    "composite_on_gray",
    "decode_picture",
    "frame_subject",
    "load_picture",
    "needs_prior",
    "preprocess_picture",
    "preprocess_sheet",
    "split_sheet",
]
