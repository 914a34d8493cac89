"""Animation clips, and their retargeting to the skeleton of a character.

clips.py reads the clips, which belong to no particular skeleton. retarget.py transfers them: legs.py and
feet.py keep the feet on the ground by inverse kinematics, arms.py keeps the arms out of the body. sampling.py
evaluates the result between its keys.
"""

from .clips import HumanoidClip, load_clip, parse_clip
from .retarget import animate_character, retarget_clip
from .sampling import pose_character

__all__ = [
    "HumanoidClip",
    "animate_character",
    "load_clip",
    "parse_clip",
    "pose_character",
    "retarget_clip",
]
