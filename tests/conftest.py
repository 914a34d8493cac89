"""The repository is one package under the alias `character3d`, wherever the checkout lies.

Its own `__init__.py` is not executed here: it is what ComfyUI imports, and needs a running server.
The repository root never goes on sys.path, where `nodes/` would shadow ComfyUI's `nodes.py`.
"""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
# Threads that wait by spinning take the processor from those they wait for; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_spec = importlib.util.spec_from_file_location(
    "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))


@pytest.fixture(scope="session")
def comfyui_folder():
    """The ComfyUI that quickstart.py set up for the tests."""
    folder = os.environ.get("CHARACTER3D_COMFYUI")
    if not folder:
        pytest.skip("no ComfyUI here; `python quickstart.py test` installs one")
    return Path(folder)


@pytest.fixture(scope="session")
def comfyui_modules(comfyui_folder):
    """ComfyUI's modules on sys.path, on the CPU whatever the machine has; its server not started."""
    sys.path.append(str(comfyui_folder))
    importlib.import_module("comfy.options").args_parsing = False
    args = importlib.import_module("comfy.cli_args").args
    args.cpu = True
    args.use_pytorch_cross_attention = True  # what it takes for a processor by itself is several times slower
    yield
    sys.path.remove(str(comfyui_folder))


@pytest.fixture
def models(comfyui_modules, tmp_path, monkeypatch):
    """A folder that is ComfyUI's models/diffusion_models for this test; models/checkpoints is empty."""
    folder_paths = importlib.import_module("folder_paths")
    for name in ("diffusion_models", "checkpoints"):
        folder = tmp_path / name
        folder.mkdir()
        entry = ([str(folder)], folder_paths.supported_pt_extensions)
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, entry)
        folder_paths.filename_list_cache.pop(name, None)
    return tmp_path / "diffusion_models"
