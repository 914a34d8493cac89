"""Stage generating_multiview_texture: maps of the mesh, and pictures of it from six sides."""

from .adapter_images import frame_reference, maps_to_condition
from .delight import DelitPicture, delight_picture
from .maps import render_view_maps
from .projection import synthesize_views
from .side_pictures import show_pictures
from .symmetrize_views import symmetrize_views

__all__ = [
    "DelitPicture",
    "delight_picture",
    "frame_reference",
    "maps_to_condition",
    "render_view_maps",
    "show_pictures",
    "symmetrize_views",
    "synthesize_views",
]
