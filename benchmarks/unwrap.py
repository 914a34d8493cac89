"""Unwrapping beside plain xatlas, on characters of about 20,000, 50,000, 100,000 and 200,000 faces.

    pip install xatlas==0.0.11
    python benchmarks/unwrap.py                                # everything: 25 minutes on two cores
    python benchmarks/unwrap.py --only figure --faces 50000    # one mesh
    python benchmarks/unwrap.py --ours                         # without xatlas
    python benchmarks/unwrap.py --cache people.npz             # an anny body too; see fit.py
    python benchmarks/unwrap.py --draw FOLDER                  # every atlas as a picture

Meshes: `figure` and `noisy` are marching-cubes surfaces of a smooth union of capsules with folds, `noisy`
with noise in the field; decimated as the product does it. `elf`, `kid` and `wanderer` are what the embedded
method makes of examples/, `anny` a body of anny's, subdivided. xatlas is `parametrize` with its default
options but for resolution and padding, which make it one sheet of about 2048 x 2048 with the gaps asked:
its padding is a margin around each chart, so half of them. `xatlas+` is the same packed exhaustively
(bruteForce); that takes minutes. Columns:

s        seconds, the best of three (of one for xatlas from 10 s on)
charts   pieces of the surface that are connected in the atlas
stretch  L2 stretch of Sander et al. 2001 of the whole atlas, 1 where all is to one scale; then the 95th
         percentile and the largest of the faces' own
used     share of the texels of a 2048 x 2048 texture that charts cover, %; xatlas: of its own oblong sheet
twice    texels whose center two faces own, at 1024, 2048 and 4096, unwrapped for each; xatlas at 2048 only
gap      texels between the two charts that are nearest to each other, and to the border (2048, 4 asked)
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
import trimesh
import xatlas
from PIL import Image
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.decode import decode_picture  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.mesh_generation.decimate import decimate_surface  # noqa: E402
from character3d.pipeline.preprocessing import preprocess_picture  # noqa: E402
from character3d.pipeline.rasterize import list_covered_samples, rasterize_triangles  # noqa: E402
from character3d.pipeline.texture_baking import unwrap_mesh  # noqa: E402
from character3d.pipeline.types import Mesh  # noqa: E402

_FACES = (20_000, 50_000, 100_000, 200_000)
_SIZE, _PADDING = 2048, 4
_PICTURES = ("elf", "kid", "wanderer")
_LIMBS = (
    ((0, 0.52, 0), (0, 0.78, 0), 0.10), ((0, 0.78, 0), (0, 0.88, 0), 0.04),
    ((0, 0.95, 0.01), (0, 0.99, 0), 0.075),
    ((0.06, 0.5, 0), (0.08, 0.28, 0.01), 0.06), ((0.08, 0.28, 0.01), (0.09, 0.05, 0), 0.04),
    ((0.09, 0.03, 0), (0.10, 0.025, 0.1), 0.03), ((0.1, 0.79, 0), (0.24, 0.66, 0), 0.04),
    ((0.24, 0.66, 0), (0.36, 0.5, 0.03), 0.03),
    *(((0.36, 0.5, z), (0.405, 0.44, 1.3 * z), 0.008) for z in np.linspace(0, 0.06, 4)),
)  # fmt: skip
"""Start, end and radius of the capsules of the left half of a body 1.06 high."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", action="append", choices=("figure", "noisy", *_PICTURES, "anny"))
    parser.add_argument("--faces", action="append", type=int)
    parser.add_argument("--ours", action="store_true")
    parser.add_argument("--exhaustive", action="store_true", help="xatlas+ too")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--draw", type=Path)
    arguments = parser.parse_args()
    methods = ["ours"] if arguments.ours else ["xatlas", "ours"]
    methods[:0] = ["xatlas+"] if arguments.exhaustive else []
    print(f"{'mesh':10}{'faces':>8}  {'method':8}{'s':>7}{'charts':>8}{'stretch':>22}{'used':>7}", end="")
    print(f"{'twice':>12}  gap")
    for name, mesh in make_meshes(arguments.only, arguments.faces or _FACES, arguments.cache):
        for method in methods:
            unwrapped, seconds = measure_seconds(method, mesh)
            twice = count_shared(unwrapped, _SIZE)
            if method == "ours":
                others = (count_shared(unwrap_mesh(mesh, texture_size=size), size) for size in (1024, 4096))
                twice = "{1} {0} {2}".format(twice, *others)
            columns = describe_atlas(unwrapped, is_oblong=method != "ours")
            print(f"{name:10}{len(mesh.faces):8}  {method:8}{seconds:7.2f}", end="")
            print(f"{columns}{twice:>12}  {measure_gaps(unwrapped)}", flush=True)
            if arguments.draw:
                draw_atlas(unwrapped, arguments.draw / f"{name}_{len(mesh.faces)}_{method}.png")


def make_meshes(
    only: list[str] | None, counts: tuple[int, ...], cache: Path | None
) -> Iterator[tuple[str, Mesh]]:
    """Yield names and meshes of about as many faces as asked."""
    for name in ("figure", "noisy"):
        if not only or name in only:
            positions, faces = march_figure(0.5 if name == "noisy" else 0.0)
            for count in counts:
                yield name, Mesh(*decimate_surface(positions, faces, count))
    for name in _PICTURES:
        if not only or name in only:
            picture = decode_picture((_REPOSITORY / f"examples/{name}.png").read_bytes())
            yield name, inflate_silhouette(preprocess_picture(picture.astype(np.float32) / 255))
    if cache and (not only or "anny" in only):
        from bench_data_people import generate_people

        person = next(generate_people(4, cache=cache))
        yield "anny", Mesh(*trimesh.remesh.subdivide(person.positions, person.faces))


def march_figure(noise: float, step: float = 0.0027) -> tuple[np.ndarray, np.ndarray]:
    """The surface of the figure in a grid of that step; noise: of the field, in voxels."""
    x, y, z = axes = np.ogrid[-0.46:0.46:step, -0.03:1.1:step, -0.14:0.16:step]
    field = np.full((x.size, y.size, z.size), 0.03, np.float32)
    for sign, (start, end, radius) in product((1, -1), _LIMBS):
        ends, reach = np.array((start, end)) * (sign, 1, 1), radius + 0.03
        spans = np.stack([ends.min(axis=0) - reach, ends.max(axis=0) + reach], axis=1)
        box = tuple(slice(*np.searchsorted(a.ravel(), s)) for a, s in zip(axes, spans, strict=True))
        grid = np.ix_(*(a.ravel()[part] - at for a, part, at in zip(axes, box, ends[0], strict=True)))
        bone = ends[1] - ends[0]
        along = np.clip(sum(map(np.multiply, grid, bone)) / (bone @ bone), 0, 1)
        gap = np.sqrt(sum((g - along * part) ** 2 for g, part in zip(grid, bone, strict=True))) - radius
        blend = np.maximum(0.012 - np.abs(field[box] - gap), 0)
        field[box] = np.minimum(field[box], gap) - blend**2 / 0.048
    folds = np.sin(90 * y + 3 * np.sin(25 * x)) * np.sin(40 * z + 20 * x)
    rough = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(field.shape, np.float32), 0.7)
    field += 0.0035 * folds * np.clip((y - 0.05) * 5, 0, 1) + noise * step * rough / rough.std()
    return marching_cubes(np.where(np.abs(field) < 1e-6, np.float32(1e-6), field), 0.0, spacing=(step,) * 3)[
        :2
    ]


def measure_seconds(method: str, mesh: Mesh) -> tuple[Mesh, float]:
    """The atlas, and the seconds of the fastest of up to three runs."""
    run: Callable[[Mesh], Mesh] = unwrap_mesh
    if method != "ours":
        run = partial(run_xatlas, is_exhaustive=method == "xatlas+")
    spent: list[float] = []
    while not spent or (len(spent) < 3 and spent[0] < 10):
        started = time.perf_counter()
        unwrapped = run(mesh)
        spent.append(time.perf_counter() - started)
    return unwrapped, min(spent)


def run_xatlas(mesh: Mesh, is_exhaustive: bool) -> Mesh:
    """What `xatlas.parametrize` does, with a padding and a resolution to pack for."""
    atlas, options = xatlas.Atlas(), xatlas.PackOptions()
    options.padding, options.resolution, options.bruteForce = _PADDING // 2, _SIZE, is_exhaustive
    atlas.add_mesh(mesh.positions, mesh.faces.astype(np.uint32))
    atlas.generate(pack_options=options)
    assert atlas.atlas_count == 1
    source, faces, uvs = atlas.get_mesh(0)
    size = np.array((atlas.width, atlas.height))
    return Mesh(mesh.positions[source], faces.astype(np.int32), None, uvs * (size / size.max()))


def describe_atlas(mesh: Mesh, is_oblong: bool) -> str:
    """Columns charts to used; is_oblong: the sheet ends where the charts do."""
    whole, each = measure_stretch(mesh)
    used = (list_samples(mesh, _SIZE) > 0).mean()
    used /= min(*mesh.uvs.max(axis=0), 1) if is_oblong else 1
    spread = f"{whole:8.3f}{np.percentile(each, 95):7.2f}{each.max():7.1f}"
    return f"{label_charts(mesh).max():8}{spread}{100 * used:7.1f}"


def label_charts(mesh: Mesh) -> np.ndarray:
    """(F,): 1 and up, the charts by edges in the atlas; 0 for faces without area."""
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2).astype(np.int64), axis=1)
    key = edges[:, 0] * len(mesh.positions) + edges[:, 1]
    order = np.argsort(key, kind="stable")
    same = key[order[1:]] == key[order[:-1]]
    pairs = order[:-1][same] // 3, order[1:][same] // 3
    graph = sparse.coo_matrix((np.ones(same.sum()), pairs), shape=(len(mesh.faces),) * 2)
    chart = connected_components(graph, directed=False)[1]
    seen = trimesh.triangles.area(mesh.positions[mesh.faces].astype(float)) > 1e-12
    found = np.zeros(len(chart), np.int64)
    found[seen] = np.unique(chart[seen], return_inverse=True)[1] + 1
    return found


def measure_stretch(mesh: Mesh) -> tuple[float, np.ndarray]:
    """L2 stretch of the atlas, and of each face; lengths are scaled so that both areas are equal."""
    solid, flat = (values[mesh.faces].astype(np.float64) for values in (mesh.positions, mesh.uvs))
    side, other = solid[:, 1] - solid[:, 0], solid[:, 2] - solid[:, 0]
    area = np.linalg.norm(np.cross(side, other), axis=1)
    one, two = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    turn = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    kept = (area > 1e-12) & (np.abs(turn) > 1e-14)
    side, other, one, two, turn, area = (a[kept] for a in (side, other, one, two, turn, area))
    along_u = (side * two[:, 1:] - other * one[:, 1:]) / turn[:, None]
    along_v = (other * one[:, :1] - side * two[:, :1]) / turn[:, None]
    squared = ((along_u**2).sum(axis=1) + (along_v**2).sum(axis=1)) / 2
    squared *= np.abs(turn).sum() / area.sum()
    return float(np.sqrt((squared * area).sum() / area.sum())), np.sqrt(squared)


def list_samples(mesh: Mesh, size: int) -> np.ndarray:
    """How many faces own each texel's center, (size * size,)."""
    _, pixel = list_covered_samples(torch.tensor(mesh.uvs) * size, torch.tensor(mesh.faces), (size, size))
    return np.bincount(pixel.numpy(), minlength=size * size)


def count_shared(mesh: Mesh, size: int) -> int:
    return int((list_samples(mesh, size) > 1).sum())


def draw_charts(mesh: Mesh) -> np.ndarray:
    """(2048, 2048): the chart under each texel's center, 0 for none."""
    flat = torch.cat((torch.tensor(mesh.uvs) * _SIZE, torch.zeros(len(mesh.uvs), 1)), dim=1)
    index = rasterize_triangles(flat, torch.tensor(mesh.faces), (_SIZE, _SIZE)).face_index.numpy()
    return np.where(index >= 0, label_charts(mesh)[index], 0)


def measure_gaps(mesh: Mesh) -> str:
    """Texels between the nearest two charts, and to the border."""
    owner = draw_charts(mesh)
    reach = 3 * _PADDING
    framed = np.pad(owner, reach)
    rows, columns = np.nonzero((framed > 0) & (ndimage.minimum_filter(framed, 3) == 0))
    steps = sorted(product(range(-reach, reach + 1), repeat=2), key=lambda step: np.hypot(*step))
    here = framed[rows, columns]
    found = float(reach)
    for down, right in steps:
        there = framed[rows + down, columns + right]
        if ((there != here) & (there > 0)).any():
            found = np.hypot(down, right) - 1
            break
    used = [np.flatnonzero((owner > 0).any(axis=axis)) for axis in (0, 1)]
    border = min(min(line[0], _SIZE - 1 - line[-1]) for line in used)
    return f"{found:.1f} {border}"


def draw_atlas(mesh: Mesh, path: Path) -> None:
    """One color for each chart."""
    colors = np.random.default_rng(1).integers(70, 256, (label_charts(mesh).max() + 1, 3)).astype(np.uint8)
    colors[0] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(colors[draw_charts(mesh)]).resize((1024, 1024)).save(path)


if __name__ == "__main__":
    main()
