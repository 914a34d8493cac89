"""Who may import whom (docs/architecture.md)."""

import ast
import functools
import graphlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from character3d.pipeline import conventions

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGES = ("pipeline", "backends", "nodes", "server_routes", "launcher", "client")
STAGE_PACKAGES = set(conventions.STAGES)

COMFYUI = {
    "api_server", "app", "comfy", "comfy_api", "comfy_api_nodes", "comfy_config", "comfy_execution",
    "comfy_extras", "execution", "folder_paths", "latent_preview", "node_helpers", "nodes", "server",
}  # fmt: skip
HOST_OF_THE_SERVICE = {"comfy_execution", "execution", "folder_paths", "nodes", "server"}
"""What the routes may take from ComfyUI: they run inside its server and put jobs into its queue."""

HOST_ALLOWED = {
    "": COMFYUI,
    "backends": COMFYUI,
    "client": set(),
    "launcher": set(),
    "nodes": COMFYUI,
    "pipeline": set(),
    "server_routes": HOST_OF_THE_SERVICE,
}
SERVICE_MAY_USE = {
    "pipeline.conventions",
    "pipeline.errors",
    "pipeline.figure.figure",
    "pipeline.preprocessing.decode",
    "pipeline.progress",
    "pipeline.types",
    "pipeline.weights",
}
OWN_ALLOWED = {
    "backends": ("backends", "pipeline"),
    "client": ("client",),
    "launcher": ("launcher", "client"),
    "nodes": ("nodes", "backends", "pipeline"),
    "pipeline": ("pipeline",),
    "server_routes": ("server_routes", *SERVICE_MAY_USE),
}
SLOW_TO_IMPORT = {"skimage", "diffusers", "igl"}


def list_modules():
    """(dotted name below the pack, path) of every Python file that ships."""
    yield "", REPOSITORY / "__init__.py"
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            yield ".".join(parts), path


MODULES = list(list_modules())
every_module = pytest.mark.parametrize(
    ("name", "path"), MODULES, ids=[name or "__init__" for name, _ in MODULES]
)


@functools.cache
def read_imports(name, path):
    """Absolute imports and the pack's own modules that a file names: (set, set), wherever in the file."""
    outside, own = set(), set()
    package = name.split(".") if path.stem == "__init__" else name.split(".")[:-1]
    package = [part for part in package if part not in ("", "__init__")]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            outside |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outside.add(node.module)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - (node.level - 1)]
            assert node.level - 1 <= len(package), f"{name}: a relative import leaves the pack"
            module = base + (node.module or "").split(".") if node.module else base
            own |= {".".join([*module, alias.name]) for alias in node.names}
    return outside, own


def is_below(module, packages):
    return any(module == package or module.startswith(package + ".") for package in packages)


@every_module
def test_only_the_right_packages_import_comfyui(name, path):
    outside, _ = read_imports(name, path)
    comfyui = {module for module in outside if module.split(".")[0] in COMFYUI}
    assert {module.split(".")[0] for module in comfyui} <= HOST_ALLOWED[name.split(".")[0]]


@every_module
def test_imports_run_one_way(name, path):
    package = name.split(".")[0]
    if package:
        _, own = read_imports(name, path)
        assert [module for module in own if not is_below(module, OWN_ALLOWED[package])] == []


@every_module
def test_the_pack_imports_itself_by_relative_imports_only(name, path):
    outside, _ = read_imports(name, path)
    assert not {module.split(".")[0] for module in outside} & {
        "character3d",
        "pipeline",
        "server_routes",
        "backends",
    }


@every_module
def test_no_stage_imports_another(name, path):
    parts = name.split(".")
    if parts[0] == "pipeline" and len(parts) > 1 and parts[1] in STAGE_PACKAGES:
        _, own = read_imports(name, path)
        others = [f"pipeline.{stage}" for stage in STAGE_PACKAGES - {parts[1]}]
        assert [module for module in own if is_below(module, others)] == []


@every_module
def test_shared_geometry_knows_no_stage(name, path):
    if name.startswith("pipeline.mesh."):
        _, own = read_imports(name, path)
        assert {module.split(".")[1] for module in own} <= {"errors", "mesh", "progress", "types"}


@every_module
def test_the_figure_knows_no_stage(name, path):
    if name.startswith("pipeline.figure."):
        _, own = read_imports(name, path)
        assert not {module.split(".")[1] for module in own} & STAGE_PACKAGES


@every_module
def test_the_pipeline_knows_no_web_server(name, path):
    if name.startswith("pipeline"):
        outside, _ = read_imports(name, path)
        assert not {module.split(".")[0] for module in outside} & {"aiohttp", "asyncio"}


@every_module
def test_the_client_is_of_the_standard_library(name, path):
    if name.startswith("client"):
        outside, _ = read_imports(name, path)
        for_type_checkers = {"typing_extensions"}
        assert {module.split(".")[0] for module in outside} <= sys.stdlib_module_names | for_type_checkers


def test_the_client_imports_where_nothing_is_installed(tmp_path):
    """Copied to another place, under another name."""
    shutil.copytree(REPOSITORY / "client", tmp_path / "copied")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from copied import Client; Client('http://x')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr


@every_module
def test_slow_packages_are_imported_where_they_are_used(name, path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in at_top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in at_top if isinstance(node, ast.ImportFrom) and not node.level}
    assert not {name.split(".")[0] for name in names} & SLOW_TO_IMPORT


RUN_ALONE = {f"pipeline.formats.reading.{name}" for name in ("usd_shading", "usd_worker")}
"""Run in a process of their own, with a package that most installations do without."""

IMPORT_THE_PIPELINE = """
import importlib, importlib.abc, sys
blocked = {blocked!r}

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError(f"{{name}} is blocked here")

sys.meta_path.insert(0, Blocker())
sys.path.insert(0, {tests!r})
import conftest
for name in {names!r}:
    importlib.import_module("character3d." + name)
assert not blocked & {{name.split(".")[0] for name in sys.modules}}
"""


def test_the_pipeline_imports_where_comfyui_is_not():
    names = [name.removesuffix(".__init__") for name, _ in MODULES if name.startswith("pipeline")]
    names = [name for name in names if name not in RUN_ALONE]
    blocked = {
        "comfy",
        "comfy_api",
        "server",
        "folder_paths",
        "nodes",
        "execution",
        "aiohttp",
    } | SLOW_TO_IMPORT
    script = IMPORT_THE_PIPELINE.format(blocked=blocked, tests=str(REPOSITORY / "tests"), names=names)
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_module_imports_itself_by_way_of_others():
    """Imports for type checkers count, too."""
    graph = {}
    known = {name.removesuffix(".__init__") for name, _ in MODULES if name}
    for name, path in MODULES:
        if name and path.stem != "__init__":
            _, own = read_imports(name, path)
            modules = {module if module in known else module.rpartition(".")[0] for module in own}
            graph[name] = sorted(modules & known - {name})
    graph = {name: [other for other in others if other in graph] for name, others in graph.items()}
    order = graphlib.TopologicalSorter(graph)
    order.prepare()  # raises CycleError, which names the circle
