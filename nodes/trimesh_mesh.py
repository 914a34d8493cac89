"""TRIMESH, which many packs share, to and from the pipeline's types. trimesh counts v from the bottom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..pipeline.color import srgb_to_linear
from ..pipeline.errors import MeshError
from ..pipeline.types import FloatArray, Mesh, TexturedMesh
from .surfaces import make_surface, warn_of_losses

if TYPE_CHECKING:
    import trimesh

_NOT_KEPT = ("metallicRoughnessTexture", "normalTexture", "occlusionTexture", "emissiveTexture")


def read_trimesh(value: Any) -> Mesh | TexturedMesh:
    """Read a Trimesh, or a Scene as one mesh, with texture and colors. MeshError for anything else."""
    single = _to_single(value)
    visual = single.visual
    material = getattr(visual, "material", None)
    mesh = Mesh(
        single.vertices, single.faces, single.vertex_normals, _flip_v(_read_uvs(single)), _read_colors(single)
    )
    warn_of_losses("TRIMESH", (name for name in _NOT_KEPT if getattr(material, name, None) is not None))
    factor = getattr(material, "baseColorFactor", None)
    return make_surface(
        mesh,
        _read_texture(material),
        None if factor is None else (np.asarray(factor) / 255).tolist(),
        getattr(material, "metallicFactor", None),
        getattr(material, "roughnessFactor", None),
    )


def mesh_to_trimesh(surface: Mesh | TexturedMesh) -> trimesh.Trimesh:
    """Vertices and faces are kept as they are; a texture becomes a PBR material."""
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    made = trimesh.Trimesh(mesh.positions, mesh.faces, vertex_normals=mesh.normals, process=False)
    if isinstance(surface, TexturedMesh):
        material = surface.material
        texture = Image.fromarray(np.round(material.base_color * 255).astype(np.uint8), "RGBA")
        made.visual = TextureVisuals(
            uv=_flip_v(mesh.uvs),
            material=PBRMaterial(
                baseColorTexture=texture,
                metallicFactor=material.metallic,
                roughnessFactor=material.roughness,
            ),
        )
    return made


def _to_single(value: Any) -> trimesh.Trimesh:
    import trimesh

    if isinstance(value, trimesh.Scene):
        value = value.to_mesh()
    if not isinstance(value, trimesh.Trimesh) or not len(value.faces):
        raise MeshError(f"expected a mesh with triangles (TRIMESH or MESH), found {value!r}")
    return value


def _read_uvs(mesh: trimesh.Trimesh) -> FloatArray | None:
    uvs = getattr(mesh.visual, "uv", None)
    return uvs if uvs is not None and len(uvs) == len(mesh.vertices) else None


def _read_colors(mesh: trimesh.Trimesh) -> FloatArray | None:
    """Linear vertex colors; trimesh's are sRGB. Those of faces are averaged at the vertices by trimesh."""
    visual: Any = mesh.visual
    if visual.kind not in ("vertex", "face"):
        return None
    colors = np.asarray(visual.vertex_colors, np.float32) / 255
    return np.concatenate((srgb_to_linear(colors[:, :3]), colors[:, 3:]), axis=1)


def _read_texture(material: Any) -> FloatArray | None:
    """The base color of a PBRMaterial or a SimpleMaterial, (H, W, 4) sRGB 0..1."""
    image = getattr(material, "baseColorTexture", None) or getattr(material, "image", None)
    return None if image is None else np.asarray(image.convert("RGBA"), np.float32) / 255


def _flip_v(uvs: FloatArray | None) -> FloatArray | None:
    return None if uvs is None else np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1)
