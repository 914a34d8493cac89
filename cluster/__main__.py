"""`python cluster front-door` and `python cluster worker`, from the pack's folder: docs/cluster.md.

CHARACTER3D_DATABASE, CHARACTER3D_BROKER and CHARACTER3D_FILES: URLs of PostgreSQL, RabbitMQ and the files.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def load_pack() -> None:
    """Make the pack importable as `character3d`, whatever its folder is called, without its nodes."""
    folder = Path(__file__).resolve().parent.parent
    spec = importlib.util.spec_from_file_location(
        "character3d", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None:
        raise ImportError(f"no pack in {folder}")
    sys.modules["character3d"] = importlib.util.module_from_spec(spec)
    sys.path.remove(sys.path[0])  # this folder: its modules are the package's


if __name__ == "__main__":
    load_pack()
    importlib.import_module("character3d.cluster.commands").main()
