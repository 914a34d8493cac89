"""The data passed between stages: frozen dataclasses over read-only, contiguous numpy arrays.

Constructors cast to the documented dtype, check the documented shape and values, and make the arrays
read-only, so that no stage can modify data that another stage, or ComfyUI's cache, still holds.
They raise ValueError. Frame, units and UV origin: see conventions.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from .conventions import MAX_INFLUENCES

# Arrays of any width, for interfaces; the classes below store float32 and int32.
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
# Arrays of one width, for computations whose result depends on it.
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]

_WEIGHT_TOLERANCE = 1e-4
_QUATERNION_TOLERANCE = 1e-3


def freeze(owner: object, name: str, dtype: npt.DTypeLike, *shape: int | None) -> None:
    """Cast a field to a read-only contiguous array of `shape`; None in `shape` stands for any length.

    An array that is all of that already, and that nobody can write to, is kept; any other is copied.
    """
    value = getattr(owner, name)
    if value is None:
        return
    array = value if _is_frozen(value, np.dtype(dtype)) else np.array(value, dtype=dtype, order="C")
    wrong = array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    )
    if wrong:
        wanted = str(tuple(shape)).replace("None", "n")
        raise ValueError(f"{type(owner).__name__}.{name}: expected shape {wanted}, got {array.shape}")
    array.setflags(write=False)
    object.__setattr__(owner, name, array)


def _is_frozen(value: object, dtype: np.dtype[Any]) -> bool:
    """Whether `value` is a contiguous array of `dtype` whose memory no array can write to."""
    if type(value) is not np.ndarray or value.dtype != dtype or not value.flags.c_contiguous:
        return False
    memory: Any = value
    while isinstance(memory, np.ndarray) and not memory.flags.writeable:
        memory = memory.base
    return memory is None


def require(owner: object, name: str, is_sound: bool | np.bool_, wanted: str) -> None:
    """Raise ValueError unless the field is sound. Conditions are written so that NaN fails them."""
    if not is_sound:
        raise ValueError(f"{type(owner).__name__}.{name}: expected {wanted}")


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


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles, wound counter-clockwise as seen from outside.

    positions: (V, 3) float32, meters. faces: (F, 3) int32, indices 0..V-1.
    normals: (V, 3) float32 unit, or None. uvs: (V, 2) float32, or None.
    colors: (V, 4) float32 linear RGBA 0..1, or None; they multiply the base color, as glTF's COLOR_0 does.
    material_numbers: (V,) uint16, or None for 0 everywhere; which of several materials a vertex belongs to.
    The corners of a face belong to one.
    """

    positions: FloatArray
    faces: IntArray
    normals: FloatArray | None = None
    uvs: FloatArray | None = None
    colors: FloatArray | None = None
    material_numbers: IntArray | None = None

    def __post_init__(self) -> None:
        freeze(self, "positions", np.float32, None, 3)
        count = len(self.positions)
        freeze(self, "faces", np.int32, None, 3)
        freeze(self, "normals", np.float32, count, 3)
        freeze(self, "uvs", np.float32, count, 2)
        freeze(self, "colors", np.float32, count, 4)
        freeze(self, "material_numbers", np.uint16, count)
        if len(self.faces):
            low, high = int(self.faces.min()), int(self.faces.max())
            wanted = f"vertex indices 0..{count - 1}, got {low}..{high}"
            require(self, "faces", low >= 0 and high < count, wanted)

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
    by role: metallic_roughness, normal, occlusion, emissive.
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
    """An orthographic camera that looks at `target` (meters); see conventions.py for the angles.

    half_extent: half the side, in meters, of the square that the image shows.
    """

    name: str
    azimuth: float
    elevation: float
    half_extent: float
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)


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
    depth: (N, S, S) float32 meters along the view direction from the target plane, nearer is smaller.
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
class Skeleton:
    """A tree of joints in rest pose; a parent comes before its children, and the root's parent is -1.

    names: J joint names. parents: (J,) int32.
    rest: (J, 4, 4) float32, each joint's transform in the mesh frame (column vectors), rotation and
    translation only. roles: humanoid role -> joint index (VRM 1.0 bone names, "leftUpperArm").
    """

    names: tuple[str, ...]
    parents: IntArray
    rest: FloatArray
    roles: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.names)
        freeze(self, "parents", np.int32, count)
        freeze(self, "rest", np.float32, count, 4, 4)
        late = np.flatnonzero((self.parents >= np.arange(count)) | (self.parents < -1))
        if len(late):
            name, parent = self.names[late[0]], self.parents[late[0]]
            require(self, "parents", False, f"each parent before its children, got {parent} for {name!r}")
        wanted = f"joint indices 0..{count - 1}, got {dict(self.roles)}"
        require(self, "roles", all(0 <= joint < count for joint in self.roles.values()), wanted)

    @property
    def positions(self) -> FloatArray:
        """(J, 3) float32 joint positions, meters."""
        return self.rest[:, :3, 3]

    def index(self, name: str) -> int:
        """Index of the joint called `name`; ValueError lists the known names."""
        if name not in self.names:
            raise ValueError(f"no joint {name!r}; this skeleton has {', '.join(self.names)}")
        return self.names.index(name)


@dataclass(frozen=True, eq=False)
class SkinWeights:
    """joints: (V, 4) uint16 indices into the skeleton. weights: (V, 4) float32, 0..1, rows sum to 1."""

    joints: IntArray
    weights: FloatArray

    def __post_init__(self) -> None:
        freeze(self, "joints", np.uint16, None, MAX_INFLUENCES)
        freeze(self, "weights", np.float32, len(self.joints), MAX_INFLUENCES)
        error = float(np.abs(self.weights.sum(axis=1) - 1).max(initial=0))
        require(
            self, "weights", error <= _WEIGHT_TOLERANCE, f"rows that sum to 1, got one off by {error:.2g}"
        )
        low = float(self.weights.min(initial=0))
        require(self, "weights", low >= 0, f"no negative weights, got {low:.2g}")


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
    """A textured mesh bound to a skeleton in its rest pose, and the clips that move it."""

    textured: TexturedMesh
    skeleton: Skeleton
    skin: SkinWeights
    clips: tuple[AnimationClip, ...] = ()


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
