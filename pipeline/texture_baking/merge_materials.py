"""Several materials become one, whose textures are one atlas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from ..color import linear_to_srgb, srgb_to_linear
from ..device import CPU, array_to_tensor, tensor_to_array
from ..progress import Progress, ignore_progress, span_progress
from ..sample_material import sample_texels
from ..types import IntArray, Material, TexturedMesh
from .atlas import fill_between, interpolate, rasterize_uv
from .merge_layout import AtlasLayout, lay_out_islands

_PADDING = 4
"""Least number of texels between islands."""
_TEXELS_PER_BLOCK = 1 << 18
_WHITE = np.full((1, 1, 3), 1.0, np.float32)
_WITHOUT = {"normal": np.array([[(0.5, 0.5, 1.0)]], np.float32)}
_WITHOUT |= dict.fromkeys(("metallic_roughness", "occlusion", "emissive"), _WHITE)
"""What a material without that texture has instead."""
_UNWEIGHTED = {3: "RGB", 4: "CMYK"}
"""Modes in which Pillow takes each channel by itself; in RGBA it weighs colors by alpha."""
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

    def list_blocks(self, index: int) -> Iterator[torch.Tensor]:
        """The rows of one material's texels, a bounded number at a time."""
        return iter(torch.nonzero(self.material == index).squeeze(1).split(_TEXELS_PER_BLOCK))


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
    steps = span_progress(progress, 0.6, 1.0)
    maps = {}
    roles = ["base_color", *_list_roles(materials, merged)]
    for done, role in enumerate(roles):
        values = _sample(texels, layout, materials, merged, role)
        maps[role] = _draw(values, texels, layout.size)
        steps((done + 1) / len(roles))
    merged = replace(merged, texels=maps.pop("base_color"))
    if "metallic_roughness" in maps:
        merged = replace(merged, metallic=1.0, roughness=1.0)
    mesh = replace(textured.mesh, material_numbers=None).with_uvs(layout.uvs)
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
    if texels.dtype == np.uint8:
        mode = _UNWEIGHTED[texels.shape[2]]
        size = texels.shape[1::-1]
        return np.asarray(Image.frombuffer(mode, size, texels, "raw", mode, 0, 1).reduce(factor))
    return texels.reshape(high, factor, wide, factor, -1).mean(axis=(1, 3), dtype=np.float32)


def _sample(
    texels: _Texels, layout: AtlasLayout, materials: Sequence[Material], merged: Material, role: str
) -> torch.Tensor:
    """(N, C) uint8 of one texture of the merged material at the texels: 4 of the base color, 3 of others."""
    device = texels.uvs.device
    channels = 4 if role == "base_color" else 3
    values = torch.empty((len(texels.texel), channels), dtype=torch.uint8, device=device)
    turns = array_to_tensor(layout.turn.astype(np.float32), device)
    for index, material in enumerate(materials):
        layer = material.texels if role == "base_color" else material.maps.get(role, _WITHOUT[role])
        texture = array_to_tensor(layer, device)
        for rows in texels.list_blocks(index):
            own = sample_texels(texture, material.wrap, texels.uvs[rows])
            if role == "base_color":
                own[:, 3] = _settle_alpha(own[:, 3], material, merged.alpha_mode)
            elif role == "metallic_roughness":
                own = own * own.new_tensor((1.0, material.roughness, material.metallic))
            elif role == "emissive":
                own = _scale_light(own, material.emissive, merged.emissive[0])
            elif role == "normal":
                own = _turn_normals(own, turns[texels.face[rows]])
            values[rows] = (own.clamp(0, 1) * 255).round().to(torch.uint8)
    return values


def _draw(values: torch.Tensor, texels: _Texels, size: int) -> IntArray:
    """Values (N, C) uint8 as a texture (S, S, C), continued between the islands.

    Between them it is smooth: half the resolution is enough there.
    """
    half, channels = size // 2, values.shape[1]
    picture = values.new_zeros((half, 2, half, 2, channels))
    known = torch.zeros((half, 2, half, 2, 1), dtype=torch.bool, device=values.device)
    picture.view(-1, channels)[texels.texel], known.view(-1)[texels.texel] = values, True
    count = _add_squares(known)
    means = (_add_squares(picture) / count.clamp(min=1)).permute(2, 0, 1)
    coarse = fill_between(means, count[..., 0] > 0).round().to(torch.uint8).permute(1, 2, 0)
    drawn = torch.where(known, picture, coarse.contiguous()[:, None, :, None])
    return tensor_to_array(drawn.view(size, size, channels))


def _add_squares(picture: torch.Tensor) -> torch.Tensor:
    """(S / 2, S / 2, C) float32 sums of a picture (S / 2, 2, S / 2, 2, C) over its squares of four."""
    one, two, three, four = (picture[:, row, :, column].float() for row in (0, 1) for column in (0, 1))
    return one + two + three + four


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
        is_unlit=all(material.is_unlit for material in materials),
    )


def _merge_modes(materials: Sequence[Material]) -> str:
    """BLEND if any material blends, else MASK if any is cut out."""
    modes = {_find_mode(material) for material in materials}
    return next(mode for mode in ("BLEND", "MASK", "OPAQUE") if mode in modes)


def _find_mode(material: Material) -> str:
    """The alpha mode; where the format had none, what the texels ask for."""
    opaque = 255 if material.texels.dtype == np.uint8 else 1
    return material.alpha_mode or ("BLEND" if (material.texels[..., 3] < opaque).any() else "OPAQUE")


def _settle_alpha(alpha: torch.Tensor, material: Material, mode: str) -> torch.Tensor:
    """Alpha (N,) that means in the merged mode what it means in the material's own."""
    own = _find_mode(material)
    if own == "OPAQUE":
        return torch.ones_like(alpha)
    if own == "MASK" and mode == "MASK":
        return alpha * (_OPAQUE_CUTOFF / max(material.alpha_cutoff, 1e-3))
    return (alpha >= material.alpha_cutoff).to(alpha.dtype) if own == "MASK" else alpha


def _list_roles(materials: Sequence[Material], merged: Material) -> list[str]:
    """The further textures that the merged material needs."""
    has = {role for material in materials for role in material.maps}
    differ = len({(material.roughness, material.metallic) for material in materials}) > 1
    needed = {
        "metallic_roughness": differ or "metallic_roughness" in has,
        "normal": "normal" in has,
        "occlusion": "occlusion" in has,
        "emissive": merged.emissive[0] > 0,
    }
    return [role for role, is_needed in needed.items() if is_needed]


def _scale_light(values: torch.Tensor, factor: tuple[float, float, float], strength: float) -> torch.Tensor:
    """sRGB (N, 3) of a light times its linear factor, as a share of the merged material's strength."""
    linear = srgb_to_linear(tensor_to_array(values)) * (np.array(factor, np.float32) / strength)
    return array_to_tensor(linear_to_srgb(linear), values.device)


def _turn_normals(encoded: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """(N, 3) of a normal map, turned with its island (N, 2, 2); y is up, against the texture's rows."""
    flip = encoded.new_tensor((1.0, -1.0))
    turned = torch.einsum("nij,nj->ni", turns, (encoded[:, :2] - 0.5) * flip) * flip
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
    if len({material.is_unlit for material in materials}) > 1:
        notes.append("some of them are unlit; the whole material is lit")
    return tuple(notes)
