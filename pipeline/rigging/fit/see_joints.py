"""Where the joint network sees a humanoid's joints, in several views of its mesh."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from ...cameras import camera_basis, frame_camera
from ...device import array_to_tensor, tensor_to_array
from ...figure import mirrored_names
from ...rasterize import rasterize_view
from ...types import Camera, Float64Array, Mesh
from .joint_network import HEAT_SIDE, JOINTS, SIDE, JointMaps, JointNetwork, decode_joints, encode_surface

_TURNS = (-25.0, 0.0, 25.0)
"""Degrees about the vertical, of the views whose readings are averaged."""
_MARGIN = 1 / 0.84 - 1
_MIRROR = mirrored_names(JOINTS)


@dataclass(frozen=True, eq=False)
class SeenJoints:
    """points: (27, 3) metres, in the order of JOINTS. trust: (27,) 0..1."""

    points: Float64Array
    trust: Float64Array

    def at(self, name: str) -> Float64Array:
        """Return the place (3,) of a joint."""
        return self.points[JOINTS.index(name)]

    def sees(self, *names: str, least: float) -> bool:
        """Whether all of these joints are known with a confidence of at least `least`."""
        return all(self.trust[JOINTS.index(name)] >= least for name in names)


@functools.lru_cache(maxsize=1)
def _load_network() -> JointNetwork:
    """Read the weights beside this file, once."""
    network = JointNetwork()
    weights = load_file(Path(__file__).with_name("joint_network.safetensors"))
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval()


def see_joints(mesh: Mesh) -> SeenJoints | None:
    """Read the joints of a mesh that stands upright and faces +Z; None where a view shows nothing of it.

    Each is the mean over views from several sides, weighted by the squares of their confidence.
    """
    cameras = [frame_camera(mesh, math.radians(turn), 0.0, _MARGIN) for turn in _TURNS]
    surfaces = [_see_surface(mesh, camera) for camera in cameras]
    if any(surface is None for surface in surfaces):
        return None
    points, trust = _read_surfaces(torch.cat([surface for surface in surfaces if surface is not None]))
    places = np.stack([_place(*pair) for pair in zip(cameras, points, strict=True)])
    weight = np.maximum(trust, 1e-3)[..., None] ** 2
    return SeenJoints((places * weight).sum(axis=0) / weight.sum(axis=0), trust.mean(axis=0))


def _see_surface(mesh: Mesh, camera: Camera) -> torch.Tensor | None:
    """(1, 4, 128, 128) of `encode_surface`."""
    positions, faces = array_to_tensor(mesh.positions), array_to_tensor(mesh.faces)
    span = 2 * camera.half_extent
    front = -rasterize_view(camera, positions, faces, SIDE).depth / span
    behind = Camera("behind", camera.azimuth + math.pi, 0.0, camera.half_extent, camera.target)
    back = rasterize_view(behind, positions, faces, SIDE).depth.flip(1) / span
    inside = torch.isfinite(front) & torch.isfinite(back)
    if not inside.any():
        return None
    front, back = (torch.where(inside, depth, torch.nan) for depth in (front, back))
    return encode_surface(front[None], back[None])


@torch.inference_mode()
def _read_surfaces(surfaces: torch.Tensor) -> tuple[Float64Array, Float64Array]:
    """Joints (B, 27, 3) and confidence (B, 27): of the mean of what each view and its mirror image show."""
    maps = _load_network()(torch.cat([surfaces, surfaces.flip(3)]))
    count = len(surfaces)
    heat = maps.heat.flatten(2).log_softmax(dim=2).unflatten(2, (HEAT_SIDE, HEAT_SIDE))
    heat, depth = ((value[:count] + value[count:, _MIRROR].flip(3)) / 2 for value in (heat, maps.depth))
    points, trust = decode_joints(JointMaps(heat, depth, maps.parts))
    return tensor_to_array(points.double()), tensor_to_array(trust.double())


def _place(camera: Camera, points: Float64Array) -> Float64Array:
    """From shares of the view's side, y down and z towards the viewer, to the mesh's frame."""
    aside = (points - (0.5, 0.5, 0.0)) * (1.0, -1.0, 1.0) * 2 * camera.half_extent
    return aside @ camera_basis(camera) + np.asarray(camera.target)
