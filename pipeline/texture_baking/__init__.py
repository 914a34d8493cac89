"""Texture coordinates, and baking views of a mesh into its texture."""

from .atlas import apply_texture
from .bake import BakedTexture, bake_views, choose_texture_size
from .bake_colors import bake_colors
from .merge_materials import MergedMaterials, merge_materials
from .own_uvs import OwnUvs, read_own_uvs
from .transfer import transfer_surface
from .unwrap import unwrap_mesh

__all__ = [
    "BakedTexture",
    "MergedMaterials",
    "OwnUvs",
    "apply_texture",
    "bake_colors",
    "bake_views",
    "choose_texture_size",
    "merge_materials",
    "read_own_uvs",
    "transfer_surface",
    "unwrap_mesh",
]
