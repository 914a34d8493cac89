"""Several materials become one, whose textures are one atlas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ..color import linear_to_srgb, srgb_to_linear
from ..device import CPU, array_to_tensor, tensor_to_array
from ..progress import Progress, ignore_progress, span_progress
from ..sample_material import sample_material
from ..types import FloatArray, IntArray, Material, TexturedMesh
from .atlas import fill_gutters, interpolate, rasterize_uv
from .merge_layout import AtlasLayout, lay_out_islands

_PADDING = 4
"""Least number of texels between islands."""
_TEXELS_PER_BLOCK = 1 << 18
_OPAQUE_CUTOFF = 0.5
"""Of the merged material, where some of the materials are cut out."""


@dataclass(frozen=True, eq=False)
class MergedMaterials:
    """textured: with one material. notes: what was made of the others, a sentence each."""

    textured: TexturedMesh
    notes: tuple[str, ...]


class _Texels(NamedTuple):
    """Of the atlas: texel (N,) flat index, face (N,), material (N,) int16, uvs (N, 2) in its textures."""

    texel: torch.Tensor
    face: torch.Tensor
    material: torch.Tensor
    uvs: torch.Tensor


def merge_materials(
    textured: TexturedMesh,
    *,
    most_texels: int = 4096,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> MergedMaterials:
    """Move the uv islands of all materials into one atlas of at most `most_texels` a side.

    Every island keeps the texels that it has in its own texture; if all together are too many, all shrink by
    one factor. Repeated textures are written out. Colors, alpha, metallic, roughness, normals, occlusion and
    light of each material are kept, with its factors. Vertices and faces stay as they are. A single material
    whose uvs lie in the square is returned unchanged. MeshError for uvs that are not finite.
    """
    if not textured.others and textured.uvs.min(initial=0) >= 0 and textured.uvs.max(initial=0) <= 1:
        return MergedMaterials(textured, ("the mesh has one material already",))
    steps = span_progress(progress, 0.0, 0.5)
    layout = lay_out_islands(
        textured, most_texels=most_texels, padding=_PADDING, device=device, progress=steps
    )
    texels = _list_texels(textured, layout, device)
    materials = [_shrink(material, layout.scale) for material in textured.materials]
    progress(0.6)
    merged = _merge_factors(textured.materials)
    color = _sample(texels, [material.texels for material in materials], materials)
    color[:, 3] = _settle_alpha(color[:, 3], texels.material, textured.materials, merged.alpha_mode)
    merged = replace(merged, texels=_draw(color, texels, layout.size))
    progress(0.8)
    maps = {
        role: _draw(value, texels, layout.size)
        for role, value in _list_maps(texels, layout, materials, merged)
    }
    if "metallic_roughness" in maps:
        merged = replace(merged, metallic=1.0, roughness=1.0)
    progress(1.0)
    mesh = replace(textured.mesh, uvs=layout.uvs, material_numbers=None)
    notes = _describe(textured.materials, merged, layout)
    return MergedMaterials(TexturedMesh(mesh, replace(merged, maps=maps)), notes)


def _list_texels(textured: TexturedMesh, layout: AtlasLayout, device: torch.device) -> _Texels:
    faces = textured.mesh.faces
    found = rasterize_uv(layout.uvs.astype(np.float32), faces, layout.size, device)
    source = array_to_tensor(layout.source.astype(np.float32), device)
    corners = array_to_tensor(faces, device).long()
    uvs = torch.cat([
        interpolate(found, corners, source, rows)
        for rows in torch.arange(len(found.face), device=device).split(_TEXELS_PER_BLOCK)
    ])  # fmt: skip
    number = array_to_tensor(textured.face_materials.astype(np.int16), device)
    return _Texels(found.texel, found.face, number[found.face], uvs)


def _shrink(material: Material, scale: float) -> Material:
    """The material with textures of about the atlas's density, so that sampling skips no texel."""
    factor = 1 << int(np.floor(np.log2(1 / scale) + 1e-6))
    maps = {role: _pool(texels, factor) for role, texels in material.maps.items()}
    return replace(material, texels=_pool(material.texels, factor), maps=maps)


def _pool(texels: Any, factor: int) -> Any:
    """(H, W, C) averaged over squares of `factor` texels; textures with few texels stay as they are."""
    high, wide = texels.shape[0] // factor, texels.shape[1] // factor
    if factor == 1 or min(high, wide) < 2 or texels.shape[0] % factor or texels.shape[1] % factor:
        return texels
    pooled = texels.reshape(high, factor, wide, factor, -1).mean(axis=(1, 3), dtype=np.float32)
    return np.rint(pooled).astype(np.uint8) if texels.dtype == np.uint8 else pooled


def _sample(
    texels: _Texels, layers: Sequence[FloatArray | IntArray | None], materials: Sequence[Material]
) -> torch.Tensor:
    """(N, 4) values of one layer of each material at the texels; 1 where it has none."""
    values = torch.ones((len(texels.texel), 4), device=texels.uvs.device)
    for index, (layer, material) in enumerate(zip(layers, materials, strict=True)):
        if layer is None:
            continue
        opaque = np.full((*layer.shape[:2], 1), 255 if layer.dtype == np.uint8 else 1, layer.dtype)
        own = replace(material, texels=layer if layer.shape[2] == 4 else np.concatenate((layer, opaque), 2))
        rows = torch.nonzero(texels.material == index).squeeze(1)
        for part in rows.split(_TEXELS_PER_BLOCK):
            values[part] = sample_material(own, texels.uvs[part])
    return values


def _draw(values: torch.Tensor, texels: _Texels, size: int) -> IntArray:
    """Values (N, C), 0..1, as a texture (S, S, C) uint8, continued between the islands."""
    padded = torch.cat((values, values[:, :1].expand(-1, -values.shape[1] % 3)), dim=1)
    layers = [fill_gutters(part.contiguous(), texels.texel, size) for part in padded.split(3, dim=1)]
    joined = torch.cat(layers, dim=2)[..., : values.shape[1]]
    return tensor_to_array((joined.clamp(0, 1) * 255).round().to(torch.uint8))


def _merge_factors(materials: Sequence[Material]) -> Material:
    """The material that all have in common; its textures follow."""
    strength = max(max(material.emissive) for material in materials)
    return Material(
        np.ones((1, 1, 4), np.float32),
        metallic=materials[0].metallic,
        roughness=materials[0].roughness,
        name="atlas",
        emissive=(strength, strength, strength),
        alpha_mode=_merge_modes(materials),
        alpha_cutoff=_OPAQUE_CUTOFF,
        is_double_sided=any(material.is_double_sided for material in materials),
    )


def _merge_modes(materials: Sequence[Material]) -> str:
    """BLEND if any material blends, else MASK if any is cut out."""
    modes = {_find_mode(material) for material in materials}
    return next(mode for mode in ("BLEND", "MASK", "OPAQUE") if mode in modes)


def _find_mode(material: Material) -> str:
    """The alpha mode; where the format had none, what the texels ask for."""
    opaque = 255 if material.texels.dtype == np.uint8 else 1
    return material.alpha_mode or ("BLEND" if (material.texels[..., 3] < opaque).any() else "OPAQUE")


def _settle_alpha(
    alpha: torch.Tensor, number: torch.Tensor, materials: Sequence[Material], mode: str
) -> torch.Tensor:
    """Alpha (N,) that means in the merged mode what it means in each material's own."""
    settled = alpha.clone()
    for index, material in enumerate(materials):
        rows, own = number == index, _find_mode(material)
        if own == "OPAQUE":
            settled[rows] = 1
        elif own == "MASK" and mode == "MASK":
            settled[rows] = alpha[rows] * (_OPAQUE_CUTOFF / max(material.alpha_cutoff, 1e-3))
        elif own == "MASK":
            settled[rows] = (alpha[rows] >= material.alpha_cutoff).to(alpha.dtype)
    return settled


def _list_maps(
    texels: _Texels, layout: AtlasLayout, materials: Sequence[Material], merged: Material
) -> list[tuple[str, torch.Tensor]]:
    """Role and values (N, 3) of each further texture that the materials need."""
    has = {role for material in materials for role in material.maps}
    found = []
    factors = [(1.0, material.roughness, material.metallic) for material in materials]
    if "metallic_roughness" in has or len(set(factors)) > 1:
        values = _sample_map(texels, materials, "metallic_roughness") * _spread(texels, factors)
        found.append(("metallic_roughness", values))
    if "normal" in has:
        found.append(("normal", _turn_normals(texels, layout, materials)))
    if "occlusion" in has:
        found.append(("occlusion", _sample_map(texels, materials, "occlusion")))
    if (strength := merged.emissive[0]) > 0:
        light = _spread(texels, [material.emissive for material in materials]) / strength
        linear = srgb_to_linear(tensor_to_array(_sample_map(texels, materials, "emissive")))
        shown = linear_to_srgb(linear * tensor_to_array(light))
        found.append(("emissive", array_to_tensor(shown, texels.uvs.device)))
    return found


def _sample_map(texels: _Texels, materials: Sequence[Material], role: str) -> torch.Tensor:
    """(N, 3) values of a map, 1 where a material has none."""
    return _sample(texels, [material.maps.get(role) for material in materials], materials)[:, :3]


def _spread(texels: _Texels, factors: Sequence[tuple[float, float, float]]) -> torch.Tensor:
    """(N, 3) the factors of each texel's material."""
    return torch.tensor(factors, dtype=torch.float32, device=texels.uvs.device)[texels.material.long()]


def _turn_normals(texels: _Texels, layout: AtlasLayout, materials: Sequence[Material]) -> torch.Tensor:
    """(N, 3) normal map, its directions turned with the islands; y is up, against the texture's rows."""
    encoded = _sample_map(texels, materials, "normal")
    has = torch.tensor([["normal" in material.maps] for material in materials], device=encoded.device)
    flat = encoded.new_tensor((0.5, 0.5, 1.0))
    encoded = torch.where(has[texels.material.long()], encoded, flat)
    turns = array_to_tensor(layout.turn.astype(np.float32), encoded.device)
    pixels = (encoded[:, :2] - 0.5) * encoded.new_tensor((1.0, -1.0))
    turned = torch.einsum("nij,nj->ni", turns[texels.face], pixels) * encoded.new_tensor((1.0, -1.0))
    return torch.cat((turned + 0.5, encoded[:, 2:]), dim=1)


def _describe(materials: Sequence[Material], merged: Material, layout: AtlasLayout) -> tuple[str, ...]:
    notes = [f"{len(materials)} materials became one with an atlas of {layout.size} x {layout.size} texels"]
    if layout.scale < 0.995:
        notes.append(
            f"their textures have more texels than that: {layout.scale:.0%} of each side of theirs was kept"
        )
    modes = {_find_mode(material) for material in materials}
    if merged.alpha_mode == "BLEND" and len(modes) > 1:
        notes.append("one of them is see-through, so the whole material blends")
    if len({material.is_double_sided for material in materials}) > 1:
        notes.append("one of them shows both sides of its faces, so the whole material does")
    return tuple(notes)
