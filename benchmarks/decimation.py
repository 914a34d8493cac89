"""Mesh decimation libraries on a marching-cubes figure of a million faces, reduced to 50,000. Linux only.

    pip install scikit-image libigl pyfqmr opengl-decimate open3d-cpu pymeshlab pyvista meshoptimizer
    python benchmarks/decimation.py                               # all that are installed; 10 minutes
    python benchmarks/decimation.py --input noisy --only pyfqmr   # figure, noisy, shared-edge or specks

Each candidate runs in a process of its own; libigl measures. Columns:

s          seconds of two runs, conversion of the arrays included
closed     every directed edge occurs once and has its opposite; open, >2: undirected edges of one face,
           of more than two; fans: vertices whose faces do not form one fan
flat       faces with less than a millionth of the median area
flip       faces turned away from the nearest face of the input, %
out>in     distances of 100,000 points of the result to the input: mean, 99.9th percentile, largest; then of
           the input to the result; % of the largest extent
MB         growth of the peak memory beyond libraries and input

The choice: decimate_surface takes fast-simplification with its mean edge scaled to 1, and libigl's qslim
where that did not stay a closed manifold. opengl-decimate, as sure and somewhat faster, is an alpha of one
release.

fast-simplification's thresholds are lengths squared: "1" scales the mean edge to 1 first; trimesh's own
decimation is fast-simplification's. opengl-decimate welds equal positions: shifts of 1e-9 keep them apart.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import igl
import numpy as np
import trimesh
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.mesh.topology import drop_unused_vertices, is_closed  # noqa: E402
from character3d.pipeline.mesh_generation.decimate import decimate_surface  # noqa: E402

Surface = tuple[np.ndarray, np.ndarray]
_CANDIDATES = {
    "fast-simplification": "MIT, L W M", "fast-simplification 1": "MIT, L W M", "decimate_surface": "ours",
    "pyfqmr": "MIT, L W M", "opengl-decimate": "MIT, L W M", "meshoptimizer": "MIT, none",
    "meshoptimizer prune": "MIT, none", "igl.decimate": "MPL-2, L W M", "igl.qslim": "MPL-2, L W M",
    "open3d": "MIT, L W M", "pymeshlab": "GPL-3, L W M", "pymeshlab preserve": "GPL-3, L W M",
    "vtk decimate": "BSD, L W M", "vtk decimate_pro": "BSD, L W M",
}  # fmt: skip
"""Licence, and for which of Linux, Windows and macOS PyPI has wheels for Python 3.11."""
_LIMBS = (
    ((0, 0.5, 0), (0, 0.8, 0), 0.085), ((0, 0.8, 0), (0, 0.93, 0), 0.03), ((0, 0.93, 0), (0, 0.95, 0), 0.055),
    ((0.05, 0.5, 0), (0.07, 0.28, 0), 0.05), ((0.07, 0.28, 0), (0.08, 0.04, 0), 0.035),
    ((0.08, 0.03, 0), (0.08, 0.03, 0.09), 0.025), ((0.07, 0.8, 0), (0.2, 0.66, 0), 0.03),
    ((0.2, 0.66, 0), (0.35, 0.5, 0), 0.022),
    *(((0.35, 0.50, z), (0.39, 0.44, 1.5 * z), 0.0) for z in np.linspace(-0.02, 0.02, 5)),
)  # fmt: skip
"""Start, end and radius of the capsules of the left half of a body about 1 high; 0: a finger, 1.5 voxels."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--input", choices=("figure", "noisy", "shared-edge", "specks"), default="figure")
    parser.add_argument("--only", action="append", choices=list(_CANDIDATES))
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _run_child(*arguments.child)
        return
    positions, faces = _make_input(arguments.input)
    surface = (positions / np.ptp(positions, axis=0).max()).astype(np.float32), faces.astype(np.int32)
    print(f"{arguments.input:24}{'s':>10}{'faces':>9} closed  open   >2 fans parts  flat   flip", end="")
    print(f"{'out>in':>20}{'in>out':>20}{'MB':>6}  licence, wheels")
    print(f"{'input':34}{_describe(*surface)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(f"{folder}/in.npz", positions=surface[0], faces=surface[1])
        for name in arguments.only or _CANDIDATES:
            print(f"{name:24}{_measure(name, folder, surface)}  {_CANDIDATES[name]}", flush=True)


def _make_input(kind: str) -> Surface:
    if kind == "specks":
        field = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal((192,) * 3, np.float32), 2.0)
        return _march(np.pad(1.75 - field / field.std(), 1, constant_values=1.0))
    if kind == "shared-edge":
        cube = trimesh.creation.box().subdivide_to_size(0.03)
        ball = trimesh.creation.uv_sphere(radius=0.5, count=(200, 200)).apply_translation((1.2, 0, 0))
        whole = trimesh.util.concatenate([cube, cube.copy().apply_translation((1, 1, 0)), ball])
        positions, inverse = np.unique(whole.vertices.round(6), axis=0, return_inverse=True)
        return positions, inverse.ravel()[whole.faces]
    step = 0.005 * np.sqrt(len(_march(_fill_figure(0.005))[1]) / 1.02e6)
    positions, faces = _march(_fill_figure(step))
    noise = np.random.default_rng(0).standard_normal(positions.shape)
    return positions + (0.3 * noise if kind == "noisy" else 0.0), faces


def _march(field: np.ndarray) -> Surface:
    return marching_cubes(np.where(np.abs(field) < 1e-3, np.float32(1e-3), field), 0.0)[:2]


def _fill_figure(step: float) -> np.ndarray:
    """Signed distance in voxels, up to 6: limbs, a cape 2.5 voxels thick, fine relief."""
    x, y, z = axes = np.ogrid[-0.42:0.42:step, -0.02:1.03:step, -0.25:0.13:step]
    field = np.full((x.size, y.size, z.size), 6 * step, np.float32)
    for side in (-1, 1):
        for start, end, radius in _LIMBS:
            ends, radius = np.array((start, end)) * (side, 1, 1), radius or 1.5 * step
            reach, bone = radius + 6 * step, ends[1] - ends[0]
            spans = np.stack([ends.min(axis=0) - reach, ends.max(axis=0) + reach], axis=1)
            box = tuple(slice(*np.searchsorted(a.ravel(), s)) for a, s in zip(axes, spans, strict=True))
            grid = np.ix_(*(a.ravel()[part] - at for a, part, at in zip(axes, box, ends[0], strict=True)))
            along = np.clip(sum(map(np.multiply, grid, bone)) / (bone @ bone + 1e-12), 0, 1)
            gap = np.sqrt(sum((g - along * part) ** 2 for g, part in zip(grid, bone, strict=True)))
            np.minimum(field[box], gap - radius, out=field[box], casting="same_kind")
    drop = 0.83 - y
    sheet = np.abs(z + 0.08 + 0.15 * drop - 0.02 * np.sin(40 * x) * drop) - 1.25 * step
    outline = np.maximum(np.abs(x) - 0.12 - 0.15 * drop, np.abs(y - 0.47) - 0.35)
    np.minimum(field, np.maximum(sheet, outline), out=field, casting="same_kind")
    relief = np.sin(x / (2 * step)) * np.sin(y / (2 * step)) * np.sin(z / (2 * step))
    return (field / step + 0.4 * relief).astype(np.float32)


def _describe(positions: np.ndarray, faces: np.ndarray) -> str:
    """Columns faces to flat."""
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    _, uses = np.unique(edges, axis=0, return_counts=True)
    links = sparse.coo_matrix((np.ones(len(edges), bool), tuple(edges.T)), shape=(len(positions),) * 2)
    area = trimesh.triangles.area(positions[faces].astype(np.float64))
    fans = (~igl.is_vertex_manifold(faces.astype(np.int64))).sum()
    parts = connected_components(links, directed=False)[0]
    counts = (uses == 1).sum(), (uses > 2).sum(), fans, parts, (area < 1e-6 * np.median(area)).sum()
    closed = "yes" if is_closed(faces) else "no"
    return "{:>9} {:6}{:6}{:5}{:5}{:6}{:6}".format(len(faces), closed, *counts)


def _measure(name: str, folder: str, surface: Surface) -> str:
    """The row of one candidate, or why there is none."""
    command = [sys.executable, __file__, "--child", name, folder]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=700, check=False)
    except subprocess.TimeoutExpired:
        return "  two runs took more than 700 s"
    if run.returncode:
        return f"  {(run.stderr.strip().splitlines() or [f'ended with {run.returncode}'])[-1]}"
    with np.load(f"{folder}/out.npz") as data:
        result = drop_unused_vertices(data["points"], data["triangles"])
        seconds, growth = "{:.1f} {:.1f}".format(*data["seconds"]), int(data["growth"])
    if not len(result[1]):
        return f"{seconds:>10}  nothing left"
    (there, turned), (back, _) = _compare(result, surface), _compare(surface, result)
    return f"{seconds:>10}{_describe(*result)}{turned:7.3f}{there:>20}{back:>20}{growth:6}"


def _compare(source: Surface, target: Surface) -> tuple[str, float]:
    """Distances of points of source to target, and the share of source's faces turned away, in %."""
    mesh, ground = (trimesh.Trimesh(*surface, process=False) for surface in (source, target))
    points = np.concatenate([trimesh.sample.sample_surface(mesh, 100_000, seed=0)[0], mesh.triangles_center])
    squared, nearest, _ = igl.point_mesh_squared_distance(points, ground.vertices, ground.faces)
    gaps, cross = 100 * np.sqrt(squared[:100_000]), trimesh.triangles.cross
    turned = (cross(ground.triangles[nearest[100_000:]]) * cross(mesh.triangles)).sum(axis=1) < 0
    return f"{gaps.mean():.4f} {np.percentile(gaps, 99.9):.3f} {gaps.max():.3f}", 100 * turned.mean()


def _run_child(name: str, folder: str) -> None:
    with np.load(f"{folder}/in.npz") as data:
        positions, faces = data["positions"], data["faces"]
    count, seconds, growth = 50_000 if len(faces) > 500_000 else len(faces) // 20, [], 0
    box = trimesh.creation.box().subdivide().subdivide()
    _reduce(name, box.vertices.astype(np.float32), box.faces.astype(np.int32), 100)
    for _ in range(2):
        Path("/proc/self/clear_refs").write_text("5")
        before, started = _read_memory("VmRSS"), time.perf_counter()
        points, triangles = _reduce(name, positions, faces, count)
        seconds.append(time.perf_counter() - started)
        growth = max(growth, _read_memory("VmHWM") - before)
    np.savez(f"{folder}/out.npz", points=points, triangles=triangles, seconds=seconds, growth=growth)


def _read_memory(field: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) // 1024


def _reduce(name: str, positions: np.ndarray, faces: np.ndarray, count: int) -> Surface:
    """With the candidate of that name, to about count faces; ImportError if it is missing."""
    library, _, option = name.partition(" ")
    if library == "fast-simplification":
        edges = positions[faces[:, 0]] - positions[faces[:, 1]]
        unit = np.linalg.norm(edges, axis=1).mean() if option else 1.0
        module = import_module("fast_simplification")
        points, faces = module.simplify(positions / unit, faces, target_count=count)
        return points * unit, faces
    if library == "decimate_surface":
        return decimate_surface(positions, faces, count)
    if library == "pyfqmr":
        mesh = import_module("pyfqmr").Simplify()
        mesh.setMesh(positions, faces)
        mesh.simplify_mesh(count, aggressiveness=7, preserve_border=True, verbose=False)
        return mesh.getMesh()[:2]
    if library == "opengl-decimate":
        module = import_module("opengl_decimate")
        apart, again = positions.astype(np.float64), np.ones(len(positions), bool)
        again[np.unique(positions, axis=0, return_index=True)[1]] = False
        apart[again] += 1e-9 * np.random.default_rng(0).standard_normal((again.sum(), 3))
        mesh = module.simplify({"POSITION": apart}, faces.ravel(), module.SimplifyOptions(target_count=count))
        return mesh.attributes["POSITION"], mesh.indices.reshape(-1, 3).astype(np.int32)
    if library == "meshoptimizer":
        module, kept = import_module("meshoptimizer.simplifier"), np.empty(faces.size, np.uint32)
        settings = {"target_error": 1.0, "options": module.SIMPLIFY_PRUNE if option else 0}
        used = module.simplify(kept, faces.ravel(), positions, target_index_count=3 * count, **settings)
        return positions, kept[:used].reshape(-1, 3).astype(np.int32)
    if library.startswith("igl."):
        columns = np.asfortranarray(positions, np.float64), np.asfortranarray(faces)
        points, triangles, *_ = getattr(igl, library[4:])(*columns, count)
        return points, triangles.astype(np.int32)
    if library == "open3d":
        module = import_module("open3d")
        columns = module.utility.Vector3dVector(positions.astype(float)), module.utility.Vector3iVector(faces)
        mesh = module.geometry.TriangleMesh(*columns).simplify_quadric_decimation(count)
        return np.asarray(mesh.vertices), np.asarray(mesh.triangles)
    if library == "pymeshlab":
        meshes = import_module("pymeshlab").MeshSet()
        meshes.add_mesh(import_module("pymeshlab").Mesh(positions.astype(float), faces))
        meshes.meshing_decimation_quadric_edge_collapse(targetfacenum=count, preservetopology=bool(option))
        return meshes.current_mesh().vertex_matrix(), meshes.current_mesh().face_matrix()
    mesh = import_module("pyvista").PolyData.from_regular_faces(positions, faces)
    setting = "preserve_topology" if option == "decimate_pro" else "volume_preservation"
    mesh = getattr(mesh, option)(1 - count / len(faces), **{setting: True})
    return np.asarray(mesh.points), mesh.regular_faces.astype(np.int32)


if __name__ == "__main__":
    main()
