"""Moving pictures: a character in motion, and a mesh on a turntable."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
from PIL import Image

from ..animation import pose_character
from ..cameras import camera_basis, frame_camera
from ..progress import Progress, ignore_progress, span_progress
from ..types import AnimationClip, Camera, FloatArray, Material, Mesh, RiggedCharacter, TexturedMesh
from .render import MARGIN, render_camera

_QUALITY, _EFFORT = 82, 2


def render_animation(
    character: RiggedCharacter,
    clip: AnimationClip,
    *,
    size: int = 384,
    azimuth: float = 0.6,
    elevation: float = 0.1,
    fps: float = 20.0,
    transparent: bool = False,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render one turn of the clip from a camera (radians) that stands still and sees all of it.

    Returns (T, size, size, 4) float32 sRGB, straight alpha, T the clip's seconds times `fps`.
    """
    seconds = float(clip.times[-1])
    count = max(round(seconds * fps), 1)
    character = replace(character, textured=_reduce_texture(character.textured, size))
    poses = pose_character(character, clip, np.arange(count) * seconds / count)
    everywhere = Mesh(np.concatenate([pose.mesh.positions for pose in poses]), poses[0].mesh.faces)
    cameras = [frame_camera(everywhere, azimuth, elevation, MARGIN)] * count
    return _render_frames(poses, cameras, size, transparent, progress)


def render_turntable(
    mesh: Mesh | TexturedMesh,
    *,
    frames: int = 36,
    size: int = 384,
    elevation: float = 0.1,
    transparent: bool = False,
    progress: Progress = ignore_progress,
) -> FloatArray:
    """Render the mesh while the camera goes once around it, from the front by its left.

    Returns (frames, size, size, 4) float32 sRGB, straight alpha.
    """
    if isinstance(mesh, TexturedMesh):
        mesh = _reduce_texture(mesh, size)
    around = [_circle_camera(mesh, 2 * np.pi * number / frames, elevation) for number in range(frames)]
    return _render_frames([mesh] * frames, around, size, transparent, progress)


def encode_webp(frames: FloatArray, fps: float) -> bytes:
    """Encode frames (T, H, W, 3 or 4), 0..1, as an animated WebP that loops for ever, lossy.

    Times are whole milliseconds; they are rounded so that the whole lasts T / fps seconds. ValueError if
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
        quality=_QUALITY,
        method=_EFFORT,
    )
    return stream.getvalue()


def _render_frames(
    meshes: list[Mesh | TexturedMesh] | list[TexturedMesh],
    cameras: list[Camera],
    size: int,
    transparent: bool,
    progress: Progress,
) -> FloatArray:
    count = len(cameras)
    pictures = np.zeros((count, size, size, 4), np.float32)
    for number, (mesh, camera) in enumerate(zip(meshes, cameras, strict=True)):
        part = span_progress(progress, number / count, (number + 1) / count)
        pictures[number] = render_camera(mesh, camera, size, transparent, part)
    progress(1.0)
    return pictures


def _circle_camera(mesh: Mesh | TexturedMesh, azimuth: float, elevation: float) -> Camera:
    """A camera that looks at the middle of the mesh and, from any azimuth, sees all of it."""
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
    """The texture halved, by means of 2 x 2 texels, until it is not four times as wide as the picture."""
    color = textured.material.base_color
    while min(color.shape[:2]) >= 4 * size and not any(side % 2 for side in color.shape[:2]):
        color = (color[::2, ::2] + color[1::2, ::2] + color[::2, 1::2] + color[1::2, 1::2]) / 4
    material = textured.material
    return TexturedMesh(textured.mesh, Material(color, material.metallic, material.roughness))
