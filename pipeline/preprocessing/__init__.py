"""Stage `preprocessing`: cut the subject of a picture out, frame it and read its figure.

Does not import torch before `read_figure` is used.
"""

from typing import TYPE_CHECKING

from ..first_use import import_at_first_use
from .agree import bring_together
from .cutout import needs_prior
from .face_hints import fits_face
from .framing import composite_on_gray, frame_subject
from .preprocess import Prior, preprocess_picture, preprocess_sheet, split_sheet
from .side_depth import measure_depths
from .turnaround import View, name_views

if TYPE_CHECKING:
    from . import read_figure as read_figure
else:
    __getattr__ = import_at_first_use(__name__)

__all__ = [
    "Prior",
    "View",
    "bring_together",
    "composite_on_gray",
    "fits_face",
    "frame_subject",
    "measure_depths",
    "name_views",
    "needs_prior",
    "preprocess_picture",
    "preprocess_sheet",
    "split_sheet",
]
