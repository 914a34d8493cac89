"""Readers of files of other programs, each format to a Model (model.py); join.py makes it one mesh.

gltf*.py read glTF, GLB and VRM; apart.py runs the workers of fbx.py and usd.py; through_trimesh.py has the
plain formats. What a file refers to is found by beside.py, and named by companions.py for those who watch for
changes.
"""
