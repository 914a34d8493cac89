"""The method `projection`: six views from pictures and the mesh, without a learned model."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch

from ..device import CPU
from ..figure import Figure
from ..progress import Progress, ignore_progress, span_progress
from ..types import BoolArray, FloatArray, FramedPicture, Mesh, ViewImages, ViewMaps
from .alignment import FrontCanvas, align_picture
from .back_view import BackCanvas, synthesize_back_view
from .figure_layout import lay_out_figure
from .masked_images import dilate_mask, erode_mask, extend_color, sample_bilinear
from .side_colors import sample_sides
from .side_pictures import SideCanvas, align_sides
from .vertex_colors import (
    BACK,
    FRONT,
    Layers,
    color_vertices,
    is_visible,
    locate_pixels,
    mix_beside,
    render_colors,
    trust_angle,
)

METHOD = "projection"
_MATCHING_OVERLAP = 0.8
_MARGIN = 0.01
"""How far a view's colors extend beyond its mask, as a share of the side."""
_BACKGROUND = 0.5


def synthesize_views(
    mesh: Mesh,
    picture: FramedPicture,
    maps: ViewMaps,
    *,
    sides: Mapping[str, FramedPicture] = MappingProxyType({}),
    figure: Figure | None = None,
    seed: int = 0,
    device: torch.device = CPU,
    progress: Progress = ignore_progress,
) -> ViewImages:
    """Synthesize the views of `maps` (front, left, back, right, top, bottom) from one picture or several.

    sides: further pictures of the character, by name of the view that each shows. A view with a picture is
    that picture, aligned with the mesh's silhouette. Left or right without one is the other's mirror image
    where the front is symmetric. A back without one is the front's mirror image, with the face and other
    details of the front replaced. The other views diffuse colors along the surface. `seed` affects invented
    detail only. Raises PictureError without a subject, MeshError without a silhouette.

    Vertex colors are rendered on `device`; the picture is analyzed on the CPU.
    """
    progress(0.0)
    rng = np.random.default_rng(seed)
    canvas = align_picture(picture, maps.mask[FRONT])
    beside = align_sides(canvas, sides, maps)
    progress(0.05)
    layout = lay_out_figure(figure, picture.mask, canvas.mask)
    if BACK in beside:
        back = BackCanvas(beside.pop(BACK).color[:, ::-1], np.zeros_like(canvas.mask))
    else:
        back = synthesize_back_view(canvas, layout, rng, span_progress(progress, 0.05, 0.5))
    views = _paint_views(mesh, maps, canvas, back, beside, device, span_progress(progress, 0.5, 1.0))
    progress(1.0)
    metrics = {
        "front_overlap": canvas.overlap,
        "replaced_share": float(back.replaced.sum() / max(1, canvas.mask.sum())),
        "head_found": float(layout.head.any()),
    }
    return ViewImages(maps.rig, views, maps.mask.astype(np.float32), METHOD, _find_mismatch(canvas), metrics)


def _find_mismatch(canvas: FrontCanvas) -> tuple[str, ...]:
    """A warning if the silhouettes of picture and mesh differ."""
    if canvas.overlap >= _MATCHING_OVERLAP:
        return ()
    return (
        f"the picture and the mesh do not match: their front silhouettes overlap by "
        f"{canvas.overlap:.0%}, expected at least {_MATCHING_OVERLAP:.0%}",
    )


def _paint_views(
    mesh: Mesh,
    maps: ViewMaps,
    canvas: FrontCanvas,
    back: BackCanvas,
    beside: Mapping[int, SideCanvas],
    device: torch.device,
    progress: Progress,
) -> FloatArray:
    layers = Layers(
        _drop_rim(canvas.color, canvas.mask),
        _drop_rim(back.color, canvas.mask),
        {view: (_drop_rim(side.color, maps.mask[view]), side.share) for view, side in beside.items()},
    )
    colors = color_vertices(mesh, maps, layers)
    progress(0.3)
    views = np.empty((*maps.mask.shape, 3), dtype=np.float32)
    for view in range(len(maps.rig)):
        if view == FRONT:
            views[view] = canvas.color
        elif view == BACK:
            views[view] = extend_color(back.color, canvas.mask)[:, ::-1]
        else:
            views[view] = _show_or_paint(mesh, maps, view, beside.get(view), layers, colors, device)
        views[view] = _fill_background(views[view], maps.mask[view])
        progress(0.3 + 0.7 * (view + 1) / len(maps.rig))
    return views


def _show_or_paint(
    mesh: Mesh,
    maps: ViewMaps,
    view: int,
    side: SideCanvas | None,
    layers: Layers,
    colors: FloatArray,
    device: torch.device,
) -> FloatArray:
    """The view's picture (S, S, 3) in the rows that it shows; painted in the others."""
    if side is None:
        return _paint_around(mesh, maps, view, layers, colors, device)
    if side.share.min() == 1:
        return side.color
    painted = _paint_around(mesh, maps, view, layers, colors, device)
    return np.asarray(painted + (side.color - painted) * side.share[:, None, None])


def _fill_background(color: FloatArray, mask: BoolArray) -> FloatArray:
    """Make the background gray, except for a margin around the mask that filters may read."""
    near = dilate_mask(mask, _MARGIN * len(mask))
    return np.where(near[..., None], color, np.float32(_BACKGROUND))


def _drop_rim(color: FloatArray, mask: BoolArray) -> FloatArray:
    """Replace the outermost pixels, often an outline or mixed with the background, by the color inside."""
    inner = erode_mask(mask, 4.5 * len(mask) / 768)
    return extend_color(color, inner if inner.any() else mask)


def _paint_around(
    mesh: Mesh,
    maps: ViewMaps,
    view: int,
    layers: Layers,
    colors: FloatArray,
    device: torch.device,
) -> FloatArray:
    """Paint a view other than front and back, (S, S, 3); its colors are extended beyond the mask.

    colors: (V, 3) of the vertices, for what no layer sees.
    """
    front, back = layers.front, layers.back
    side, mask = len(front), maps.mask[view]
    points, normals = maps.position[view][mask], maps.normal[view][mask]
    x, y, _ = locate_pixels(maps.rig.cameras[FRONT], points, side)
    in_front, behind = is_visible(maps, FRONT, points), is_visible(maps, BACK, points)
    from_front = (trust_angle(normals[:, 2]) * in_front)[:, None]
    from_back = (trust_angle(-normals[:, 2]) * behind)[:, None]
    around = render_colors(mesh, maps.rig.cameras[view], colors, side, device)[mask]
    sides = sample_sides(back, maps.mask[FRONT], x, y, normals)
    around = np.where((in_front | behind)[:, None], sides, around)
    around, _ = mix_beside(maps, layers.beside, points, normals, around)
    front_part = from_front * sample_bilinear(front, x, y)
    blend = front_part + from_back * sample_bilinear(back, x, y) + (1 - from_front - from_back) * around
    painted = np.zeros((side, side, 3), dtype=np.float32)
    painted[mask] = np.clip(blend, 0.0, 1.0)
    return extend_color(painted, mask)
