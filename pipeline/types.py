"""The data passed between stages: frozen dataclasses over read-only, contiguous numpy arrays.

Constructors cast to the documented dtype, check the documented shape and values, and make the arrays
read-only, so that no stage can modify data that another stage, or ComfyUI's cache, still holds.
They raise ValueError. Frame, units and UV origin: see conventions.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from .boxes import find_box
from .conventions import SIDE_NAMES
from .frozen import (
    BoolArray,
    Float64Array,
    FloatArray,
    Int64Array,
    IntArray,
    freeze,
    require,
)
from .mesh_extras import MeshExtras
from .skeleton_types import Skeleton, SkinWeights

__all__ = [
    "AnimationClip",
    "BoolArray",
    "Camera",
    "CameraRig",
    "Float64Array",
    "FloatArray",
    "FramedPicture",
    "Int64Array",
    "IntArray",
    "Material",
    "Mesh",
    "PictureSet",
    "RiggedCharacter",
    "Skeleton",
    "SkinWeights",
    "StageReport",
    "TexturedMesh",
    "ViewImages",
    "ViewMaps",
    "freeze",
    "require",
]

_QUATERNION_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class FramedPicture:
    """The subject, cut out, centered and padded to a square.

    rgba: (S, S, 4) float32, straight alpha; where alpha is 0 the color is that of the nearest subject pixel.
    """

    rgba: FloatArray
    method: str = ""
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        side = np.shape(self.rgba)[0]
        freeze(self, "rgba", np.float32, side, side, 4)

    @property
    def mask(self) -> BoolArray:
        """(S, S) bool, where alpha is at least one half."""
        return self.rgba[..., 3] >= 0.5

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the subject, which must not be empty, in pixels."""
        return find_box(self.mask)


@dataclass(frozen=True, eq=False)
class PictureSet:
    """Further pictures of a character beside the front, at the front's scale and on its ground line.

    sides: by the side of the character that they show, of SIDE_NAMES; as tall as the front is.
    notes: what was left out or turned, and why.
    """

    sides: Mapping[str, FramedPicture] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = ", ".join(self.sides)
        known = self.sides.keys() <= set(SIDE_NAMES)
        require(self, "sides", known, f"names among {', '.join(SIDE_NAMES)}, got {names}")


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, wound counter-clockwise as seen from outside.

    positions: (V, 3) float32, meters. faces: (F, 3) int32, indices 0..V-1.
    normals: (V, 3) float32 unit, or None. uvs: (V, 2) float32, or None.
    colors: (V, 4) float32 linear RGBA 0..1, or None; they multiply the base color, as glTF's COLOR_0 does.
    material_numbers: (V,) uint16, or None for 0 everywhere; which of several materials a vertex belongs to.
    The corners of a face belong to one. extras: what its file has of it beside these, or None.
    is_placed: whether orientation/ has stood it up.
    """

    positions: FloatArray
    faces: IntArray
    normals: FloatArray | None = None
    uvs: FloatArray | None = None
    colors: FloatArray | None = None
    material_numbers: IntArray | None = None
    extras: MeshExtras | None = None
    is_placed: bool = False

    def __post_init__(self) -> None:
        freeze(self, "positions", np.float32, None, 3)
        count = len(self.positions)
        freeze(self, "faces", np.int32, None, 3)
        freeze(self, "normals", np.float32, count, 3)
        freeze(self, "uvs", np.float32, count, 2)
        freeze(self, "colors", np.float32, count, 4)
        freeze(self, "material_numbers", np.uint16, count)
        fits = self.extras is None or self.extras.fits(count)
        require(self, "extras", fits, f"those of a mesh with {count} vertices")
        if len(self.faces):
            low, high = int(self.faces.min()), int(self.faces.max())
            wanted = f"vertex indices 0..{count - 1}, got {low}..{high}"
            require(self, "faces", low >= 0 and high < count, wanted)

    def take_vertices(self, vertices: IntArray, faces: IntArray) -> Mesh:
        """The mesh with these of its vertices (W,), all that belongs to them, and these faces (F, 3)."""
        names = ("positions", "normals", "uvs", "colors", "material_numbers")
        values = {name: getattr(self, name) for name in names}
        taken = {name: value[vertices] for name, value in values.items() if value is not None}
        extras = None if self.extras is None else self.extras.take(vertices)
        return replace(self, faces=faces, extras=extras, **taken)

    def with_uvs(self, uvs: FloatArray) -> Mesh:
        """The mesh with other uvs (V, 2); tangents, which belong to the old ones, are left out."""
        extras = None if self.extras is None else replace(self.extras, tangents=None)
        return replace(self, uvs=uvs, extras=extras)

    @property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest corner, each (3,) float32."""
        return self.positions.min(axis=0), self.positions.max(axis=0)


@dataclass(frozen=True, eq=False)
class Material:
    """A surface in glTF's terms.

    texels: (H, W, 4) sRGB and alpha, float32 0..1 or uint8 0..255, which takes a quarter of the memory.
    `base_color` is either as float32. emissive: linear. alpha_mode: OPAQUE, MASK or BLEND; empty: what
    the texels ask for. wrap: REPEAT, CLAMP or MIRROR along u and v. maps: further textures, (H, W, 3) uint8,
    by role: metallic_roughness, normal, occlusion, emissive. is_unlit: shown as painted, whatever the light
    (KHR_materials_unlit).
    """

    texels: FloatArray | IntArray
    metallic: float = 0.0
    roughness: float = 0.9
    name: str = "character"
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    alpha_mode: str = ""
    alpha_cutoff: float = 0.5
    wrap: tuple[str, str] = ("CLAMP", "CLAMP")
    is_double_sided: bool = False
    maps: Mapping[str, IntArray] = field(default_factory=dict)
    is_unlit: bool = False

    def __post_init__(self) -> None:
        is_8bit = getattr(self.texels, "dtype", None) == np.uint8
        freeze(self, "texels", np.uint8 if is_8bit else np.float32, None, None, 4)

    @property
    def base_color(self) -> FloatArray:
        """(H, W, 4) float32 sRGB 0..1; made anew from texels of 8 bits."""
        return _to_unit(self.texels)

    def sample(self, uvs: FloatArray) -> FloatArray:
        """(N, 4) sRGB color of the texel at each of the uvs (N, 2), wrapped as the material says."""
        size = np.array(self.texels.shape[1::-1])
        wrapped = np.stack([_WRAPPED[mode](uv) for mode, uv in zip(self.wrap, uvs.T, strict=True)], axis=1)
        column, row = np.clip((wrapped * size).astype(np.int64), 0, size - 1).T
        return _to_unit(self.texels[row, column])


def _to_unit(texels: FloatArray | IntArray) -> FloatArray:
    """Texels of 8 bits -> 0..1; others as they are."""
    return texels.astype(np.float32) / 255 if texels.dtype == np.uint8 else texels  # type: ignore[return-value]


_WRAPPED = {
    "CLAMP": lambda place: place,
    "REPEAT": lambda place: place - np.floor(place),
    "MIRROR": lambda place: 1 - np.abs(place % 2 - 1),
}


@dataclass(frozen=True, eq=False)
class TexturedMesh:
    """A mesh with UVs, and the material whose texture they index; `others` are numbers 1, 2 … of the mesh."""

    mesh: Mesh
    material: Material
    others: tuple[Material, ...] = ()

    def __post_init__(self) -> None:
        if self.mesh.uvs is None:
            raise ValueError("TexturedMesh.mesh: expected a mesh with uvs, got one without")
        numbers = self.mesh.material_numbers
        highest = 0 if numbers is None or not len(numbers) else int(numbers.max())
        if highest > len(self.others):
            wanted = f"material numbers 0..{len(self.others)}, got {highest}"
            raise ValueError(f"TexturedMesh.mesh: expected {wanted}")

    @property
    def uvs(self) -> FloatArray:
        """(V, 2) float32, the mesh's uvs, which every textured mesh has."""
        return np.asarray(self.mesh.uvs)

    @property
    def materials(self) -> tuple[Material, ...]:
        """All materials, by number."""
        return (self.material, *self.others)

    @property
    def face_materials(self) -> IntArray:
        """(F,) the number of each face's material."""
        numbers = self.mesh.material_numbers
        return (
            np.zeros(len(self.mesh.faces), np.uint16) if numbers is None else numbers[self.mesh.faces[:, 0]]
        )

    @property
    def vertex_colors(self) -> FloatArray:
        """(V, 4) sRGB color of the texel at each vertex's uv."""
        numbers = self.mesh.material_numbers
        if numbers is None:
            return self.material.sample(self.uvs)
        colors = np.empty((len(numbers), 4), np.float32)
        for number, material in enumerate(self.materials):
            colors[numbers == number] = material.sample(self.uvs[numbers == number])
        return colors


@dataclass(frozen=True)
class Camera:
    """A camera that looks at `target` (meters); see conventions.py for the angles.

    half_extent: half the side, in meters, of the square that the image shows in the plane of the target.
    distance: meters from the camera to that plane; infinite for an orthographic camera.
    """

    name: str
    azimuth: float
    elevation: float
    half_extent: float
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    distance: float = math.inf
    roll: float = 0.0


@dataclass(frozen=True)
class CameraRig:
    """Cameras in a fixed order, which is also the batch order of views, maps and images."""

    cameras: tuple[Camera, ...]

    def __len__(self) -> int:
        return len(self.cameras)


@dataclass(frozen=True, eq=False)
class ViewMaps:
    """What each camera of a rig sees of a mesh; background is 0.

    position: (N, S, S, 3) float32 meters. normal: (N, S, S, 3) float32 unit, mesh frame.
    depth: (N, S, S) float32 meters behind the target plane, nearer is smaller; see `project_points`.
    mask: (N, S, S) bool.
    """

    rig: CameraRig
    position: FloatArray
    normal: FloatArray
    depth: FloatArray
    mask: BoolArray

    def __post_init__(self) -> None:
        count, side = len(self.rig), np.shape(self.mask)[-1]
        freeze(self, "position", np.float32, count, side, side, 3)
        freeze(self, "normal", np.float32, count, side, side, 3)
        freeze(self, "depth", np.float32, count, side, side)
        freeze(self, "mask", np.bool_, count, side, side)


@dataclass(frozen=True, eq=False)
class ViewImages:
    """One picture per camera. color: (N, S, S, 3) float32 sRGB. mask: (N, S, S) float32 0..1."""

    rig: CameraRig
    color: FloatArray
    mask: FloatArray
    method: str = ""
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, side = len(self.rig), np.shape(self.mask)[-1]
        freeze(self, "color", np.float32, count, side, side, 3)
        freeze(self, "mask", np.float32, count, side, side)


@dataclass(frozen=True, eq=False)
class AnimationClip:
    """Motion of one skeleton, keyed at common times; between keys rotations are slerped.

    times: (T,) float32 seconds, T >= 1, finite; those of a clip that is written to a file increase from 0.
    rotations: (T, J, 4) float32 unit quaternions x, y, z, w, each joint's full rotation in its parent's axes
    (a root's in the mesh frame), as in glTF.
    translations: (T, 3) float32 meters, finite: the position of joint number `mover` in the mesh frame; the
    joints above it neither move nor rotate. loop: the last key equals the first.
    """

    name: str
    times: FloatArray
    rotations: FloatArray
    translations: FloatArray
    loop: bool = True
    mover: int = 0

    def __post_init__(self) -> None:
        count = len(self.times)
        freeze(self, "times", np.float32, count)
        freeze(self, "rotations", np.float32, count, np.shape(self.rotations)[1], 4)
        freeze(self, "translations", np.float32, count, 3)
        require(self, "times", bool(count and np.isfinite(self.times).all()), "at least one, all finite")
        require(self, "translations", np.isfinite(self.translations).all(), "finite values")
        error = float(np.abs(np.linalg.norm(self.rotations, axis=-1) - 1).max(initial=0))
        wanted = f"unit quaternions, got one whose length is off by {error:.2g}"
        require(self, "rotations", error <= _QUATERNION_TOLERANCE, wanted)


@dataclass(frozen=True, eq=False)
class RiggedCharacter:
    """A textured mesh bound to a skeleton in its rest pose, and the clips that move it.

    warnings, metrics: of the rigging stage, for the report.
    """

    textured: TexturedMesh
    skeleton: Skeleton
    skin: SkinWeights
    clips: tuple[AnimationClip, ...] = ()
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageReport:
    """How one stage ran. `ignored_inputs` lists the inputs that the method has no use for."""

    stage: str
    method: str
    seconds: float
    warnings: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    ignored_inputs: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, with the field names of this class."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("warnings", "ignored_inputs"):
            values[name] = list(values[name])
        values["metrics"] = dict(self.metrics)
        return values
