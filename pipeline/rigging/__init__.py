"""From a closed mesh to a skeleton and skin weights."""

from .fit.fit_skeleton import FittedSkeleton, fit_skeleton
from .pose.posing import pose_joints, pose_vertices
from .pose.rest_pose import normalise_to_t_pose
from .skin.separate import SeparatedMesh, separate_limbs
from .skin.skinning import compute_skin_weights

__all__ = [
    "FittedSkeleton",
    "SeparatedMesh",
    "compute_skin_weights",
    "fit_skeleton",
    "normalise_to_t_pose",
    "pose_joints",
    "pose_vertices",
    "separate_limbs",
]
