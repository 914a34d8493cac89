"""Core's cameras (LOAD3D_CAMERA) to and from the pipeline's.

A camera is a dictionary in the mesh's frame, as in three.js: position, target, and, where the release has
them, a quaternion (the camera's rotation; it looks down its -Z), fov (vertical, degrees), cameraType, frustum
(of an orthographic camera, metres), and a zoom that enlarges the picture. Newer releases put lists of them on
the socket.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from ..pipeline.cameras import camera_basis
from ..pipeline.errors import PictureError
from ..pipeline.types import Camera, CameraRig, Float64Array, Mesh

_FAR = 100.0
"""Half extents from the target at which an orthographic camera stands: what a renderer draws that knows
perspective only differs by less than a percent."""
_NEAR = 10.0
"""Half extents around the target that lie between the planes near and far."""
_DEFAULT_FOV = 40.0
"""Degrees; what core's Render Mesh takes for a camera without."""


def read_cameras(value: Any, mesh: Mesh, aspect: float) -> CameraRig:
    """A LOAD3D_CAMERA, or a list of them, for pictures of `aspect` (width over height) padded to squares.

    The cameras' targets are moved along their axes to the depth of the mesh. Raises PictureError for values
    that are no cameras.
    """
    cameras = [
        _read_camera(info, str(number), mesh, max(aspect, 1.0))
        for number, info in enumerate(_list_cameras(value), start=1)
    ]
    if not cameras:
        raise PictureError("expected a camera or a list of cameras, found an empty list")
    return CameraRig(tuple(cameras))


def camera_to_core(camera: Camera) -> dict[str, Any]:
    """A camera as core's Create Camera Info makes it; an orthographic one has a fov that frames the same."""
    axes, half = camera_basis(camera), camera.half_extent
    away = camera.distance if math.isfinite(camera.distance) else _FAR * half
    turn = Rotation.from_matrix(axes.T).as_quat()
    info: dict[str, Any] = {
        "position": _name(np.asarray(camera.target) + away * axes[2], "xyz"),
        "target": _name(camera.target, "xyz"),
        "quaternion": _name(turn, "xyzw"),
        "zoom": 1.0,
        "fov": 2 * math.degrees(math.atan(half / away)),
        "aspect": 1.0,
        "near": max(away - _NEAR * half, away / 1000),
        "far": away + _NEAR * half,
        "cameraType": "perspective",
    }
    if math.isinf(camera.distance):
        info["cameraType"] = "orthographic"
        info["frustum"] = {"left": -half, "right": half, "top": half, "bottom": -half}
    return info


def _name(values: Iterable[float], names: str) -> dict[str, float]:
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def _list_cameras(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _list_cameras(item)
    else:
        raise PictureError(f"expected a camera or a list of cameras, found {type(value).__name__}")


def _read_camera(info: Mapping[str, Any], name: str, mesh: Mesh, widen: float) -> Camera:
    """widen: how much larger the square is than the picture's height."""
    position, target = (_read_numbers(info, key, "xyz", name) for key in ("position", "target"))
    axes = _read_axes(info, position, target, name)
    camera = _orient(name, axes)
    low, high = mesh.bounds
    away = float(axes[2] @ (position - (low + high) / 2))
    if not away > 0:
        raise PictureError(f"camera {name} has the mesh behind it")
    half_height, distance = _read_lens(info, float(np.linalg.norm(position - target)), away, name)
    center = position - axes[2] * away
    return replace(
        camera,
        half_extent=half_height * widen,
        target=(float(center[0]), float(center[1]), float(center[2])),
        distance=distance,
    )


def _read_lens(info: Mapping[str, Any], to_target: float, away: float, name: str) -> tuple[float, float]:
    """Half the height that the picture shows at the mesh, metres, and the distance to there."""
    zoom = float(info.get("zoom") or 1.0)
    fov = float(info.get("fov") or _DEFAULT_FOV)
    if not (zoom > 0 and 0 < fov < 180):
        raise PictureError(f"camera {name}: expected a zoom above 0 and a fov of 0..180; found {zoom}, {fov}")
    slope = math.tan(math.radians(fov) / 2) / zoom
    if not str(info.get("cameraType", "")).lower().startswith("ortho"):
        return slope * away, away
    if info.get("frustum"):
        top, bottom = _read_numbers(info, "frustum", ("top", "bottom"), name)
        return float(top - bottom) / 2 / zoom, math.inf
    return slope * to_target, math.inf  # as core's Render Splat has it


def _read_axes(
    info: Mapping[str, Any], position: Float64Array, target: Float64Array, name: str
) -> Float64Array:
    """Rows (3, 3): image right, image up, towards the camera."""
    if info.get("quaternion"):
        turn = _read_numbers(info, "quaternion", "xyzw", name)
        if not turn.any():
            raise PictureError(f"camera {name}: expected a quaternion, found zeros")
        return Rotation.from_quat(turn).as_matrix().T
    towards = position - target
    length = float(np.linalg.norm(towards))
    if not length > 0:
        raise PictureError(f"camera {name}: its position is its target; expected a direction")
    return camera_basis(_look_from(name, towards / length))


def _orient(name: str, axes: Float64Array) -> Camera:
    """The camera with these axes."""
    upright = _look_from(name, axes[2])
    right, up, _ = camera_basis(upright)
    return replace(upright, roll=math.atan2(float(axes[0] @ up), float(axes[0] @ right)))


def _look_from(name: str, towards: Float64Array) -> Camera:
    """The camera without roll in this direction (3,), of length 1, from its target."""
    x, y, z = (float(value) for value in towards)
    return Camera(name, math.atan2(x, z), math.asin(min(max(y, -1.0), 1.0)), 1.0)


def _read_numbers(info: Mapping[str, Any], key: str, names: Iterable[str], camera: str) -> Float64Array:
    try:
        numbers = np.array([float(info[key][name]) for name in names])
    except (KeyError, TypeError, ValueError):
        numbers = np.array([math.nan])
    if not np.isfinite(numbers).all():
        wanted = f"{key} with numbers {', '.join(names)}"
        raise PictureError(f"camera {camera}: expected {wanted}; found {info.get(key)!r}")
    return numbers
