"""Nest bitmaps in a strip by bottom-left fill (survey: Bennell and Oliveira, "The geometry of nesting
problems", European Journal of Operational Research 2008).

Bitmaps are placed in the order of decreasing length, each at the lowest free position over all its quarter
turns, so that small ones fill concavities and holes of large ones. A position is free if every run of set
cells in the bitmap's rows falls on a run of free cells at least as long; one array comparison tests a run at
all positions of the strip.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...progress import Progress, ignore_progress
from ...types import BoolArray, Int64Array

_PROBES = 6
"""Runs of a bitmap that are tested at all positions; the others only where these fit."""
_FIRST_CHUNK, _LARGEST_CHUNK = 64, 4096
_ROWS_AT_ONCE = 32
"""Rows of the strip that are searched at once: most bitmaps find their place low."""


class Bitmap(NamedTuple):
    """mask: (h, w) occupied cells. dilated: (h + 2m, w + 2m) mask grown by the padding, must be free."""

    mask: BoolArray
    dilated: BoolArray


class Nesting(NamedTuple):
    """places: (C, 3) row, column and number of quarter turns of each bitmap. rows: number of rows in use."""

    places: Int64Array
    rows: int


class _Strip(NamedTuple):
    """free: (rows, columns) int16, number of free cells from each cell rightwards. rows: number in use."""

    free: npt.NDArray[np.int16]
    margin: int
    rows: int


class _Runs(NamedTuple):
    """Runs of set cells in a bitmap's rows: row, first column and length, (N,) each; the probes first."""

    row: Int64Array
    column: Int64Array
    length: Int64Array


def nest_bitmaps(
    bitmaps: list[Bitmap], columns: int, rows: int, progress: Progress = ignore_progress
) -> Nesting | None:
    """Nest all bitmaps in a strip of `columns` by `rows` cells, turned as by np.rot90; None if it is full."""
    margin = (bitmaps[0].dilated.shape[0] - bitmaps[0].mask.shape[0]) // 2
    width = columns + 2 * margin
    free = np.tile(np.arange(width, 0, -1, dtype=np.int16), (rows + 2 * margin, 1))
    strip, places = _Strip(free, margin, 0), np.zeros((len(bitmaps), 3), np.int64)
    order = np.argsort([-max(item.mask.shape) for item in bitmaps], kind="stable")
    for done, index in enumerate(order):
        progress(done / len(order))
        found = _find_best(strip, bitmaps[index])
        if found is None:
            return None
        places[index] = found
        strip = _occupy(strip, np.rot90(bitmaps[index].mask, found[2]), found)
    return Nesting(places, strip.rows)


def _find_best(strip: _Strip, bitmap: Bitmap) -> tuple[int, int, int] | None:
    """Row, column and quarter turns of the free position whose last row is lowest."""
    height, width = bitmap.mask.shape
    turns = range(4) if not bitmap.mask.all() else range(2) if height != width else range(1)
    best, last = None, len(strip.free)
    for turn in turns:
        turned = np.rot90(bitmap.dilated, turn)
        place = _find_place(strip, turned, last)
        if place is not None:
            found = (place[0] + len(turned), *place, turn)
            best = found if best is None else min(best, found)
            last = best[0]
    return None if best is None else best[1:]


def _find_place(strip: _Strip, dilated: BoolArray, last: int) -> tuple[int, int] | None:
    """Row and column of the lowest, then leftmost, free position that ends at row `last` or below."""
    high, across = last - len(dilated) + 1, strip.free.shape[1] - dilated.shape[1] + 1
    high = min(high, strip.rows + strip.margin + 1)  # the first row above all, at its distance
    if high <= 0 or across <= 0:
        return None
    runs = _list_runs(dilated)
    for low in range(0, high, _ROWS_AT_ONCE):
        place = _find_in_rows(strip, runs, range(low, min(low + _ROWS_AT_ONCE, high)), across)
        if place is not None:
            return place
    return None


def _find_in_rows(strip: _Strip, runs: _Runs, rows: range, across: int) -> tuple[int, int] | None:
    """Row and column of the lowest, then leftmost, free position in some rows."""
    fits = np.ones((len(rows), across), np.bool_)
    for row, column, length in zip(*(item[:_PROBES].tolist() for item in runs), strict=True):
        fits &= strip.free[row + rows.start : row + rows.stop, column : column + across] >= length
    places, chunk = np.flatnonzero(fits) + rows.start * across, _FIRST_CHUNK
    while len(places):
        first, places = places[:chunk], places[chunk:]
        first = _test_runs(strip, runs, first, across)
        if len(first):
            return int(first[0]) // across, int(first[0]) % across
        chunk = min(2 * chunk, _LARGEST_CHUNK)
    return None


def _test_runs(strip: _Strip, runs: _Runs, places: Int64Array, across: int) -> Int64Array:
    """Those of some positions (N,), row * across + column, at which all runs but the probes fit."""
    tested = _PROBES
    while tested < len(runs.row) and len(places):
        batch = slice(tested, 4 * tested)
        row, column = np.divmod(places, across)
        cells = row[:, None] + runs.row[batch], column[:, None] + runs.column[batch]
        places = places[(strip.free[cells] >= runs.length[batch]).all(axis=1)]
        tested *= 4
    return places


def _list_runs(bitmap: BoolArray) -> _Runs:
    edges = np.zeros((len(bitmap), bitmap.shape[1] + 1), np.int8)
    edges[:, :-1] += bitmap
    edges[:, 1:] -= bitmap
    (row, column), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    length = stop - column
    order = np.argsort(-length, kind="stable")
    # The longest runs tend to be adjacent and to give the same answer, so the probes are spread over all.
    sampled = np.zeros(len(order), np.bool_)
    sampled[:: -(-len(order) // _PROBES)] = True
    order = np.concatenate((order[sampled], order[~sampled]))
    return _Runs(row[order], column[order], length[order])


def _occupy(strip: _Strip, mask: BoolArray, place: tuple[int, int, int]) -> _Strip:
    """Mark the cells of a turned bitmap as occupied, in place; returns the strip with its new height."""
    row, column = place[0] + strip.margin, place[1] + strip.margin
    lines = strip.free[row : row + len(mask)]
    taken = lines == 0
    taken[:, column : column + mask.shape[1]] |= mask
    here = np.arange(lines.shape[1], dtype=np.int16)
    next_taken = np.where(taken, here, np.int16(lines.shape[1]))
    lines[:] = np.minimum.accumulate(next_taken[:, ::-1], axis=1)[:, ::-1] - here
    return strip._replace(rows=max(strip.rows, place[0] + len(mask)))
