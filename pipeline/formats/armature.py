"""Skeletons with their clips and without a mesh: GLB, FBX, and VRM's animation (VRMA).

Source of VRMA: VRM Consortium, specification/VRMC_vrm_animation-1.0/README.md.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from ..types import RiggedCharacter
from .clip_turns import TurnedClip, turn_clip
from .fbx import encode_fbx_armature
from .gltf_document import GltfDocument
from .gltf_skin import add_armature, add_tracks
from .vrm_humanoid import check_humanoid

_EXTENSION, _SPEC_VERSION = "VRMC_vrm_animation", "1.0"
_NOT_POSED = ("leftEye", "rightEye")
"""VRMA turns eyes by what they look at, not as bones."""

__all__ = ["encode_fbx_armature", "encode_glb_armature", "encode_vrma"]


def encode_glb_armature(character: RiggedCharacter) -> bytes:
    """Return a GLB of the character's joints and clips alone."""
    document = GltfDocument()
    add_armature(document, character.skeleton, character.clips)
    return document.pack()


def encode_vrma(character: RiggedCharacter, clip: str) -> bytes:
    """Return a .vrma file with the character's clip of that name, on its skeleton in the T-pose.

    FormatError if it has no such clip, or lacks a bone that VRM requires.
    """
    turned = turn_clip(character, clip)
    check_humanoid(turned.skeleton)
    document = GltfDocument()
    _add_nodes(document, turned)
    _add_animation(document, turned)
    roles = turned.skeleton.roles.items()
    bones = {role: {"node": joint} for role, joint in roles if role not in _NOT_POSED}
    document.add_extension(_EXTENSION, {"specVersion": _SPEC_VERSION, "humanoid": {"humanBones": bones}})
    return document.pack()


def _add_nodes(document: GltfDocument, turned: TurnedClip) -> None:
    """Nodes without rotations: their axes are those of the mesh."""
    skeleton = turned.skeleton
    places = skeleton.positions.astype(np.float64)
    for joint, parent in enumerate(skeleton.parents):
        offset = places[joint] - (places[parent] if parent >= 0 else 0.0)
        children = np.flatnonzero(skeleton.parents == joint).tolist()
        node = {"name": skeleton.names[joint], "translation": offset.tolist()}
        document.add("nodes", node | ({"children": children} if children else {}))
    document.add("scenes", {"nodes": np.flatnonzero(skeleton.parents < 0).tolist()})


def _add_animation(document: GltfDocument, turned: TurnedClip) -> None:
    times = document.add_accessor(turned.times, has_bounds=True)
    moved = [joint for role, joint in turned.skeleton.roles.items() if role not in _NOT_POSED]
    flat = Rotation.from_matrix(turned.local.reshape(-1, 3, 3)).as_quat()
    turns = flat.reshape(len(turned.times), -1, 4).astype(np.float32)
    tracks = [(turned.mover, "translation", turned.moves.astype(np.float32))]
    tracks += [(joint, "rotation", np.ascontiguousarray(turns[:, joint])) for joint in sorted(moved)]
    add_tracks(document, turned.name, times, tracks)
