"""Which ComfyUI is run, with which Python, and where the user's files are."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .terminal import QuickstartError, run_step

REPOSITORY = Path(__file__).resolve().parent.parent
PACK_NAME = "ComfyUI-Character3D"
WINDOWS = os.name == "nt"

ASK_FOR_PACKAGES = (
    "import importlib.metadata as m, re, sys; "
    "have = {re.sub('[-_.]+', '-', d.metadata['Name'] or '').lower() for d in m.distributions()}; "
    "sys.exit(any(name not in have for name in sys.argv[1:]))"
)


@dataclass(frozen=True)
class Installation:
    """A ComfyUI, its Python, and the folder with its custom_nodes, models and output."""

    python: Path
    comfyui: Path
    base: Path
    is_own: bool

    @property
    def log(self) -> Path:
        """The log file of the running server."""
        return self.base / "user" / "character3d-quickstart.log"


def find_working_folder() -> Path:
    """Return the folder for the user's files: models, inputs, outputs, settings."""
    chosen = os.environ.get("CHARACTER3D_HOME")
    return Path(chosen).expanduser().resolve() if chosen else Path.home() / PACK_NAME


def prepare_existing_comfyui(folder: Path) -> Installation:
    """Find the ComfyUI in `folder` and its Python, and install the pack's missing requirements.

    Raises QuickstartError if there is no ComfyUI.
    """
    folder = folder.expanduser().resolve()
    comfyui = next((f for f in (folder, folder / "ComfyUI") if (f / "main.py").is_file()), None)
    if comfyui is None:
        raise QuickstartError(f"No ComfyUI in {folder}: there is no main.py.")
    python = find_python_beside(comfyui)
    requirements = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split()
    install_missing("the pack's requirements", python, requirements)
    return Installation(python, comfyui, comfyui, is_own=False)


def install_missing(title: str, python: Path, requirements: Sequence[str]) -> None:
    """Install requirements unless packages of their names are there."""
    names = [re.split(r"[\[<>=;]", line)[0] for line in requirements]
    if subprocess.run([python, "-c", ASK_FOR_PACKAGES, *names], capture_output=True).returncode:
        log = Path(tempfile.gettempdir()) / "character3d-quickstart-pip.log"
        run_step(f"{title}, into {python}", [python, "-m", "pip", "install", *requirements], log)


def find_python_beside(comfyui: Path) -> Path:
    """Return the Python of an existing ComfyUI: its virtual environment, the portable one, or this one."""
    for folder in (comfyui, comfyui.parent):
        for name in ("venv", ".venv", "python_embeded"):
            for python in ("bin/python", "Scripts/python.exe", "python.exe"):
                if (folder / name / python).is_file():
                    return folder / name / python
    return Path(sys.executable)


def copy_examples(inputs: Path) -> None:
    """Copy the examples to where the included workflows expect them; existing files are kept."""
    inputs.mkdir(parents=True, exist_ok=True)
    for example in (REPOSITORY / "examples").iterdir():
        if example.suffix in (".png", ".glb") and not (inputs / example.name).exists():
            shutil.copyfile(example, inputs / example.name)


def copy_models(source: Path, models: Path) -> None:
    """Copy model files that are missing or differ, with their folders; each is there whole or not at all."""
    for file in source.glob("*/*.*"):
        target = models / file.relative_to(source)
        if file.name.startswith(".") or (target.is_file() and filecmp.cmp(file, target, shallow=False)):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{file.name}.{os.getpid()}")
        try:
            shutil.copyfile(file, part)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def link_pack(custom_nodes: Path) -> None:
    """Link this clone into custom_nodes, unless it is already there under any name.

    Raises QuickstartError if another folder has that name.
    """
    custom_nodes.mkdir(parents=True, exist_ok=True)
    if any(entry.resolve() == REPOSITORY for entry in custom_nodes.iterdir()):
        return
    link_folder(custom_nodes / PACK_NAME, REPOSITORY)


def link_folder(link: Path, target: Path) -> None:
    """Make a link to a folder, in the place of another link or of an empty folder.

    Raises QuickstartError if something else has that name.
    """
    try:
        if link.is_symlink():
            link.unlink()
        elif link.exists():
            link.rmdir()  # removes a junction, and fails for a folder that is not empty
        link.symlink_to(target, target_is_directory=True)
    except OSError as error:
        junction = ["cmd", "/c", "mklink", "/J", str(link), str(target)]
        if not WINDOWS or subprocess.run(junction, capture_output=True).returncode:
            raise QuickstartError(f"{target} cannot be linked to {link}: {error}") from error
