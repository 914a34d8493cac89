"""A virtual environment for another release of ComfyUI than quickstart.py's own, to run the tests on it."""

from __future__ import annotations

import re
import subprocess
import venv
from pathlib import Path

from .cores import Core, fetch_core
from .environment import Environment, find_cache_folder, find_packages, lock_folder, prepare_environment
from .installation import WINDOWS
from .terminal import terminal

FROM_BEHIND = ("torch", "torchvision", "torchaudio")
"""Requirements of every release that come from the environment behind, whose torch has no GPU part."""
UNUSED = ("comfyui-workflow-templates", "comfyui-embedded-docs")
"""Requirements that no test reads: hundreds of megabytes of example pictures, and help pages."""
TORCHAUDIO = "torchaudio==2.11.0"
"""Releases of 2026 import it when they start; none of its compiled part is used."""

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


class CoreEnvironment(Environment):
    """What a release needs beyond quickstart's own environment, which lies behind it on the search path."""

    def __init__(self, core: Core, behind: Environment) -> None:
        super().__init__()
        self.core, self.behind = core, behind
        self.folder = find_cache_folder() / f"{behind.folder.name}-{core.version}"
        self.log = self.folder.with_name(f"{self.folder.name}.log")
        self.python = self.folder / "venv" / ("Scripts/python.exe" if WINDOWS else "bin/python")

    def prepare(self) -> None:
        """Fetch the release and make its environment unless they are there.

        CoreNotFound if the release cannot be had.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.comfyui = fetch_core(self.core, self.folder / "ComfyUI", self.log)
        requirements = (self.comfyui / "requirements.txt").read_text(encoding="utf-8")
        if not self.has_layer("host", requirements):
            self._make_packages(requirements)
            self.mark_layer("host", requirements)

    def _make_packages(self, requirements: str) -> None:
        """Make the virtual environment and install what the one behind has not."""
        venv.create(self.folder / "venv", clear=True, with_pip=False)
        packages, behind = (find_packages(one.folder / "venv") for one in (self, self.behind))
        # As a site directory, so that its own .pth files are read as well.
        line = f"import site; site.addsitedir({str(behind)!r})\n"
        (packages / "behind.pth").write_text(line, encoding="utf-8")
        if missing := self._list_missing(requirements):
            self.install(f"requirements of ComfyUI {self.core.version}", *missing)
        if subprocess.run([self.python, "-c", "import torchaudio"], capture_output=True).returncode:
            self.install("torchaudio", "--no-deps", TORCHAUDIO)
            for library in (packages / "torchaudio" / "lib").glob("*.so"):
                library.unlink()  # made for another torch; without it torchaudio is its Python part

    def _list_missing(self, requirements: str) -> list[str]:
        lines = (line.split("#")[0].strip() for line in requirements.splitlines())
        elsewhere = FROM_BEHIND + UNUSED
        wanted = [line for line in lines if line and re.split(r"[<>=~! ]", line)[0] not in elsewhere]
        command = [str(self.python), "-c", ASK_FOR_MISSING, *wanted]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def prepare_core(core: Core) -> tuple[Path, Path]:
    """The Python and the folder of a release, set up for the tests. CoreNotFound if it cannot be had."""
    terminal.say(f"Setting up ComfyUI {core.version}, frontend {core.frontend}, for the tests")
    behind = prepare_environment(with_tests=True)
    environment = CoreEnvironment(core, behind)
    with lock_folder(find_cache_folder()):
        environment.prepare()
    return environment.python, environment.comfyui
