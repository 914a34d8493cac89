"""Textures of fewer pixels, for files that must be small."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..types import Material, TexturedMesh


def shrink_textures(textured: TexturedMesh, longest: int) -> TexturedMesh:
    """Return the mesh with textures of at most `longest` pixels a side; smaller ones stay as they are."""
    first, *others = (_shrink_material(material, longest) for material in textured.materials)
    return replace(textured, material=first, others=tuple(others))


def _shrink_material(material: Material, longest: int) -> Material:
    maps = {role: _shrink(texels, longest) for role, texels in material.maps.items()}
    return replace(material, texels=_shrink(material.texels, longest), maps=maps)


def _shrink(texels: npt.NDArray[Any], longest: int) -> npt.NDArray[Any]:
    """(H, W, C), uint8 or 0..1 -> at most `longest` a side, uint8 where it was made smaller."""
    height, width = texels.shape[:2]
    share = longest / max(height, width)
    if share >= 1:
        return texels
    whole = texels if texels.dtype == np.uint8 else np.rint(texels.clip(0, 1) * 255).astype(np.uint8)
    size = max(round(width * share), 1), max(round(height * share), 1)
    # Of the alpha too: pixels are mixed with straight alpha, as programs mix them between mip levels.
    bands = [Image.fromarray(band).resize(size, Image.Resampling.BOX) for band in np.moveaxis(whole, 2, 0)]
    return np.stack([np.asarray(band) for band in bands], axis=2)
