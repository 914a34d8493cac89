"""The material of core's MESH to and from the pipeline's.

MESH has one image per role and mesh of its batch, (B, H, W, 3) 0..1, and factors in a dictionary, in glTF's
terms. Occlusion is the red channel of the metallic-roughness image. Factors that the pipeline's material
does not have (normal_scale, occlusion_strength) are multiplied into the maps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..pipeline.mesh.areas import measure_double_areas
from ..pipeline.types import FloatArray, IntArray, Material, Mesh, TexturedMesh
from .surfaces import make_surface, warn_of_losses

_IMAGES = {
    "base_color": "texture",
    "metallic_roughness": "metallic_roughness",
    "normal": "normal_map",
    "emissive": "emissive",
}
"""Role of an image -> its attribute of MESH."""


def read_material(value: Any, index: int, mesh: Mesh) -> Mesh | TexturedMesh:
    """One mesh of a MESH with the material that the MESH has for it, or as it is if that says nothing."""
    factors = getattr(value, "material", None) or {}
    images = {
        role: image
        for role, name in _IMAGES.items()
        if (image := _read_image(value, name, index)) is not None
    }
    if mesh.uvs is None:
        warn_of_losses("MESH", [f"{_IMAGES[role]} (the mesh has no uvs)" for role in images])
        images = {}
    if "normal" in images and _points_down(mesh):
        red, green, blue = np.moveaxis(images["normal"][..., :3], -1, 0)
        images["normal"], mesh = np.stack((red, 1 - green, blue), axis=-1), _turn_bitangents(mesh)
    base_color = images.pop("base_color", None)
    metallic, roughness = (_read_factor(factors, name) for name in ("metallic_factor", "roughness_factor"))
    if "metallic_roughness" in images:  # the map says how much, unless a factor reduces it
        metallic, roughness = (1.0 if factor is None else factor for factor in (metallic, roughness))
    emissive = _read_emissive(factors, "emissive" in images)
    is_unlit = bool(getattr(value, "unlit", False))
    if metallic is None and (images or any(emissive) or is_unlit):
        metallic = 0.0
    surface = make_surface(mesh, base_color, factors.get("base_color_factor"), metallic, roughness)
    if isinstance(surface, Mesh):
        return surface
    material = replace(
        surface.material,
        maps=_read_maps(images, factors, has_occlusion=bool(getattr(value, "occlusion_in_mr", False))),
        emissive=emissive,
        is_double_sided=bool(factors.get("double_sided", True)),  # as core saves it
        is_unlit=is_unlit,
    )
    return replace(surface, material=material)


def material_to_core(material: Material) -> dict[str, Any]:
    """Attributes of a MESH with one mesh. What MESH has no place for is logged."""
    lost = ["alpha"] if (material.base_color[..., 3] < 1).any() else []
    images = {"base_color": material.base_color[..., :3]}
    images |= {role: texels.astype(np.float32) / 255 for role, texels in material.maps.items()}
    occlusion, packed = images.pop("occlusion", None), images.get("metallic_roughness")
    if occlusion is not None and packed is not None and packed.shape != occlusion.shape:
        lost.append("occlusion, whose size is another than that of metallic_roughness")
        occlusion = None
    if occlusion is not None:
        rest = np.ones_like(occlusion[..., 1:]) if packed is None else packed[..., 1:]
        images["metallic_roughness"] = np.concatenate((occlusion[..., :1], rest), axis=-1)
    warn_of_losses("a texture for MESH", lost)
    strength = max(1.0, *material.emissive)
    factors = {
        "metallic_factor": material.metallic,
        "roughness_factor": material.roughness,
        "emissive_factor": [value / strength for value in material.emissive],
        "emissive_strength": strength,
        "double_sided": material.is_double_sided,
    }
    attributes: dict[str, Any] = {
        "material": factors,
        "occlusion_in_mr": occlusion is not None,
        "unlit": material.is_unlit,
    }
    return attributes | {_IMAGES[role]: torch.tensor(image)[None] for role, image in images.items()}


def _points_down(mesh: Mesh) -> bool:
    """Whether green of a normal map is down in the texture, by the tangents that it was made with.

    Without tangents it is up, as glTF has it. Core's Bake Normal Map from Mesh has it down, with tangents to
    match, which formats without tangents would lose.
    """
    if mesh.extras is None or mesh.extras.tangents is None:
        return False
    mirrored = measure_double_areas(np.asarray(mesh.uvs, np.float64)[mesh.faces]) > 0
    return bool((np.where(mirrored, -1, 1) * mesh.extras.tangents[mesh.faces[:, 0], 3]).sum() < 0)


def _turn_bitangents(mesh: Mesh) -> Mesh:
    extras = mesh.extras
    if extras is None or extras.tangents is None:
        return mesh
    turned = extras.tangents * np.array((1, 1, 1, -1), np.float32)
    return replace(mesh, extras=replace(extras, tangents=turned))


def _read_maps(
    images: Mapping[str, FloatArray], factors: Mapping[str, Any], *, has_occlusion: bool
) -> dict[str, IntArray]:
    """The maps of a material, (H, W, 3) uint8, with the factors that scale them."""
    found = dict(images)
    if has_occlusion and "metallic_roughness" in found:
        strength = float(factors.get("occlusion_strength", 1.0))
        occlusion = 1 + strength * (found["metallic_roughness"][..., :1] - 1)
        found["occlusion"] = np.repeat(occlusion, 3, axis=-1)
    scale = float(factors.get("normal_scale", 1.0))
    if "normal" in found and scale != 1:
        normals = (2 * found["normal"] - 1) * (scale, scale, 1)
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        found["normal"] = (normals / np.maximum(length, 1e-6) + 1) / 2
    return {role: np.rint(image * 255).astype(np.uint8) for role, image in found.items()}


def _read_emissive(factors: Mapping[str, Any], has_map: bool) -> tuple[float, float, float]:
    """The emissive factor times its strength; a map whose factor nobody set is shown as it is."""
    red, green, blue = (float(value) for value in factors.get("emissive_factor") or (0, 0, 0))
    if has_map and not (red or green or blue):
        red = green = blue = 1.0
    strength = float(factors.get("emissive_strength", 1.0))
    return red * strength, green * strength, blue * strength


def _read_image(value: Any, name: str, index: int) -> FloatArray | None:
    """(H, W, C) float32 of one mesh; a batch of one image belongs to every mesh."""
    images = getattr(value, name, None)
    if images is None:
        return None
    return images[min(index, len(images) - 1)].detach().cpu().to(torch.float32).clamp(0, 1).numpy()


def _read_factor(factors: Mapping[str, Any], name: str) -> float | None:
    """A factor of the material; core marks those that nobody set by a negative number."""
    factor = factors.get(name)
    return None if factor is None or factor < 0 else float(factor)
