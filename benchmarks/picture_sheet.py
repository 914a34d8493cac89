"""The contact sheet of one picture for pictures.py: what went in, what was understood, what came out."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from math import pi
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from character3d.pipeline.cameras import frame_camera, project_points
from character3d.pipeline.preview.render import render_camera
from character3d.pipeline.progress import ignore_progress
from character3d.pipeline.rasterize import mix_corners, rasterize_view
from character3d.pipeline.types import Material, Mesh, TexturedMesh
from PIL import Image, ImageDraw, ImageFont
from posed_glb import Glb
from scipy.spatial.transform import Rotation

Array = npt.NDArray[Any]

TILE, COLUMNS = 320, 5
_VIEW = 512
_CPU = torch.device("cpu")
_ELEVATION, _MARGIN = 0.12, 0.05
_ARMS_RAISED, _THIGH_RAISED, _KNEE_BENT = 60.0, 70.0, 80.0
"""Degrees: arms above the horizontal, left thigh forward, left knee back."""


def make_model(glb: Glb, positions: Array | None = None, *, shrinks: bool = True) -> Mesh | TexturedMesh:
    """The mesh of a file, posed if `positions` (V, 3) are given; its texture as small as tiles need."""
    mesh = Mesh(glb.positions if positions is None else positions, glb.faces, uvs=glb.uvs)
    if glb.texture is None or glb.uvs is None:
        return replace(mesh, uvs=None)
    texture = glb.texture
    while shrinks and texture.shape[0] >= 4 * TILE:
        texture = (texture[::2, ::2] + texture[1::2, ::2] + texture[::2, 1::2] + texture[1::2, 1::2]) / 4
    return TexturedMesh(mesh, Material(texture))


def view_mesh(model: Mesh | TexturedMesh, azimuth: float) -> tuple[Array, Array]:
    """Mask (S, S) and unshaded sRGB (S, S, 3) of a model, seen level from `azimuth` radians."""
    mesh = model.mesh if isinstance(model, TexturedMesh) else model
    faces = torch.tensor(mesh.faces)
    raster = rasterize_view(
        frame_camera(mesh, azimuth, 0.0, 0.02), torch.tensor(mesh.positions), faces, _VIEW
    )
    mask, color = raster.mask.numpy(), np.zeros((_VIEW, _VIEW, 3), np.float32)
    if isinstance(model, TexturedMesh):
        corners = faces[raster.face_index[raster.mask]].long()
        uvs = mix_corners(torch.tensor(model.uvs), corners, raster.barycentric[raster.mask]).numpy()
        color[mask] = model.material.sample(uvs)[:, :3]
    return mask, color


def render_row(models: Sequence[tuple[Mesh | TexturedMesh, float]]) -> list[Image.Image]:
    """Tiles of models, each from its azimuth in radians, all in one scale."""
    shapes = [model.mesh if isinstance(model, TexturedMesh) else model for model, _ in models]
    cameras = [
        frame_camera(shape, azimuth, _ELEVATION, _MARGIN)
        for shape, (_, azimuth) in zip(shapes, models, strict=True)
    ]
    extent = max(camera.half_extent for camera in cameras)
    return [
        _to_image(
            render_camera(model, replace(camera, half_extent=extent), TILE, False, _CPU, ignore_progress)
        )
        for (model, _), camera in zip(models, cameras, strict=True)
    ]


def draw_rig(glb: Glb) -> Image.Image:
    """The character from the front with its joints drawn over it."""
    model = make_model(glb)
    shape = model.mesh if isinstance(model, TexturedMesh) else model
    camera = frame_camera(shape, 0.0, 0.0, _MARGIN)
    tile = _to_image(render_camera(model, camera, TILE, False, _CPU, ignore_progress))
    if not glb.names:
        return tile
    places = glb.place_joints(glb.rest)[:, :3, 3]
    points = project_points(camera, places)[0] * TILE
    draw = ImageDraw.Draw(tile)
    for joint, parent in enumerate(glb.parents):
        if parent >= 0:
            draw.line([*points[parent], *points[joint]], fill=(255, 255, 0), width=2)
    for joint, name in enumerate(glb.names):
        x, y = points[joint]
        color = (255, 60, 60) if "Left" in name else (60, 200, 255) if "Right" in name else (255, 255, 255)
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
    return tile


def draw_landmarks(framed: Array, figure: dict[str, Any]) -> Image.Image:
    """The framed picture with what was read: landmarks, hollow where they are doubtful, and boxes."""
    tile = Image.fromarray(np.uint8(np.round(255 * framed[..., :3]))).resize((TILE, TILE))
    draw = ImageDraw.Draw(tile)
    for box in (figure["box"], figure["head_box"]):
        draw.rectangle([TILE * edge for edge in box], outline=(0, 200, 80))
    if figure["face"]:
        x, y, across, tall = (TILE * length for length in figure["face"])
        draw.ellipse((x - across, y - tall, x + across, y + tall), outline=(255, 255, 0))
    for name, place in figure["landmarks"].items():
        x, y = TILE * place["x"], TILE * place["y"]
        color = (255, 40, 40) if name.startswith("left") else (40, 120, 255) if "_" in name else (0, 200, 80)
        radius, fill = (5, "yellow") if name == "neck" else (3, color if place["confidence"] > 0.4 else None)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill, outline=color)
    said = f"{figure['kind']} yaw {figure['yaw']:.0f} {figure['source']}"
    draw.text((4, 4), said, fill="black", font=ImageFont.load_default(size=15))
    return tile


def raise_limbs(glb: Glb) -> Array:
    """Positions (V, 3) with both arms raised and the left knee bent."""
    turns = {}
    for side, sign in (("Left", 1.0), ("Right", -1.0)):
        elbow, shoulder = glb.joint(f"{side}ForeArm"), glb.joint(f"{side}Arm")
        if elbow is not None and shoulder is not None:
            now = np.degrees(np.arctan2(elbow[1] - shoulder[1], sign * (elbow[0] - shoulder[0])))
            turns[f"{side}Arm"] = _turn((0, 0, sign), _ARMS_RAISED - now)
    turns["LeftUpLeg"] = _turn((1, 0, 0), -_THIGH_RAISED)
    turns["LeftLeg"] = _turn((1, 0, 0), _KNEE_BENT)
    return glb.turn(turns)


def _turn(axis: Sequence[float], degrees: float) -> Array:
    return Rotation.from_rotvec(np.radians(degrees) * np.asarray(axis, float)).as_matrix()


def make_sheet(
    picture: Image.Image,
    framed: Array | None,
    landmarks: Image.Image | None,
    files: dict[str, Glb],
    text: str,
) -> Image.Image:
    """The sheet: picture, cut-out, landmarks, raw mesh, text; eight directions; posed, walk and wave; joints.

    framed: (S, S, 4) or None. files: `raw`, `textured`, `rigged`, those that the job made.
    """
    grey = Image.new("RGB", (TILE, TILE), (120, 120, 120))
    tiles = [fit_tile(picture), grey if framed is None else _on_checker(framed), landmarks or grey]
    raw, textured, rigged = (files.get(name) for name in ("raw", "textured", "rigged"))
    tiles += render_row([(make_model(raw), pi / 4)]) if raw else [grey]
    tiles.append(write_tile(text))
    around = rigged or textured or raw
    tiles += render_row([(make_model(around), k * pi / 4) for k in range(8)]) if around else [grey] * 8
    if rigged and rigged.names:
        posed = make_model(rigged, raise_limbs(rigged))
        tiles += render_row([(posed, 0.0), (posed, pi / 4)])
        walk, wave = ([*rigged.sample(clip, 4)] for clip in ("walk", "wave"))
        moments = [(walk[0], 0.6), (walk[1], 0.6), (wave[1], 0.0), (wave[2], 0.6)]
        tiles += render_row([(make_model(rigged, pose), azimuth) for pose, azimuth in moments])
        tiles.append(draw_rig(rigged))
    tiles += [grey] * (4 * COLUMNS - len(tiles))
    sheet = Image.new("RGB", (COLUMNS * TILE, len(tiles) // COLUMNS * TILE))
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile.resize((TILE, TILE)), (column * TILE, row * TILE))
    return sheet


def fit_tile(picture: Image.Image) -> Image.Image:
    """A picture in a tile, whole, on white where it is transparent."""
    rgba = picture.convert("RGBA")
    rgba.thumbnail((TILE, TILE))
    tile = Image.new("RGB", (TILE, TILE), (90, 90, 90))
    behind = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    tile.paste(behind.convert("RGB"), ((TILE - rgba.width) // 2, (TILE - rgba.height) // 2))
    return tile


def _on_checker(framed: Array) -> Image.Image:
    """The framed subject on a pattern that no subject has."""
    rgba = Image.fromarray(np.uint8(np.round(255 * framed)), "RGBA").resize((TILE, TILE))
    y, x = np.mgrid[:TILE, :TILE] // 16
    pattern = np.where(((x + y) % 2)[..., None], (255, 0, 255), (0, 190, 0)).astype(np.uint8)
    behind = Image.fromarray(pattern).convert("RGBA")
    return Image.alpha_composite(behind, rgba).convert("RGB")


def write_tile(text: str) -> Image.Image:
    """Text, wrapped, in a tile."""
    tile = Image.new("RGB", (TILE, TILE), "white")
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, 46) or [""]]
    font = ImageFont.load_default(size=13)
    ImageDraw.Draw(tile).multiline_text((6, 4), "\n".join(lines[:20]), fill="black", font=font, spacing=2)
    return tile


def _to_image(rendered: Array) -> Image.Image:
    return Image.fromarray(np.uint8(np.round(255 * np.clip(rendered[..., :3], 0, 1))))
