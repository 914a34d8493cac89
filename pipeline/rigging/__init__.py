"""Stage `rigging`: a skeleton fitted to a mesh, and skin weights that bind the mesh to it.

voxelize.py fills the mesh with voxels (voxel_solid.py); fit/ finds the joints in them, skin/ binds the
vertices to the bones, and pose/ moves the result. skeleton.py defines the joints, joint_axes.py their axes,
appendages.py joints of tails, wings, hair and props, twist_joints.py those that take a share of a roll,
face_joints.py eyes and jaw.
"""

from .creature import bind_creature, fit_creature
from .face import add_face, place_face
from .face_joints import add_face_joints
from .fit.fit_skeleton import FittedSkeleton, fit_skeleton
from .pose.posing import pose_joints, pose_vertices
from .pose.rest_pose import normalize_to_t_pose
from .rig_check import RigCheck, check_rig
from .scale import scale_character
from .skin.held_limbs import find_fused_arms, hold_limbs
from .skin.separate import SeparatedMesh, separate_limbs
from .skin.skinning import compute_skin_weights
from .twist_joints import add_twist_joints

__all__ = [
    "FittedSkeleton",
    "RigCheck",
    "SeparatedMesh",
    "add_face",
    "add_face_joints",
    "add_twist_joints",
    "bind_creature",
    "check_rig",
    "compute_skin_weights",
    "find_fused_arms",
    "fit_creature",
    "fit_skeleton",
    "hold_limbs",
    "normalize_to_t_pose",
    "place_face",
    "pose_joints",
    "pose_vertices",
    "scale_character",
    "separate_limbs",
]
