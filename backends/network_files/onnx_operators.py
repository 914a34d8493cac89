"""The operators of ONNX that U²-Net and IS-Net have, in torch: values are NCHW.

https://onnx.ai/onnx/operators, opset 11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F

from .graph import Operator

Options = Mapping[str, Any]
Tensor = torch.Tensor

_HALF_PIXEL = ("linear", "pytorch_half_pixel"), ("linear", "half_pixel")


def convolve(options: Options, values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Conv."""
    pads = _read_symmetric_pads(options)
    strides, dilations = options.get("strides", (1, 1)), options.get("dilations", (1, 1))
    # A fifth faster on a CPU; all other operators keep the format.
    values = values.contiguous(memory_format=torch.channels_last)
    return F.conv2d(values, weight, bias, strides, pads, dilations, options.get("group", 1))


def normalize_batch(
    options: Options, values: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    """BatchNormalization, of inference."""
    return F.batch_norm(values, mean, variance, scale, bias, eps=options.get("epsilon", 1e-5))


def pool_maximum(options: Options, values: Tensor) -> Tensor:
    """MaxPool."""
    return F.max_pool2d(
        values,
        options["kernel_shape"],
        options.get("strides", (1, 1)),
        _read_symmetric_pads(options),
        options.get("dilations", (1, 1)),
        bool(options.get("ceil_mode", 0)),
    )


def _read_symmetric_pads(options: Options) -> tuple[int, int]:
    top, left, bottom, right = options.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right) or options.get("auto_pad", "NOTSET") != "NOTSET":
        raise ValueError(f"padding {options}: expected the same on both sides")
    return top, left


def resize(
    options: Options, values: Tensor, region: Tensor | None, scales: Tensor | None, sizes: Tensor
) -> Tensor:
    """Resize to a size, bilinear, as torch resizes without aligned corners.

    half_pixel is what pytorch_half_pixel is, but for sizes of one pixel.
    """
    mode = options["mode"], options["coordinate_transformation_mode"]
    if mode not in _HALF_PIXEL or (mode[1] == "half_pixel" and 1 in sizes[2:].tolist()):
        raise ValueError(f"resizing: expected linear, pytorch_half_pixel; found {', '.join(mode)}")
    return F.interpolate(values, sizes[2:].tolist(), mode="bilinear", align_corners=False)


def read_shape(options: Options, values: Tensor) -> Tensor:
    """Shape: integers stay in host memory."""
    return torch.tensor(values.shape)


def cut(
    options: Options, values: Tensor, starts: Tensor, ends: Tensor, axes: Tensor, steps: Tensor | None = None
) -> Tensor:
    """Slice."""
    for index, axis in enumerate(axes.tolist()):
        step = 1 if steps is None else int(steps[index])
        span = slice(int(starts[index]), int(ends[index]), step)
        values = values[(slice(None),) * axis + (span,)]
    return values


def gather(options: Options, values: Tensor, places: Tensor) -> Tensor:
    """Gather with one index."""
    return values.select(options.get("axis", 0), int(places))


def unsqueeze(options: Options, values: Tensor) -> Tensor:
    """Unsqueeze."""
    for axis in sorted(options["axes"]):
        values = values.unsqueeze(axis)
    return values


def cast(options: Options, values: Tensor) -> Tensor:
    """Cast to int64, which only sizes need."""
    if options["to"] != 7:
        raise ValueError(f"cast: expected type 7 (int64), found {options['to']}")
    return values.long()


OPERATORS: Mapping[str, Operator] = {
    "Add": lambda options, first, second: first + second,
    "BatchNormalization": normalize_batch,
    "Cast": cast,
    "Concat": lambda options, *parts: torch.cat(parts, options["axis"]),
    "Conv": convolve,
    "Gather": gather,
    "MaxPool": pool_maximum,
    "Relu": lambda options, values: values.relu(),
    "Resize": resize,
    "Shape": read_shape,
    "Sigmoid": lambda options, values: values.sigmoid(),
    "Slice": cut,
    "Unsqueeze": unsqueeze,
}
