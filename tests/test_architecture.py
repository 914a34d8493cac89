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
PACKAGES = ("pipeline", "backends", "nodes", "server_routes", "cluster", "launcher", "client")
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
    "cluster": set(),
    "launcher": set(),
    "nodes": COMFYUI,
    "pipeline": set(),
    "server_routes": HOST_OF_THE_SERVICE,
}
SERVICE_MAY_USE = {
    "pipeline.conventions",
    "pipeline.decode",
    "pipeline.presets",
    "pipeline.errors",
    "pipeline.figure.document",
    "pipeline.figure.figure",
    "pipeline.progress",
    "pipeline.types",
    "pipeline.weights",
}
OWN_ALLOWED = {
    "backends": ("backends", "pipeline"),
    "client": ("client",),
    "cluster": ("cluster", "server_routes", "client", "pipeline.types", "pipeline.weights"),
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
            if "build" not in parts:  # which `pip install ./client` leaves
                yield ".".join(parts), path


MODULES = list(list_modules())


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


def take_roots(modules):
    return {module.split(".")[0] for module in modules}


def find_faults(find, start=""):
    """What `find(name, outside, own)` finds wrong in each module whose name starts so: {name: set}.

    One test looks at all modules: thousands of small ones take longer than what they test.
    """
    faults = {name: find(name, *read_imports(name, path)) for name, path in MODULES if name.startswith(start)}
    assert faults, f"no module is named {start}…"
    return {name: found for name, found in faults.items() if found}


def test_only_the_right_packages_import_comfyui():
    def find(name, outside, own):
        return (take_roots(outside) & COMFYUI) - HOST_ALLOWED[name.split(".")[0]]

    assert find_faults(find) == {}


def test_imports_run_one_way():
    def find(name, outside, own):
        package = name.split(".")[0]
        return {module for module in own if package and not is_below(module, OWN_ALLOWED[package])}

    assert find_faults(find) == {}


def test_the_pack_imports_itself_by_relative_imports_only():
    itself = {"character3d", "pipeline", "server_routes", "backends"}
    assert find_faults(lambda name, outside, own: take_roots(outside) & itself) == {}


@pytest.mark.parametrize("stage", conventions.STAGES)
def test_no_stage_imports_another(stage):
    others = [f"pipeline.{other}" for other in STAGE_PACKAGES - {stage}]

    def find(name, outside, own):
        return {module for module in own if is_below(module, others)}

    assert find_faults(find, f"pipeline.{stage}.") == {}


def test_shared_geometry_knows_no_stage():
    def find(name, outside, own):
        return {module.split(".")[1] for module in own} - {"errors", "mesh", "progress", "types"}

    assert find_faults(find, "pipeline.mesh.") == {}


def test_the_figure_knows_no_stage():
    def find(name, outside, own):
        return {module.split(".")[1] for module in own} & STAGE_PACKAGES

    assert find_faults(find, "pipeline.figure.") == {}


def test_the_pipeline_knows_no_web_server():
    def find(name, outside, own):
        return take_roots(outside) & {"aiohttp", "asyncio"}

    assert find_faults(find, "pipeline") == {}


def test_no_package_of_the_pipeline_imports_itself_by_way_of_others():
    """Threads that import two packages of a circle at once could get one of them half (first_use.py)."""
    graph = {}
    for name, path in MODULES:
        if name.startswith("pipeline.") and name.count(".") > 1:
            _, own = read_imports(name, path)
            package = name.split(".")[1]
            graph.setdefault(package, set()).update(module.split(".")[1] for module in own)
    graph = {package: (others & graph.keys()) - {package} for package, others in graph.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


ALLOWED_IN_THE_CLIENT = {"client.display": {"rich"}, "client.mcp_server": {"mcp"}}
"""Modules that only the command imports, when it needs them."""


def test_the_client_is_of_the_standard_library():
    for_type_checkers = {"typing_extensions"}

    def find(name, outside, own):
        allowed = for_type_checkers | ALLOWED_IN_THE_CLIENT.get(name, set())
        return take_roots(outside) - sys.stdlib_module_names - allowed

    assert find_faults(find, "client") == {}


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


def list_at_top(path):
    """Absolute imports that run when a file is imported."""
    at_top = ast.parse(path.read_text(encoding="utf-8")).body
    for node in at_top:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


def test_slow_packages_are_imported_where_they_are_used():
    faults = {name: take_roots(list_at_top(path)) & SLOW_TO_IMPORT for name, path in MODULES}
    assert {name: found for name, found in faults.items() if found} == {}


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
