"""Readers of files of other programs. gltf*.py read glTF, GLB and VRM."""
