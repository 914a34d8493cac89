"""What the pack adds to ComfyUI's start: python benchmarks/import_time.py [--times 5] [--core VERSION]

ComfyUI imports everything and ends, in turn without the pack, with it for the first time (there is no
bytecode of it yet, as in a fresh clone), with it once more, and for the first time after install.py has
compiled it, as ComfyUI-Manager has it after an installation and after an update. Medians: the time without
the pack, from the start of the process to its end, and ComfyUI's own figure for the pack's import beside it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launcher.core_environment import prepare_core
from launcher.cores import PACKAGED, find_core
from launcher.environment import Environment
from launcher.installation import PACK_NAME, Installation, link_pack
from launcher.server import find_free_port, make_server_command

IMPORT = re.compile(r"([\d.]+) seconds: .*ComfyUI-Character3D")


def start(installation: Installation, bytecode: Path) -> tuple[float, float]:
    """(seconds of a start, what ComfyUI says of the pack's import: 0 without the pack)."""
    command = [*make_server_command(installation, find_free_port()), "--quick-test-for-ci"]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=installation.comfyui, env=environment, capture_output=True, text=True, check=True
    )
    seconds = time.monotonic() - begun
    found = IMPORT.search(done.stdout + done.stderr)
    return seconds, float(found.group(1)) if found else 0.0


def run_install(installation: Installation, bytecode: Path) -> None:
    """What install.py compiles."""
    pack = installation.base / "custom_nodes" / PACK_NAME
    command = f"import sys; sys.path.insert(0, {str(pack)!r}); import install; install.compile_modules()"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    subprocess.run([installation.python, "-c", command], env=environment, check=True)


def compare(own: Environment, folder: Path, times: int) -> None:
    """Start in turn, and say what came out."""
    bare, packed = (
        Installation(own.python, own.comfyui, folder / name, is_own=True) for name in ("bare", "packed")
    )
    for base in (bare.base, packed.base):
        for name in ("custom_nodes", "user"):
            (base / name).mkdir(parents=True)
    link_pack(packed.base / "custom_nodes")
    bytecode = folder / "bytecode"
    compiled = bytecode / packed.base.resolve().relative_to(packed.base.resolve().anchor)
    start(bare, bytecode)
    starts: dict[str, list[tuple[float, float]]] = {
        "without": [],
        "first": [],
        "later": [],
        "first after install.py": [],
    }
    for _ in range(times):
        starts["without"].append(start(bare, bytecode))
        shutil.rmtree(compiled, ignore_errors=True)
        starts["first"].append(start(packed, bytecode))
        starts["later"].append(start(packed, bytecode))
        shutil.rmtree(compiled, ignore_errors=True)
        run_install(packed, bytecode)
        starts["first after install.py"].append(start(packed, bytecode))
    alone = statistics.median(seconds for seconds, _ in starts.pop("without"))
    print(f"ComfyUI without the pack: {alone:.2f} s")
    for name, measured in starts.items():
        told = statistics.median(figure for _, figure in measured)
        print(f"import of the pack, {name}: {told:.1f} s ({100 * told / alone:.0f} %)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--core", default=PACKAGED.version, help="a release of launcher/cores.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(prepare_core(find_core(options.core)), Path(scratch), options.times)
