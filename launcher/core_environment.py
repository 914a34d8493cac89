"""A virtual environment for another release of ComfyUI than the tests' own, to run the tests on it."""

from __future__ import annotations

import venv
from collections.abc import Sequence

from .cores import PACKAGED, Core, CoreNotFound, fetch_core
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
        self.folder = find_cache_folder() / f"{behind.folder.name}-{core.version}-{core.frontend}"
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
            self.install("frontend", f"comfyui-frontend-package=={self.core.frontend}")
            self.mark_layer("host", requirements)

    def _make_packages(self) -> None:
        """Make the virtual environment and install what the one behind has not."""
        venv.create(self.folder / "venv", clear=True, with_pip=False)
        packages, behind = (find_packages(one.folder / "venv") for one in (self, self.behind))
        # As a site directory, so that its own .pth files are read as well.
        line = f"import site; site.addsitedir({str(behind)!r})\n"
        (packages / "behind.pth").write_text(line, encoding="utf-8")
        self.install_requirements_of_core()


def prepare_core(core: Core) -> Environment:
    """The environment of a release, set up for the tests. CoreNotFound if the release cannot be had."""
    environment = prepare_test_environment()
    if core == PACKAGED:
        return environment
    terminal.say(f"Setting up ComfyUI {core.version}, frontend {core.frontend}, for the tests")
    return prepare_environment(CoreEnvironment(core, environment))


def try_core(core: Core, may_lack: bool) -> Environment | None:
    """prepare_core; if the tests may do without the release, None and a word of it where it cannot be had."""
    try:
        return prepare_core(core)
    except CoreNotFound as error:
        if not may_lack:
            raise
        terminal.say(f"NOT TESTED on ComfyUI {core.version}, which cannot be had here: {error}")
        return None


def prepare_first_core(cores: Sequence[Core], may_lack: bool = False) -> Environment | None:
    """The environment of the first release that can be had.

    Where none can: None if the tests may do without, else CoreNotFound.
    """
    tried = (try_core(core, may_lack or core != cores[-1]) for core in cores)
    return next((environment for environment in tried if environment), None)
