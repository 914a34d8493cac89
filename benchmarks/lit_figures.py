"""Renders of figures whose albedo is known: meshes of other makers, painted here, under varied light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from character3d.pipeline.cameras import camera_basis, frame_camera, project_points
from character3d.pipeline.color import linear_to_srgb, srgb_to_linear
from character3d.pipeline.mesh.normals import vertex_normals
from character3d.pipeline.rasterize import interpolate_attributes, rasterize_view
from character3d.pipeline.types import Camera, Mesh

Array = npt.NDArray[Any]

SIDE = 768
_SHADOW_SIDE, _SKY_SIDE, _SKY_COUNT = 1024, 256, 48
_BIAS = 0.012
"""Metres that a surface may lie behind the one that a light sees before it is in shadow."""


class Light(NamedTuple):
    """Angles in degrees, as a camera's; colors linear; sky: share of the light that comes from all around."""

    azimuth: float
    elevation: float
    color: tuple[float, float, float]
    sky: float
    sky_color: tuple[float, float, float]


LIGHTS = {
    "left": Light(-55, 35, (1, 1, 1), 0.35, (1, 1, 1)),
    "right": Light(60, 25, (1, 1, 1), 0.45, (1, 1, 1)),
    "top": Light(10, 70, (1, 1, 1), 0.4, (1, 1, 1)),
    "warm": Light(40, 45, (1.1, 0.98, 0.8), 0.4, (0.85, 0.97, 1.15)),
    "soft": Light(-25, 40, (1, 1, 1), 0.7, (1, 1, 1)),
    "hard": Light(-35, 50, (1, 1, 1), 0.2, (0.95, 1, 1.1)),
}


class Figure(NamedTuple):
    """A mesh, and each vertex's number of the material that paints it."""

    name: str
    mesh: Mesh
    labels: Array


class Surface(NamedTuple):
    """The front view: position, normal (S, S, 3), mask, openness to the sky and material's number (S, S)."""

    position: Array
    normal: Array
    mask: Array
    openness: Array
    labels: Array


def load_figure(path: Path) -> Figure:
    """A mesh as skin.py reads it: v, f, joint names, W, J, obj."""
    data = np.load(path, allow_pickle=True)
    points = data["v"].astype(np.float64)
    points = (points - (0, points[:, 1].min(), 0)) * (1.7 / np.ptp(points[:, 1]))
    names, owner = [str(name) for name in data["names"]], data["W"].astype(np.float32).argmax(axis=1)
    groups = np.array([_group(name) for name in names])[owner]
    head = groups == 0
    if head.any():
        low, high = points[head].min(axis=0), points[head].max(axis=0)
        up, front = ((points[:, axis] - low[axis]) / (high[axis] - low[axis] + 1e-9) for axis in (1, 2))
        groups[head & ((up > 0.78) | (front < 0.35))] = 5
    return Figure(path.stem, Mesh(points, data["f"]), groups * 64 + data["obj"] % 64)


def _group(joint: str) -> int:
    """Head, trunk, bare arms, legs, shoes; hair is found within the head."""
    for number, words in enumerate((("Head", "Neck"), ("Spine", "Hips", "Shoulder", "LeftArm", "RightArm"))):
        if any(word in joint for word in words):
            return number
    return 4 if "Foot" in joint or "Toe" in joint else 3 if "Leg" in joint else 2


def look_at(figure: Figure) -> Surface:
    """The front view, SIDE pixels."""
    mesh, camera = figure.mesh, frame_camera(figure.mesh, 0.0, 0.0, 0.08)
    positions, faces = torch.from_numpy(mesh.positions.copy()), torch.from_numpy(mesh.faces.copy())
    raster = rasterize_view(camera, positions, faces, SIDE)
    values = np.concatenate((mesh.positions, vertex_normals(mesh)), axis=1)
    seen = interpolate_attributes(raster, faces, torch.from_numpy(values)).numpy()
    mask = raster.mask.numpy()
    position, normal = seen[..., :3], seen[..., 3:]
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    normal = np.where(normal[..., 2:] < 0, -normal, normal)  # seen from behind, where a mesh is open
    labels = np.where(mask, figure.labels[mesh.faces[:, 0]][raster.face_index.numpy().clip(0)], -1)
    openness = _measure_openness(mesh, position, normal, mask)
    return Surface(position, normal, mask, openness, labels)


def paint(surface: Surface, seed: int, *, is_soft: bool) -> Array:
    """Albedo (S, S, 3) sRGB: a color for each material, stripes or checks on some, soft clouds if asked."""
    random = np.random.default_rng(seed)
    albedo = np.full((*surface.mask.shape, 3), 0.5)
    for label in np.unique(surface.labels[surface.mask]):
        inside = surface.labels == label
        first, second = _pick_color(random), _pick_color(random)
        place = surface.position[inside] * random.uniform(12, 40)
        kind = random.choice(4, p=(0.6, 0.12, 0.12, 0.16)) % (4 if is_soft else 3)
        share = (
            np.zeros(len(place)),
            np.sin(place[:, 1]) > 0.3,
            np.sin(place[:, 0]) * np.sin(place[:, 1]) > 0,
            0.25 + 0.25 * np.sin(place[:, 0] + 2 * np.sin(0.6 * place[:, 1])),
        )[kind]
        albedo[inside] = first + (second - first) * np.asarray(share, float)[:, None]
    return albedo


def _pick_color(random: np.random.Generator) -> Array:
    """Any lightness from nearly black to nearly white, a third of them gray."""
    gray, hue = random.uniform(0.12, 0.92), random.uniform(size=3)
    strength = 0.0 if random.random() < 0.3 else random.uniform(0.2, 0.8)
    return np.clip(gray + strength * (hue - hue.mean()), 0.06, 0.95)


def shade(figure: Figure, surface: Surface, albedo: Array, light: Light) -> Array:
    """The picture (S, S, 3) sRGB of 8 bits; the lit side is not cut off."""
    key, towards = _aim(figure.mesh, math.radians(light.azimuth), math.radians(light.elevation))
    lit = _find_lit(figure.mesh, surface, key, _SHADOW_SIDE) * np.maximum(surface.normal @ towards, 0)
    sky = surface.openness[..., None] * np.array(light.sky_color) * light.sky
    shading = sky + (1 - light.sky) * lit[..., None] * np.array(light.color)
    shading /= np.quantile(shading[surface.mask].mean(axis=1), 0.97)
    picture = linear_to_srgb(srgb_to_linear(albedo) * shading)
    return np.where(surface.mask[..., None], np.rint(picture * 255) / 255, 0).astype(np.float32)


def _aim(mesh: Mesh, azimuth: float, elevation: float) -> tuple[Camera, Array]:
    camera = frame_camera(mesh, azimuth, elevation)
    return camera, camera_basis(camera)[2]


def _find_lit(mesh: Mesh, surface: Surface, camera: Camera, side: int) -> Array:
    """(S, S) 0..1, whether the light at the camera reaches each pixel; edges are soft (four samples)."""
    positions, faces = torch.from_numpy(mesh.positions.copy()), torch.from_numpy(mesh.faces.copy())
    nearest = rasterize_view(camera, positions, faces, side).depth.numpy()
    uv, depth = project_points(camera, surface.position[surface.mask].astype(np.float64))
    lit, result = np.zeros(len(depth)), np.zeros(surface.mask.shape)
    for shift in ((-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)):
        column, row = np.clip((uv * side + shift).astype(int), 0, side - 1).T
        lit += depth < nearest[row, column] + _BIAS
    result[surface.mask] = lit / 4
    return result


def _measure_openness(mesh: Mesh, position: Array, normal: Array, mask: Array) -> Array:
    """The share of an even sky that reaches each pixel, weighted by cosine."""
    bare = Surface(position, normal, mask, np.ones(mask.shape), mask)
    received, possible = np.zeros(mask.shape), np.full(mask.shape, 1e-6)
    for azimuth, elevation in _spread_directions(_SKY_COUNT):
        camera, towards = _aim(mesh, azimuth, elevation)
        facing = np.maximum(normal @ towards, 0)
        received += facing * _find_lit(mesh, bare, camera, _SKY_SIDE)
        possible += facing
    return np.where(mask, received / possible, 1.0)


def _spread_directions(count: int) -> Iterator[tuple[float, float]]:
    """Azimuth and elevation of points spread evenly over the sphere (a Fibonacci lattice)."""
    for number in range(count):
        yield number * math.pi * (3 - math.sqrt(5)), math.asin(1 - (2 * number + 1) / count)
