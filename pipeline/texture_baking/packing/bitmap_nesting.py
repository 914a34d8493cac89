"""Place bitmaps in a strip, close together: bottom-left fill, as in the nesting of irregular shapes.

From long to short, each goes to the lowest free place of all, in the quarter turn that ends lowest, so
small ones fill bays and holes of large ones (a survey: Bennell and Oliveira, "The geometry of nesting
problems", European Journal of Operational Research 2008). A place is free where each run of cells in the
bitmap's rows meets a run of free cells as long: one comparison of whole arrays tries a run at all places.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ...progress import Progress, ignore_progress
from ...types import BoolArray

Ints = npt.NDArray[np.int64]

_PROBES = 6
"""Runs of a bitmap that are tried at all places; the other ones, only where these are free."""
_FIRST_CHUNK, _LARGEST_CHUNK = 64, 4096


class Bitmap(NamedTuple):
    """solid: (h, w), what is placed. wide: (h + 2m, w + 2m), what must be free of others for that."""

    solid: BoolArray
    wide: BoolArray


class Placement(NamedTuple):
    """places: (C, 3) row and column of each bitmap's corner, and its quarter turns. rows: rows in use."""

    places: Ints
    rows: int


class _Sheet(NamedTuple):
    """free: (rows, columns) int16, how many cells from this one rightwards are free. rows: in use."""

    free: npt.NDArray[np.int16]
    margin: int
    rows: int


class _Runs(NamedTuple):
    """Runs of set cells in a bitmap's rows: row, first column and length, each (N,); the probes first."""

    row: Ints
    column: Ints
    length: Ints


def place_bitmaps(
    bitmaps: list[Bitmap], columns: int, rows: int, progress: Progress = ignore_progress
) -> Placement | None:
    """Place all bitmaps in so many columns and rows, turned by np.rot90; None where there is no room."""
    margin = (bitmaps[0].wide.shape[0] - bitmaps[0].solid.shape[0]) // 2
    width = columns + 2 * margin
    free = np.tile(np.arange(width, 0, -1, dtype=np.int16), (rows + 2 * margin, 1))
    sheet, places = _Sheet(free, margin, 0), np.zeros((len(bitmaps), 3), np.int64)
    order = np.argsort([-max(item.solid.shape) for item in bitmaps], kind="stable")
    for done, index in enumerate(order):
        progress(done / len(order))
        found = _find_best(sheet, bitmaps[index])
        if found is None:
            return None
        places[index] = found
        sheet = _fill_sheet(sheet, np.rot90(bitmaps[index].solid, found[2]), found)
    return Placement(places, sheet.rows)


def _find_best(sheet: _Sheet, bitmap: Bitmap) -> tuple[int, int, int] | None:
    """Row, column and turns of the place that ends lowest."""
    high, wide = bitmap.solid.shape
    turns = range(4) if not bitmap.solid.all() else range(2) if high != wide else range(1)
    found = []
    for turn in turns:
        turned = np.rot90(bitmap.wide, turn)
        place = _find_place(sheet, turned)
        if place is not None:
            found.append((place[0] + len(turned), *place, turn))
    return min(found)[1:] if found else None


def _find_place(sheet: _Sheet, wide: BoolArray) -> tuple[int, int] | None:
    """The lowest, then leftmost, free place."""
    high, across = (sheet.free.shape[axis] - wide.shape[axis] + 1 for axis in (0, 1))
    high = min(high, sheet.rows + 1)
    if high <= 0 or across <= 0:
        return None
    runs = _list_runs(wide)
    fits = np.ones((high, across), np.bool_)
    for row, column, length in zip(*(item[:_PROBES].tolist() for item in runs), strict=True):
        fits &= sheet.free[row : row + high, column : column + across] >= length
    places, chunk = np.flatnonzero(fits), _FIRST_CHUNK
    while len(places):
        near, places = places[:chunk], places[chunk:]
        tried = _PROBES
        while tried < len(runs.row) and len(near):
            some = slice(tried, 4 * tried)
            row, column = np.divmod(near, across)
            at = row[:, None] + runs.row[some], column[:, None] + runs.column[some]
            near = near[(sheet.free[at] >= runs.length[some]).all(axis=1)]
            tried *= 4
        if len(near):
            return int(near[0]) // across, int(near[0]) % across
        chunk = min(2 * chunk, _LARGEST_CHUNK)
    return None


def _list_runs(bitmap: BoolArray) -> _Runs:
    edges = np.zeros((len(bitmap), bitmap.shape[1] + 1), np.int8)
    edges[:, :-1] += bitmap
    edges[:, 1:] -= bitmap
    (row, column), (_, stop) = np.nonzero(edges == 1), np.nonzero(edges == -1)
    length = stop - column
    order = np.argsort(-length, kind="stable")
    # The longest runs alone would lie side by side and agree: a sample of all tells more.
    sampled = np.zeros(len(order), np.bool_)
    sampled[:: -(-len(order) // _PROBES)] = True
    order = np.concatenate((order[sampled], order[~sampled]))
    return _Runs(row[order], column[order], length[order])


def _fill_sheet(sheet: _Sheet, solid: BoolArray, place: tuple[int, int, int]) -> _Sheet:
    row, column = place[0] + sheet.margin, place[1] + sheet.margin
    lines = sheet.free[row : row + len(solid)]
    taken = lines == 0
    taken[:, column : column + solid.shape[1]] |= solid
    here = np.arange(lines.shape[1], dtype=np.int16)
    after = np.where(taken, here, np.int16(lines.shape[1]))
    lines[:] = np.minimum.accumulate(after[:, ::-1], axis=1)[:, ::-1] - here
    return sheet._replace(rows=max(sheet.rows, place[0] + len(solid)))
