"""Finds the programs that read our files back, or skips the test that wanted one.

Where CHARACTER3D_REQUIRE_READERS=1 is set, a reader that is missing fails the test instead.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent
PYTHON_MODULES = {"ufbx": "ufbx", "blender": "bpy"}
NODE_MODULES = {
    "assimp": "assimpjs",
    "three": "three",
    "three-vrm": "@pixiv/three-vrm",
    "gltf-validator": "gltf-validator",
    "gltf-transform": "@gltf-transform/functions",
    "three-clip": "three",
    "three-vrma": "@pixiv/three-vrm-animation",
}
PROGRAMS = {"godot": "godot3-server"}
SCRIPTS = {
    "ufbx": "read_ufbx.py",
    "blender": "read_blender.py",
    "godot": "read_godot.py",
    "assimp": "read_assimp.mjs",
    "three": "read_three.mjs",
    "three-vrm": "read_three.mjs",
    "gltf-validator": "validate_gltf.mjs",
    "three-clip": "play_clip.mjs",
    "three-vrma": "play_vrma.mjs",
}
BLENDER_PYTHON = (3, 11)  # the one that bpy 4.5 is built for; others do without Blender
SECONDS = 100


def node_modules() -> Path:
    """The folder that `npm ci` filled from package-lock.json."""
    return Path(os.environ.get("CHARACTER3D_NODE_MODULES") or FOLDER / "node_modules").resolve()


@functools.cache
def _why_missing(reader: str) -> str:
    if reader in PYTHON_MODULES:
        command = [sys.executable, "-c", f"import {PYTHON_MODULES[reader]}"]
        tried = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        return tried.stderr.strip().splitlines()[-1] if tried.returncode else ""
    if reader in PROGRAMS:
        program = PROGRAMS[reader]
        return "" if shutil.which(program) else f"there is no {program} on the PATH"
    if shutil.which("node") is None:
        return "there is no node on the PATH"
    folder = node_modules() / NODE_MODULES[reader]
    return "" if folder.is_dir() else f"no {folder}; run `npm ci` in tests/readers"


def require_reader(reader: str) -> None:
    """Skips, or fails, the running test where `reader` cannot run here."""
    reason = _why_missing(reader)
    if not reason:
        return
    has_no_wheel = reader == "blender" and sys.version_info[:2] != BLENDER_PYTHON
    is_required = os.environ.get("CHARACTER3D_REQUIRE_READERS") == "1"
    if is_required and not has_no_wheel and reader not in PROGRAMS:
        pytest.fail(f"{reader} is required but cannot run: {reason}")
    pytest.skip(f"{reader} cannot run: {reason}")


def run_reader(reader: str, report: Path, *arguments: str | Path) -> dict:
    """What the reader's script wrote to `report`, given the arguments and the report's path."""
    require_reader(reader)
    program = "node" if reader in NODE_MODULES else sys.executable
    command = [program, FOLDER / SCRIPTS[reader], *arguments, report]
    environment = os.environ | {"CHARACTER3D_NODE_MODULES": str(node_modules())}
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, f"{reader} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(report.read_text())
