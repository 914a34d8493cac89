"""Arrays in frozen dataclasses: cast to a dtype, checked, and read-only from then on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# Arrays of any width, for interfaces; the classes below store float32 and int32.
FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
# Arrays of one width, for computations whose result depends on it.
Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]


def freeze(owner: object, name: str, dtype: npt.DTypeLike, *shape: int | None) -> None:
    """Cast a field to a read-only contiguous array of `shape`; None in `shape` stands for any length.

    An array that is all of that already, and that nobody can write to, is kept; any other is copied.
    """
    value = getattr(owner, name)
    if value is None:
        return
    array = value if _is_frozen(value, np.dtype(dtype)) else np.array(value, dtype=dtype, order="C")
    wrong = array.ndim != len(shape) or any(
        want is not None and have != want for have, want in zip(array.shape, shape, strict=True)
    )
    if wrong:
        wanted = str(tuple(shape)).replace("None", "n")
        raise ValueError(f"{type(owner).__name__}.{name}: expected shape {wanted}, got {array.shape}")
    array.setflags(write=False)
    object.__setattr__(owner, name, array)


def _is_frozen(value: object, dtype: np.dtype[Any]) -> bool:
    """Whether `value` is a contiguous array of `dtype` whose memory no array can write to."""
    if type(value) is not np.ndarray or value.dtype != dtype or not value.flags.c_contiguous:
        return False
    memory: Any = value
    while isinstance(memory, np.ndarray) and not memory.flags.writeable:
        memory = memory.base
    return memory is None


def require(owner: object, name: str, is_sound: bool | np.bool_, wanted: str) -> None:
    """Raise ValueError unless the field is sound. Conditions are written so that NaN fails them."""
    if not is_sound:
        raise ValueError(f"{type(owner).__name__}.{name}: expected {wanted}")
