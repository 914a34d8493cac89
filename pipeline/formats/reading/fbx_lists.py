"""Lists and arrays of ufbx 0.0.5, which gives away references that it does not own.

These are those to the items of its lists, and those of memoryviews to what they show: each gets one here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np


def hold(item: Any) -> Any:
    """The item with one more reference."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(item))
    return item


def list_items(items: Any) -> Iterator[Any]:
    """The items of one of ufbx's lists."""
    return map(hold, items)


def read_array(values: Any) -> Any:
    """One of ufbx's lists as an array, (N, k) of vectors or (N,) of integers."""
    if not len(values):
        return np.zeros((0, 3))
    try:
        return np.asarray(memoryview(hold(values))).copy()
    except TypeError:  # its lists of integers have no buffer
        return np.fromiter(values, np.int64, len(values))


def read_matrix(matrix: Any) -> Any:
    """A 3 x 4 matrix as (4, 4)."""
    made = np.eye(4)
    made[:3] = np.array(hold(matrix)).T
    return made
