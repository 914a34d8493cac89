"""A virtual environment for another release of ComfyUI than the tests' own, to run the tests on it."""

from __future__ import annotations

import venv
from pathlib import Path

from .cores import Core, fetch_core
from .environment import (
    Environment,
    find_cache_folder,
    find_packages,
    prepare_environment,
    prepare_test_environment,
)
from .installation import WINDOWS
from .terminal import terminal


class CoreEnvironment(Environment):
    """What a release needs beyond the tests' environment, which lies behind it on the search path."""

    def __init__(self, core: Core, behind: Environment) -> None:
        super().__init__(core)
        self.behind = behind
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
            self._make_packages()
            self.mark_layer("host", requirements)

    def _make_packages(self) -> None:
        """Make the virtual environment and install what the one behind has not."""
        venv.create(self.folder / "venv", clear=True, with_pip=False)
        packages, behind = (find_packages(one.folder / "venv") for one in (self, self.behind))
        # As a site directory, so that its own .pth files are read as well.
        line = f"import site; site.addsitedir({str(behind)!r})\n"
        (packages / "behind.pth").write_text(line, encoding="utf-8")
        self.install_requirements_of_core()


def prepare_core(core: Core) -> tuple[Path, Path]:
    """The Python and the folder of a release, set up for the tests. CoreNotFound if it cannot be had."""
    terminal.say(f"Setting up ComfyUI {core.version}, frontend {core.frontend}, for the tests")
    environment = prepare_environment(CoreEnvironment(core, prepare_test_environment()))
    return environment.python, environment.comfyui
