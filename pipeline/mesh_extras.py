"""What a mesh has beside its surface: further uv sets, tangents, morph targets, a skeleton and its clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.spatial.transform import Rotation

from .frozen import Float64Array, FloatArray, IntArray, freeze, require
from .skeleton_types import Skeleton, SkinWeights


@dataclass(frozen=True, eq=False)
class MorphTarget:
    """vertices: (K,) int32, increasing, the vertices that it moves. deltas: (K, 3) float32, metres, how far.

    weight: how much of it the positions of the mesh show already.
    """

    name: str
    vertices: IntArray
    deltas: FloatArray
    weight: float = 0.0

    def __post_init__(self) -> None:
        freeze(self, "vertices", np.int32, None)
        freeze(self, "deltas", np.float32, len(self.vertices), 3)
        require(self, "deltas", np.isfinite(self.deltas).all(), "finite values")

    @classmethod
    def from_dense(cls, name: str, deltas: Float64Array, weight: float) -> MorphTarget:
        """From deltas (V, 3) of all vertices, most of them 0; those that are not numbers count as 0."""
        moved = np.flatnonzero(np.abs(deltas).max(axis=1) > 0)
        return cls(name, moved, deltas[moved], weight)

    def turn(self, maps: Float64Array) -> MorphTarget:
        """That of a mesh placed by a linear map (3, 3), or one for each of its vertices (V, 3, 3)."""
        own = maps if maps.ndim == 2 else maps[self.vertices]
        return replace(self, deltas=np.einsum("...ij,...j->...i", own, self.deltas))

    def take(self, vertices: IntArray) -> MorphTarget:
        """That of a mesh made of these vertices (W,)."""
        if not len(self.vertices):
            return self
        place = np.searchsorted(self.vertices, vertices).clip(max=len(self.vertices) - 1)
        moved = np.flatnonzero(self.vertices[place] == vertices)
        return replace(self, vertices=moved, deltas=self.deltas[place[moved]])


@dataclass(frozen=True, eq=False)
class OwnClip:
    """Motion of a skeleton as its file has it; what it scales is left out.

    times: (T,) float32 seconds, increasing. rotations: (T, J, 4) float32 unit quaternions x, y, z, w.
    translations: (T, J, 3) float32 metres. Both are in the axes of the joint's parent, a root's in the mesh
    frame.
    """

    name: str
    times: FloatArray
    rotations: FloatArray
    translations: FloatArray

    def __post_init__(self) -> None:
        joints = np.shape(self.rotations)[1]
        freeze(self, "times", np.float32, None)
        freeze(self, "rotations", np.float32, len(self.times), joints, 4)
        freeze(self, "translations", np.float32, len(self.times), joints, 3)
        for name in ("times", "rotations", "translations"):
            require(self, name, np.isfinite(getattr(self, name)).all(), "finite values")


@dataclass(frozen=True, eq=False)
class OwnRig:
    """The skeleton of a file in the pose in which its mesh stands, without the scales of its joints."""

    skeleton: Skeleton
    skin: SkinWeights
    clips: tuple[OwnClip, ...] = ()

    def take(self, vertices: IntArray) -> OwnRig:
        """That of a mesh made of these vertices (W,)."""
        return replace(self, skin=SkinWeights(self.skin.joints[vertices], self.skin.weights[vertices]))

    def transform(self, rotation: Float64Array, scale: float, offset: Float64Array) -> OwnRig:
        """That of a mesh that is turned by a rotation (3, 3), scaled, and then moved by an offset (3,)."""
        skeleton = self.skeleton
        rest = skeleton.rest.astype(np.float64)
        rest[:, :3, :3] = rotation @ rest[:, :3, :3]
        rest[:, :3, 3] = scale * rest[:, :3, 3] @ rotation.T + offset
        roots, turn = skeleton.parents < 0, Rotation.from_matrix(rotation)
        clips = []
        for clip in self.clips:
            moved, turned = scale * clip.translations.astype(np.float64), clip.rotations.copy()
            moved[:, roots] = moved[:, roots] @ rotation.T + offset
            old = Rotation.from_quat(clip.rotations[:, roots].reshape(-1, 4))
            turned[:, roots] = (turn * old).as_quat().reshape(len(turned), -1, 4)
            clips.append(replace(clip, translations=moved, rotations=turned))
        return replace(self, skeleton=replace(skeleton, rest=rest), clips=tuple(clips))


def turn_tangents(tangents: FloatArray, maps: Float64Array) -> FloatArray:
    """Tangents (V, 4) of a mesh placed by a linear map (3, 3), or one for each vertex (V, 3, 3).

    A map that mirrors turns the bitangent's sign: the normal stays outside.
    """
    turned = np.einsum("...ij,...j->...i", maps, tangents[:, :3])
    length = np.linalg.norm(turned, axis=1, keepdims=True).clip(1e-12)
    signs = tangents[:, 3] * np.where(np.linalg.det(maps) < 0, -1, 1)
    return np.concatenate((turned / length, signs[:, None]), axis=1).astype(np.float32)


@dataclass(frozen=True, eq=False)
class _UvSet:
    """uvs: (V, 2) float32."""

    uvs: FloatArray

    def __post_init__(self) -> None:
        freeze(self, "uvs", np.float32, None, 2)


@dataclass(frozen=True, eq=False)
class MeshExtras:
    """uv_sets: those beside the one that the textures use, from 1, (V, 2) float32 each.

    tangents: (V, 4) float32, the axis along which u grows, unit, and the bitangent's sign, as glTF has them;
    they belong to the uvs that the textures use. None: they follow from normals and uvs (MikkTSpace).
    """

    uv_sets: Mapping[int, FloatArray] = field(default_factory=dict)
    morphs: tuple[MorphTarget, ...] = ()
    rig: OwnRig | None = None
    tangents: FloatArray | None = None

    def __post_init__(self) -> None:
        frozen = {number: _UvSet(uvs).uvs for number, uvs in self.uv_sets.items()}
        object.__setattr__(self, "uv_sets", frozen)
        freeze(self, "tangents", np.float32, None, 4)

    def fits(self, vertex_count: int) -> bool:
        """Whether these are those of a mesh with so many vertices."""
        counts = [len(uvs) for uvs in self.uv_sets.values()]
        if self.rig is not None:
            counts.append(len(self.rig.skin.joints))
        if self.tangents is not None:
            counts.append(len(self.tangents))
        highest = max((int(morph.vertices.max(initial=-1)) for morph in self.morphs), default=-1)
        return highest < vertex_count and all(count == vertex_count for count in counts)

    def take(self, vertices: IntArray) -> MeshExtras:
        """Those of a mesh made of these vertices (W,)."""
        sets = {number: uvs[vertices] for number, uvs in self.uv_sets.items()}
        rig = None if self.rig is None else self.rig.take(vertices)
        tangents = None if self.tangents is None else self.tangents[vertices]
        return MeshExtras(sets, tuple(morph.take(vertices) for morph in self.morphs), rig, tangents)

    def transform(self, rotation: Float64Array, scale: float, offset: Float64Array) -> MeshExtras:
        """Those of a mesh that is turned by a rotation (3, 3), scaled, and then moved by an offset (3,)."""
        rig = None if self.rig is None else self.rig.transform(rotation, scale, offset)
        morphs = tuple(morph.turn(scale * rotation) for morph in self.morphs)
        tangents = None if self.tangents is None else turn_tangents(self.tangents, rotation)
        return replace(self, morphs=morphs, rig=rig, tangents=tangents)

    def deform(self, maps: Float64Array) -> MeshExtras:
        """Those of a mesh that another skeleton deforms by linear maps (V, 3, 3); its own rig is left out."""
        morphs = tuple(morph.turn(maps) for morph in self.morphs)
        tangents = None if self.tangents is None else turn_tangents(self.tangents, maps)
        return replace(self, morphs=morphs, rig=None, tangents=tangents)

    def list_unit_tangents(self) -> FloatArray | None:
        """The tangents (V, 4) if there are any and all are sound: axes of length 1, signs of -1 or 1."""
        if self.tangents is None:
            return None
        axes = self.tangents[:, :3].astype(np.float64)
        length = np.linalg.norm(axes, axis=1, keepdims=True)
        if not (length > _SHORTEST_TANGENT).all():
            return None
        signs = np.where(self.tangents[:, 3:] < 0, -1.0, 1.0)
        return np.concatenate((axes / length, signs), axis=1).astype(np.float32)

    def describe(self) -> str:
        """What there is, such as "skeleton of 52 joints, 3 clips (Walk, Idle, Run), 12 morph targets"."""
        found = []
        if self.rig is not None:
            found.append(f"skeleton of {_count(len(self.rig.skeleton.names), 'joint')}")
            if clips := self.rig.clips:
                named = ", ".join(clip.name for clip in clips[:_MOST_NAMES])
                more = ", …" if len(clips) > _MOST_NAMES else ""
                found.append(f"{_count(len(clips), 'clip')} ({named}{more})")
        if self.morphs:
            found.append(_count(len(self.morphs), "morph target"))
        if self.uv_sets:
            found.append(_count(len(self.uv_sets), "further uv set"))
        if self.tangents is not None:
            found.append("tangents")
        return ", ".join(found)


_MOST_NAMES = 8
_SHORTEST_TANGENT = 1e-6


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
