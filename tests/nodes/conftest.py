"""The nodes inside this process: ComfyUI's modules on the path, its server not started."""

import importlib

import pytest


@pytest.fixture
def load_nodes(comfyui_modules):
    """Import a module of `nodes/` by its name; the empty name is the package."""
    return lambda name: importlib.import_module(f"character3d.nodes.{name}".rstrip("."))
