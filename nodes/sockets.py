"""Values on graph sockets to and from the pipeline's types.

Meshes are passed as TRIMESH (a trimesh.Trimesh, which many packs use) and as core's MESH, both in the
frame of conventions.py, which is glTF's. The rigged character and the figure read in a picture have socket
types of their own, because ComfyUI has none for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..pipeline.errors import MeshError, PictureError
from ..pipeline.types import BoolArray, FloatArray, FramedPicture, Mesh, PictureSet, TexturedMesh
from .compat import io, is_file_3d
from .core_mesh import count_meshes, is_core_mesh, mesh_to_core, read_core_mesh
from .mesh_file import load_file_3d
from .surfaces import make_textured
from .trimesh_mesh import mesh_to_trimesh, read_trimesh

if TYPE_CHECKING:
    import trimesh

Trimesh = io.Custom("TRIMESH")
Character = io.Custom("C3D_CHARACTER")
FigureSocket = io.Custom("C3D_FIGURE")
PicturesSocket = io.Custom("C3D_PICTURES")
VrmMetaSocket = io.Custom("C3D_VRM_META")

SIDES = ("left", "back", "right")
"""Names of the inputs of further pictures of a shape model; each has a mask, NAME_mask."""


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
    image: torch.Tensor,
    mask: torch.Tensor,
    sides: Mapping[str, torch.Tensor | None],
    pictures: PictureSet | None = None,
) -> dict[str, FramedPicture]:
    """The pictures by view: the front, those of `pictures`, and of `sides` each NAME with its NAME_mask."""
    views = {"front": sockets_to_framed(image, mask), **(pictures.sides if pictures is not None else {})}
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


def mesh_outputs(tooltip: str, is_output_list: bool = False) -> list[io.Output]:
    """The outputs of a node that makes a mesh, or one for each mesh of a batch."""
    return [
        Trimesh.Output(display_name="trimesh", tooltip=tooltip, is_output_list=is_output_list),
        io.Mesh.Output(
            display_name="mesh", tooltip="The same as core's MESH.", is_output_list=is_output_list
        ),
    ]


def mesh_values(mesh: Mesh | TexturedMesh) -> tuple[trimesh.Trimesh, Any]:
    """The values for `mesh_outputs`."""
    return mesh_to_trimesh(mesh), mesh_to_core(mesh)


def mesh_lists(meshes: Sequence[Mesh | TexturedMesh]) -> tuple[list[trimesh.Trimesh], list[Any]]:
    """The values for `mesh_outputs` that are lists."""
    return [mesh_to_trimesh(mesh) for mesh in meshes], [mesh_to_core(mesh) for mesh in meshes]


def socket_to_surfaces(value: Any) -> list[Mesh | TexturedMesh]:
    """TRIMESH, a trimesh.Scene, FILE_3D or MESH, with materials and colors; a MESH may hold several."""
    if is_file_3d(value):
        return [load_file_3d(value)[0]]
    if not is_core_mesh(value):
        return [read_trimesh(value)]
    if not count_meshes(value):
        raise MeshError("the MESH at this input is a batch of 0")
    return [read_core_mesh(value, index) for index in range(count_meshes(value))]


def socket_to_surface(value: Any) -> Mesh | TexturedMesh:
    """As socket_to_surfaces, for nodes whose other inputs belong to one mesh. MeshError for several."""
    if is_core_mesh(value) and (count := count_meshes(value)) > 1:
        raise MeshError(
            f"this node works on one mesh at a time; the MESH at its input is a batch of {count}. Merge "
            "Materials, Clean Mesh and Rig Character take a batch and put out a list"
        )
    return socket_to_surfaces(value)[0]


def surface_to_mesh(surface: Mesh | TexturedMesh) -> Mesh:
    """The mesh without texture and vertex colors; uvs and normals are kept."""
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    return replace(mesh, colors=None, material_numbers=None)


def socket_to_mesh(value: Any) -> Mesh:
    """As socket_to_surface, without texture and vertex colors; uvs and normals are kept."""
    return surface_to_mesh(socket_to_surface(value))


def socket_to_textured(value: Any) -> TexturedMesh:
    """As socket_to_surface; vertex colors become a texture, and a mesh without color gets a plain one."""
    return make_textured(socket_to_surface(value))
