"""What a glTF file has that has no place in a Model."""

from __future__ import annotations

from .gltf_container import GltfFile
from .gltf_nodes import GltfNodes
from .left_out import LeftOut


def find_left_out(file: GltfFile, nodes: GltfNodes, understood: frozenset[str]) -> LeftOut:
    """Cameras and lights of the scene, meshes of other scenes, and extensions that are not read."""
    left_out = LeftOut()
    for index, node in enumerate(file.items("nodes")):
        if index in nodes.world:
            left_out.count("camera", "camera" in node)
            left_out.count("light", file.extension(node, "KHR_lights_punctual") is not None)
        elif isinstance(node, dict):
            left_out.count("mesh outside the scene", "mesh" in node)
    for name in file.items("extensionsUsed"):
        if isinstance(name, str) and name not in understood:
            left_out.name("extensions", name)
    return left_out
