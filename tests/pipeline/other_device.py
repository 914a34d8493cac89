"""A second device for tests on machines without one: its tensors refuse to meet anything in host memory.

They compute on the CPU, so that results can be compared, but while `OtherDevice` is active every call of
torch passes through it. It allows what needs no hidden copy on a GPU: operations on tensors of one device,
factories that name the device, `.to` and `.cpu()`, and reading single values. Everything else raises
`ImplicitCopy`: host tensors and arrays as operands or indices, `.numpy()`, numpy's functions, and tensors
whose factory forgot the device.
"""

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

HOST, OTHER = torch.device("cpu"), torch.device("cuda", 7)
_READS = {torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.tolist}
_FEW_VALUES = 16


class ImplicitCopy(RuntimeError):
    """A copy between devices that nobody asked for."""


class OtherTensor(torch.Tensor):
    """A tensor on the other device."""


class OtherDevice(TorchFunctionMode):
    """Makes OTHER a device. calls: how many used its tensors. downloads: the elements of each copy back."""

    def __init__(self):
        super().__init__()
        self.calls, self.downloads = 0, []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        operands = [
            item for item in tree_leaves((args, kwargs)) if isinstance(item, (torch.Tensor, np.ndarray))
        ]
        others = [item for item in operands if isinstance(item, OtherTensor)]
        if func == torch.Tensor.device.__get__:
            return OTHER if others else HOST
        if others:
            self.calls += 1
            _refuse_implicit_copies(func, operands, others)
        args, devices = (
            [item for item in args if not isinstance(item, torch.device)],
            _list_devices(args, kwargs),
        )
        target = devices[0] if devices else OTHER if others else HOST
        if func is torch.Tensor.cpu or (func is torch.Tensor.to and len(args) == 1):
            return self._move(args[0], target if devices else HOST)
        kwargs.pop("device", None)
        return tree_map(lambda item: _place(item, target), func(*args, **kwargs))

    def _move(self, tensor, target):
        if isinstance(tensor, OtherTensor) and target == HOST:
            self.downloads.append(tensor.numel())
        return _place(tensor, target)


def _list_devices(args, kwargs):
    return [item for item in (*args, kwargs.get("device")) if isinstance(item, torch.device)]


def _refuse_implicit_copies(func, operands, others):
    if func in _READS and not (func is torch.Tensor.tolist and others[0].numel() <= _FEW_VALUES):
        raise ImplicitCopy(f"{func.__name__} of a tensor on {OTHER}")
    if len(others) < len(operands) and func is not torch.Tensor.new_tensor:
        raise ImplicitCopy(f"{func.__name__} of operands on {OTHER} and in host memory")


def _place(item, target):
    """Copy a tensor to the target where it is not there yet; anything else stays."""
    if not isinstance(item, torch.Tensor) or isinstance(item, OtherTensor) == (target == OTHER):
        return item
    with torch._C.DisableTorchFunctionSubclass():
        return item.clone().as_subclass(OtherTensor if target == OTHER else torch.Tensor)
