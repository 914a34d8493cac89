"""Learned models on ComfyUI's model management. Only this package and `nodes/` import comfy.*.

`from ..backends import isnet` imports nothing yet: the first use of `isnet.predict_mask` does.
"""

from typing import TYPE_CHECKING

from ..pipeline.first_use import import_at_first_use

if not TYPE_CHECKING:
    __getattr__ = import_at_first_use(__name__)
