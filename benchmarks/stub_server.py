"""The tests' ComfyUI, whose nodes only write small files: what the service costs without the work."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from launcher.environment import prepare_test_comfyui  # noqa: E402

COMFYUI = "CHARACTER3D_COMFYUI"


def enter_test_environment() -> Path:
    """The ComfyUI of the tests; starts the script again in their Python where it has not been."""
    if COMFYUI not in os.environ:
        installation = prepare_test_comfyui()
        os.environ[COMFYUI] = str(installation.comfyui)
        os.execv(installation.python, [str(installation.python), "-P", *sys.argv])
    importlib.import_module("tests.conftest")  # makes the repository the package `character3d`
    return Path(os.environ[COMFYUI])
