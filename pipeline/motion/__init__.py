"""Motion of any humanoid, put onto the skeleton of a character by role and rest pose.

normalize.py turns a skeleton's clip into a Motion, which belongs to no skeleton: rotations from the T-pose,
by role. contacts.py tells when its feet stand. transfer.py puts it onto a character: footing.py holds the
feet where they stand, and trunk.py keeps hands and forearms out of the body.
"""

from .motion import Motion
from .normalize import normalize_clip
from .transfer import add_motions, transfer_motion

__all__ = ["Motion", "add_motions", "normalize_clip", "transfer_motion"]
