"""Reads a body in its outline and colors: depths of the first and the last surface, landmarks and parts.

The network was trained on random figures alone (`training/`), made from CC0 bodies, hair and hats, painted so
differently that a drawing, a photograph and a rendering are one more kind of paint to it (domain
randomization, Tobin et al. 2017).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor

from ..types import BoolArray, FloatArray, IntArray
from .body_network import (
    HEAT_SIDE,
    SIDE,
    BodyNetwork,
    NetworkOutput,
    decode_landmarks,
    encode_colors,
    encode_hints,
    encode_outline,
)
from .figure import LANDMARKS, PARTS, mirrored_names
from .square import Square

MARGIN = 0.08
"""Free border around the subject's box, as a share of the square that the network sees."""
_COUNT = len(LANDMARKS)


@dataclass(frozen=True, eq=False)
class BodyReading:
    """Lengths are shares of the framed picture's side; depth points to the viewer, from the pelvis' joint.

    landmarks: (20, 3) float32, x, y, depth. confidence: (20,) float32, the probability that the landmark is
    within 5.5 % of the side of the subject's square. parts: (N, N) uint8 indices into PARTS. N is the side of
    the mask. surfaces: (4, 128, 128) as in NetworkOutput, square: what they show, inside: (N, N) bool, the
    mask; front, back and doubt are made of them when they are asked for.
    """

    landmarks: FloatArray
    confidence: FloatArray
    parts: IntArray
    surfaces: FloatArray
    square: Square
    inside: BoolArray

    @property
    def front(self) -> FloatArray:
        """(N, N) float32, depth of the nearest surface, NaN outside the mask."""
        return self._depths[0]

    @property
    def back(self) -> FloatArray:
        """(N, N) float32, depth of the farthest surface, NaN outside the mask."""
        return self._depths[1]

    @property
    def doubt(self) -> FloatArray:
        """(N, N) float32, the standard deviation that the network expects of both depths."""
        return self._depths[2]

    @functools.cached_property
    def _depths(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        return _map_surfaces(self.surfaces, self.square, self.inside)


@functools.lru_cache(maxsize=2)
def load_network(device: str = "cpu") -> BodyNetwork:
    """Read the weights beside this file, once for each device."""
    network = BodyNetwork()
    weights = load_file(Path(__file__).with_name("network.safetensors"))
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network.eval().to(device)


class BodyCrop(NamedTuple):
    """What the network sees of a picture; outline (2, 128, 128) and colors (3, 128, 128) are encoded.

    square: what they show. inside: (N, N) bool, the mask of the picture.
    """

    outline: Tensor
    colors: Tensor
    square: Square
    inside: BoolArray


def crop_body(mask: FloatArray, colors: FloatArray | None = None) -> BodyCrop:
    """Cut out what the network sees of a picture, for one or more calls of read_crop.

    mask: (S, S), 0..1, the framed outline. colors: (S, S, 3), 0..1; None if only the outline is known.
    """
    mask = np.asarray(mask, np.float32)
    square = _frame(mask)
    crop = _crop(mask, square)
    seen = torch.zeros(3, SIDE, SIDE) if colors is None else _crop_colors(colors, mask, crop, square)
    return BodyCrop(torch.from_numpy(encode_outline(crop)), seen, square, mask > 0.5)


def read_body(
    mask: FloatArray,
    hints: FloatArray | None = None,
    hint_confidence: FloatArray | None = None,
    device: torch.device | str = "cpu",
    *,
    colors: FloatArray | None = None,
) -> BodyReading:
    """Read the body of a picture that is read once: mask, colors as of crop_body, the rest of read_crop."""
    return read_crop(crop_body(mask, colors), hints, hint_confidence, device)


def read_crop(
    crop: BodyCrop,
    hints: FloatArray | None = None,
    hint_confidence: FloatArray | None = None,
    device: torch.device | str = "cpu",
) -> BodyReading:
    """Read the body that `crop` shows.

    hints: (20, 2) landmarks found by other means, shares of the picture's side; NaN or confidence 0 where
    none is. The network checks them against the picture. An empty mask gives landmarks of confidence 0.
    """
    square, inside, size = crop.square, crop.inside, len(crop.inside)
    points = np.full((_COUNT, 2), np.nan) if hints is None else np.asarray(hints)
    trust = np.ones(_COUNT) if hint_confidence is None else np.asarray(hint_confidence)
    known = np.isfinite(points).all(axis=1)
    points = (np.where(known[:, None], points, 0.5) * size - (square.left, square.top)) / square.side
    output = _run(crop, points, np.where(known, trust, 0), str(device))
    landmarks, confidence = (value[0].cpu().numpy() for value in decode_landmarks(output))
    landmarks = np.stack(
        [
            (landmarks[:, 0] * square.side + square.left) / size,
            (landmarks[:, 1] * square.side + square.top) / size,
            landmarks[:, 2] * square.side / size,
        ],
        axis=1,
    )
    parts = _map_parts(output.parts[0, 1:].argmax(dim=0).cpu().numpy() + 1, square, inside)
    certain = confidence if inside.any() else np.zeros_like(confidence)
    surfaces = output.surfaces[0].cpu().numpy()
    return BodyReading(landmarks.astype(np.float32), certain, parts, surfaces, square, inside)


@torch.inference_mode()
def _run(crop: BodyCrop, points: FloatArray, trust: FloatArray, device: str) -> NetworkOutput:
    """The mean of what the network makes of the picture and of its mirror image, as a batch of one."""
    outline, colors = crop.outline[None].to(device), crop.colors[None].to(device)
    hints, sure = (torch.tensor(value, dtype=torch.float32, device=device)[None] for value in (points, trust))
    swapped = mirrored_names(LANDMARKS)
    spots = encode_hints(hints, sure)
    outlines = torch.cat([outline, outline.flip(3)])
    mirrored = torch.cat([spots, spots[:, swapped].flip(3)])
    output = load_network(device)(outlines, mirrored, torch.cat([colors, colors.flip(3)]))
    heat = output.heat.log_softmax(dim=2)
    cells = heat[1:, swapped, :-1].unflatten(2, (HEAT_SIDE, HEAT_SIDE)).flip(3).flatten(2)
    other = torch.cat([cells, heat[1:, swapped, -1:]], dim=2)
    return NetworkOutput(
        (heat[:1] + other) / 2,
        _middle(output.depth, swapped),
        _middle(output.surfaces, [0, 1, 2, 3]),
        _middle(output.parts.log_softmax(dim=1), mirrored_names(PARTS)),
    )


def _middle(maps: Tensor, channels: list[int]) -> Tensor:
    """Mean of the first map and the second, whose channels and columns are mirrored."""
    return (maps[:1] + maps[1:, channels].flip(3)) / 2


def _frame(mask: FloatArray) -> Square:
    """The subject's box, made square, and a margin around it; the whole picture where there is no subject."""
    rows, columns = (np.nonzero((mask > 0.5).any(axis=axis))[0] for axis in (1, 0))
    if not len(rows):
        return Square(0.0, 0.0, float(len(mask)))
    height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
    side = max(height, width) / (1 - 2 * MARGIN)
    return Square(columns[0] + (width - side) / 2, rows[0] + (height - side) / 2, float(side))


def _crop(mask: FloatArray, square: Square) -> FloatArray:
    """The square's share of the mask at the network's resolution; nothing beyond the mask's border."""
    step = square.side / SIDE
    smooth = ndimage.uniform_filter(mask, round(step)) if step >= 2 else mask
    places = (np.arange(SIDE) + 0.5) * step - 0.5
    grid = np.meshgrid(places + square.top, places + square.left, indexing="ij")
    return ndimage.map_coordinates(smooth, grid, order=1, mode="constant").astype(np.float32)


def _crop_colors(colors: FloatArray, mask: FloatArray, crop: FloatArray, square: Square) -> Tensor:
    """The same of colors (S, S, 3), encoded: (3, 128, 128). What is outside the mask does not count."""
    layers = [_crop(np.asarray(layer, np.float32) * mask, square) for layer in np.moveaxis(colors, 2, 0)]
    shown = torch.from_numpy(np.stack(layers) / np.maximum(crop, 1e-3))
    return encode_colors(shown[None], torch.from_numpy(crop)[None])[0]


def _map_surfaces(
    surfaces: FloatArray, square: Square, inside: BoolArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Front, back and doubt over the whole mask, in shares of its side."""
    size = len(inside)
    places = (np.arange(size) + 0.5) * SIDE / square.side - 0.5
    step = SIDE / square.side
    grid = np.meshgrid(places - square.top * step, places - square.left * step, indexing="ij")
    front, back, front_scale, back_scale = (
        ndimage.map_coordinates(layer, grid, order=1, mode="nearest") for layer in surfaces
    )
    middle = (front + back) / 2
    spread = np.sqrt(np.exp(2 * front_scale) + np.exp(2 * back_scale))  # a Laplace scale times the root of 2
    maps = (np.maximum(front, middle), np.minimum(back, middle), spread)
    front, back, doubt = (
        np.where(inside, values * square.side / size, np.nan).astype(np.float32) for values in maps
    )
    return front, back, doubt


def _map_parts(parts: IntArray, square: Square, inside: BoolArray) -> IntArray:
    """Nearest part of each pixel of the mask; background outside."""
    places = np.arange(len(inside)) + 0.5
    rows, columns = (
        np.clip((places - start) / square.side * len(parts), 0, len(parts) - 1).astype(int)
        for start in (square.top, square.left)
    )
    return np.where(inside, parts[np.ix_(rows, columns)], 0).astype(np.uint8)
