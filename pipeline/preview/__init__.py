"""Shaded pictures of meshes, still and animated."""

from .animation import encode_webp, render_animation, render_turntable
from .render import render_contact_sheet, render_preview

__all__ = [
    "encode_webp",
    "render_animation",
    "render_contact_sheet",
    "render_preview",
    "render_turntable",
]
