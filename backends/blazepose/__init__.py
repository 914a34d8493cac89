"""BlazePose: 33 body points of the figure in a picture.

Bazarevsky et al. 2020, "BlazePose: On-device Real-time Body Pose tracking"; the file is MediaPipe's.
"""

from .landmarks import NETWORK, read_landmarks

find_file, is_installed = NETWORK.find_file, NETWORK.is_installed
load_model, read_network = NETWORK.load, NETWORK.read_network

__all__ = ["find_file", "is_installed", "load_model", "read_landmarks", "read_network"]
