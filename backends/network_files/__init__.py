"""Networks from ONNX and TensorFlow Lite files, run by torch: no second runtime to install, and any device.

ONNX Runtime is 20 to 300 MB and has other packages for each kind of device; LiteRT has none for Windows.
"""

from .graph import Graph, Network, build_network
from .installed import PublishedNetwork, run_network
from .onnx_file import read_onnx
from .tflite_file import read_tflite

__all__ = [
    "Graph",
    "Network",
    "PublishedNetwork",
    "build_network",
    "read_onnx",
    "read_tflite",
    "run_network",
]
