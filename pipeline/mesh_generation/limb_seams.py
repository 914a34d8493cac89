"""Open the silhouette where limbs touch: arms along the trunk, and the legs along each other.

Each seam is the cheapest path from row to row between two limbs' middle lines: along edges of the picture,
and near where the limb would end if it were symmetric about its middle line. Avidan and Shamir, "Seam carving
for content-aware image resizing", ACM Transactions on Graphics 2007, find such paths in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ..figure import PARTS, Figure
from ..types import BoolArray, Float64Array, FloatArray, Int64Array
from .silhouette import Silhouette

_GAP = 1
"""Cells cleared on either side of a seam."""
_MIN_TRUST = 0.4
_ARM_RADIUS, _LEG_RADIUS = (0.008, 0.085), (0.015, 0.13)
"""Least and largest half width of a limb, as shares of the height."""
_MIN_LENGTH = 0.06
"""Shortest seam, as a share of the height: shorter contacts are no trouble."""
_ARMPIT, _CROTCH = 0.25, 0.12
"""Where a seam begins at the latest: shares of the upper arm and the thigh."""
_STEEP = 0.8
"""Columns a row: an arm that is flatter stands away from the trunk."""
_EDGE_GAIN, _AWAY_COST, _FREE, _FORBIDDEN = 6.0, 0.6, 0.02, 1e3
_SMOOTH = 2.5
"""Rows over which a seam is smoothed."""
_STEP = 2
"""Columns that a seam moves from row to row at most."""
_WINDOW, _MIN_EDGE = 0.03, 0.2
"""Share of the height over which an edge is looked for; gradient of lightness from which it is one."""
_CLOTHES = PARTS.index("clothes")


class _Band(NamedTuple):
    """rows: (R,). low, high: (R,) columns between which the seam runs. wanted: (R,) where it is expected."""

    rows: Int64Array
    low: Float64Array
    high: Float64Array
    wanted: Float64Array


def open_seams(silhouette: Silhouette, figure: Figure) -> Silhouette:
    """Return the silhouette with gaps between limbs that lie side by side; hidden and crossed ones stay."""
    alpha = silhouette.alpha.copy()
    light = ndimage.gaussian_filter(silhouette.lightness, 1.0)
    edge = np.hypot(ndimage.sobel(light, axis=0), ndimage.sobel(light, axis=1))
    bands = [_find_arm(silhouette, figure, side) for side in ("left", "right")]
    for band in (*bands, _find_legs(silhouette, figure)):
        if band is None:
            continue
        path = _find_path(silhouette, edge, band)
        start = _find_start(silhouette, edge, band.rows, path)
        if len(path) - start < _MIN_LENGTH * silhouette.height:
            continue
        for row, column in zip(band.rows[start:], path[start:], strict=True):
            alpha[row, max(0, column - _GAP) : column + _GAP + 1] = 0.0
    return silhouette._replace(alpha=alpha)


def _trace(points: list[Float64Array], rows: Int64Array) -> Float64Array:
    """Columns of the line through points that go down, at `rows`."""
    line = np.array(points)
    return np.interp(rows, line[:, 1], line[:, 0])


def _is_trusted(figure: Figure, *names: str) -> bool:
    return all(figure.trust(name) >= _MIN_TRUST for name in names)


def _find_arm(silhouette: Silhouette, figure: Figure, side: str) -> _Band | None:
    """Where the seam between a hanging arm and the trunk runs, from the armpit to the fingertips."""
    names = [f"{side}_{name}" for name in ("shoulder", "elbow", "wrist", "hand")]
    if not _is_trusted(figure, *names[:3]):
        return None
    shoulder, elbow, wrist, hand = (silhouette.locate(figure[name]) for name in names)
    if not shoulder[1] < elbow[1] < wrist[1]:
        return None
    tip = max(hand[1], wrist[1])
    middle = (silhouette.locate(figure["neck"]) + silhouette.locate(figure["pelvis"])) / 2
    outward = 1.0 if wrist[0] > middle[0] else -1.0
    inside = silhouette.inside
    rows = np.arange(
        int(shoulder[1] + _ARMPIT * (elbow[1] - shoulder[1])), int(min(tip + 2, len(inside) - 1))
    )
    points = [shoulder, elbow, wrist] + ([hand] if hand[1] > wrist[1] else [])
    arm = _trace(points, rows)
    radius = _reach_outside(inside, rows, arm, outward)
    least, most = (share * silhouette.height for share in _ARM_RADIUS)
    beside = (radius >= least) & (radius <= most) & (outward * (arm - middle[0]) > 2 * least)
    beside &= np.abs(np.gradient(arm)) < _STEEP if len(rows) > 1 else False
    chosen = _last_run(beside)
    rows, arm, radius = rows[chosen], arm[chosen], radius[chosen]
    if not len(rows):
        return None
    radius = ndimage.median_filter(radius, size=min(len(radius), 15), mode="nearest")
    wanted, far = arm - outward * radius, arm - outward * np.minimum(2.2 * radius, most)
    near = arm - outward * 0.45 * radius
    return _Band(rows, np.minimum(near, far), np.maximum(near, far), wanted)


def _find_legs(silhouette: Silhouette, figure: Figure) -> _Band | None:
    """Where the seam between the legs runs, from the crotch to the ground; clothes over them stay whole."""
    chains = [[f"{side}_{name}" for name in ("hip", "knee", "ankle")] for side in ("left", "right")]
    if not all(_is_trusted(figure, *chain[1:]) for chain in chains):
        return None
    left, right = ([silhouette.locate(figure[name]) for name in chain] for chain in chains)
    if any(not hip[1] < knee[1] < ankle[1] for hip, knee, ankle in (left, right)):
        return None
    start = max(hip[1] + _CROTCH * (knee[1] - hip[1]) for hip, knee, _ in (left, right))
    rows = np.arange(int(start), int(silhouette.ground) + 1)
    one, two = _trace(left, rows), _trace(right, rows)
    least = 2 * _LEG_RADIUS[0] * silhouette.height
    beside = (np.abs(one - two) > least) & (np.sign(one - two) == np.sign(one[-1] - two[-1]))
    beside &= ~_is_covered(silhouette, figure, rows, (one + two) / 2)
    chosen = _last_run(beside)
    if not len(rows[chosen]) or rows[chosen][-1] < silhouette.ground - 0.08 * silhouette.height:
        return None
    rows, one, two = rows[chosen], one[chosen], two[chosen]
    low, high = np.minimum(one, two), np.maximum(one, two)
    inset = 0.2 * (high - low)
    return _Band(rows, low + inset, high - inset, (low + high) / 2)


def _is_covered(silhouette: Silhouette, figure: Figure, rows: Int64Array, columns: Float64Array) -> BoolArray:
    """Whether clothes that hang over both legs are at the places (R,)."""
    covers = silhouette.look_up(figure.parts, rows, columns) == _CLOTHES
    return ndimage.binary_closing(covers, iterations=2)


def _reach_outside(
    inside: BoolArray, rows: Int64Array, columns: Float64Array, outward: float
) -> Float64Array:
    """Distance (R,) from each place to the background on its outer side; 0 for places outside."""
    width = inside.shape[1]
    reach = np.zeros(len(rows))
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        start = int(np.clip(round(column), 0, width - 1))
        line = inside[row, start:] if outward > 0 else inside[row, start::-1]
        reach[number] = len(line) if line.all() else np.argmin(line)
    return reach


def _last_run(chosen: BoolArray) -> slice:
    """The lowest run of rows that are chosen, gaps of a few rows closed."""
    closed = ndimage.binary_closing(chosen, iterations=4)
    found = ndimage.find_objects(ndimage.label(closed)[0])
    return found[-1][0] if found else slice(0, 0)


def _find_path(silhouette: Silhouette, edge: FloatArray, band: _Band) -> Int64Array:
    """Columns (R,) of the cheapest path: background is free, edges are cheap, places far off are dear."""
    columns = np.arange(edge.shape[1])
    spread = np.maximum(0.5 * (band.high - band.low), 1.0)[:, None]
    away = ((columns - band.wanted[:, None]) / spread) ** 2
    cost = 1.0 / (1.0 + _EDGE_GAIN * edge[band.rows]) + _AWAY_COST * away
    cost = np.where(silhouette.inside[band.rows], cost, _FREE)
    outside = (columns < band.low[:, None]) | (columns > band.high[:, None])
    total = np.where(outside, _FORBIDDEN, cost)
    for row in range(1, len(total)):
        total[row] += ndimage.minimum_filter1d(total[row - 1], 2 * _STEP + 1, mode="nearest")
    path = np.zeros(len(total), dtype=np.int64)
    column = int(total[-1].argmin())
    for row in range(len(total) - 1, -1, -1):
        low = max(0, column - _STEP)
        column = low + int(total[row, low : column + _STEP + 1].argmin())
        path[row] = column
    return np.round(ndimage.gaussian_filter1d(path.astype(np.float64), _SMOOTH, mode="nearest")).astype(
        np.int64
    )


def _find_start(silhouette: Silhouette, edge: FloatArray, rows: Int64Array, path: Int64Array) -> int:
    """First row of the path from which the picture shows an edge or background along it."""
    shown = np.where(silhouette.inside[rows, path], edge[rows, path], 1.0)
    window = max(1, int(_WINDOW * silhouette.height))
    clear = ndimage.median_filter(shown, size=window, mode="nearest") >= _MIN_EDGE
    return int(np.argmax(clear)) if clear.any() else len(rows)
