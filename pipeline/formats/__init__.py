"""Files that other programs open: FBX and GLB."""

from .fbx import write_fbx

__all__ = ["write_fbx"]
