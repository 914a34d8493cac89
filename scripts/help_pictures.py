"""Make the pictures of the nodes' help pages, and the registry's icon and banner, from examples/elf.png.

    CHARACTER3D_COMFYUI=FOLDER python scripts/help_pictures.py

Writes web/docs/pictures/<NodeId>.jpg and, in docs/pictures, icon.png and banner.jpg. Run it with the Python
that quickstart.py set up for the tests; FOLDER is the ComfyUI beside it. Takes two minutes. A page shows what
its node makes of the elf; of nodes around learned models, what they are given, or what is alike.
"""

from __future__ import annotations

import colorsys
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import radians
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image, ImageDraw, ImageFont

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = REPOSITORY / "web" / "docs" / "pictures"
ELF = REPOSITORY / "examples" / "elf.png"

sys.path.append(str(REPOSITORY / "benchmarks"))
from look import find_points, rig_character  # noqa: E402  makes this repository the package character3d

# isort: split
from character3d.pipeline.animation import load_clip, retarget_clip  # noqa: E402
from character3d.pipeline.cameras import build_six_view_rig, frame_camera, project_points  # noqa: E402
from character3d.pipeline.decode import decode_picture  # noqa: E402
from character3d.pipeline.figure import Figure  # noqa: E402
from character3d.pipeline.figure.document import describe_figure  # noqa: E402
from character3d.pipeline.figure.draw import draw_figure  # noqa: E402
from character3d.pipeline.formats import VrmMeta  # noqa: E402
from character3d.pipeline.generating_multiview_texture import (  # noqa: E402
    delight_picture,
    maps_to_condition,
    render_view_maps,
    symmetrize_views,
    synthesize_views,
)
from character3d.pipeline.mesh.symmetrize import symmetrize_mesh  # noqa: E402
from character3d.pipeline.mesh_generation import clean_mesh, inflate_silhouette  # noqa: E402
from character3d.pipeline.orientation import place_mesh  # noqa: E402
from character3d.pipeline.preprocessing import composite_on_gray, preprocess_picture  # noqa: E402
from character3d.pipeline.preprocessing.read_figure import read_figure  # noqa: E402
from character3d.pipeline.preview import render_animation, render_preview  # noqa: E402
from character3d.pipeline.preview.render import MARGIN  # noqa: E402
from character3d.pipeline.quality import report_quality  # noqa: E402
from character3d.pipeline.rigging import normalize_to_t_pose  # noqa: E402
from character3d.pipeline.rigging.rig_check import check_rig  # noqa: E402
from character3d.pipeline.texture_baking import bake_views, merge_materials, unwrap_mesh  # noqa: E402
from character3d.pipeline.types import FramedPicture, Mesh, RiggedCharacter, TexturedMesh  # noqa: E402

SIDE = 220
"""Of a tile, in pixels."""
GAP = 28
PAPER = 0.13
"""Of the picture's ground, a gray that suits the editor's dark and light palettes."""
QUALITY = 82
Tile = npt.NDArray[Any]


@dataclass
class Stages:
    """What the five stages make of a picture, each once."""

    picture: Path

    @cached_property
    def framed(self) -> FramedPicture:
        """The cut-out, framed."""
        return preprocess_picture(decode_picture(self.picture.read_bytes()).astype(np.float32) / 255)

    @cached_property
    def figure(self) -> Figure:
        """What is read in it."""
        return read_figure(self.framed, *find_points(self.framed))

    @cached_property
    def mesh(self) -> Mesh:
        """Its body."""
        return inflate_silhouette(self.framed, figure=self.figure)

    @cached_property
    def maps(self) -> Any:
        """What six cameras see of the body."""
        return render_view_maps(self.mesh, build_six_view_rig(self.mesh), 768)

    @cached_property
    def views(self) -> Any:
        """The six views."""
        return synthesize_views(self.mesh, self.framed, self.maps, figure=self.figure)

    @cached_property
    def baked(self) -> Any:
        """The texture."""
        return bake_views(unwrap_mesh(self.mesh, texture_size=1024), self.views, texture_size=1024)

    @cached_property
    def character(self) -> RiggedCharacter:
        """The rigged character."""
        return rig_character(self.baked.textured, self.figure)

    def show_clip(self, name: str, count: int) -> list[Tile]:
        """Moments of a clip, evenly spread."""
        clip = retarget_clip(load_clip(name), self.character)
        frames = render_animation(
            self.character, clip, size=SIDE, fps=count / float(clip.times[-1]), transparent=True
        )
        return list(frames[:count])


def show(mesh: Mesh | TexturedMesh, *degrees: float) -> list[Tile]:
    """The mesh from each azimuth."""
    return [render_preview(mesh, size=SIDE, azimuth=radians(angle), transparent=True) for angle in degrees]


def grid(pictures: npt.NDArray[Any], columns: int = 3) -> Tile:
    """Equal pictures, row by row, in one tile as wide as one row of them is."""
    rows = [np.concatenate(pictures[i : i + columns], axis=1) for i in range(0, len(pictures), columns)]
    return np.concatenate(rows)


def recolor(texels: npt.NDArray[Any], turn: float) -> npt.NDArray[Any]:
    """The texture (H, W, 4) 0..1 with its hues turned by that share of the circle."""
    image = Image.fromarray(np.round(texels[..., :3] * 255).astype(np.uint8)).convert("HSV")
    values = np.asarray(image).copy()
    values[..., 0] += np.uint8(turn * 255)
    turned = np.asarray(Image.fromarray(values, "HSV").convert("RGB")) / 255
    return np.concatenate([turned, texels[..., 3:]], axis=2).astype(np.float32)


def shrink(texels: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """The texture (H, W, 4) 0..1 as (side, side, 4)."""
    image = Image.fromarray(np.round(texels * 255).astype(np.uint8))
    return (np.asarray(image.resize((side, side), Image.Resampling.LANCZOS)) / 255).astype(np.float32)


def with_texture(textured: TexturedMesh, texels: npt.NDArray[Any]) -> TexturedMesh:
    """The mesh with another texture."""
    return replace(textured, material=replace(textured.material, texels=texels))


def write_text(text: str) -> Tile:
    """Lines of text on the picture's ground."""
    image = Image.new("RGB", (SIDE, SIDE), tuple([round(PAPER * 255)] * 3))
    font = ImageFont.load_default(12)
    ImageDraw.Draw(image).multiline_text((8, 10), text, (215, 215, 215), font, spacing=3)
    return np.asarray(image) / 255


def label(tile: Tile, text: str) -> Tile:
    """The tile with the name of a file format in its lower right corner."""
    image = Image.fromarray(np.round(place(tile) * 255).astype(np.uint8))
    font = ImageFont.load_default(20)
    ImageDraw.Draw(image).text((SIDE - 10, SIDE - 10), text, (250, 250, 250), font, anchor="rs")
    return np.asarray(image) / 255


def draw_skeleton(character: RiggedCharacter) -> Tile:
    """The character from the front, faint, with its bones and joints."""
    (tile,) = show(character.textured, 0)
    faint = tile * (0.6, 0.6, 0.6, 1.0)
    image = Image.fromarray(np.round(place(faint) * 255).astype(np.uint8))
    camera = frame_camera(character.textured.mesh, 0.0, 0.12, MARGIN)
    skeleton, pen = character.skeleton, ImageDraw.Draw(image)
    points = [tuple(point * SIDE) for point in project_points(camera, skeleton.positions)[0]]
    for joint, parent in enumerate(skeleton.parents):
        if parent >= 0:
            pen.line([points[parent], points[joint]], (255, 196, 64), 3)
    for u, v in points:
        pen.ellipse((u - 3, v - 3, u + 3, v + 3), (255, 255, 255))
    return np.asarray(image) / 255


def lay_down(textured: TexturedMesh) -> TexturedMesh:
    """The mesh as programs with +Z up write it."""

    def turn(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.stack([vectors[:, 0], -vectors[:, 2], vectors[:, 1]], axis=1)

    mesh = textured.mesh
    assert mesh.normals is not None
    return replace(textured, mesh=replace(mesh, positions=turn(mesh.positions), normals=turn(mesh.normals)))


def scatter(mesh: Mesh) -> Mesh:
    """The mesh with floaters beside it, as learned shapes have them."""
    random = np.random.default_rng(3)
    low, high = mesh.positions.min(axis=0), mesh.positions.max(axis=0)
    positions, faces = [mesh.positions], [mesh.faces]
    for radius in random.uniform(0.004, 0.014, 60):
        floater = trimesh.creation.icosphere(1, radius)
        faces.append(floater.faces + sum(map(len, positions)))
        positions.append(floater.vertices + random.uniform(low - 0.1, high + 0.1) * (1, 1, 1.5))
    return Mesh(np.concatenate(positions).astype(np.float32), np.concatenate(faces).astype(np.int32))


def show_facets(mesh: Mesh) -> Mesh:
    """The mesh with corners of its own for each face, so that shading shows the faces."""
    corners = mesh.positions[mesh.faces].reshape(-1, 3)
    return Mesh(corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3))


def decode_at(mesh: Mesh, cells: int) -> Mesh:
    """The surface in a cube of that many cells to a side."""
    import igl
    from skimage.measure import marching_cubes

    span = np.linspace(-1.05, 1.05, cells + 1)
    middle = np.array((0.0, np.ptp(mesh.positions[:, 1]) / 2, 0.0))
    scale = np.ptp(mesh.positions[:, 1]) / 1.9
    points = np.stack(np.meshgrid(span, span, span, indexing="ij"), -1).reshape(-1, 3) * scale + middle
    inside = igl.fast_winding_number(mesh.positions.astype(float), mesh.faces.astype(np.int64), points)
    vertices, faces, _, _ = marching_cubes(inside.reshape([cells + 1] * 3), 0.5)
    placed = (vertices / cells * 2.1 - 1.05) * scale + middle
    return show_facets(Mesh(placed.astype(np.float32), np.ascontiguousarray(faces[:, ::-1], np.int32)))


def place(tile: Tile) -> Tile:
    """The tile, (H, W, 1, 3 or 4), as (SIDE, W', 3) on the picture's ground."""
    array = tile[..., None] if tile.ndim == 2 else tile
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array
    if array.shape[2] == 4:
        array = array[..., :3] * array[..., 3:] + PAPER * (1 - array[..., 3:])
    image = Image.fromarray(np.round(np.clip(array, 0, 1) * 255).astype(np.uint8))
    wide = round(image.width * SIDE / image.height)
    return np.asarray(image.resize((wide, SIDE), Image.Resampling.LANCZOS)) / 255


def join(before: Sequence[Tile], after: Sequence[Tile]) -> Image.Image:
    """What a node takes, an arrow, and what it makes."""
    arrow = np.full((SIDE, 2 * GAP, 3), PAPER)
    row = [*map(place, before), arrow, *map(place, after)] if before else [*map(place, after)]
    image = Image.fromarray(np.round(np.concatenate(row, axis=1) * 255).astype(np.uint8))
    left, middle = sum(part.shape[1] for part in row[: len(before)]), SIDE // 2
    if before:
        pen, color = ImageDraw.Draw(image), (235, 235, 235)
        pen.line((left + 10, middle, left + 2 * GAP - 16, middle), color, 4)
        tip = left + 2 * GAP - 8
        pen.polygon([(tip, middle), (tip - 12, middle - 9), (tip - 12, middle + 9)], color)
    return image


def describe_rig(surface: TexturedMesh) -> str:
    """The first members of what Check Rig says of it."""
    found = check_rig(surface).to_dict()
    names = ("kind", "confidence", "skeleton", "up", "front", "height_meters", "pose", "arms", "legs")
    return json.dumps({name: found[name] for name in names}, indent=1)[:-1] + " ..."


def describe_quality(elf: Stages) -> str:
    """Some members of the report on the character."""
    report = report_quality(elf.baked.textured, picture=elf.framed, coverage=elf.baked.coverage).to_dict()
    figures = {**report["shape"], **report["texture"]}
    names = ("triangles", "silhouette_iou", "texels_per_meter", "seam_error", "unseen_share")
    return json.dumps({name: figures[name] for name in names}, indent=1)[:-1] + " ..."


def list_pictures(elf: Stages) -> dict[str, Callable[[], Image.Image]]:
    """What the page of each node shows."""
    gray = composite_on_gray(elf.framed.rgba)
    alpha, drawn = elf.framed.rgba[..., 3], draw_figure(gray, elf.figure)
    textured = elf.baked.textured
    position, normal = (item for item in maps_to_condition(elf.maps))
    color = elf.views.color
    atlas = textured.material.base_color[..., :3]
    other = with_texture(textured, recolor(textured.material.base_color, 0.4))
    posed = normalize_to_t_pose(elf.character)
    photo = np.asarray(Image.open(elf.picture).convert("RGBA")) / 255
    described = describe_figure(elf.figure)
    landmarks = {name: described["landmarks"][name] for name in ("neck",)}
    return {
        "C3DPreprocessPicture": lambda: join([photo], [gray, alpha]),
        "C3DSplitSheet": lambda: join(
            [np.concatenate(show(textured, 0, 90, 180), axis=1)], show(textured, 0, 90, 180)
        ),
        "C3DEditFigure": lambda: join([gray], [drawn]),
        "C3DLoadMesh": lambda: join(
            show(lay_down(textured), 25), show(place_mesh(lay_down(textured)).surface, 25, 180)
        ),
        "C3DGenerateMesh": lambda: join([gray], show(elf.mesh, 0, 60, 180)),
        "C3DLoadShapeModel": lambda: join([gray, alpha], show(decode_at(elf.mesh, 96), 25)),
        "C3DDecodeShape": lambda: join(
            [], [show(decode_at(elf.mesh, cells), 25)[0] for cells in (16, 32, 96)]
        ),
        "C3DCleanMesh": lambda: join(show(show_facets(scatter(elf.mesh)), 25), show_cleaned(elf.mesh)),
        "C3DRenderViewMaps": lambda: join(
            show(elf.mesh, 25), [grid(position), grid(normal), grid(elf.maps.mask.astype(np.float32))]
        ),
        "C3DDelightPicture": lambda: join([gray], delight(elf)),
        "C3DApplyIG2MV": lambda: join([], [gray, grid(position), grid(normal)]),
        "C3DGenerateViews": lambda: join([gray, *show(elf.mesh, 25)], [grid(color)]),
        "C3DLoadViews": lambda: join([], [grid(color), grid(elf.maps.mask.astype(np.float32))]),
        "C3DReplaceViews": lambda: join([grid(color), paint(color)[0]], [grid(paint(color))]),
        "C3DBakeTexture": lambda: join([grid(color)], [atlas, *show(textured, 25, 180)]),
        "C3DApplyTexture": lambda: join([atlas, other.material.base_color[..., :3]], show(other, 25, 180)),
        "C3DSymmetrize": lambda: join(show(paint_half(textured), 0), show(mirror_left(textured), 0, 180)),
        "C3DSymmetrizeViews": lambda: join([grid(color)], [grid(symmetrize_views(color))]),
        "C3DMergeMaterials": lambda: join(
            [atlas, other.material.base_color[..., :3]], [merge(textured, other)]
        ),
        "C3DCheckRig": lambda: join(
            show(lay_down(textured), 25), [write_text(describe_rig(lay_down(textured)))]
        ),
        "C3DRigCharacter": lambda: join(
            show(textured, 0), [draw_skeleton(elf.character), *elf.show_clip("wave", 3)[1:2]]
        ),
        "C3DAddAnimation": lambda: join([], elf.show_clip("walk", 5)),
        "C3DLoadMotion": lambda: join([], elf.show_clip("dance", 5)),
        "C3DEditClips": lambda: join([], elf.show_clip("jump", 6)[:4]),
        "C3DSaveFigure": lambda: join([drawn], [write_text(json.dumps(landmarks, indent=1)[:-1] + " ...")]),
        "C3DReportQuality": lambda: join([gray, *show(textured, 0)], [write_text(describe_quality(elf))]),
        "C3DSaveViews": lambda: join(
            [grid(color)], [label(color[0], "PNG"), write_text(describe_views(elf))]
        ),
        "C3DSaveMesh": lambda: join([], [label(tile, "GLB") for tile in show(textured, 25, 180)]),
        "C3DSaveCharacter": lambda: join(
            show(elf.character.textured, 25),
            [
                label(elf.show_clip("walk", 5)[1], "FBX"),
                label(elf.show_clip("wave", 3)[1], "GLB"),
                label(show(posed.textured, 0)[0], "VRM"),
            ],
        ),
        "C3DSaveMotion": lambda: join(
            [],
            [
                label(tile, name)
                for tile, name in zip(elf.show_clip("jump", 6), ("BVH", "VRMA", "FBX", "GLB"), strict=False)
            ],
        ),
        "C3DVrmMeta": lambda: join(
            [], [label(show(posed.textured, 0)[0], "VRM"), write_text(describe(VrmMeta("Elf", ("Unknown",))))]
        ),
        "C3DPreviewMesh": lambda: join([], [tile[..., :3] for tile in show_in_studio(textured, 0, 60, 180)]),
        "C3DPreviewAnimation": lambda: join([], show(textured, 0, 72, 144, 216, 288)),
    }


def paint_half(textured: TexturedMesh) -> TexturedMesh:
    """The right half of the texture without color."""
    x = textured.mesh.positions[:, 0]
    gray = np.broadcast_to((0.7, 0.7, 0.7, 1.0), (8, 8, 4)).astype(np.float32)
    numbers = (x < 0).astype(np.uint16)
    faces = textured.mesh.faces
    same = (numbers[faces] == numbers[faces[:, :1]]).all(axis=1)
    mesh = replace(textured.mesh, faces=faces[same], material_numbers=numbers)
    return replace(textured, mesh=mesh, others=(replace(textured.material, texels=gray),))


def mirror_left(textured: TexturedMesh) -> TexturedMesh:
    """Its left half on both sides."""
    return replace(textured, mesh=symmetrize_mesh(textured.mesh))


def paint(color: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Views (6, V, V, 3), the first one in other colors."""
    opaque = np.concatenate([color[0], np.ones_like(color[0][..., :1])], axis=2)
    return np.concatenate([recolor(opaque, 0.4)[None, ..., :3], color[1:]])


def describe_views(elf: Stages) -> str:
    """The first camera of the views."""
    camera = elf.maps.rig.cameras[0]
    shown = {"name": camera.name, "azimuth": camera.azimuth, "half_extent": round(camera.half_extent, 3)}
    return json.dumps(shown, indent=1)[:-1] + " ..."


def delight(elf: Stages) -> list[Tile]:
    """The picture in even light, and the light."""
    found = delight_picture(elf.framed, elf.mesh)
    return [composite_on_gray(np.dstack((found.color, elf.framed.rgba[..., 3]))), found.shading]


def show_in_studio(textured: TexturedMesh, *degrees: float) -> list[Tile]:
    """As show, before the backdrop that the node paints."""
    return [render_preview(textured, size=SIDE, azimuth=radians(angle)) for angle in degrees]


def show_cleaned(mesh: Mesh) -> list[Tile]:
    """Without floaters, and with fewer faces."""
    raw = scatter(mesh)
    return [
        show(show_facets(clean_mesh(raw.positions, raw.faces, face_count=count).mesh), 25)[0]
        for count in (20_000, 1_000)
    ]


def merge(one: TexturedMesh, other: TexturedMesh) -> Tile:
    """The atlas of two textured meshes."""
    from character3d.nodes.trimesh_mesh import mesh_to_trimesh, read_trimesh  # once ComfyUI is on the path

    smaller = [with_texture(textured, shrink(textured.material.base_color, 900)) for textured in (one, other)]
    scene = trimesh.Scene([mesh_to_trimesh(textured) for textured in smaller])
    textured = read_trimesh(scene)
    assert isinstance(textured, TexturedMesh)
    merged = merge_materials(textured).textured
    return merged.material.base_color[..., :3]


def describe(meta: VrmMeta) -> str:
    """Its fields, one a line."""
    fields = ("name", "authors", "avatar_permission", "commercial_usage", "credit_notation", "modification")
    values = ((name, getattr(meta, name)) for name in fields)
    return "\n".join(
        f"{name}\n    {value if isinstance(value, str) else ', '.join(value)}" for name, value in values
    )


def draw_icon(elf: Stages) -> Image.Image:
    """The elf's head and shoulders on a disc, (400, 400)."""
    side = 400
    tile = render_preview(elf.baked.textured, size=3 * side, azimuth=radians(8), transparent=True)
    crown = int(np.flatnonzero(tile[..., 3].max(axis=1) > 0.5)[0])
    middle = 3 * side // 2
    head = tile[crown - 40 : crown - 40 + side, middle - side // 2 : middle + side // 2]
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    disc = np.clip(side / 2 - np.hypot(rows, columns), 0, 1)[..., None]
    ground = np.array(colorsys.hsv_to_rgb(0.6, 0.55, 0.45)) * np.linspace(1.25, 0.75, side)[:, None, None]
    color = head[..., :3] * head[..., 3:] + ground * (1 - head[..., 3:])
    return Image.fromarray(np.round(np.concatenate([np.clip(color, 0, 1), disc], 2) * 255).astype(np.uint8))


def draw_banner(elf: Stages) -> Image.Image:
    """From the picture to the walking character, 21:9, (1260, 540)."""
    wide, high = 1260, 540
    ground = np.array(colorsys.hsv_to_rgb(0.6, 0.5, 0.35)) * np.linspace(1.2, 0.7, high)[:, None, None]
    image = np.repeat(ground, wide, axis=1)
    clip = retarget_clip(load_clip("walk"), elf.character)
    walking = render_animation(elf.character, clip, size=480, fps=6 / float(clip.times[-1]), transparent=True)
    clay, textured = elf.mesh, elf.baked.textured
    photo = Image.open(elf.picture).convert("RGBA").resize((440, 440), Image.Resampling.LANCZOS)
    tiles = [
        np.asarray(photo)[:, 100:340] / 255,
        render_preview(clay, size=480, azimuth=radians(20), transparent=True),
        render_preview(textured, size=480, azimuth=radians(20), transparent=True),
        walking[1],
    ]
    for number, tile in enumerate(tiles):
        middle = round(wide * (number + 0.5) / len(tiles))
        top, left = (high - tile.shape[0]) // 2, middle - tile.shape[1] // 2
        first, last = max(left, 0), min(left + tile.shape[1], wide)
        part = tile[:, first - left : last - left]
        under = image[top : top + len(tile), first:last]
        image[top : top + len(tile), first:last] = part[..., :3] * part[..., 3:] + under * (1 - part[..., 3:])
    return Image.fromarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8))


def write_jpeg(image: Image.Image, path: Path) -> None:
    """Write the picture."""
    data = io.BytesIO()
    image.save(data, "JPEG", quality=QUALITY, optimize=True)
    path.write_bytes(data.getvalue())


def main(names: Sequence[str]) -> None:
    """Write all pictures, or those of the nodes that are named."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    elf = Stages(ELF)
    for name, draw in list_pictures(elf).items():
        if not names or name in names:
            write_jpeg(draw(), PICTURES / f"{name}.jpg")
    if not names or "icon" in names:
        draw_icon(elf).save(REPOSITORY / "docs" / "pictures" / "icon.png", optimize=True)
    if not names or "banner" in names:
        write_jpeg(draw_banner(elf), REPOSITORY / "docs" / "pictures" / "banner.jpg")


if __name__ == "__main__":
    main(sys.argv[1:])
