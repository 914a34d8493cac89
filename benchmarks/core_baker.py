"""ComfyUI's own Bake Texture From Views as a baker for bake.py. Releases of November 2026 have the node."""

from __future__ import annotations

import importlib
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from character3d.pipeline.cameras import camera_basis
from character3d.pipeline.types import Camera, Mesh, ViewImages
from scipy.spatial.transform import Rotation

_NODE = "BakeTextureFromViews"


def load_core_baker(tree: Path) -> Callable[[Mesh, ViewImages, int], tuple[np.ndarray, np.ndarray]]:
    """A baker that runs the node of the ComfyUI in this folder. SystemExit if it has none.

    The node's parameters stay at their defaults, but for `fill_unseen`, without which texels that no view
    shows would stay black.
    """
    node = find_core_node(tree, _NODE)
    mesh_type = importlib.import_module("comfy_api.latest").Types.MESH

    def bake(mesh: Mesh, images: ViewImages, size: int) -> tuple[np.ndarray, np.ndarray]:
        core_mesh = mesh_type(
            torch.tensor(mesh.positions)[None],
            torch.tensor(mesh.faces).long()[None],
            uvs=torch.tensor(mesh.uvs)[None],
            normals=torch.tensor(mesh.normals)[None],
        )
        inputs = {
            "mesh": core_mesh,
            "images": torch.tensor(images.color),
            "camera_info": [camera_to_core(camera) for camera in images.rig.cameras],
            "resolution": size,
            "blend_exponent": 4.0,
            "fill_unseen": True,
            "mask": torch.tensor(images.mask),
        }
        color, *others = node.execute(**inputs).result
        masks = [item for item in others if torch.is_tensor(item) and item.shape == (1, size, size)]
        covered = masks[0][0] > 0.5 if masks else torch.ones((size, size), dtype=torch.bool)
        return color[0, ..., :3].numpy(), covered.numpy()

    return bake


def find_core_node(tree: Path, name: str) -> Any:
    """The node class of that name among the nodes of the ComfyUI in a folder."""
    defines = re.compile(rf"^class {name}\b", re.MULTILINE)
    for file in sorted((tree / "comfy_extras").glob("nodes_*.py")):
        if defines.search(file.read_text(encoding="utf-8")):
            sys.path.insert(0, str(tree))
            importlib.import_module("comfy.cli_args").args.cpu = True
            return getattr(importlib.import_module(f"comfy_extras.{file.stem}"), name)
    raise SystemExit(f"{tree}: no node {name} in comfy_extras; releases of November 2026 have it")


def camera_to_core(camera: Camera) -> dict[str, Any]:
    """The camera as core's LOAD3D_CAMERA."""
    axes = camera_basis(camera)
    is_flat = math.isinf(camera.distance)
    distance = 4 * camera.half_extent if is_flat else camera.distance
    position = np.asarray(camera.target) + axes[2] * distance
    size = camera.half_extent
    return {
        "position": dict(zip("xyz", position.tolist(), strict=True)),
        "target": dict(zip("xyz", camera.target, strict=True)),
        "quaternion": dict(zip("xyzw", Rotation.from_matrix(axes.T).as_quat().tolist(), strict=True)),
        "zoom": 1.0,
        "fov": math.degrees(2 * math.atan(size / distance)),
        "cameraType": "orthographic" if is_flat else "perspective",
        "frustum": {"left": -size, "right": size, "top": size, "bottom": -size},
    }
