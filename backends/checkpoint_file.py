"""Reading the weights of a checkpoint that has the settings of its training beside them.

Training tools pickle settings as objects of their own classes, at which torch's reader of mere weights stops.
Here such an object becomes an empty one: no class of another package is imported, and no code is run.
"""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

_SETTINGS = ("omegaconf.", "box.", "addict.", "lightning", "pytorch_lightning.", "typing.", "collections.")
"""How the full names of classes begin that hold settings."""
_WEIGHTS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
    *(f"torch.{kind}Storage" for kind in ("BFloat16", "Half", "Float", "Double", "Long", "Int", "Bool")),
}
"""Full names of what weights are made of."""
_PLAIN = {
    f"{module}.{kind}"
    for module in ("builtins", "__builtin__")
    for kind in ("dict", "list", "set", "tuple", "int", "float", "bool", "str")
}


def read_checkpoint(path: Path) -> Any:
    """Read a pickle of weights and settings; UnpicklingError names any other class or function in it."""
    reader = SimpleNamespace(Unpickler=_Unpickler, load=pickle.load, __name__=__name__)
    return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)


class _Setting(dict[Any, Any]):
    """Stands for an object that holds settings, and takes whatever is put into it."""

    def __new__(cls, *_: Any, **__: Any) -> _Setting:
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None: ...

    def append(self, item: Any) -> None:
        """An item of a list of settings."""

    def extend(self, items: Any) -> None:
        """Items of a list of settings."""


class _Unpickler(pickle.Unpickler):
    """Finds what weights are made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        if full in _WEIGHTS | _PLAIN:
            return super().find_class(module, name)
        if full.startswith(_SETTINGS):
            return _Setting
        raise pickle.UnpicklingError(f"{full} is neither a weight nor a setting")
