"""SkinTokens: a language model says the skeleton of a mesh, of whatever kind, and its skin weights."""

from .generate import rig_mesh, skin_mesh
from .loading import find_files, is_installed, load_model

__all__ = ["find_files", "is_installed", "load_model", "rig_mesh", "skin_mesh"]
