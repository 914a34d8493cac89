"""Minimum cuts of a picture's graph of neighboring pixels.

Y. Boykov, M.-P. Jolly, "Interactive Graph Cuts for Optimal Boundary & Region Segmentation", ICCV 2001.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from ..types import BoolArray, FloatArray, IntArray

_SMOOTHNESS = 8.0
_CAPACITY_SCALE = 100.0
FIXED = 1000.0
"""Log ratio of pixels that a cut must not change."""


def recut_band(
    lab: FloatArray, subject: BoolArray, band: BoolArray, ratio: FloatArray, smoothness: float = _SMOOTHNESS
) -> BoolArray:
    """Cut again inside `band` (H, W) only; outside it `subject` (H, W) is fixed.

    ratio: (N,) log odds that the N pixels of the band are subject. lab: (H, W, 3), L*a*b*.
    """
    if not band.any():
        return subject
    rows, columns = (
        slice(max(0, line[0] - 1), line[-1] + 2)
        for line in (np.flatnonzero(band.any(axis=axis)) for axis in (1, 0))
    )
    odds = np.where(subject, np.float32(FIXED), np.float32(-FIXED))
    odds[band] = ratio
    result = subject.copy()
    among = ndimage.binary_dilation(band[rows, columns])
    pairs = link_neighbours(lab[rows, columns], among, smoothness)
    result[rows, columns] = solve_cut(odds[rows, columns], pairs)
    return result


def link_neighbours(
    lab: FloatArray, among: BoolArray | None = None, smoothness: float = _SMOOTHNESS
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Both ends and the contrast-dependent weight of each pair of 8-neighbours inside `among`."""
    height, width = lab.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    firsts, seconds, lengths = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        rows, rows_to = slice(0, height - down), slice(down, height)
        columns = slice(max(0, -right), width - max(0, right))
        columns_to = slice(max(0, right), width + min(0, right))
        first, second = index[rows, columns].ravel(), index[rows_to, columns_to].ravel()
        if among is not None:
            kept = among.ravel()[first] & among.ravel()[second]
            first, second = first[kept], second[kept]
        firsts.append(first)
        seconds.append(second)
        lengths.append(np.full(len(first), np.hypot(down, right), dtype=np.float32))
    first, second, flat = np.concatenate(firsts), np.concatenate(seconds), lab.reshape(-1, 3)
    square = ((flat[first] - flat[second]) ** 2).sum(axis=1)
    weight = np.exp(-square / max(2 * float(square.mean()), 1e-6)) / np.concatenate(lengths)
    return first, second, smoothness * weight


def solve_cut(ratio: FloatArray, pairs: tuple[FloatArray, FloatArray, FloatArray]) -> BoolArray:
    """Label (H, W) that minimises the sum of -ratio over the subject plus the weights of cut pairs."""
    first, second, weight = pairs
    flat = (ratio.ravel() * _CAPACITY_SCALE).astype(np.int32)
    # Only linked pixels become nodes; the others need no cut.
    linked = np.zeros(flat.size, dtype=bool)
    linked[first] = linked[second] = True
    node = np.cumsum(linked) - 1
    labels = flat > 0
    labels[linked] = _cut_graph(
        flat[linked], node[first], node[second], (weight * _CAPACITY_SCALE).astype(np.int32)
    )
    return labels.reshape(ratio.shape)


def _cut_graph(gain: IntArray, first: IntArray, second: IntArray, link: IntArray) -> BoolArray:
    """Return the minimum cut: gains (N,) above 0 are capacities from the source, others to the sink."""
    source, sink = gain.size, gain.size + 1
    winners, losers = np.flatnonzero(gain > 0), np.flatnonzero(gain < 0)
    tail = np.concatenate([first, second, np.full(len(winners), source), losers])
    head = np.concatenate([second, first, winners, np.full(len(losers), sink)])
    capacity = np.concatenate([link, link, gain[winners], -gain[losers]])
    graph = sparse.csr_matrix((capacity, (tail, head)), shape=(sink + 1, sink + 1))
    residual = graph - maximum_flow(graph, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    labels = np.zeros(gain.size + 2, dtype=bool)
    labels[reached] = True
    return labels[: gain.size]
