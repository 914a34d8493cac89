"""How a mesh from a file stands: which of it is the figure, its up, front and unit, and its winding.

place.py is the entry; parts.py, winding.py, frame.py (on profile.py) and unit.py are its steps.
"""

from .place import AXIS_OPTIONS, PlacedMesh, place_mesh

__all__ = ["AXIS_OPTIONS", "PlacedMesh", "place_mesh"]
