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
if "PYTEST_XDIST_WORKER" in os.environ:  # the other processors are busy with the other workers
    os.environ.setdefault("OMP_NUM_THREADS", "1")

_spec = importlib.util.spec_from_file_location(
    "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))


LONGEST_FIRST = ("host", "backends", "nodes", "pipeline", "tests", "cluster", "server")
"""Folders of tests. Groups that run a ComfyUI start first, then the longer ones: the workers end together."""
OF_A_COMFYUI = {
    "host": {"comfyui": "shared"},
    "server": {
        **dict.fromkeys(("keyed", "keyless"), "own"),
        **dict.fromkeys(("comfyui", "serve"), "shared"),
        "comfyui_folder": "own",
    },
}
"""Folder -> fixtures that run a ComfyUI, or let a test run its own -> the group of the tests that use them.

A worker's first ComfyUI takes the longest, so few workers run any.
"""
ON_A_CLUSTER = {"comfyui", "serve_quickly"}
"""Fixtures that give a cluster's front door with `--service cluster`."""
NIGHTLY_READERS = {"blender", "assimp", "three"}
"""Values of a test's parameter `reader`: a push reads files back with ufbx and the Khronos validator."""


def pytest_addoption(parser):
    parser.addoption(
        "--service",
        choices=["comfyui", "cluster"],
        default="comfyui",
        help="what serves the routes in tests/server; of a cluster only tests that share a server are run",
    )


def find_group(item):
    """The group of a test: the tests that use the same ComfyUI, or a file; and its place among groups."""
    folder = item.path.parent.name
    used = OF_A_COMFYUI.get(folder, {})
    group = next((name for fixture, name in used.items() if fixture in item.fixturenames), None)
    place = LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)
    return f"{folder}/{group or item.path.name}", (group is None, place)


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config, items):
    """Mark the tests of the nightly readers and the further cases, and form the groups of pytest-xdist."""
    if config.getoption("service") == "cluster":
        items[:] = [item for item in items if ON_A_CLUSTER.intersection(item.fixturenames)]
        for item in items:
            if marker := item.get_closest_marker("of_comfyui"):
                item.add_marker(pytest.mark.skip(reason=marker.args[0]))
    first = {}
    for item in items:
        name = (item.path, getattr(item, "originalname", item.name))
        if item.get_closest_marker("nightly_cases") and first.setdefault(name, item) is not item:
            item.add_marker(pytest.mark.nightly)
        if hasattr(item, "callspec") and item.callspec.params.get("reader") in NIGHTLY_READERS:
            item.add_marker(pytest.mark.nightly)
        item.add_marker(pytest.mark.xdist_group(find_group(item)[0]))
    items.sort(key=lambda item: find_group(item)[1])


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
        monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path / "diffusion_models"


@pytest.fixture(scope="session")
def postgres():
    """A running PostgreSQL of the tests' own (tests/postgres_server.py)."""
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    run_postgres = importlib.import_module("character3d.tests.postgres_server").run_postgres
    with run_postgres() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed")
        yield server
