"""Checks that a file of weights holds exactly the tensors that its model has, before anything is built."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from ..pipeline.errors import WeightsError

Shapes = Mapping[str, tuple[int, ...]]
"""Shapes by the names that the tensors have in the file."""

_PRECISIONS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_SCALES = ("scale_weight", "scale_input", "scaled_fp8")
"""How names of tensors end that belong to scaled 8-bit floats."""
_HALVES = (torch.float16, torch.bfloat16)
_EXAMPLES = 3
"""How many keys an error message quotes."""


def check_tensors(name: str, tensors: Mapping[str, torch.Tensor], expected: Shapes) -> None:
    """Raise WeightsError that names the tensors of file `name` that are missing, too many or wrong."""
    refuse_scaled(name, tensors)
    for problem, keys in (
        ("has no", [key for key in expected if key not in tensors]),
        ("has what its model does not have:", [key for key in tensors if key not in expected]),
    ):
        if keys:
            raise WeightsError(f"{name} is damaged: it {problem} {quote_keys(keys)}")
    for key, shape in expected.items():
        _check_tensor(name, key, tensors[key], shape)


def _check_tensor(name: str, key: str, tensor: torch.Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise WeightsError(f"{name} is damaged: {key} has shape {tuple(tensor.shape)}; expected {shape}")
    if tensor.dtype not in _PRECISIONS:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise WeightsError(f"{name}: {key} is {kind}; expected float32, float16 or bfloat16")
    require_finite(name, key, tensor)


def refuse_scaled(name: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Raise WeightsError that names the scales of a file `name` with scaled 8-bit floats."""
    if scales := [key for key in tensors if key.endswith(_SCALES)]:
        raise WeightsError(
            f"{name} is scaled to 8 bits ({quote_keys(scales)}), which is not supported; "
            "use the original file"
        )


def require_finite(name: str, key: str, tensor: torch.Tensor) -> None:
    """Raise WeightsError if a tensor of file `name` has values that are no numbers."""
    if tensor.element_size() == 1:
        tensor = tensor.to(torch.float16)
    wide = torch.float32 if tensor.dtype in _HALVES else tensor.dtype
    # A sum that is a number costs less than looking at each.
    if not tensor.sum(dtype=wide).isfinite() and not tensor.isfinite().all():
        raise WeightsError(f"{name} is damaged: {key} has values that are not finite numbers")


def find_usual(values: Iterable[int], otherwise: int) -> int:
    """Return the most frequent value: a size on which most tensors of a file agree, though one is damaged."""
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else otherwise


def find_side(tensors: Mapping[str, torch.Tensor], axis: int, *ends: str, share: int = 1) -> list[int]:
    """List the lengths along an axis, over `share`, of the tensors whose names end with one of `ends`."""
    return [
        value.shape[axis] // share
        for key, value in tensors.items()
        if key.endswith(ends) and value.dim() > axis
    ]


def quote_keys(keys: list[str]) -> str:
    """The first of some keys, and how many more there are."""
    more = len(keys) - _EXAMPLES
    return ", ".join(keys[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")


def keep_tensors(name: str, raw: Any) -> dict[str, torch.Tensor]:
    """Return the tensors of a file, or of its part `model`. WeightsError if they have no names."""
    part = raw.get("model", raw) if isinstance(raw, Mapping) else raw
    if not isinstance(part, Mapping):
        raise WeightsError(
            f"{name} is no file of weights: expected named tensors, found a {type(part).__name__}"
        )
    return {key: value for key, value in part.items() if torch.is_tensor(value)}
