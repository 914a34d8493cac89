"""Bind a mesh to its skeleton by geodesic voxel binding.

skinning.py computes the weights from the distances of bone_distances.py, along a graph without the contacts
between arms and body that contact_cuts.py finds; finger_skin.py adds the fingers. separate.py cuts the mesh
itself open at the contacts.
"""
