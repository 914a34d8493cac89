"""Texture coordinates, and baking views of a mesh into its texture."""

from .atlas import apply_texture
from .bake import BakedTexture, bake_views
from .bake_colors import bake_colors
from .unwrap import unwrap_mesh

__all__ = ["BakedTexture", "apply_texture", "bake_colors", "bake_views", "unwrap_mesh"]
