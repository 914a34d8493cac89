"""What a file of another program holds: parts, each with its own material, in the file's own frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from ...mesh_extras import MorphTarget, OwnClip
from ...types import Float64Array, FloatArray, Int64Array, Skeleton

WRAP_MODES = ("REPEAT", "CLAMP", "MIRROR")
ALPHA_MODES = ("OPAQUE", "MASK", "BLEND")


@dataclass(frozen=True, eq=False)
class SourceTexture:
    """A picture that Pillow decodes when its texels are first asked for, and how UVs address it.

    uv_set: which of a part's `uvs`. transform: (3, 3), what the UVs (u, v, 1) are multiplied by, or None.
    """

    image: Image.Image
    wrap: tuple[str, str] = ("REPEAT", "REPEAT")
    uv_set: int = 0
    transform: Float64Array | None = None


@dataclass(frozen=True, eq=False)
class SourceMaterial:
    """A material in glTF's terms. Colors are linear; base_color multiplies its texture.

    textures: by role: base_color, metallic_roughness, normal, occlusion, emissive.
    alpha_mode: one of ALPHA_MODES, or None where the format has no such thing.
    """

    name: str = ""
    base_color: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    metallic: float = 1.0
    roughness: float = 1.0
    emissive: tuple[float, float, float] = (0.0, 0.0, 0.0)
    alpha_mode: str | None = None
    alpha_cutoff: float = 0.5
    is_double_sided: bool = False
    is_unlit: bool = False
    textures: Mapping[str, SourceTexture] = field(default_factory=dict)

    @property
    def leading_texture(self) -> SourceTexture | None:
        """The texture whose uvs the others must share: base color, or the first there is."""
        return self.textures.get("base_color") or next(iter(self.textures.values()), None)


@dataclass(frozen=True, eq=False)
class Influences:
    """What a skeleton does to the vertices of a part: joints (V, K) of the model's, and weights (V, K)."""

    joints: Int64Array
    weights: Float64Array


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles of one material, where the scene has them.

    positions: (V, 3) float64. faces: (F, 3) indices 0..V-1. normals: (V, 3) or None.
    uvs: sets of (V, 2), v down. colors: (V, 4) linear RGBA or None. material: None is the format's default.
    morphs: what they add where the scene has the part. influences: None if no joint moves it.
    tangents: (V, 4), as in MeshExtras, those of the uvs that the normal map uses, or None.
    """

    name: str
    positions: Float64Array
    faces: Int64Array
    normals: FloatArray | None = None
    uvs: Mapping[int, FloatArray] = field(default_factory=dict)
    colors: FloatArray | None = None
    material: SourceMaterial | None = None
    morphs: tuple[MorphTarget, ...] = ()
    influences: Influences | None = None
    tangents: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """All parts of a file, and what of it could not be read, one sentence each.

    up, front: the axes that the format says a figure has there, such as "+Y"; auto if it says nothing.
    has_stated_frame: whether the format says that +Y is up and +Z the front, of whatever is in the file.
    skeleton: in the pose that the parts show. clips: its motions.
    """

    parts: tuple[Part, ...]
    warnings: tuple[str, ...] = ()
    up: str = "auto"
    front: str = "auto"
    skeleton: Skeleton | None = None
    clips: tuple[OwnClip, ...] = ()
    has_stated_frame: bool = False
