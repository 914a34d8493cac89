"""Baking views into the atlas: known 3D colors painted on meshes, rendered, baked, compared. Linux only.

    pip install anny==0.6.2
    python benchmarks/bake.py                                 # bodies and a figure at 2048; 3 minutes
    python benchmarks/bake.py --size 1024 --size 4096         # other textures
    python benchmarks/bake.py --cameras orbit                 # perspective: six around, one above, one below
    python benchmarks/bake.py --core ComfyUI                  # core's Bake Texture From Views beside ours
    python benchmarks/bake.py --other theirs.py               # another baker beside ours, see below
    python benchmarks/bake.py --pictures folder               # atlases, and the meshes from eight sides

Meshes: two of anny's bodies in A and 大 pose (27,000 faces), the first one again with 50,000 faces, and a
figure in a pointed hat whose cape and strands of hair hang in front of other parts. Colors, functions of
the point in metres: `smooth`, waves 0.6 to 1 m long; `cells`, the same under cells 10 mm wide whose edges
are 2 mm soft. The views are 768 x 768, 3 x 3 samples a pixel, the background gray; a pixel is 2.3 mm.

s        seconds of baking and filling, unwrapping left out; best of --repeat. On a machine that others use,
         set OMP_WAIT_POLICY=passive: torch's threads otherwise spin at every barrier, a hundredfold slower
MB       growth of the peak memory
cov      texels of charts whose color the baker says it took from the views and nothing else, %
none     those that it says took nothing from a view, %
PSNRcov  dB over those
seen     the same dB over the texels that a view shows at more than 6 degrees, whatever the baker says of
         them: one set for all bakers
all      dB over all texels of charts, the filled ones included
seam     mean difference of the color, in 1/255, at points of chart borders between the two charts, each
         read bilinearly
edge     the 99th percentile of the same

--other FILE.py: FILE.py defines `bake(mesh, images, texture_size)`, which gets the types of
pipeline/types.py and returns the color (T, T, 3) and how far it came from a view (T, T), 0..1 or bool; it may
define NAME. --core FOLDER: an unpacked ComfyUI that has the node, and whose requirements are installed. It
runs on the CPU. The targets: PSNRcov at least 32 dB at 2048 on the bodies, s below 3 on two quiet cores.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.measure import marching_cubes

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from bench_data_people import generate_people  # noqa: E402
from character3d.pipeline.cameras import (  # noqa: E402
    build_six_view_rig,
    frame_camera,
    measure_facing,
    measure_scale,
    project_points,
)
from character3d.pipeline.mesh.normals import compute_face_normals  # noqa: E402
from character3d.pipeline.mesh_generation.decimate import decimate_surface  # noqa: E402
from character3d.pipeline.preview import render_contact_sheet  # noqa: E402
from character3d.pipeline.rasterize import interpolate_attributes, rasterize_triangles, rasterize_view  # noqa: E402
from character3d.pipeline.texture_baking import apply_texture, bake_views, unwrap_mesh  # noqa: E402
from character3d.pipeline.texture_baking.seam_metrics import measure_seam_differences  # noqa: E402
from character3d.pipeline.types import CameraRig, Mesh, ViewImages  # noqa: E402
from core_baker import load_core_baker  # noqa: E402

Baker = Callable[[Mesh, ViewImages, int], tuple[np.ndarray, np.ndarray]]
_RETURN_MEMORY = ctypes.CDLL(None).malloc_trim
_VIEW_SIZE, _SAMPLES = 768, 3
_BACKGROUND = 0.5
_LEAST_FACING = 0.1
_FOV = 35.0
"""Degrees, of core's cameras unless told otherwise."""
_CELL, _SOFTNESS = 0.010, 0.002
_LIMBS = (
    ((0, 0.85, 0), (0, 1.25, 0), 0.14, 0.12), ((0, 1.25, 0), (0, 1.45, 0), 0.06, 0.06),
    ((0, 1.52, 0), (0, 1.54, 0), 0.11, 0.11), ((0, 1.62, 0), (0, 1.85, -0.08), 0.13, 0.01),
    ((0.13, 1.27, 0), (0.45, 0.95, 0), 0.05, 0.04), ((0.45, 0.95, 0), (0.62, 0.80, 0.08), 0.04, 0.03),
    ((0.10, 0.85, 0), (0.13, 0.08, 0), 0.09, 0.06), ((0.13, 0.05, 0), (0.15, 0.05, 0.16), 0.05, 0.04),
    ((0.09, 1.6, 0.07), (0.13, 1.15, 0.17), 0.015, 0.008), ((0.11, 1.6, 0.03), (0.2, 1.2, 0.12), 0.01, 0.006),
)  # fmt: skip
"""Start, end and the two radii of the round cones of the left half of the figure, metres."""


def main() -> None:
    arguments = _parse_arguments()
    bakers = {"ours": _bake_ours, **dict(_load_other(path) for path in arguments.other)}
    if arguments.core:
        bakers["core"] = load_core_baker(arguments.core)
    columns = "".join(
        f"{name:>8}" for name in ("s", "MB", "cov", "none", "PSNRcov", "seen", "all", "seam", "edge")
    )
    for name, mesh in _make_meshes(arguments.cache):
        if arguments.only and not any(name.startswith(start) for start in arguments.only):
            continue
        for size in arguments.size or (2048,):
            scene = Scene(unwrap_mesh(mesh, texture_size=size), size, _RIGS[arguments.cameras](mesh))
            print(f"\n{name}, {len(mesh.faces)} faces, texture {size}: {scene.describe()}")
            print(f"{'color':8}{'baker':14}{columns}", flush=True)
            for color in _COLORS:
                images, truth = scene.render(_COLORS[color]), scene.paint(_COLORS[color])
                for baker, bake in bakers.items():
                    row, found = _measure(scene, images, truth, bake, arguments.repeat)
                    print(f"{color:8}{baker:14}{row}", flush=True)
                    if arguments.pictures:
                        _save_pictures(arguments.pictures, f"{name}_{size}_{color}_{baker}", scene, found)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", action="append", type=int, choices=(512, 1024, 2048, 4096))
    parser.add_argument("--cameras", choices=tuple(_RIGS), default="six")
    parser.add_argument("--core", type=Path, help="folder of a ComfyUI with the node")
    parser.add_argument("--other", action="append", type=Path, default=[], help="file with a function bake")
    parser.add_argument("--only", action="append", help="meshes whose names start so")
    parser.add_argument("--repeat", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="npz file that keeps the bodies")
    parser.add_argument("--pictures", type=Path, help="folder for pictures of the results")
    return parser.parse_args()


def _bake_ours(mesh: Mesh, images: ViewImages, size: int) -> tuple[np.ndarray, np.ndarray]:
    baked = bake_views(mesh, images, texture_size=size)
    return baked.textured.material.base_color[..., :3], baked.coverage


def _load_other(path: Path) -> tuple[str, Baker]:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, "NAME", path.stem), module.bake


def _build_orbit(mesh: Mesh) -> CameraRig:
    """Perspective cameras with core's usual lens, which see the whole mesh."""
    angles = *((60 * number, 0) for number in range(6)), (0, 89), (0, -89)
    cameras = []
    for number, (azimuth, elevation) in enumerate(angles, start=1):
        flat = frame_camera(mesh, math.radians(azimuth), math.radians(elevation), margin=0.25)
        distance = flat.half_extent / math.tan(math.radians(_FOV) / 2)
        cameras.append(replace(flat, name=str(number), distance=distance))
    return CameraRig(tuple(cameras))


_RIGS: dict[str, Callable[[Mesh], CameraRig]] = {"six": build_six_view_rig, "orbit": _build_orbit}


def _make_meshes(cache: Path | None) -> Iterator[tuple[str, Mesh]]:
    people = list(generate_people(4, cache=cache))
    adult = Mesh(people[9].positions, people[9].faces)
    yield "adult A", adult
    yield "woman 大", Mesh(people[8].positions, people[8].faces)
    yield "adult 50k", _refine(adult, 50_000)
    yield "figure", _march_figure(0.006, 30_000)


def _refine(mesh: Mesh, count: int) -> Mesh:
    """Every triangle in four, then reduced to `count`."""
    corner = mesh.positions[mesh.faces]
    middle = (corner + corner[:, (1, 2, 0)]) / 2
    parts = [np.stack((corner[:, i], middle[:, i], middle[:, i - 1]), axis=1) for i in range(3)]
    triangles = np.concatenate((*parts, middle)).reshape(-1, 3)
    positions, index = np.unique(triangles.round(7), axis=0, return_inverse=True)
    return Mesh(*decimate_surface(positions, index.reshape(-1, 3).astype(np.int32), count))


def _march_figure(step: float, count: int) -> Mesh:
    axes = np.ogrid[-0.75:0.75:step, -0.03:1.95:step, -0.35:0.35:step]
    field = np.full(np.broadcast_shapes(*(axis.shape for axis in axes)), 1.0, np.float32)
    for start, end, radius, last in _LIMBS:
        for side in (-1, 1):
            from_, to = np.array((start, end)) * (side, 1, 1)
            bone = to - from_
            gap = [axis - at for axis, at in zip(axes, from_, strict=True)]
            along = np.clip(sum(g * part for g, part in zip(gap, bone, strict=True)) / (bone @ bone), 0, 1)
            away = np.sqrt(sum((g - along * part) ** 2 for g, part in zip(gap, bone, strict=True)))
            np.minimum(field, away - (radius + (last - radius) * along), out=field, casting="same_kind")
    x, y, z = axes
    cape = np.abs(z + 0.17 + 0.15 * (1.3 - y)) - 0.009
    np.minimum(field, np.maximum(cape, np.maximum(np.abs(x) - 0.3, np.abs(y - 0.85) - 0.45)), out=field)
    positions, faces = marching_cubes(np.where(np.abs(field) < 1e-5, np.float32(1e-5), field), 0.0)[:2]
    positions = positions * step + (-0.75, -0.03, -0.35)
    return Mesh(*decimate_surface(positions.astype(np.float32), faces.astype(np.int32), count))


def _paint_smooth(points: np.ndarray) -> np.ndarray:
    """Colors (..., 3) of points (..., 3)."""
    x, y, z = np.moveaxis(np.asarray(points, np.float32), -1, 0)
    waves = np.stack((np.sin(9 * x + 4 * y), np.sin(7 * y + 5 * z + 2), np.sin(11 * z - 5 * x)), axis=-1)
    return 0.5 + 0.35 * waves


def _paint_cells(points: np.ndarray) -> np.ndarray:
    waves = np.prod(np.sin(np.pi / _CELL * np.asarray(points, np.float32)), axis=-1)
    # At the edge of a cell the product of the sines has the slope pi / _CELL or less.
    return _paint_smooth(points) + 0.15 * np.tanh(waves * _CELL / _SOFTNESS)[..., None]


_COLORS = {"smooth": _paint_smooth, "cells": _paint_cells}


class Scene:
    """An unwrapped mesh and what is known of every texel of its atlas."""

    def __init__(self, mesh: Mesh, size: int, rig: CameraRig) -> None:
        self.mesh, self.size, self.rig = mesh, size, rig
        self._positions, self._faces = torch.tensor(mesh.positions), torch.tensor(mesh.faces)
        flat = torch.cat((torch.tensor(mesh.uvs) * size, torch.zeros(len(mesh.uvs), 1)), dim=1)
        raster = rasterize_triangles(flat, self._faces, (size, size))
        self.mask = raster.mask.numpy()
        self.points = interpolate_attributes(raster, self._faces, self._positions)
        normal = torch.tensor(compute_face_normals(mesh.positions, mesh.faces)[0], dtype=torch.float32)
        self.seen = self._find_seen(normal[raster.face_index]).numpy() & self.mask

    def describe(self) -> str:
        hidden, used = 1 - self.seen.sum() / self.mask.sum(), self.mask.mean()
        return f"{used:.1%} of it in charts, of which no view shows {hidden:.1%}"

    def render(self, paint: Callable[[np.ndarray], np.ndarray]) -> ViewImages:
        """The views, antialiased, on gray."""
        color, mask = [], []
        for camera in self.rig.cameras:
            raster = rasterize_view(camera, self._positions, self._faces, _VIEW_SIZE * _SAMPLES)
            points = interpolate_attributes(raster, self._faces, self._positions).numpy()
            drawn = np.where(raster.mask[..., None], paint(points), np.float32(_BACKGROUND))
            layers = torch.cat((torch.from_numpy(drawn), raster.mask[..., None].float()), dim=2)
            pixels = F.avg_pool2d(layers.permute(2, 0, 1)[None], _SAMPLES)[0].permute(1, 2, 0).numpy()
            color.append(pixels[..., :3])
            mask.append(pixels[..., 3])
        return ViewImages(self.rig, np.stack(color), np.stack(mask))

    def paint(self, paint: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        return paint(self.points.numpy())

    def describe_seams(self, texture: np.ndarray) -> str:
        gap = measure_seam_differences(self.mesh, texture) * 255
        return f"{gap.mean():8.2f}{np.percentile(gap, 99):8.1f}"

    def _find_seen(self, normals: torch.Tensor) -> torch.Tensor:
        found = torch.zeros(self.mask.shape, dtype=torch.bool)
        for camera in self.rig.cameras:
            depth = rasterize_view(camera, self._positions, self._faces, 3072).depth
            uv, own = project_points(camera, self.points)
            column, row = (uv * 3072).long().clamp(0, 3071).unbind(dim=-1)
            facing = measure_facing(camera, self.points.view(-1, 3), normals.view(-1, 3)).view(own.shape)
            slope = torch.sqrt(1 - facing.clamp(-1, 1) ** 2) / facing.clamp(min=_LEAST_FACING)
            reach = 2 * camera.half_extent / 3072 * measure_scale(camera, own) * (1 + slope)
            found |= (facing > _LEAST_FACING) & (own < depth[row, column] + reach)
        return found


def _measure(
    scene: Scene, images: ViewImages, truth: np.ndarray, bake: Baker, repeat: int
) -> tuple[str, np.ndarray]:
    seconds, growth = np.inf, 0
    for _ in range(repeat):
        _RETURN_MEMORY(0)
        Path("/proc/self/clear_refs").write_text("5")
        before, started = _read_memory("VmRSS"), time.perf_counter()
        color, share = bake(scene.mesh, images, scene.size)
        seconds = min(seconds, time.perf_counter() - started)
        growth = max(growth, _read_memory("VmHWM") - before)
    covered = (share >= 1) & scene.mask
    psnr = [_measure_psnr(color[where], truth[where]) for where in (covered, scene.seen, scene.mask)]
    shares = [100 * np.mean(found[scene.mask]) for found in (share >= 1, share == 0)]
    row = f"{seconds:8.2f}{growth:8d}{shares[0]:8.1f}{shares[1]:8.1f}" + "".join(
        f"{value:8.2f}" for value in psnr
    )
    return row + scene.describe_seams(color), color


def _read_memory(field: str) -> int:
    return int(Path("/proc/self/status").read_text().split(f"{field}:")[1].split()[0]) // 1024


def _measure_psnr(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((found - wanted).astype(np.float64) ** 2)))


def _save_pictures(folder: Path, name: str, scene: Scene, color: np.ndarray) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sheet = render_contact_sheet(apply_texture(scene.mesh, color), size=512)
    for kind, picture in (("atlas", color), ("around", sheet[..., :3])):
        image = Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))
        image.save(folder / f"{name.replace(' ', '_')}_{kind}.png")


if __name__ == "__main__":
    main()
