"""Values on graph sockets to and from the pipeline's types.

Meshes travel as TRIMESH (a trimesh.Trimesh, which many packs speak) and are also read from core's
MESH; both in the frame of conventions.py, which is glTF's. Only the rigged character, for which no
socket exists, has one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from ..pipeline.errors import MeshError, PictureError
from ..pipeline.types import BoolArray, FloatArray, FramedPicture, Material, Mesh, TexturedMesh
from .compat import Types, io

if TYPE_CHECKING:
    import trimesh

Trimesh = io.Custom("TRIMESH")
Character = io.Custom("C3D_CHARACTER")
VrmMetaSocket = io.Custom("C3D_VRM_META")

SIDES = ("left", "back", "right")
"""Names of the inputs of further pictures; each has a mask, NAME_mask."""

_PLAIN_COLOR = (0.72, 0.70, 0.68, 1.0)


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


def mesh_to_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    """Mesh -> TRIMESH, vertices and faces kept as they are."""
    import trimesh

    return trimesh.Trimesh(mesh.positions, mesh.faces, vertex_normals=mesh.normals, process=False)


def textured_to_trimesh(textured: TexturedMesh) -> trimesh.Trimesh:
    """TexturedMesh -> TRIMESH with a PBR material; trimesh counts v from the bottom."""
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    material, mesh = textured.material, mesh_to_trimesh(textured.mesh)
    texture = Image.fromarray(np.round(material.base_color * 255).astype(np.uint8), "RGBA")
    mesh.visual = TextureVisuals(
        uv=_flip_v(textured.mesh.uvs),
        material=PBRMaterial(
            baseColorTexture=texture,
            metallicFactor=material.metallic,
            roughnessFactor=material.roughness,
        ),
    )
    return mesh


def mesh_to_core(mesh: Mesh) -> Any:
    """Mesh -> core MESH: vertices (1, V, 3) float32 and faces (1, F, 3) int64."""
    return Types.MESH(torch.tensor(mesh.positions)[None], torch.tensor(mesh.faces).long()[None])


def mesh_outputs(tooltip: str) -> list[io.Output]:
    """The outputs of a node that makes a mesh."""
    return [
        Trimesh.Output(display_name="trimesh", tooltip=tooltip),
        io.Mesh.Output(display_name="mesh", tooltip="The same as core's MESH."),
    ]


def mesh_values(mesh: Mesh) -> tuple[trimesh.Trimesh, Any]:
    """The values that belong to `mesh_outputs`."""
    return mesh_to_trimesh(mesh), mesh_to_core(mesh)


def socket_to_mesh(value: Any) -> Mesh:
    """TRIMESH, a trimesh.Scene or core's MESH -> Mesh."""
    return (
        _read_core_mesh(value)
        if hasattr(value, "vertices") and torch.is_tensor(value.vertices)
        else (_read_trimesh(_single_trimesh(value)))
    )


def socket_to_surface(value: Any) -> Mesh | TexturedMesh:
    """As socket_to_mesh, with the texture where there is one."""
    mesh, base_color = socket_to_mesh(value), _read_base_color(value)
    return mesh if base_color is None or mesh.uvs is None else TexturedMesh(mesh, Material(base_color))


def socket_to_textured(value: Any) -> TexturedMesh:
    """As socket_to_mesh; a mesh without texture gets a plain one."""
    surface = socket_to_surface(value)
    if isinstance(surface, TexturedMesh):
        return surface
    uvs = np.full((len(surface.positions), 2), 0.5, np.float32)
    plain = Material(np.full((8, 8, 4), _PLAIN_COLOR, np.float32))
    return TexturedMesh(Mesh(surface.positions, surface.faces, surface.normals, uvs), plain)


def _read_core_mesh(value: Any) -> Mesh:
    return Mesh(value.vertices[0].cpu().numpy(), value.faces[0].cpu().numpy())


def _single_trimesh(value: Any) -> trimesh.Trimesh:
    import trimesh

    if isinstance(value, trimesh.Scene):
        value = value.to_mesh()
    if not isinstance(value, trimesh.Trimesh) or not len(value.faces):
        raise MeshError(f"expected a mesh with triangles (TRIMESH or MESH), found {value!r}")
    return value


def _read_trimesh(value: trimesh.Trimesh) -> Mesh:
    uvs = getattr(value.visual, "uv", None)
    return Mesh(value.vertices, value.faces, value.vertex_normals, _flip_v(uvs))


def _read_base_color(value: Any) -> FloatArray | None:
    material = getattr(getattr(value, "visual", None), "material", None)
    texture = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return None if texture is None else np.asarray(texture.convert("RGBA"), np.float32) / 255


def _flip_v(uvs: FloatArray | None) -> FloatArray | None:
    return None if uvs is None else np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1)
