"""Texture coordinates, and baking views of a mesh into its texture."""

from .unwrap import unwrap_mesh

__all__ = ["unwrap_mesh"]
