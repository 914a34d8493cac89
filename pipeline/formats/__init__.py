"""Files that other programs open, FBX and GLB, and the meshes of others."""

from .fbx import write_fbx
from .glb import encode_glb, write_glb
from .mesh_files import MESH_SUFFIXES, read_mesh

__all__ = ["MESH_SUFFIXES", "encode_glb", "read_mesh", "write_fbx", "write_glb"]
