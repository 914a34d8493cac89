"""Animated pictures: a character in motion, and a mesh on a turntable."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ..animation import pose_character
from ..cameras import camera_basis, frame_camera
from ..device import CPU
from ..progress import Progress, ignore_progress, span_progress
from ..types import AnimationClip, Camera, FloatArray, Material, Mesh, RiggedCharacter, TexturedMesh
from .render import MARGIN, render_camera

_WEBP_QUALITY, _WEBP_METHOD = 82, 2


def render_animation(
    character: RiggedCharacter,
    clip: AnimationClip,
    *,
    size: int = 384,
    azimuth: float = 0.6,
    elevation: float = 0.1,
    fps: float = 20.0,
    transparent: bool = False,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render one cycle of the clip with a fixed camera (angles in radians) that frames the whole motion.

    Returns (T, size, size, 4) float32 sRGB, straight alpha; T is the clip's length in seconds times `fps`.
    """
    seconds = float(clip.times[-1])
    count = max(round(seconds * fps), 1)
    character = replace(character, textured=_reduce_texture(character.textured, size))
    poses = pose_character(character, clip, np.arange(count) * seconds / count)
    all_positions = Mesh(np.concatenate([pose.mesh.positions for pose in poses]), poses[0].mesh.faces)
    cameras = [frame_camera(all_positions, azimuth, elevation, MARGIN)] * count
    return _render_frames(poses, cameras, size, transparent, device, progress)


def render_turntable(
    mesh: Mesh | TexturedMesh,
    *,
    frames: int = 36,
    size: int = 384,
    elevation: float = 0.1,
    transparent: bool = False,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render the mesh while the camera circles it once, from the front towards the character's left.

    Returns (frames, size, size, 4) float32 sRGB, straight alpha.
    """
    if isinstance(mesh, TexturedMesh):
        mesh = _reduce_texture(mesh, size)
    cameras = [_circle_camera(mesh, 2 * np.pi * number / frames, elevation) for number in range(frames)]
    return _render_frames([mesh] * frames, cameras, size, transparent, device, progress)


def encode_webp(frames: FloatArray, fps: float) -> bytes:
    """Encode frames (T, H, W, 3 or 4), 0..1, as a lossy animated WebP that loops forever.

    Durations are whole milliseconds, rounded such that the total is T / fps seconds. Raises ValueError if
    there are no frames.
    """
    if not len(frames):
        raise ValueError("frames: expected at least one, got none")
    pictures = [Image.fromarray(np.round(np.clip(frame, 0, 1) * 255).astype(np.uint8)) for frame in frames]
    ends = np.round(1000 * np.arange(len(pictures) + 1) / fps).astype(int)
    stream = io.BytesIO()
    pictures[0].save(
        stream,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=np.diff(ends).tolist(),
        loop=0,
        quality=_WEBP_QUALITY,
        method=_WEBP_METHOD,
    )
    return stream.getvalue()


def _render_frames(
    meshes: list[Mesh | TexturedMesh] | list[TexturedMesh],
    cameras: list[Camera],
    size: int,
    transparent: bool,
    device: torch.device,
    progress: Progress,
) -> FloatArray:
    count = len(cameras)
    pictures = np.zeros((count, size, size, 4), np.float32)
    for number, (mesh, camera) in enumerate(zip(meshes, cameras, strict=True)):
        part = span_progress(progress, number / count, (number + 1) / count)
        pictures[number] = render_camera(mesh, camera, size, transparent, device, part)
    progress(1.0)
    return pictures


def _circle_camera(mesh: Mesh | TexturedMesh, azimuth: float, elevation: float) -> Camera:
    """A camera that looks at the center of the mesh and frames all of it from every azimuth."""
    shape = mesh.mesh if isinstance(mesh, TexturedMesh) else mesh
    low, high = shape.bounds
    middle = (low + high) / 2
    offset = shape.positions - middle
    reach = float(np.hypot(offset[:, 0], offset[:, 2]).max())
    up = camera_basis(Camera("turn", azimuth, elevation, 1.0))[1]
    tall = float(np.abs(offset[:, 1]).max()) * float(up[1]) + reach * abs(np.sin(elevation))
    x, y, z = (float(value) for value in middle)
    return Camera("turn", azimuth, elevation, max(reach, tall, 1e-6) * (1 + MARGIN), (x, y, z))


def _reduce_texture(textured: TexturedMesh, size: int) -> TexturedMesh:
    """Halve the textures, averaging 2 x 2 texels, while they are four times as wide as the picture."""
    first, *others = (_reduce_material(material, size) for material in textured.materials)
    return replace(textured, material=first, others=tuple(others))


def _reduce_material(material: Material, size: int) -> Material:
    color = material.base_color
    while min(color.shape[:2]) >= 4 * size and not any(side % 2 for side in color.shape[:2]):
        color = (color[::2, ::2] + color[1::2, ::2] + color[::2, 1::2] + color[1::2, 1::2]) / 4
    return replace(material, texels=color)
