"""A skeleton of its own for what is no person: along the middle of its trunk and limbs.

curve_tree.py finds the lines, name_limbs.py what they are, place_joints.py where they bend; fit_creature.py
makes the skeleton of them, and bind.py the skin weights.
"""

from .bind import bind_creature
from .fit_creature import FittedCreature, fit_creature

__all__ = ["FittedCreature", "bind_creature", "fit_creature"]
