"""How skins bend, ours and the makers': python benchmarks/deform.py FOLDER [--only q_*] [--sheets FOLDER].

FOLDER holds the npz files of rigs.py. Each mesh takes the ten poses of bench_data_poses.py, from the T-pose
of its skeleton, in three ways:

ours     our weights on our joints: what a user gets
weights  our weights on the maker's joints
maker    the maker's weights on the maker's joints

volume   of the region within a tenth of the height of the bent joints, against rest. The region is cut out
         where its vertices are bound to the limb by the maker's weights, and its open edges are closed by
         fans. The mean over sides and places; a region that was all but empty at rest is left out.
p99.9, largest    stretch of the edges of the mesh: how many times as long as at rest. Edges shorter than a
         thousandth of the height are left out.
over 3   edges longer than three times their rest length, per thousand.
pairs    with --pairs: pairs of faces of the region that cross each other and did not at rest.

Every second file of the sorted list is TUNE, as in rigs.py, the others HELD. The closing line has the figures
over all. --sheets draws the poses: rows ours, weights, maker.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.sparse import coo_matrix, csgraph

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from bench_data_poses import LIMBS, POSES, Pose, place_pose  # noqa: E402
from bench_data_rigs import MakerRig, bind_mesh, read_maker_rig  # noqa: E402
from bench_mesh_crossings import count_crossings  # noqa: E402
from character3d.pipeline.errors import Character3DError  # noqa: E402
from character3d.pipeline.mesh.normals import compute_vertex_normals  # noqa: E402
from character3d.pipeline.mesh.topology import list_directed_edges  # noqa: E402
from character3d.pipeline.mesh.weld import weld_near  # noqa: E402
from character3d.pipeline.orientation import place_mesh  # noqa: E402
from character3d.pipeline.preview import render_preview  # noqa: E402
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton  # noqa: E402
from character3d.pipeline.rigging.pose.posing import skin_mesh  # noqa: E402
from character3d.pipeline.rigging.skin.skinning import keep_strongest  # noqa: E402
from character3d.pipeline.types import Mesh, Skeleton, SkinWeights  # noqa: E402

Array = npt.NDArray[Any]
WAYS = ("ours", "weights", "maker")
_REGION, _SHORT, _FAR = 0.1, 0.001, 3.0
"""Shares of the height: the region's radius and the shortest edge that counts; and a stretch."""
_LEAST_VOLUME = 0.02
"""Edge of a cube, as a share of the height: a smaller region is not measured."""
_VIEW_SIDE = 240


class Measures(NamedTuple):
    """Of one pose of one mesh. volume: nan where no region could be measured."""

    volume: float
    high: float
    largest: float
    over: float
    pairs: float


class Region(NamedTuple):
    """faces: (F, 3) welded points. fans: what closes their open edges, as `_close` returns it."""

    faces: Array
    fans: tuple[Array, Array, Array]


def main() -> None:
    """Print a row for each pose, and the means."""
    arguments = _parse_arguments()
    files = sorted(arguments.folder.glob("*.npz"))
    tune = {file.stem for file in files[::2]}
    table: dict[str, Array] = {}
    for file in files:
        if any(fnmatch.fnmatch(file.stem, pattern) for pattern in arguments.only.split(",")):
            table[file.stem] = measure_file(file, arguments.pairs, arguments.sheets)
            cells = [describe(table[file.stem][way]) for way in range(len(WAYS))]
            print(f"{file.stem:20} {'TUNE' if file.stem in tune else 'HELD'} {' | '.join(cells)}", flush=True)
    for title, is_tune in (("TUNE", True), ("HELD", False)):
        group = [rows for name, rows in table.items() if (name in tune) == is_tune]
        if group:
            _print_poses(title, np.array(group))
    print(" | ".join(f"{way} {describe(np.array(list(table.values()))[:, n])}" for n, way in enumerate(WAYS)))


def describe(figures: Array) -> str:
    """The means of Measures (..., 5)."""
    rows = np.ma.masked_invalid(figures.reshape(-1, 5)).mean(axis=0)
    volume, high, largest, over, pairs = np.ma.filled(rows, np.nan)
    crossed = "" if np.isnan(pairs) else f" pairs {pairs:5.0f}"
    return f"volume {volume:.3f} p99.9 {high:5.2f} largest {largest:6.2f} over3 {over:5.2f}{crossed}"


def measure_file(file: Path, with_pairs: bool, sheets: Path | None) -> Array:
    """(3, 10, 5) Measures by way and pose; nan where the mesh was refused."""
    rig = read_maker_rig(file)
    regions = {name: list(_list_regions(rig, pose)) for name, pose in POSES.items()}
    rows, pictures = [], []
    for mesh, skeleton, skin in _list_ways(rig):
        for name, pose in POSES.items():
            if skin is None:
                rows.append(Measures(*(float("nan"),) * 5))
                continue
            posed = skin_mesh(mesh, skeleton, skin, place_pose(skeleton, pose))
            rows.append(_measure_pose(rig, mesh, posed, regions[name], with_pairs))
            if sheets is not None:
                pictures.append(_draw(posed))
    if sheets is not None and pictures:
        sheets.mkdir(parents=True, exist_ok=True)
        lines = [np.concatenate(pictures[at : at + len(POSES)], axis=1) for at in range(0, len(pictures), 10)]
        Image.fromarray(np.concatenate(lines)).save(sheets / f"{rig.name}.png")
    return np.array(rows).reshape(len(WAYS), len(POSES), 5)


def _list_ways(rig: MakerRig) -> Iterator[tuple[Mesh, Skeleton, SkinWeights | None]]:
    """Mesh, joints and weights in the order of WAYS; without weights where the mesh was refused."""
    placed = place_mesh(rig.mesh).surface
    try:
        fitted = fit_skeleton(placed)
        skin = compute_skin_weights(
            placed, fitted.skeleton, hidden=fitted.hidden, appendages=fitted.appendages, solid=fitted.solid
        )
        yield placed, fitted.skeleton, skin
    except Character3DError:
        yield rig.mesh, rig.skeleton, None
    try:
        yield rig.mesh, *bind_mesh(rig)
    except Character3DError:
        yield rig.mesh, rig.skeleton, None
    weights = rig.weights.copy()
    weights[weights.sum(axis=1) < 0.5, 0] = 1.0
    joints, shares = keep_strongest(weights, np.arange(weights.shape[1]))
    yield rig.mesh, rig.skeleton, SkinWeights(joints, shares)


def _list_regions(rig: MakerRig, pose: Pose) -> Iterator[Region]:
    """The regions around the bent joints."""
    positions = rig.mesh.positions.astype(np.float64)
    welded = weld_near(rig.mesh.positions)
    names = [name.split(":")[-1] for name in rig.skeleton.names]
    for place in pose.places:
        for side in ("",) if place == "Neck" else ("Left", "Right"):
            limb = [names.index(name.replace("Left", side or "Left")) for name in LIMBS[place]]
            center = rig.skeleton.positions[names.index(side + place)]
            near = np.linalg.norm(positions - center, axis=1) < _REGION * np.ptp(positions[:, 1])
            chosen = near & (rig.weights[:, limb].sum(axis=1) > 0.5)
            faces = welded.inverse[rig.mesh.faces[chosen[rig.mesh.faces].all(axis=1)]]
            faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
            if len(faces):
                yield Region(faces, _close(faces))


def _close(faces: Array) -> tuple[Array, Array, Array]:
    """Start and end (E,) of the open edges, reversed, and the number (E,) of the loop of each."""
    start, end = list_directed_edges(faces)
    count = int(faces.max()) + 1
    ahead, back = start * count + end, end * count + start
    is_open = ~np.isin(ahead, back)
    start, end = start[is_open], end[is_open]
    loops = csgraph.connected_components(coo_matrix((np.ones(len(start)), (start, end)), (count, count)))[1]
    return end, start, loops[start]


def _measure_volume(points: Array, region: Region) -> float:
    """Signed, cubic metres."""
    start, end, loop = region.fans
    used = np.bincount(loop, minlength=1)
    centers = np.stack([np.bincount(loop, points[start, axis]) for axis in range(3)], axis=1)
    centers /= np.maximum(used, 1)[:, None]
    middle = points[region.faces].mean(axis=(0, 1))
    a, b, c = (points[region.faces[:, corner]] - middle for corner in range(3))
    volume = float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum())
    if len(start):
        fan = points[start] - middle, points[end] - middle, centers[loop] - middle
        volume += float(np.einsum("ij,ij->i", fan[0], np.cross(fan[1], fan[2])).sum())
    return volume / 6


def _measure_pose(
    rig: MakerRig, rest: Mesh, posed: Mesh, regions: Sequence[Region], with_pairs: bool
) -> Measures:
    welded = weld_near(rig.mesh.positions)
    first = np.full(len(welded.points), -1)
    first[welded.inverse[::-1]] = np.arange(len(welded.inverse))[::-1]
    before, after = (mesh.positions[first].astype(np.float64) for mesh in (rest, posed))
    height = float(np.ptp(before[:, 1]))
    ratios, pairs = [], 0.0
    for region in regions:
        volumes = [_measure_volume(points, region) for points in (before, after)]
        if volumes[0] > (_LEAST_VOLUME * height) ** 3:
            ratios.append(volumes[1] / volumes[0])
        if with_pairs:
            pairs += count_crossings(after, region.faces) - count_crossings(before, region.faces)
    edges = np.stack(list_directed_edges(welded.inverse[rig.mesh.faces]), axis=1)
    edges = np.unique(np.sort(edges, axis=1), axis=0)
    lengths = [
        np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) for points in (before, after)
    ]
    counted = lengths[0] > _SHORT * height
    stretch = lengths[1][counted] / lengths[0][counted]
    return Measures(
        float(np.mean(ratios)) if ratios else float("nan"),
        float(np.quantile(stretch, 0.999)),
        float(stretch.max()),
        1000 * float((stretch > _FAR).mean()),
        pairs if with_pairs else float("nan"),
    )


def _draw(posed: Mesh) -> Array:
    normals = compute_vertex_normals(posed.positions, posed.faces)
    picture = render_preview(replace(posed, normals=normals), size=_VIEW_SIDE)
    return np.round(picture[..., :3] * 255).astype(np.uint8)


def _print_poses(title: str, table: Array) -> None:
    """table: (meshes, 3, 10, 5)."""
    for number, name in enumerate(POSES):
        cells = [f"{way} {describe(table[:, at, number])}" for at, way in enumerate(WAYS)]
        print(f"{title} {name:15} {' | '.join(cells)}")
    cells = [f"{way} {describe(table[:, at])}" for at, way in enumerate(WAYS)]
    print(f"{title} {'all':15} {' | '.join(cells)}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="patterns of file names, with commas between")
    parser.add_argument("--pairs", action="store_true", help="also count the faces that cross each other")
    parser.add_argument("--sheets", type=Path, help="a folder for pictures of the poses")
    return parser.parse_args()


if __name__ == "__main__":
    main()
