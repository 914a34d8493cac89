"""The nodes inside this process: ComfyUI's modules on the path, its server not started."""

import importlib
import sys

import pytest


@pytest.fixture(scope="session")
def comfyui_modules(comfyui_folder):
    """Put ComfyUI on sys.path for this session, on the CPU whatever the machine has."""
    sys.path.append(str(comfyui_folder))
    importlib.import_module("comfy.options").args_parsing = False
    importlib.import_module("comfy.cli_args").args.cpu = True
    yield
    sys.path.remove(str(comfyui_folder))


@pytest.fixture
def load_nodes(comfyui_modules):
    """Import a module of `nodes/` by its name; the empty name is the package."""
    return lambda name: importlib.import_module(f"character3d.nodes.{name}".rstrip("."))
