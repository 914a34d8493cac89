"""Hunyuan3D 2.0, 2mini, 2mv, their fast and turbo variants, and 2.1: from pictures to a shape field."""

from .decoding import decode_field
from .generate import generate_field
from .loading import ShapeModel, find_shape_model, load_shape_model

__all__ = [
    "ShapeModel",
    "decode_field",
    "find_shape_model",
    "generate_field",
    "load_shape_model",
]
