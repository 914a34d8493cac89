"""What the pack adds to ComfyUI's start: python benchmarks/import_time.py [PACK ...] [--times 5] [--core V]

ComfyUI imports everything and ends, in turn without the pack, with it for the first time (there is no
bytecode of it yet, as in a fresh clone), with it once more, and for the first time after install.py has
compiled it, as ComfyUI-Manager has it after an installation and after an update. Of several PACKs, folders
such as a worktree of an older commit, each has its turn in each round. Medians: the time without the pack,
from the start of the process to its end, and beside it what ComfyUI's own function takes that loads the
pack: seconds of the processor and of the clock, and the pack's modules.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launcher.core_environment import prepare_core
from launcher.cores import PACKAGED, find_core
from launcher.environment import Environment
from launcher.installation import PACK_NAME, REPOSITORY, Installation, link_folder
from launcher.server import find_free_port, make_server_command

MAIN = f"""
import json, sys, time
import main, nodes

load = nodes.load_custom_node

async def measure(path, *rest, **named):
    processor, clock = time.process_time(), time.perf_counter()
    done = await load(path, *rest, **named)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    if {PACK_NAME!r} in path:
        modules = sum({PACK_NAME!r} in name for name in sys.modules)
        print("MEASURED", json.dumps([processor, clock, modules if done else 0]), flush=True)
    return done

nodes.load_custom_node = measure
main.start_comfyui()
"""
"""ComfyUI's main.py, which measures how it loads the pack."""


class Import(NamedTuple):
    """Seconds of the processor and of the clock, and the pack's modules."""

    processor: float
    clock: float
    modules: int


def start(installation: Installation, bytecode: Path) -> tuple[float, Import | None]:
    """(seconds of a start, what the import of the pack took, if it is there)."""
    command = [*make_server_command(installation, find_free_port()), "--quick-test-for-ci"]
    main = command.index(str(installation.comfyui / "main.py"))
    command[main : main + 1] = ["-c", MAIN]
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.monotonic()
    done = subprocess.run(
        command, cwd=installation.comfyui, env=environment, capture_output=True, text=True, check=True
    )
    seconds = time.monotonic() - begun
    told = [line for line in done.stdout.splitlines() if line.startswith("MEASURED")]
    return seconds, Import(*json.loads(told[0].removeprefix("MEASURED"))) if told else None


def run_install(installation: Installation, bytecode: Path) -> None:
    """What install.py compiles."""
    pack = installation.base / "custom_nodes" / PACK_NAME
    command = f"import sys; sys.path.insert(0, {str(pack)!r}); import install; install.compile_modules()"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    subprocess.run([installation.python, "-c", command], env=environment, check=True)


def install(own: Environment, base: Path, pack: Path | None) -> Installation:
    """A folder of user files for ComfyUI, with that pack in it."""
    for name in ("custom_nodes", "user"):
        (base / name).mkdir(parents=True)
    if pack is not None:
        link_folder(base / "custom_nodes" / PACK_NAME, pack.resolve())
    return Installation(own.python, own.comfyui, base, is_own=True)


def start_packed(installation: Installation, bytecode: Path) -> dict[str, Import | None]:
    """One start of each kind."""
    base = installation.base.resolve()
    compiled = bytecode / base.relative_to(base.anchor)
    shutil.rmtree(compiled, ignore_errors=True)
    starts = {name: start(installation, bytecode)[1] for name in ("first", "later")}
    shutil.rmtree(compiled, ignore_errors=True)
    run_install(installation, bytecode)
    return {**starts, "first after install.py": start(installation, bytecode)[1]}


def compare(own: Environment, folder: Path, packs: list[Path], times: int) -> None:
    """Start in turn, and say what came out."""
    bytecode, bare = folder / "bytecode", install(own, folder / "bare", None)
    packed = [install(own, folder / str(number), pack) for number, pack in enumerate(packs)]
    start(bare, bytecode)
    alone, starts = [], [[] for _ in packs]
    for _ in range(times):
        alone.append(start(bare, bytecode)[0])
        for found, installation in zip(starts, packed, strict=True):
            found.append(start_packed(installation, bytecode))
    without = statistics.median(alone)
    print(f"ComfyUI without the pack: {without:.2f} s")
    for pack, found in zip(packs, starts, strict=True):
        for name in found[0]:
            middle = Import(*map(statistics.median, zip(*(one[name] for one in found), strict=True)))
            share = 100 * middle.clock / without
            took = f"{middle.processor:.3f} s of the processor, {middle.clock:.3f} s in all ({share:.0f} %)"
            print(f"{pack}, {name}: {took}, {middle.modules:.0f} modules")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packs", nargs="*", type=Path, default=[REPOSITORY])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--core", default=PACKAGED.version, help="a release of launcher/cores.py")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(prepare_core(find_core(options.core)), Path(scratch), options.packs, options.times)
