"""Measure a finished mesh and its texture."""

from __future__ import annotations

import numpy as np

from ..boxes import find_box
from ..cameras import build_six_view_rig
from ..device import array_to_tensor, tensor_to_array
from ..generating_multiview_texture.alignment import map_box
from ..humanoid import SIDES
from ..mesh.areas import measure_areas
from ..rasterize import rasterize_view
from ..types import BoolArray, FloatArray, FramedPicture, Mesh, RiggedCharacter, TexturedMesh

_LOWER = ("LowerArm", "LowerLeg")
_SIDE = 512
"""Pixels of the square in which outlines are compared."""


def measure_silhouette_iou(mesh: Mesh, picture: FramedPicture) -> float:
    """Intersection over union, 0..1, of the mesh's outline from the front and that of the picture's subject.

    The picture's is made as tall as the mesh's and put over its middle; it is never stretched to its width.
    Both must not be empty.
    """
    camera = build_six_view_rig(mesh).cameras[0]
    raster = rasterize_view(camera, array_to_tensor(mesh.positions), array_to_tensor(mesh.faces), _SIDE)
    shape: BoolArray = tensor_to_array(raster.mask)
    subject = _lay_outline(picture, find_box(shape))
    return float((subject & shape).sum() / (subject | shape).sum())


def _lay_outline(picture: FramedPicture, box: tuple[int, int, int, int]) -> BoolArray:
    """The subject (_SIDE, _SIDE) as tall as `box` is, over its middle."""
    left, top, right, bottom = picture.box
    width = max(1, round((right - left) * (box[3] - box[1]) / (bottom - top)))
    start = (box[0] + box[2] - width) // 2
    laid = map_box(picture.rgba[..., 3:], picture.box, (start, box[1], start + width, box[3]), _SIDE)
    subject: BoolArray = laid[..., 0] >= 0.5
    return subject


def measure_texel_density(textured: TexturedMesh) -> float:
    """Texels per meter along the surface, the mean over its area; 0 for a surface without area."""
    area = measure_areas(textured.mesh.positions, textured.mesh.faces).sum()
    return float(np.sqrt(_count_texels(textured).sum() / area)) if area > 0 else 0.0


def measure_unseen_share(textured: TexturedMesh, coverage: FloatArray) -> float:
    """Share of the charts' texels, 0..1, without a color from a view.

    coverage: (T, T) 0..1, of the bake into the mesh's uvs; charts must not overlap.
    """
    charts = _measure_uv_areas(textured).sum() * coverage.size
    return float(np.clip(1 - coverage.sum(dtype=np.float64) / max(charts, 1.0), 0, 1))


def count_still_limbs(character: RiggedCharacter) -> int | None:
    """How many of arms and legs, 0 to 4, move no vertex at elbow or knee; None without humanoid roles."""
    roles, skin = character.skeleton.roles, character.skin
    moving = set(np.unique(skin.joints[skin.weights > 0]).tolist())
    lower = [roles[side + part] for side in SIDES for part in _LOWER if side + part in roles]
    return sum(joint not in moving for joint in lower) if lower else None


def _count_texels(textured: TexturedMesh) -> FloatArray:
    """Texels (F,) of the base color under each face."""
    sizes = np.array([np.prod(material.texels.shape[:2]) for material in textured.materials])
    texels: FloatArray = _measure_uv_areas(textured) * sizes[textured.face_materials]
    return texels


def _measure_uv_areas(textured: TexturedMesh) -> FloatArray:
    """Area (F,) of each face in the unit square of the texture."""
    flat = np.pad(textured.uvs, ((0, 0), (0, 1)))
    return measure_areas(flat, textured.mesh.faces)
