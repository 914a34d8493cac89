"""From the bytes of a picture to the subject, cut out and framed. Nothing here needs torch."""

from .decode import decode_picture, load_picture
from .framing import frame_subject, lay_on_ground
from .preprocess import preprocess_picture

__all__ = ["decode_picture", "frame_subject", "lay_on_ground", "load_picture", "preprocess_picture"]
