"""BlazeFace: the face of the figure in a picture.

Bazarevsky et al. 2019, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs"; the file is
MediaPipe's for short range.
"""

from .faces import NETWORK, find_face

find_file, is_installed = NETWORK.find_file, NETWORK.is_installed
load_model, read_network = NETWORK.load, NETWORK.read_network

__all__ = ["find_face", "find_file", "is_installed", "load_model", "read_network"]
