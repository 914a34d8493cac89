"""The operators of TensorFlow Lite that BlazePose and BlazeFace have, in torch: values are NHWC.

A value seen as NCHW (`permute`) is torch's channels_last format, so that nothing is copied for a convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F

from .graph import Operator

Options = Mapping[str, Any]
Tensor = torch.Tensor

_ACTIVATIONS: Mapping[int, Callable[[Tensor], Tensor]] = {
    0: lambda values: values,
    1: torch.relu,
    2: lambda values: values.clamp(-1, 1),
    3: lambda values: values.clamp(0, 6),
    4: torch.tanh,
}
"""ActivationFunctionType."""


def _activate(options: Options, values: Tensor) -> Tensor:
    return _ACTIVATIONS[options.get("activation", 0)](values)


def _to_nchw(values: Tensor) -> Tensor:
    return values.permute(0, 3, 1, 2)


def _to_nhwc(values: Tensor) -> Tensor:
    return values.permute(0, 2, 3, 1)


def _pad_same(options: Options, values: Tensor, window: Sequence[int], fill: float) -> Tensor:
    """Pad NHWC so that a window at each stride fits, the odd pixel at the bottom and the right."""
    if not options["same"]:
        return values
    pads: list[int] = []
    for axis in (1, 0):
        stride, size = options["strides"][axis], values.shape[1 + axis]
        total = max((-(-size // stride) - 1) * stride + window[axis] - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(values, (0, 0, *pads), value=fill)


def _convolve(options: Options, values: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """weight: (out, in / groups, height, width)."""
    dilations = options["dilations"]
    reach = [(size - 1) * dilation + 1 for size, dilation in zip(weight.shape[2:], dilations, strict=True)]
    padded = _to_nchw(_pad_same(options, values, reach, 0.0))
    made = F.conv2d(padded, weight, bias, options["strides"], 0, dilations, groups)
    return _activate(options, _to_nhwc(made))


def convolve(options: Options, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """CONV_2D. weight: (out, height, width, in)."""
    return _convolve(options, values, _to_nchw(weight), bias, 1)


def convolve_depthwise(
    options: Options, values: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """DEPTHWISE_CONV_2D. weight: (1, height, width, channels × multiplier)."""
    return _convolve(options, values, weight.permute(3, 0, 1, 2), bias, values.shape[3])


def pool_maximum(options: Options, values: Tensor) -> Tensor:
    """MAX_POOL_2D."""
    padded = _to_nchw(_pad_same(options, values, options["window"], float("-inf")))
    return _activate(options, _to_nhwc(F.max_pool2d(padded, options["window"], options["strides"])))


def resize(options: Options, values: Tensor, size: Tensor) -> Tensor:
    """RESIZE_BILINEAR, as torch resizes."""
    if options["half_pixel_centers"] == options["align_corners"]:
        raise ValueError(f"resizing: expected either half pixel centers or aligned corners; found {options}")
    corners = options["align_corners"]
    return _to_nhwc(F.interpolate(_to_nchw(values), size.tolist(), mode="bilinear", align_corners=corners))


def pad(options: Options, values: Tensor, widths: Tensor) -> Tensor:
    """PAD with zeros, channels too. widths: (axes, 2), before and after."""
    return F.pad(values, widths.flip(0).flatten().tolist())


def reshape(options: Options, values: Tensor, shape: Tensor | None = None) -> Tensor:
    """RESHAPE. The shape is an input, or an option in older files."""
    return values.reshape(options["shape"] if shape is None else shape.tolist())


OPERATORS: Mapping[str, Operator] = {
    "ADD": lambda options, first, second: _activate(options, first + second),
    "CONCATENATION": lambda options, *parts: _activate(options, torch.cat(parts, options["axis"])),
    "CONV_2D": convolve,
    "DEPTHWISE_CONV_2D": convolve_depthwise,
    "LOGISTIC": lambda options, values: values.sigmoid(),
    "MAX_POOL_2D": pool_maximum,
    "PAD": pad,
    "PRELU": lambda options, values, slope: torch.where(values > 0, values, slope * values),
    "RELU": lambda options, values: values.relu(),
    "RESHAPE": reshape,
    "RESIZE_BILINEAR": resize,
}
