"""How far a character's edges stretch when it walks and waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from ..mesh.weld import weld_near
from ..rigging.pose.posing import place_keys
from ..types import Float64Array, FloatArray, Int64Array, IntArray, RiggedCharacter
from .clips import load_clip
from .retarget import retarget_clip

PROOF_CLIPS = ("walk", "wave")
"""Clips that a character is put through to see whether it tears."""
_KEYS_PER_CLIP = 8
_SHORTEST = 5e-4
"""Shorter edges count as this long, as a share of the height."""


@dataclass(frozen=True, eq=False)
class MovingEdges:
    """The edges of a character's mesh, welded at its seams, in the poses of some clips.

    points: (P, 3) metres. inverse: (V,) the point of each vertex. edges: (E, 2) points. lengths: (E,) metres
    at rest. moves: (T, J, 12) the top rows of the joints' transforms from rest, in each pose.
    """

    points: Float64Array
    inverse: Int64Array
    edges: Int64Array
    lengths: Float64Array
    moves: Float64Array

    @cached_property
    def links(self) -> sparse.csr_matrix:
        """(P, P) symmetric lengths of the edges, metres."""
        start, end = self.edges.T
        half = sparse.coo_matrix((self.lengths, (start, end)), shape=(len(self.points),) * 2)
        return (half + half.T).tocsr()

    def measure(self, weights: Float64Array) -> Float64Array:
        """Return the largest stretch (E,) of each edge over the poses, for weights (P, J); 1 is none."""
        start, end = self.edges.T
        shares, moves = weights.astype(np.float32), self.moves.astype(np.float32)
        places = np.pad(self.points, ((0, 0), (0, 1)), constant_values=1.0).astype(np.float32)
        per_square = (1.0 / self.lengths**2).astype(np.float32)
        largest = np.ones(len(self.edges), np.float32)
        for move in moves:
            posed = np.einsum("pij,pj->pi", (shares @ move).reshape(-1, 3, 4), places)
            offset = posed[start] - posed[end]
            np.maximum(largest, np.einsum("ei,ei->e", offset, offset) * per_square, out=largest)
        return np.sqrt(largest.astype(np.float64))


def move_edges(character: RiggedCharacter, clips: Sequence[str] = PROOF_CLIPS) -> MovingEdges:
    """Return the character's edges in eight poses of each of the named clips."""
    mesh, skeleton = character.textured.mesh, character.skeleton
    welded = weld_near(mesh.positions)
    points, inverse = welded.points.astype(np.float64), welded.inverse
    corners = inverse[mesh.faces]
    pairs = np.concatenate([corners[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
    keys = np.unique(pairs[:, 0] * len(points) + pairs[:, 1])
    edges = np.stack((keys // len(points), keys % len(points)), axis=1)
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    shortest = _SHORTEST * float(np.ptp(points[:, 1]))
    inverse_rest = np.linalg.inv(skeleton.rest.astype(np.float64))
    moves = np.concatenate([_sample_clip(character, name) @ inverse_rest for name in clips])
    moves = moves[:, :, :3].reshape(len(moves), len(skeleton.names), 12)
    return MovingEdges(points, inverse, edges, np.maximum(lengths, shortest), moves)


def _sample_clip(character: RiggedCharacter, name: str) -> Float64Array:
    """Transforms (T, J, 4, 4) of the joints at some keys of a clip."""
    clip = retarget_clip(load_clip(name), character)
    keys = np.linspace(0, len(clip.times) - 1, _KEYS_PER_CLIP, endpoint=False).astype(int)
    return place_keys(character.skeleton, clip.rotations[keys], clip.translations[keys], clip.mover)


def edge_stretch(character: RiggedCharacter, clips: Sequence[str] = PROOF_CLIPS) -> Float64Array:
    """Return the largest stretch (E,) of each edge of the mesh while the character moves; 1 is none."""
    moving = move_edges(character, clips)
    return moving.measure(spread_weights(character, moving))


def spread_weights(character: RiggedCharacter, moving: MovingEdges) -> Float64Array:
    """Return the skin weights (P, J) of the welded points."""
    skin = character.skin
    vertex = np.empty(len(moving.points), np.int64)
    vertex[moving.inverse] = np.arange(len(moving.inverse))
    return scatter_weights(skin.joints[vertex], skin.weights[vertex], len(character.skeleton.names))


def scatter_weights(joints: IntArray, shares: FloatArray, count: int) -> Float64Array:
    """Return weights (P, `count`) of the four influences (P, 4) of each point, and 0 for all other joints."""
    weights = np.zeros((len(joints), count))
    np.add.at(weights, (np.arange(len(joints))[:, None], joints), shares)
    return weights
