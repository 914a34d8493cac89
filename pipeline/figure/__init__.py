"""The figure in a picture: read once, in preprocessing, and used by shape, views, texture and rig."""

from .figure import KINDS, LANDMARKS, PARTS, Figure, mirrored_names, shows_soles

__all__ = ["KINDS", "LANDMARKS", "PARTS", "Figure", "mirrored_names", "shows_soles"]
