"""Bind the mesh to its skeleton: geodesic voxel binding, cut where limbs only touch the body."""
