"""Texture coordinates, and baking views of a mesh into its texture."""

from .atlas import apply_texture
from .bake import BakedTexture, bake_views
from .unwrap import unwrap_mesh
from .vertex_colors import bake_vertex_colors

__all__ = ["BakedTexture", "apply_texture", "bake_vertex_colors", "bake_views", "unwrap_mesh"]
