"""The algorithms, on numpy, scipy, torch and trimesh. Imports neither ComfyUI nor aiohttp.

`from ..pipeline import rigging` imports nothing yet: the first use of `rigging.fit_skeleton` does.
"""

from typing import TYPE_CHECKING

from .first_use import import_at_first_use

if not TYPE_CHECKING:
    __getattr__ = import_at_first_use(__name__)
