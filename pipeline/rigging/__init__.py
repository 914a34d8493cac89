"""Stage `rigging`: a skeleton fitted to a mesh, and skin weights that bind the mesh to it.

voxelize.py fills the mesh with voxels (voxel_solid.py); fit/ finds the joints in them, skin/ binds the
vertices to the bones, and pose/ moves the result. skeleton.py defines the joints and their axes, and
appendages.py those of tails, wings, hair and props.
"""

from .fit.fit_skeleton import FittedSkeleton, fit_skeleton
from .pose.posing import pose_joints, pose_vertices
from .pose.rest_pose import normalize_to_t_pose
from .skin.held_limbs import find_fused_arms, hold_limbs
from .skin.separate import SeparatedMesh, separate_limbs
from .skin.skinning import compute_skin_weights

__all__ = [
    "FittedSkeleton",
    "SeparatedMesh",
    "compute_skin_weights",
    "find_fused_arms",
    "fit_skeleton",
    "hold_limbs",
    "normalize_to_t_pose",
    "pose_joints",
    "pose_vertices",
    "separate_limbs",
]
