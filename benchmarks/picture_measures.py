"""What pictures.py measures: cut-outs, side and back against true views, necks, stretch; and backgrounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Array = npt.NDArray[Any]

BACKGROUNDS = ("white", "grey", "street", "shelves")
_SIDE_ROWS, _BACK_ROWS = 512, 96
"""Rows to which silhouettes and colors are scaled before they are compared."""
_SHORTEST = 1e-3
"""Edges shorter than this share of the height count as so long: slivers stretch without being seen."""


def true_mask(truth: Mapping[str, Any], picture: Image.Image) -> Array:
    """The subject (H, W) bool: the picture's alpha, else the truth's outlines by the even-odd rule."""
    if truth["has_alpha"]:
        return np.asarray(picture.convert("RGBA"))[..., 3] >= 128
    mask = np.zeros(truth["size"][::-1], bool)
    for ring in truth["outline"]:
        plane = Image.new("1", truth["size"])
        ImageDraw.Draw(plane).polygon([tuple(point) for point in ring], fill=1, outline=1)
        mask ^= np.asarray(plane)
    return mask


def overlap(first: Array, second: Array) -> float:
    """Intersection over union of two masks of one size."""
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 0.0


def compose(picture: Image.Image, background: str, seed: int) -> Image.Image:
    """A picture with alpha on `background`; all but white carry a shadow of the subject on the ground."""
    rgba = picture.convert("RGBA")
    random = np.random.default_rng(seed)
    behind = {"white": _white, "grey": _grey, "street": _street, "shelves": _shelves}[background](
        rgba.size, random
    )
    if background != "white":
        behind = _darken(behind, rgba)
    behind.paste(rgba, (0, 0), rgba)
    return behind


def _white(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    return Image.new("RGB", size, "white")


def _grey(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """A studio wall: brighter in the middle, with the noise of a camera."""
    x, y = np.meshgrid(*(np.linspace(-1, 1, side) for side in size))
    wall = 205 - 45 * np.hypot(x, y - 0.2)[..., None] + random.normal(0, 2, (size[1], size[0], 1))
    return Image.fromarray(np.clip(wall + np.array((0, 1, 4)), 0, 255).astype(np.uint8))


def _street(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Bricks, windows and a pavement."""
    width, height = size
    picture = Image.new("RGB", size, tuple(int(c) for c in random.integers(90, 150, 3)))
    draw = ImageDraw.Draw(picture)
    brick = max(height // 28, 4)
    base = random.integers((110, 50, 40), (180, 110, 90))
    for row in range(0, height, brick):
        for column in range(-brick * 3, width, brick * 3):
            left = column + (row // brick % 2) * brick * 3 // 2
            color = tuple(int(c) for c in np.clip(base + random.normal(0, 14, 3), 0, 255))
            draw.rectangle((left, row, left + brick * 3 - 2, row + brick - 2), fill=color)
    for left in random.integers(0, width, 2):
        window = (int(left), height // 8, int(left) + width // 4, height // 2)
        draw.rectangle(window, fill=(40, 50, 60), outline=(200, 200, 190), width=max(width // 90, 2))
    draw.rectangle((0, int(0.86 * height), width, height), fill=(150, 148, 144))
    for column in range(0, width, width // 6):
        draw.line((column, int(0.86 * height), column - width // 9, height), fill=(110, 108, 104), width=2)
    return picture.filter(ImageFilter.GaussianBlur(width / 500))


def _shelves(size: tuple[int, int], random: np.random.Generator) -> Image.Image:
    """Boards with rows of coloured boxes on them."""
    width, height = size
    picture = Image.new("RGB", size, (70, 55, 45))
    draw = ImageDraw.Draw(picture)
    step = height // 5
    for top in range(0, height, step):
        left = 0
        while left < width:
            wide = int(random.integers(width // 30, width // 9))
            tall = int(random.integers(step // 2, step - 8))
            color = tuple(int(c) for c in random.integers(20, 235, 3))
            draw.rectangle((left, top + step - 8 - tall, left + wide - 2, top + step - 8), fill=color)
            draw.line((left + wide // 2, top + step - tall, left + wide // 2, top + step - 16), fill="white")
            left += wide
        draw.rectangle((0, top + step - 8, width, top + step), fill=(150, 115, 80))
    return picture.filter(ImageFilter.GaussianBlur(width / 400))


def _darken(behind: Image.Image, rgba: Image.Image) -> Image.Image:
    """The shadow that the subject throws to the side on the ground."""
    alpha = np.asarray(rgba)[..., 3] >= 128
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    height, ground, middle = np.ptp(rows) + 1, rows[-1], columns.mean()
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    up = (ground - y) / 0.22
    source_y, source_x = np.round(ground - np.abs(up)).astype(int), np.round(x - 0.5 * up).astype(int)
    inside = (source_x >= 0) & (source_x < alpha.shape[1]) & (source_y >= 0) & (up >= -0.1 * height)
    shadow = np.zeros(alpha.shape, np.float32)
    shadow[inside] = alpha[source_y[inside], source_x[inside]]
    across, along = (x - middle) / (0.5 * np.ptp(columns) + 1), (y - ground) / (0.03 * height)
    contact = np.exp(-(across**2) - along**2)
    dark = Image.fromarray((255 * np.clip(0.4 * shadow + 0.35 * contact, 0, 1)).astype(np.uint8))
    dark = dark.filter(ImageFilter.GaussianBlur(float(height) / 90))
    return Image.composite(Image.new("RGB", behind.size, (25, 25, 35)), behind, dark)


def scale_to_height(count: int, mask: Array, *planes: Array) -> list[Array]:
    """The mask, and (H, W, C) planes with it, cut to the mask's box and scaled to `count` rows."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    size = (max(round(count * float(np.ptp(columns) + 1) / float(np.ptp(rows) + 1)), 1), count)
    scaled = [np.asarray(Image.fromarray(np.uint8(mask[window]) * 255).resize(size)) >= 128]
    for plane in planes:
        picture = Image.fromarray(np.uint8(np.round(255 * plane[window])))
        scaled.append(np.asarray(picture.resize(size), np.float32) / 255)
    return scaled


def compare_sides(made: Array, true: Array) -> tuple[float, float]:
    """IoU of two silhouettes of one height on one ground, and the share of the true depth that was made.

    Where zero lies along the depth is not known from a picture, so the best shift counts. The depth is the
    median over the rows of the made extent divided by the true one.
    """
    (made,), (true,) = scale_to_height(_SIDE_ROWS, made), scale_to_height(_SIDE_ROWS, true)
    width = made.shape[1] + true.shape[1]
    wide = np.pad(true, ((0, 0), (made.shape[1], made.shape[1])))
    best = 0.0
    for shift in range(0, width, 2):
        moved = np.zeros_like(wide)
        moved[:, shift : shift + made.shape[1]] = made
        best = max(best, overlap(moved, wide))
    extents = [_row_extents(mask) for mask in (made, true)]
    both = (extents[0] > 0) & (extents[1] > 0)
    return best, float(np.median(extents[0][both] / extents[1][both]))


def _row_extents(mask: Array) -> Array:
    """From the first to the last pixel of each row, (H,)."""
    first, last = mask.argmax(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    return np.where(mask.any(axis=1), last - first, 0)


def compare_colors(made: tuple[Array, Array], true: tuple[Array, Array], to_lab: Any) -> float:
    """Mean difference (CIE 1976) where both views, mask (H, W) and sRGB (H, W, 3), show the subject.

    Both boxes are laid on each other.
    """
    made_mask, made_rgb = scale_to_height(_BACK_ROWS, *made)
    seen, true_rgb = scale_to_height(_BACK_ROWS, *true)
    size = seen.shape[::-1]
    made_rgb = np.asarray(Image.fromarray(np.uint8(255 * made_rgb)).resize(size), np.float32) / 255
    both = seen & np.asarray(Image.fromarray(made_mask).resize(size))
    return float(np.linalg.norm(to_lab(made_rgb[both]) - to_lab(true_rgb[both]), axis=1).mean())


def measure_stretch(positions: Array, faces: Array, poses: Iterable[Array]) -> float:
    """99.9th percentile over the edges of the most that each is stretched in any pose, as a factor."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    edges = np.unique(edges, axis=0)
    floor = _SHORTEST * float(np.ptp(positions[:, 1]))
    lengths = np.maximum(_edge_lengths(positions, edges), floor)
    worst = np.ones(len(edges))
    for pose in poses:
        worst = np.maximum(worst, np.maximum(_edge_lengths(pose, edges), floor) / lengths)
    return float(np.percentile(worst, 99.9))


def _edge_lengths(positions: Array, edges: Array) -> Array:
    return np.linalg.norm(positions[edges[:, 0]] - positions[edges[:, 1]], axis=1)


def distance_to_segment(point: Sequence[float], start: Array, end: Array) -> float:
    """From a point (2,) to the segment between two others."""
    along, offset = end - start, np.asarray(point, float) - start
    share = np.clip(offset @ along / max(float(along @ along), 1e-12), 0.0, 1.0)
    return float(np.linalg.norm(offset - share * along))


def place_mesh(positions: Array, box: Sequence[float]) -> tuple[float, Array]:
    """Scale and shift (2,) that take x and -y of a mesh to pixels: its top and its middle lie on the box's.

    box: left, top, right, bottom of the subject in the picture. The scale is that of the widths or of the
    heights, whichever is larger: a figure that was completed below is taller than its picture.
    """
    low, high = positions.min(axis=0), positions.max(axis=0)
    left, top, right, bottom = box
    scale = max((right - left) / (high[0] - low[0]), (bottom - top) / (high[1] - low[1]))
    middle = (low[0] + high[0]) / 2
    return float(scale), np.array(((left + right) / 2 - scale * middle, top + scale * high[1]))
