"""Make-It-Animatable: from a mesh to Mixamo's 52 joints, skin weights, and the way to the T-pose."""

from .generate import PredictedRig, rig_mesh
from .loading import is_installed, list_installed_files
from .rest import reset_to_rest

__all__ = ["PredictedRig", "is_installed", "list_installed_files", "reset_to_rest", "rig_mesh"]
