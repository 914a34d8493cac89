"""Stage generating_multiview_texture: maps of the mesh, and pictures of it from six sides."""

from .adapter_images import frame_reference, maps_to_condition
from .maps import render_view_maps
from .projection import synthesize_views

__all__ = ["frame_reference", "maps_to_condition", "render_view_maps", "synthesize_views"]
