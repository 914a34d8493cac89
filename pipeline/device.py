"""Arrays to tensors on a device and back: the only two transfers that the pipeline makes.

Functions that compute with tensors take a `device`, by default the CPU. It must have float64, which Apple's
MPS has not. Arguments and results of the stages are numpy arrays in host memory.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch

CPU = torch.device("cpu")


def array_to_tensor(array: npt.NDArray[Any], device: torch.device = CPU) -> torch.Tensor:
    """Copy an array, which may be read-only, to the device; same shape and dtype."""
    return torch.tensor(array, device=device)


def tensor_to_array(tensor: torch.Tensor) -> npt.NDArray[Any]:
    """Bring a tensor to host memory, waiting for the device; without a copy if it is there already."""
    return tensor.cpu().numpy()
