"""Geometry that several stages share: welding, components, areas, Laplacians, normals."""
