"""Take the light out of a picture: colors of the surface, without shading and shadows.

What changes slowly in a picture is light, what changes at once is paint (Retinex: Land and McCann 1971; Horn
1974, Determining Lightness from an Image). Two things make that safe here. The mesh gives normals: a light
of low order (Ramamoorthi and Hanrahan 2001, An Efficient Representation for Irradiance Environment Maps) is
fitted to the logarithm of the luminance within areas of one color, and if it explains little of it, the
picture was painted without light and stays as it is. And what it does not explain, such as shadows, is found
by one sparse system, in which neighbors of one color differ by light alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import spsolve

from ..boxes import find_box
from ..cameras import build_six_view_rig
from ..color import linear_to_srgb, srgb_to_linear
from ..device import CPU
from ..errors import MeshError, PictureError
from ..mesh.topology import label_components
from ..types import BoolArray, CameraRig, Float64Array, FloatArray, FramedPicture, Int64Array, Mesh
from .alignment import map_box
from .maps import render_view_maps
from .masked_images import blur_masked, enlarge, extend_color, shrink

_LUMINANCE = np.array((0.2126, 0.7152, 0.0722), np.float32)
_WORKING_SIDE = 384
"""Pixels along a side at which light is looked for."""
_BLUR = 0.8
_DARKEST = 0.01
"""Added to linear light before its logarithm: below it, there is noise only."""
_DARK = 0.02
"""Luminance that is trusted half as much as that of a light color."""
_SAME_CHROMA, _SAME_LIGHTNESS = 0.08, 0.2
"""Differences of logarithms at which neighbors have one color with a weight of 1/e."""
_COLORFUL = 1.5
"""How much larger a step of lightness may be between colors than between grays: it is rarely paint."""
_LEAST_AREA = 30
_RIDGE, _OUTLIER, _FITS = 0.02, 0.15, 6
_JOIN, _HOLD = 0.01, 0.001
"""How much neighbors of two colors share their light, and how much it keeps to the fitted one."""
_LEAST_LIGHT, _LEAST_EXPLAINED, _LEAST_FOLLOWED = (0.03, 0.07), (0.1, 0.25), (0.02, 0.06)
"""Deviation of the fitted light's logarithm, share of the variance that it explains, and how much luminance
changes between neighbors where it does: below the first of two numbers there is no light, from the second on
there is. A step between two grays is explained by light, too, but changes nothing beside it."""
_LIT = 0.95
"""The quantile of light that keeps its brightness."""
_LARGEST_GAIN, _SMALLEST_GAIN = 3.0, 0.67
_WHITE = 0.05
"""Share of the subject that may become as light as white is; all is darkened until it is no more."""


@dataclass(frozen=True, eq=False)
class DelitPicture:
    """color: (S, S, 3) float32 sRGB. shading: (S, S) float32, the linear light that was divided out.

    certainty: 0..1, how surely the picture was lit; at 0 the color is that of the picture.
    """

    color: FloatArray
    shading: FloatArray
    certainty: float


class _Pixels(NamedTuple):
    """The subject: logarithm of luminance (P,), chroma (P, 3), trust (P,) and the basis of light (P, 8)."""

    luminance: FloatArray
    chroma: FloatArray
    trust: FloatArray
    basis: FloatArray


class _Links(NamedTuple):
    """Neighbors: the numbers of two pixels (L,) each, and how surely they have one color (L,) 0..1."""

    one: Int64Array
    two: Int64Array
    weight: FloatArray

    def subtract(self, values: FloatArray) -> FloatArray:
        """Differences (L, …) of values (P, …)."""
        return values[self.two] - values[self.one]


def delight_picture(picture: FramedPicture, mesh: Mesh, *, device: torch.device = CPU) -> DelitPicture:
    """Estimate the colors of a picture under even white light; `mesh` is its shape, facing the viewer.

    Hue stays, and what is lit most keeps its brightness. Raises PictureError without a subject, MeshError
    without a silhouette.
    """
    if not picture.mask.any():
        raise PictureError("the picture has no subject: expected alpha of one half or more somewhere")
    factor = max(1, round(len(picture.mask) / _WORKING_SIDE))
    light = srgb_to_linear(picture.rgba[..., :3])
    share = shrink(picture.mask[..., None].astype(np.float32), factor)
    mask = share[..., 0] >= 0.5
    means = shrink(light * picture.mask[..., None], factor) / np.maximum(share, 1e-6)
    small, _ = blur_masked(means, mask, _BLUR)
    pixels = _describe(small[mask], _look_at(mesh, mask, device)[mask])
    links = _link(pixels, mask)
    factors, certainty = _fit_light(pixels, links)
    lit = pixels.basis @ factors
    lit = lit + _find_shadows(pixels.luminance - lit, links)
    logarithm = np.zeros((*mask.shape, 1), np.float32)
    logarithm[mask, 0] = certainty * (lit - np.quantile(lit, _LIT))
    whole = enlarge(extend_color(logarithm, mask), picture.mask.shape)
    shading = np.exp(whole).clip(1 / _LARGEST_GAIN, 1 / _SMALLEST_GAIN)
    brightest = light.max(axis=-1, keepdims=True)
    shading *= max(1.0, float(np.quantile((brightest / shading)[picture.mask], 1 - _WHITE)))
    shading = np.where(picture.mask[..., None], np.maximum(shading, brightest), 1.0)  # or hue would change
    color = linear_to_srgb(light / shading) if certainty else picture.rgba[..., :3]
    return DelitPicture(color, shading[..., 0].astype(np.float32), certainty)


def _look_at(mesh: Mesh, mask: BoolArray, device: torch.device) -> FloatArray:
    """Normals (S, S, 3) of the mesh's front, laid on the subject's box."""
    rig = CameraRig(build_six_view_rig(mesh).cameras[:1])
    maps = render_view_maps(mesh, rig, len(mask), device=device)
    seen = maps.mask[0]
    if not seen.any():
        raise MeshError("the front view of the mesh is empty: expected a silhouette")
    normals = map_box(extend_color(maps.normal[0], seen), find_box(seen), find_box(mask), len(mask))
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)


def _describe(light: FloatArray, normals: FloatArray) -> _Pixels:
    luminance, logarithm = light @ _LUMINANCE, np.log(light + _DARKEST)
    x, y, z = normals.T
    basis = np.stack((x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1), axis=1)
    chroma = logarithm - logarithm.mean(axis=1, keepdims=True)
    return _Pixels(np.log(luminance + _DARKEST), chroma, luminance / (luminance + _DARK), basis)


def _link(pixels: _Pixels, mask: BoolArray) -> _Links:
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(mask.sum())
    pairs = [(number[:-1], number[1:]), (number[:, :-1], number[:, 1:])]
    one, two = (np.concatenate([pair[end].ravel() for pair in pairs]) for end in (0, 1))
    both = (one >= 0) & (two >= 0)
    links = _Links(one[both], two[both], np.ones(both.sum()))
    ends = links.one, links.two
    strength = np.minimum(*(np.linalg.norm(pixels.chroma[end], axis=1) for end in ends)).clip(max=1)
    lightness = links.subtract(pixels.luminance) / (_SAME_LIGHTNESS * (1 + _COLORFUL * strength))
    chroma = np.linalg.norm(links.subtract(pixels.chroma), axis=1) / _SAME_CHROMA
    trust = np.minimum(*(pixels.trust[end] for end in ends))
    return links._replace(weight=np.exp(-(lightness**2) - chroma**2) * trust)


def _fit_light(pixels: _Pixels, links: _Links) -> tuple[Float64Array, float]:
    """Factors (8,) of the basis, by least squares that weigh outliers down, and how sure they are, 0..1."""
    strong = links.weight > 0.5
    area = label_components((links.one[strong], links.two[strong]), len(pixels.luminance))
    trust = pixels.trust * (np.bincount(area) >= _LEAST_AREA)[area]
    values = np.concatenate((pixels.basis, pixels.luminance[:, None]), axis=1).astype(np.float64)
    weight, factors = trust, np.zeros(values.shape[1] - 1)
    if not trust.any():
        return factors, 0.0
    for _ in range(_FITS):
        total = np.bincount(area, weight).clip(1e-9)
        means = np.stack([np.bincount(area, weight * column) / total for column in values.T], axis=1)
        basis, target = np.split(values - means[area], [-1], axis=1)
        square = (basis * weight[:, None]).T @ basis + _RIDGE * weight.sum() * np.eye(len(factors))
        factors = np.linalg.solve(square, (basis * weight[:, None]).T @ target[:, 0])
        fitted = basis @ factors
        error = np.abs(target[:, 0] - fitted)
        used, weight = weight, trust / np.maximum(1, error / _OUTLIER)
    deviation = np.sqrt((trust * fitted**2).sum() / trust.sum())
    explained = 1 - (used * error**2).sum() / max((used * target[:, 0] ** 2).sum(), 1e-9)
    expected, seen = (links.subtract(values) for values in (pixels.basis @ factors, pixels.luminance))
    followed = (links.weight * seen * expected).sum() / max((links.weight * expected**2).sum(), 1e-9)
    measured = (deviation, _LEAST_LIGHT), (explained, _LEAST_EXPLAINED), (followed, _LEAST_FOLLOWED)
    return factors, float(np.prod([_ramp(*value) for value in measured]))


def _ramp(value: float, limits: tuple[float, float]) -> float:
    share = np.clip((value - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return float(share * share * (3 - 2 * share))


def _find_shadows(rest: FloatArray, links: _Links) -> Float64Array:
    """The logarithm of light (P,) that the fitted one leaves, of what it leaves of the luminance (P,)."""
    count, stiff = len(rest), links.weight + _JOIN
    rows, columns = np.concatenate((links.one, links.two)), np.concatenate((links.two, links.one))
    across = sparse.coo_matrix((np.tile(stiff, 2), (rows, columns)), shape=(count, count)).tocsc()
    held = sparse.diags(np.asarray(across.sum(axis=1)).ravel() + _HOLD, format="csc")
    pull = links.weight * links.subtract(rest)
    right = np.bincount(links.two, pull, count) - np.bincount(links.one, pull, count)
    return np.asarray(spsolve(held - across, right))
