"""Animation clips, and their retargeting to the skeleton of a character.

clips.py reads the clips, which belong to no particular skeleton. retarget.py transfers them: legs.py and
feet.py keep the feet on the ground by inverse kinematics, arms.py keeps the arms out of the body. sampling.py
evaluates the result between its keys, and editing.py trims and loops it. stretch.py measures how far the skin
stretches in motion, mend.py binds anew what tears, and settle.py holds the limbs that tear even so. swing.py
has hair, tails and skirts follow.
"""

from .clips import HumanoidClip, load_clip, parse_clip
from .editing import edit_clips
from .mend import MAX_STRETCH, MendedCharacter, mend_skin
from .retarget import animate_character, retarget_clip
from .sampling import pose_character
from .settle import SettledCharacter, settle_skin
from .stretch import edge_stretch
from .swing import swing_clip

__all__ = [
    "MAX_STRETCH",
    "HumanoidClip",
    "MendedCharacter",
    "SettledCharacter",
    "animate_character",
    "edge_stretch",
    "edit_clips",
    "load_clip",
    "mend_skin",
    "parse_clip",
    "pose_character",
    "retarget_clip",
    "settle_skin",
    "swing_clip",
]
