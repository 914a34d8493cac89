"""How a mesh from a file stands: which of it is the figure, its up, front and unit, and its winding.

place.py is the entry; parts.py, winding.py, frame.py (on profile.py) and unit.py are its steps. form.py (on
profile.py and shape_numbers.py) tells people from animals and things.
"""

from .form import Form, read_form
from .parts import SECOND_BODY
from .place import PlacedMesh, place_mesh
from .unit import name_unit

__all__ = ["SECOND_BODY", "Form", "PlacedMesh", "name_unit", "place_mesh", "read_form"]
