"""Stage generating_multiview_texture: maps of the mesh and six pictures of it."""

from .maps import render_view_maps
from .synthesis import synthesize_views

__all__ = ["render_view_maps", "synthesize_views"]
