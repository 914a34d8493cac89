"""A face that moves: morph targets of a head whose eyes and mouth are known from the picture.

place.py puts them on the mesh, shapes.py says how a face moves, morphs.py makes it so.
"""

from .morphs import add_face
from .place import FacePlace, place_face

__all__ = ["FacePlace", "add_face", "place_face"]
