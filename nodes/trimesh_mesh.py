"""TRIMESH, which many packs share, to and from the pipeline's types. trimesh counts v from the bottom."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ..pipeline.color import linear_to_srgb, srgb_to_linear
from ..pipeline.errors import MeshError
from ..pipeline.mesh_extras import MeshExtras
from ..pipeline.types import FloatArray, IntArray, Material, Mesh, TexturedMesh
from .identify import identify
from .surfaces import make_surface, make_textured, warn_of_losses

if TYPE_CHECKING:
    import trimesh
    from trimesh.visual.material import PBRMaterial

_MAPS = {
    "metallic_roughness": "metallicRoughnessTexture",
    "normal": "normalTexture",
    "occlusion": "occlusionTexture",
    "emissive": "emissiveTexture",
}
_COLORS, _WRAP, _UNLIT = "color", "wrap", "unlit"
"""Where vertex colors beside a texture (V, 4), linear, are kept, and, in a picture, the wrap modes and
whether its material is unlit."""
_NOTE = "_character3d"
"""Where a _Note is kept; trimesh writes no metadata to files whose names begin so."""


def read_trimesh(value: Any) -> Mesh | TexturedMesh:
    """Read a Trimesh, or a Scene as one mesh, with textures and colors. MeshError for anything else."""
    single = _to_single(value)
    visual: Any = single.visual
    material = getattr(visual, "material", None)
    uvs, several = _flip_v(_read_uvs(single)), getattr(material, "materials", None)
    mesh = Mesh(single.vertices, single.faces, single.vertex_normals, uvs, _read_colors(single))
    mesh = _read_note(mesh, single.metadata.get(_NOTE))
    if not several:
        return _read_surface(mesh, material)
    bare = replace(mesh, colors=None)
    first, *others = [make_textured(_read_surface(bare, one)).material for one in several]
    numbered = _number_vertices(mesh, np.asarray(visual.face_materials))
    if numbered.uvs is None:
        numbered = replace(numbered, uvs=np.full((len(numbered.positions), 2), 0.5))
    return TexturedMesh(numbered, first, tuple(others))


def mesh_to_trimesh(surface: Mesh | TexturedMesh) -> trimesh.Trimesh:
    """Vertices and faces are kept as they are; materials become PBR materials."""
    import trimesh
    from trimesh.visual import ColorVisuals, TextureVisuals
    from trimesh.visual.material import MultiMaterial

    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    made = trimesh.Trimesh(mesh.positions, mesh.faces, vertex_normals=mesh.normals, process=False)
    if isinstance(surface, TexturedMesh):
        materials = [_material_to_pbr(material) for material in surface.materials]
        several = {"material": MultiMaterial(materials), "face_materials": surface.face_materials}
        made.visual = TextureVisuals(
            uv=_flip_v(mesh.uvs), **(several if surface.others else {"material": materials[0]})
        )
        if mesh.colors is not None:
            made.vertex_attributes[_COLORS] = mesh.colors
    elif mesh.colors is not None:
        srgb = np.concatenate((linear_to_srgb(mesh.colors[:, :3]), mesh.colors[:, 3:]), axis=1)
        made.visual = ColorVisuals(made, vertex_colors=np.rint(srgb * 255).astype(np.uint8))
    elif mesh.uvs is not None:
        made.visual = TextureVisuals(uv=_flip_v(mesh.uvs))
    if mesh.extras is not None or mesh.is_placed:
        made.metadata[_NOTE] = _Note(identify(mesh.positions, mesh.faces), mesh.extras, mesh.is_placed)
    return made


class _Note(NamedTuple):
    """What trimesh has no place for. identity: of the mesh that it belongs to."""

    identity: str
    extras: MeshExtras | None
    is_placed: bool

    def __deepcopy__(self, _memo: object) -> _Note:
        return self  # nothing in it can change; trimesh copies its metadata with every mesh


def _read_note(mesh: Mesh, note: Any) -> Mesh:
    """The mesh with what was noted of it, unless another node has changed it since."""
    if not isinstance(note, _Note):
        return mesh
    if note.identity != identify(mesh.positions, mesh.faces):
        lost = note.extras.describe() if note.extras is not None else ""
        warn_of_losses("TRIMESH changed by another node", [lost] if lost else [])
        return mesh
    return replace(mesh, extras=note.extras, is_placed=note.is_placed)


def _material_to_pbr(material: Material) -> PBRMaterial:
    from trimesh.visual.material import PBRMaterial

    texels = material.texels
    if texels.dtype != np.uint8:
        texels = np.round(texels * 255).astype(np.uint8)
    texture = Image.fromarray(texels, "RGBA")
    texture.info |= {_WRAP: material.wrap, _UNLIT: material.is_unlit}
    return PBRMaterial(
        name=material.name,
        baseColorTexture=texture,
        metallicFactor=material.metallic,
        roughnessFactor=material.roughness,
        emissiveFactor=material.emissive if any(material.emissive) else None,
        alphaMode=material.alpha_mode or None,
        alphaCutoff=material.alpha_cutoff if material.alpha_mode == "MASK" else None,
        doubleSided=material.is_double_sided,
        **{_MAPS[role]: Image.fromarray(texels) for role, texels in material.maps.items()},
    )


def _read_surface(mesh: Mesh, material: Any) -> Mesh | TexturedMesh:
    """The mesh with a SimpleMaterial or a PBRMaterial, as it is if that says nothing."""
    factor = getattr(material, "baseColorFactor", None)
    texture = _find_texture(material)
    surface = make_surface(
        mesh,
        None if texture is None else np.asarray(texture.convert("RGBA")),
        None if factor is None else (np.asarray(factor) / 255).tolist(),
        getattr(material, "metallicFactor", None),
        getattr(material, "roughnessFactor", None),
    )
    if isinstance(surface, Mesh):
        return surface
    return replace(surface, material=_read_details(surface.material, material, mesh.uvs, texture))


def _read_details(made: Material, material: Any, uvs: FloatArray | None, texture: Any) -> Material:
    """The material with what a PBRMaterial says beyond base color, metallic and roughness."""
    emissive = getattr(material, "emissiveFactor", None)
    red, green, blue = (0.0, 0.0, 0.0) if emissive is None else emissive
    maps = {
        role: np.asarray(image.convert("RGB"))
        for role, name in _MAPS.items()
        if uvs is not None and (image := getattr(material, name, None)) is not None
    }
    return replace(
        made,
        name=getattr(material, "name", None) or made.name,
        emissive=(float(red), float(green), float(blue)),
        alpha_mode=getattr(material, "alphaMode", None) or "",
        alpha_cutoff=getattr(material, "alphaCutoff", None) or made.alpha_cutoff,
        wrap=_find_wrap(texture, uvs),
        is_double_sided=bool(getattr(material, "doubleSided", False)),
        is_unlit=texture is not None and bool(texture.info.get(_UNLIT)),
        maps=maps,
    )


def _find_wrap(texture: Any, uvs: FloatArray | None) -> tuple[str, str]:
    """The wrap modes that Load Mesh noted; else uvs beyond the texture repeat it, as in glTF."""
    noted = None if texture is None else texture.info.get(_WRAP)
    if noted is not None:
        return tuple(noted)  # type: ignore[return-value]
    is_inside = uvs is None or (uvs.min() >= 0 and uvs.max() <= 1)
    return ("CLAMP", "CLAMP") if is_inside else ("REPEAT", "REPEAT")


def _number_vertices(mesh: Mesh, face_materials: IntArray) -> Mesh:
    """The mesh with the material of each vertex; vertices that several materials share are doubled."""
    count = len(mesh.positions)
    keys = face_materials.astype(np.int64)[:, None] * count + mesh.faces
    used, faces = np.unique(keys, return_inverse=True)
    numbered = mesh.take_vertices(used % count, faces.reshape(-1, 3))
    return replace(numbered, material_numbers=used // count)


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
    beside = mesh.vertex_attributes.get(_COLORS)
    if visual.kind == "texture" and beside is not None and np.shape(beside) == (len(mesh.vertices), 4):
        return np.asarray(beside, np.float32)
    if visual.kind not in ("vertex", "face"):
        return None
    colors = np.asarray(visual.vertex_colors, np.float32) / 255
    return np.concatenate((srgb_to_linear(colors[:, :3]), colors[:, 3:]), axis=1)


def _find_texture(material: Any) -> Image.Image | None:
    """The picture of the base color of a PBRMaterial or a SimpleMaterial."""
    return getattr(material, "baseColorTexture", None) or getattr(material, "image", None)


def _flip_v(uvs: FloatArray | None) -> FloatArray | None:
    return None if uvs is None else np.stack([uvs[:, 0], 1 - uvs[:, 1]], axis=1)
