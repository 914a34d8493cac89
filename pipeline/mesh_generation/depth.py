"""Estimate how far the front and the back of a figure lie from the picture plane.

Each part (trunk with limbs, head, feet) is a depth interval over its own region of the picture;
the figure is their smooth union. Lengths are in cells of the silhouette's grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..types import BoolArray, FloatArray
from .ground import Ground
from .landmarks import Foot, Head, Landmarks
from .poisson import solve_roundness
from .silhouette import Silhouette, blur_inside, measure_local_thickness
from .silhouette_triangulation import Outline

_TRUNK_FLATNESS = 0.62
_HEAD_ROUNDING = 1.42
_FOOT_LENGTH = 2.5
"""In widths of the foot, within the bounds below."""
_FOOT_BOUNDS = (0.13, 0.165)
"""As shares of the figure's height."""
_RELIEF_SCALES = (0.003, 0.018)
_RELIEF_HEIGHT = 0.0045
_BACK_RELIEF = 0.2


class Depth(NamedTuple):
    """centre, front, back: (H, W); the figure fills centre - back .. centre + front."""

    centre: FloatArray
    front: FloatArray
    back: FloatArray


def estimate_depth(silhouette: Silhouette, outline: Outline, landmarks: Landmarks, ground: Ground) -> Depth:
    """Estimate the depth over `ground.extended` (H, W), the silhouette extended below the ground."""
    inside, height_above = ground
    thickness = blur_inside(measure_local_thickness(inside), inside, 0.012 * silhouette.height)
    body = _inflate_body(inside, outline, landmarks, thickness)
    trunk = _smoothstep(thickness / landmarks.torso_radius, 0.42, 0.8)
    front, back, centre = _apply_profile(body, trunk, height_above, landmarks, silhouette.height)
    if landmarks.head:
        front, back = _add_head(front, back, inside, outline, landmarks.head, silhouette.height)
    for foot in landmarks.feet:
        front, back, centre = _add_foot(front, back, centre, inside, foot, height_above, silhouette)
    relief = read_relief(silhouette, inside)
    below_head = height_above < landmarks.neck
    return Depth(centre, _emboss(front, relief), _emboss(back, _BACK_RELIEF * relief * below_head))


def _inflate_body(
    inside: BoolArray, outline: Outline, landmarks: Landmarks, thickness: FloatArray
) -> FloatArray:
    """Return the half depth (H, W) of trunk and limbs: limbs are round, wide parts flattened."""
    domain = inside if landmarks.head is None else inside & ~_split_head(inside, landmarks.head)[1]
    depth = np.sqrt(solve_roundness(domain, outline))
    flatten = 1.0 - (1.0 - _TRUNK_FLATNESS) * _smoothstep(thickness / landmarks.torso_radius, 0.38, 0.95)
    return depth * flatten


def _split_head(inside: BoolArray, head: Head) -> tuple[BoolArray, BoolArray]:
    """Return the head's region down to the jaw, and the part of it above the neck's own region.

    Raised hands are above the neck too, but are not connected to the head there.
    """
    row, column = np.mgrid[0 : inside.shape[0], 0 : inside.shape[1]].astype(np.float32)
    labels, _ = ndimage.label(inside & (row < head.neck))
    crown = labels[int(head.centre), int(head.column)]
    above = (labels == crown) & (crown > 0)
    across = np.abs(column - head.column)
    jaw = head.chin - 0.10 * across**2 / head.radius
    neck = across < 1.2 * head.neck_radius
    chin = inside & (row >= head.neck) & (row < jaw) & (across < head.neck_radius)
    return chin | (above & (~neck | (row < jaw))), above & ~(neck & (row > head.chin - 0.6 * head.radius))


def _add_head(
    front: FloatArray, back: FloatArray, inside: BoolArray, outline: Outline, head: Head, height: float
) -> tuple[FloatArray, FloatArray]:
    domain = _split_head(inside, head)[0]
    thickness = blur_inside(measure_local_thickness(domain), domain, 0.012 * height)
    rounding = 0.85 + (_HEAD_ROUNDING - 0.85) * _smoothstep(thickness / head.radius, 0.3, 0.85)
    depth = np.sqrt(solve_roundness(domain, outline)) * rounding
    return _join(front, depth), _join(back, 1.05 * depth)


def _join(one: FloatArray, two: FloatArray) -> FloatArray:
    """Smooth maximum of two depths; exact where either is 0."""
    blend = 0.35 * np.minimum(one, two) + 1e-6
    overlap = np.maximum(blend - np.abs(one - two), 0.0)
    return np.maximum(one, two) + overlap**2 / (4 * blend)


def _apply_profile(
    body: FloatArray, trunk: FloatArray, height_above: FloatArray, landmarks: Landmarks, height: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Give the side view human curves: chest and buttocks on the trunk, calves and knees on the legs."""
    crotch, neck = landmarks.crotch, landmarks.neck
    torso = neck - crotch
    chest = _bump(height_above, crotch + 0.68 * torso, 0.16 * torso)
    belly = _bump(height_above, crotch + 0.30 * torso, 0.20 * torso)
    seat = _bump(height_above, crotch + 0.10 * torso, 0.16 * torso)
    waist = _bump(height_above, crotch + 0.42 * torso, 0.12 * torso)
    front = body * (1 + trunk * (0.16 * chest + 0.04 * belly))
    back = body * (1 + trunk * (0.30 * seat - 0.10 * waist))
    marks = np.array([0.0, 0.33, 0.55, 0.85, 1.0]) * crotch
    heights = np.concatenate([marks, crotch + np.array([0.15, 0.42, 0.7, 0.95, 1.1]) * torso, [1.3 * height]])
    shift = np.array([-0.004, -0.013, -0.001, 0.004, 0.0, -0.004, 0.004, -0.002, -0.012, -0.006, 0.0])
    centre = np.interp(height_above, heights, shift * height)
    centre = ndimage.gaussian_filter1d(centre, 0.02 * height, axis=0, mode="nearest")
    return front, back, centre.astype(np.float32)


def _add_foot(
    front: FloatArray,
    back: FloatArray,
    centre: FloatArray,
    inside: BoolArray,
    foot: Foot,
    height_above: FloatArray,
    silhouette: Silhouette,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Extend one foot forward: a flat sole, a rounded toe, an instep that rises to the ankle."""
    first, last = foot.columns
    height_above = height_above[:, first:last]
    rows = inside[:, first:last] & (height_above < 1.6 * foot.ankle)
    if not rows.any():
        return front, back, centre
    window = (slice(None), slice(first, last))
    leg = float(np.percentile(front[window][rows], 90))
    least, most = (bound * silhouette.height for bound in _FOOT_BOUNDS)
    length = min(max(_FOOT_LENGTH * foot.width, least), most)
    reach = max(length - 2 * leg, leg)
    tau = np.clip(height_above / foot.ankle, 0.0, 1.0)
    across = _across_runs(inside[window])
    outline = np.clip(1 - np.abs(across) ** 2.6, 0.0, 1.0) ** (1 / 2.2)
    forward = (leg + reach * _foot_profile(tau)) * outline
    shift = 0.3 * reach * (1 - _smoothstep(height_above / foot.ankle, 0.0, 1.5))
    heel = 0.18 * leg * _bump(tau, 0.25, 0.3) * outline
    front, back, centre = front.copy(), back.copy(), centre.copy()
    low = rows & (height_above < foot.ankle)
    front[window] = np.where(low, np.maximum(front[window], forward - shift * outline), front[window])
    back[window] = np.where(rows, back[window] + shift * outline + heel, back[window])
    centre[window] = np.where(rows, centre[window] + shift, centre[window])
    return front, back, centre


def _foot_profile(tau: FloatArray) -> FloatArray:
    """Return the foot's forward reach, 0..1, at height tau: 0 at the sole, 1 at the ankle."""
    toe = 0.97 * np.clip(1 - (tau / 0.45) ** 3, 0.0, 1.0) ** (1 / 3)
    instep = 0.85 * (1 - tau) ** 1.1
    rounded_sole = 1 - 0.06 * np.clip(1 - tau / 0.12, 0.0, 1.0) ** 2
    return _join(toe, instep) * rounded_sole


def _across_runs(inside: BoolArray) -> FloatArray:
    """Return each cell's position across its row, -1 at the first cell inside and 1 at the last."""
    columns = np.arange(inside.shape[1])
    first = np.where(inside, columns, inside.shape[1]).min(axis=1)[:, None] - 0.5
    last = np.where(inside, columns, -1).max(axis=1)[:, None] + 0.5
    return (2 * columns - first - last) / np.maximum(last - first, 1.0)


def read_relief(silhouette: Silhouette, inside: BoolArray) -> FloatArray:
    """Return the apparent relief (H, W), in cells, of folds, seams and strands: darker is deeper.

    Only detail of 0.3 % to 2 % of the height counts; larger shades are color rather than shape.
    """
    light = np.zeros(inside.shape, dtype=np.float32)
    rows, columns = silhouette.lightness.shape
    light[:rows, :columns] = silhouette.lightness
    seen = np.zeros_like(inside)
    seen[:rows, :columns] = silhouette.inside
    fine, coarse = (blur_inside(light, seen, share * silhouette.height) for share in _RELIEF_SCALES)
    return np.where(seen, np.tanh((fine - coarse) / 0.12), 0.0) * (_RELIEF_HEIGHT * silhouette.height)


def _emboss(depth: FloatArray, relief: FloatArray) -> FloatArray:
    """Add relief where the figure is thick enough to carry it."""
    limit = np.abs(relief).max() + 1e-6
    return np.maximum(depth + relief * _smoothstep(depth / limit, 0.5, 6.0), 0.0)


def _bump(at: FloatArray, middle: float, width: float) -> FloatArray:
    return np.exp(-0.5 * ((at - middle) / width) ** 2)


def _smoothstep(value: FloatArray, low: float, high: float) -> FloatArray:
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)
