"""Make-It-Animatable: from a mesh to Mixamo's 52 joints, skin weights and rotations to the T-pose."""

from .generate import rig_mesh
from .loading import find_files, is_installed, list_installed_files, load_models
from .rest import reset_to_rest

__all__ = [
    "find_files",
    "is_installed",
    "list_installed_files",
    "load_models",
    "reset_to_rest",
    "rig_mesh",
]
