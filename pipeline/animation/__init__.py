"""Clips as data, and their way onto the skeleton of a character."""

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
