"""Values on graph sockets to and from the pipeline's types.

Meshes are passed as TRIMESH (a trimesh.Trimesh, which many packs use) and as core's MESH, both in the
frame of conventions.py, which is glTF's. The rigged character and the figure read in a picture have socket
types of their own, because ComfyUI has none for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..pipeline.errors import MeshError, PictureError
from ..pipeline.types import BoolArray, FloatArray, FramedPicture, Mesh, TexturedMesh
from .compat import io
from .core_mesh import count_meshes, is_core_mesh, mesh_to_core, read_core_mesh
from .surfaces import make_textured
from .trimesh_mesh import mesh_to_trimesh, read_trimesh

if TYPE_CHECKING:
    import trimesh

Trimesh = io.Custom("TRIMESH")
Character = io.Custom("C3D_CHARACTER")
FigureSocket = io.Custom("C3D_FIGURE")
VrmMetaSocket = io.Custom("C3D_VRM_META")

SIDES = ("left", "back", "right")
"""Names of the inputs of further pictures; each has a mask, NAME_mask."""


def image_to_picture(image: torch.Tensor) -> FloatArray:
    """(B, H, W, C) IMAGE -> (H, W, C) float32 of the first image."""
    return image[0].detach().cpu().numpy().astype(np.float32)


def mask_to_array(mask: torch.Tensor) -> FloatArray:
    """(B, H, W) or (H, W) MASK -> (H, W) float32 of the first mask."""
    return mask.reshape(-1, *mask.shape[-2:])[0].detach().cpu().numpy().astype(np.float32)


def sockets_to_framed(image: torch.Tensor, mask: torch.Tensor) -> FramedPicture:
    """IMAGE and MASK of the preprocessing stage -> FramedPicture."""
    color, alpha = image_to_picture(image)[..., :3], mask_to_array(mask)
    if color.shape[:2] != alpha.shape or color.shape[0] != color.shape[1]:
        raise PictureError(
            f"expected a square image and a mask of the same size, as the preprocessing node puts out; "
            f"found image {color.shape[1]}x{color.shape[0]} and mask {alpha.shape[1]}x{alpha.shape[0]}"
        )
    return FramedPicture(np.dstack([color, alpha]))


def sockets_to_views(
    image: torch.Tensor, mask: torch.Tensor, sides: Mapping[str, torch.Tensor | None]
) -> dict[str, FramedPicture]:
    """The pictures by view: the front, and of `sides` each NAME with its NAME_mask."""
    views = {"front": sockets_to_framed(image, mask)}
    for name in SIDES:
        picture, its_mask = sides.get(name), sides.get(f"{name}_mask")
        if (picture is None) != (its_mask is None):
            raise PictureError(f"expected {name} and {name}_mask together, found only one of them")
        if picture is not None and its_mask is not None:
            views[name] = sockets_to_framed(picture, its_mask)
    return views


def array_to_image(array: FloatArray) -> torch.Tensor:
    """(H, W, C) or (B, H, W, C) float32 -> IMAGE (B, H, W, C)."""
    return torch.from_numpy(np.array(array, np.float32)).reshape(-1, *array.shape[-3:])


def array_to_mask(array: FloatArray | BoolArray) -> torch.Tensor:
    """(H, W) or (B, H, W) float32 or bool -> MASK (B, H, W)."""
    return torch.from_numpy(np.array(array, np.float32)).reshape(-1, *array.shape[-2:])


def mesh_outputs(tooltip: str) -> list[io.Output]:
    """The outputs of a node that makes a mesh."""
    return [
        Trimesh.Output(display_name="trimesh", tooltip=tooltip),
        io.Mesh.Output(display_name="mesh", tooltip="The same as core's MESH."),
    ]


def mesh_values(mesh: Mesh | TexturedMesh) -> tuple[trimesh.Trimesh, Any]:
    """The values for `mesh_outputs`."""
    return mesh_to_trimesh(mesh), mesh_to_core(mesh)


def socket_to_surfaces(value: Any) -> list[Mesh | TexturedMesh]:
    """TRIMESH, a trimesh.Scene or core's MESH, with texture and vertex colors; a MESH may hold several."""
    if not is_core_mesh(value):
        return [read_trimesh(value)]
    return [read_core_mesh(value, index) for index in range(count_meshes(value))]


def socket_to_surface(value: Any) -> Mesh | TexturedMesh:
    """As socket_to_surfaces, for nodes that work on one mesh. MeshError for a batch of none or several."""
    if is_core_mesh(value) and (count := count_meshes(value)) != 1:
        raise MeshError(f"this node works on one mesh at a time; the MESH at its input is a batch of {count}")
    return socket_to_surfaces(value)[0]


def socket_to_mesh(value: Any) -> Mesh:
    """As socket_to_surface, without texture and vertex colors; uvs and normals are kept."""
    surface = socket_to_surface(value)
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    return replace(mesh, colors=None, material_numbers=None)


def socket_to_textured(value: Any) -> TexturedMesh:
    """As socket_to_surface; vertex colors become a texture, and a mesh without color gets a plain one."""
    return make_textured(socket_to_surface(value))
