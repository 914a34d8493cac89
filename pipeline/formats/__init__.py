"""Files that other programs open: FBX and GLB."""

from .fbx import write_fbx
from .glb import encode_glb, write_glb

__all__ = ["encode_glb", "write_fbx", "write_glb"]
