"""Stage `mesh_generation`: from the framed picture, or from a learned field, to a closed mesh.

`inflate` is the entry of the embedded method, silhouette inflation (silhouette, landmarks, ground, depth,
lift); `reconstruct` is that of learned shapes (sparse_field_sampling, surface, clean, decimate).
"""

from .inflate import inflate_silhouette
from .reconstruct import CleanedMesh, ReconstructedMesh, clean_mesh, clean_whole_mesh, reconstruct_mesh
from .sparse_field_sampling import Query, SampledField, sample_field
from .surface import extract_surface

__all__ = [
    "CleanedMesh",
    "Query",
    "ReconstructedMesh",
    "SampledField",
    "clean_mesh",
    "clean_whole_mesh",
    "extract_surface",
    "inflate_silhouette",
    "reconstruct_mesh",
    "sample_field",
]
