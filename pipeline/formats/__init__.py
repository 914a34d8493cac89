"""File formats: writers of FBX, GLB and VRM, and readers of meshes (mesh_files.py, reading/).

fbx*.py write FBX: fbx_binary.py the container, fbx_scene.py its objects, fbx_animation.py and fbx_angles.py
the clips. glb.py writes GLB with gltf_document.py (the container) and gltf_skin.py (skeleton, skin, clips);
vrm*.py add what VRM requires. validate.py holds the checks that all writers share.
"""

from ..conventions import MESH_SUFFIXES
from ..vrm_meta import VrmMeta
from .armature import encode_fbx_armature, encode_glb_armature, encode_vrma
from .bvh import encode_bvh
from .character_file import SUFFIXES, CharacterFile, encode_character
from .fbx import encode_fbx, write_fbx
from .files import create_file, encode_png, replace_file
from .glb import encode_glb, write_glb
from .joint_names import NAME_PROFILES, rename_character, rename_joints
from .mesh_files import LoadedMesh, advise, read_mesh
from .motion_files import LoadedMotions, read_motions
from .profile_axes import turn_axes
from .profile_bones import align_bones
from .reading.companions import list_companions
from .view_files import pack_files, read_views, unpack_files, write_views
from .vrm import encode_vrm, write_vrm

__all__ = [
    "MESH_SUFFIXES",
    "NAME_PROFILES",
    "SUFFIXES",
    "CharacterFile",
    "LoadedMesh",
    "LoadedMotions",
    "VrmMeta",
    "advise",
    "align_bones",
    "create_file",
    "encode_bvh",
    "encode_character",
    "encode_fbx",
    "encode_fbx_armature",
    "encode_glb",
    "encode_glb_armature",
    "encode_png",
    "encode_vrm",
    "encode_vrma",
    "list_companions",
    "pack_files",
    "read_mesh",
    "read_motions",
    "read_views",
    "rename_character",
    "rename_joints",
    "replace_file",
    "turn_axes",
    "unpack_files",
    "write_fbx",
    "write_glb",
    "write_views",
    "write_vrm",
]
