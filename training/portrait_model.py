"""A body of MakeHuman's in given traits, proportions and pose, and what is put on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bodies import GROUPS, JOINTS, Targets, group_weights, read_obj, read_proxy, triangulate
from body import pose_groups, round_head, scale_groups
from numpy.typing import NDArray
from portrait_cast import Character
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

HEAD = GROUPS.index("head")


@dataclass
class Piece:
    """points (P, 3) posed, rest (P, 3), triangles (F, 3), colors (P, 3) sRGB."""

    points: NDArray
    rest: NDArray
    triangles: NDArray
    colors: NDArray

    def split(self) -> Piece:
        """Every triangle in four; colors of new points are the mean."""
        edges = np.sort(self.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
        unique, place = np.unique(edges, axis=0, return_inverse=True)
        a, b, c = self.triangles.T
        ab, bc, ca = (place.reshape(-1, 3) + len(self.points)).T
        triangles = np.concatenate(
            [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
        rows = (np.concatenate([x, x[unique].mean(axis=1)]) for x in (self.points, self.rest, self.colors))
        points, rest, colors = rows
        return Piece(points, rest, triangles, colors)


class Model:
    """The base mesh with the traits of `character`, posed; `dress` puts a .mhclo on it."""

    def __init__(self, data: Path, character: Character) -> None:
        self.character = character
        vertices, self.polygons = read_obj(data / "3dobjs/base.obj")
        targets = Targets(data / "targets", len(vertices))
        self.plain = vertices + targets.mix(character.traits)
        for name, amount in character.targets.items():
            self.plain += amount * targets.read(f"../{name}")
        self.lips = sum(
            np.linalg.norm(targets.read(f"../mouth/mouth-{lip}lip-volume-incr"), axis=1)
            for lip in ("upper", "lower")
        )
        self.weights = group_weights(data / "rigs/standard/weights.default.json", len(vertices))
        self.skin = triangulate(self.polygons["body"])
        self.head = np.flatnonzero(self.weights.argmax(axis=1) == HEAD)
        skull = self.plain[np.intersect1d(self.head, self.skin)]
        self.center, self.radii = (skull.max(axis=0) + skull.min(axis=0)) / 2, np.ptp(skull, axis=0) / 2
        self.rest = self.plain.copy()
        proportions = character.proportions
        round_head(self.rest, self.head, self.center, self.radii, proportions)
        cubes = {name: np.unique(np.concatenate(self.polygons[cube])) for name, cube in JOINTS.items()}
        place = {name: self.plain[cube].mean(axis=0).astype(float) for name, cube in cubes.items()}
        scale = scale_groups(proportions, place, self.radii)
        self.head_radii = self.radii * scale[HEAD]
        self.matrices, self.offsets, self.joint = pose_groups(
            place, scale, proportions, character.pose, self.center, self.radii
        )
        self.hidden = np.zeros(len(vertices), bool)

    def pose(self, rest: NDArray, weights: NDArray) -> NDArray:
        """Linear blend of the groups: (P, 3)."""
        matrices = np.einsum("pg,gij->pij", weights, self.matrices)
        return np.einsum("pij,pj->pi", matrices, rest) + weights @ self.offsets

    def on_head(self, u: NDArray) -> NDArray:
        """Places in half extents of the head, from its center."""
        return (self.center + np.asarray(u) * self.radii) @ self.matrices[HEAD].T + self.offsets[HEAD]

    def take(self, triangles: NDArray, color: tuple[float, ...]) -> Piece:
        """A piece of the base mesh itself."""
        used, local = np.unique(triangles, return_inverse=True)
        points = self.pose(self.rest[used], self.weights[used])
        return Piece(points, self.plain[used], local.reshape(-1, 3), np.tile(np.array(color), (len(used), 1)))

    def dress(
        self, path: Path, colors: list[tuple[float, ...]], rng: np.random.Generator | None = None
    ) -> Piece:
        """Clothes, each connected part in the next color, or hair, each strand a little lighter or darker."""
        proxy = read_proxy(path)
        rest = proxy.fit(self.rest[None].astype(np.float32))[0]
        weights = np.einsum("pcg,pc->pg", self.weights[proxy.corners], proxy.shares)
        if rng is not None:
            weights = np.tile(np.eye(len(GROUPS))[HEAD], (len(rest), 1))
        edges = proxy.triangles[:, [[0, 1], [1, 2]]].reshape(-1, 2)
        links = coo_matrix((np.ones(len(edges)), edges.T), (len(rest), len(rest)))
        count, part = connected_components(links, directed=False)
        order = np.argsort(-np.bincount(part[proxy.triangles[:, 0]], minlength=count), kind="stable")
        palette = np.zeros((count, 3))
        for number, index in enumerate(order):
            palette[index] = colors[min(number, len(colors) - 1)]
        if rng is not None:
            palette *= rng.uniform(0.85, 1.15, (count, 1))
        self.hidden[_hidden_vertices(path)] = True
        return Piece(self.pose(rest, weights), rest, proxy.triangles, palette[part].clip(0, 1))


def _hidden_vertices(path: Path) -> list[int]:
    """Vertices of the skin that the clothes cover: `a - b` and single ones after the word delete_verts."""
    words = path.read_text(encoding="utf-8").partition("delete_verts")[2].split()
    found: list[int] = []
    for number, word in enumerate(words):
        if word == "-":
            found.extend(range(int(words[number - 1]), int(words[number + 1]) + 1))
        elif word.isdigit():
            found.append(int(word))
    return found
