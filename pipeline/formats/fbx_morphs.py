"""Morph targets in FBX: a blend shape with a channel, and a shape of offsets, for each."""

from __future__ import annotations

import numpy as np

from ..types import Mesh
from .fbx_binary import FbxNode
from .fbx_scene import SceneBuilder

_PERCENT = 100.0


def add_morphs(scene: SceneBuilder, mesh: Mesh, geometry: int, scale: float) -> None:
    """Append the mesh's morph targets, if it has any, to a geometry; scale: the file's units in a metre.

    The geometry holds the positions without what targets add to them by their weights.
    """
    morphs = () if mesh.extras is None else mesh.extras.morphs
    if not morphs:
        return
    blend = scene.add("Deformer", "", "Deformer", "BlendShape", FbxNode("Version", (100,)))
    scene.connect(blend, geometry)
    for morph in morphs:
        channel = scene.add(
            "Deformer",
            morph.name,
            "SubDeformer",
            "BlendShapeChannel",
            FbxNode("Version", (100,)),
            FbxNode("DeformPercent", (float(morph.weight) * _PERCENT,)),
            FbxNode("FullWeights", (np.array((_PERCENT,)),)),
        )
        scene.connect(channel, blend)
        offsets = morph.deltas.astype(np.float64) * scale
        shape = scene.add(
            "Geometry",
            morph.name,
            "Geometry",
            "Shape",
            FbxNode("Version", (100,)),
            FbxNode("Indexes", (morph.vertices.astype(np.int32),)),
            FbxNode("Vertices", (offsets.reshape(-1),)),
            FbxNode("Normals", (np.zeros(offsets.size),)),
        )
        scene.connect(shape, channel)
