"""From the bytes of a picture to the subject, cut out and framed. Nothing here needs torch."""

from .decode import decode_picture
from .preprocess import preprocess_picture

__all__ = ["decode_picture", "preprocess_picture"]
