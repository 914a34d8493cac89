"""The command `character3d`: pictures and meshes in, characters out.

    character3d picture.png -o out --format vrm
    character3d pictures/ -o out
    character3d check picture.png
    character3d rig mesh.glb --animation walk
    character3d animate mesh.glb dance.bvh
    character3d mcp

CHARACTER3D_SERVER names the server unless --server does; CHARACTER3D_API_KEY is the key, if it wants one.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .client import Client
from .connection import BROKEN, ServiceError
from .orders import PICTURES, Order
from .runs import JobFailed, Run, Stopped
from .types import CompletedJob

SERVER = "http://127.0.0.1:8188"
FORMATS = ("fbx", "glb", "vrm", "vrm0", "usdz")
COMMANDS = ("generate", "check", "rig", "animate", "mcp")
FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit statuses."""
SILENT_SECONDS = 300.0
"""A check answers when it is done, which takes long where jobs are running beside it."""
JOBS_AT_ONCE = 2
"""As many as the service takes of one user."""
MISSING_RICH = "The command needs the package rich: install comfyui-character3d-client, or rich"
MISSING_MCP = "The MCP server needs the package mcp: install comfyui-character3d-client[mcp]"


def _read_field(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _add_server(parser: argparse.ArgumentParser) -> None:
    default = os.environ.get("CHARACTER3D_SERVER", SERVER)
    parser.add_argument("--server", default=default, metavar="URL", help=f"of ComfyUI, by default {default}")


def _add_options(parser: argparse.ArgumentParser) -> None:
    """Those of all commands that make something."""
    _add_server(parser)
    parser.add_argument("-o", "--out", type=Path, default=Path(), metavar="FOLDER", help="for the results")
    parser.add_argument("--format", choices=FORMATS, help="of the character, by default fbx")
    parser.add_argument(
        "--preset", metavar="PROGRAM", help="that shall take the file, such as unity, godot or roblox"
    )
    parser.add_argument("--animation", metavar="CLIP", help="a clip such as walk, or all")
    parser.add_argument("--seed", metavar="NUMBER", help="of what is random")
    parser.add_argument(
        "--set", type=_read_field, action="append", default=[], metavar="NAME=VALUE", dest="fields",
        help="any field of the form, such as prompt='a knight'; may come several times",
    )  # fmt: skip
    parser.add_argument("--every-file", action="store_true", help="keep all files of a job, in a folder")


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    text = (__doc__ or "").replace("%", "%%")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("character3d", description=text, formatter_class=form)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    generate = commands.add_parser("generate", help="a character of each picture (the default command)")
    generate.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE", help="PNG or JPEG, or a folder")
    generate.add_argument("--again", action="store_true", help="of a folder, also what has a result")
    rig = commands.add_parser("rig", help="a rig for each mesh")
    rig.add_argument("inputs", nargs="+", type=Path, metavar="MESH", help="GLB, FBX, OBJ and others")
    animate = commands.add_parser("animate", help="a rig and a motion for a mesh")
    animate.add_argument("inputs", nargs=1, type=Path, metavar="MESH")
    animate.add_argument("motion", type=Path, metavar="MOTION", help="BVH, FBX, GLB, VRMA or npz of SMPL")
    for command in (generate, rig, animate):
        _add_options(command)
    check = commands.add_parser("check", help="what would be read in a picture, or made of a mesh")
    check.add_argument("inputs", nargs="+", type=Path, metavar="FILE")
    check.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="for a picture of what was read")
    mcp = commands.add_parser("mcp", help="serve the Model Context Protocol on standard input and output")
    for command in (check, mcp):
        _add_server(command)
    return parser


def read_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """The options; without a command, the first argument is a picture."""
    is_command = not arguments or arguments[0] in (*COMMANDS, "-h", "--help")
    return make_parser().parse_args(arguments if is_command else ["generate", *arguments])


def _read_fields(options: argparse.Namespace) -> dict[str, str]:
    named = {
        "character_format": options.format,
        "preset": options.preset,
        "animation": options.animation,
        "seed": options.seed,
    }
    return {**{name: value for name, value in named.items() if value is not None}, **dict(options.fields)}


def _has_result(out: Path, stem: str) -> bool:
    is_begun = (out / f".{stem}.character3d.json").exists()
    return not is_begun and any(
        (out / f"{stem}{end}").exists() for end in (".fbx", ".glb", ".vrm", ".usdz", "")
    )


def _find_pictures(folder: Path, options: argparse.Namespace) -> list[Path]:
    """The pictures of a folder that have no results yet; what is left out is said."""
    pictures = sorted(file for file in folder.iterdir() if file.suffix.lower() in PICTURES)
    if not pictures:
        raise FileNotFoundError(f"{folder} has no PNG or JPEG file")
    found = [file for file in pictures if options.again or not _has_result(options.out, file.stem)]
    if done := len(pictures) - len(found):
        said = f"{done} of {len(pictures)} pictures have results in {options.out}; --again makes them anew"
        sys.stderr.write(f"{folder}: {said}\n")
    return found


def list_orders(options: argparse.Namespace) -> Iterator[Order]:
    """What is to be made. FileNotFoundError where files are missing, ValueError where two would be one."""
    fields, seen = _read_fields(options), dict[str, Path]()
    motion = [options.motion] if options.command == "animate" else []
    for path in (*options.inputs, *motion):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    for path in options.inputs:
        for file in _find_pictures(path, options) if path.is_dir() else [path]:
            if file.stem in seen:
                raise ValueError(f"{seen[file.stem]} and {file} would have results of the same name")
            seen[file.stem] = file
            yield Order([file, *motion], fields)


def describe_problem(error: Exception, address: str) -> str:
    """A sentence about what went wrong, and what to do."""
    if isinstance(error, ServiceError) and error.status == 401:
        return f"{error.message}. Put the server's key into CHARACTER3D_API_KEY"
    if isinstance(error, ServiceError) and error.error_code:
        return error.message
    if isinstance(error, BROKEN):
        return f"{error}. Is ComfyUI running? --server names another address than {address}"
    return str(error)


def _describe_end(job: CompletedJob, paths: Iterable[Path], is_resumed: bool) -> str:
    sizes = ", ".join(f"{path} ({path.stat().st_size / 1e6:.1f} MB)" for path in paths)
    resumed = ", of the job that was begun before" if is_resumed else ""
    return "\n".join(
        [f"{sizes}, {job['processing_time']}{resumed}", *(f"  {note}" for note in job["warnings"])]
    )


class Batch:
    """Some orders, JOBS_AT_ONCE at a time, and what is shown of them."""

    def __init__(self, client: Client, orders: Iterable[Order], options: argparse.Namespace) -> None:
        from .display import Display

        self._stop = threading.Event()
        self._client = client
        self._runs = [Run(client, order, options.out, self._stop) for order in orders]
        self._every_file = options.every_file
        self._display = Display()
        self._failures = 0

    def finish(self) -> int:
        """Do all of them; returns the exit status. Ctrl-C cancels what is running."""
        with self._display, ThreadPoolExecutor(JOBS_AT_ONCE) as threads:
            futures = [threads.submit(self._do, run) for run in self._runs]
            try:
                for future in as_completed(futures):
                    future.result()
            except KeyboardInterrupt:
                self._cancel()
                threads.shutdown(wait=True, cancel_futures=True)
                return INTERRUPTED
        return FAILED if self._failures else 0

    def _do(self, run: Run) -> None:
        name = run.order.name
        try:
            job, paths = run.finish(
                lambda stage, percent: self._display.show(name, stage, percent), self._every_file
            )
            self._display.end(name, _describe_end(job, paths, run.is_resumed))
        except Stopped:
            self._failures += 1
            self._display.end(name, "cancelled")
        except (ServiceError, OSError, JobFailed) as error:
            self._failures += 1
            self._display.end(name, f"failed. {describe_problem(error, self._client.address)}")

    def _cancel(self) -> None:
        """Stop all, and cancel the jobs that the server has."""
        self._stop.set()
        for run in self._runs:
            if run.cancel():
                self._display.say(f"{run.order.name}: its job {run.job_id} was cancelled")


def check_files(client: Client, files: Iterable[Path], out: Path | None) -> int:
    """Say what would be read in pictures and made of meshes; returns the exit status."""
    status = 0
    for file in files:
        try:
            lines = (
                _check_picture(client, file, out)
                if file.suffix.lower() in PICTURES
                else _check_mesh(client, file)
            )
        except (ServiceError, OSError) as error:
            lines, status = [f"failed. {describe_problem(error, client.address)}"], FAILED
        sys.stdout.write(f"{file.name}: " + "\n  ".join(lines) + "\n")
    return status


def _check_picture(client: Client, file: Path, out: Path | None) -> list[str]:
    found = client.check(file)
    lines = [
        f"{found['kind'].replace('_', ' ')}, turned {found['yaw']:.0f} degrees, cut out by {found['method']}"
    ]
    if out:
        out.mkdir(parents=True, exist_ok=True)
        preview = out / f"{file.stem}_check.png"
        preview.write_bytes(base64.b64decode(found["preview"]))
        lines.append(f"drawn in {preview}")
    return [*lines, *found["warnings"]]


def _check_mesh(client: Client, file: Path) -> list[str]:
    found = client.check_rig(file)
    size = f"{found['vertices']} vertices, {found['faces']} triangles, {found['height_meters']:.2f} m high"
    sure = f"{found['kind']} ({found['confidence']:.0%} sure), skeleton: {found['skeleton']}"
    notes = [f"{item['message']}. {item['advice']}".rstrip(". ") for item in found["findings"]]
    return [sure, size, *notes]


def run_command(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Do what the options say; returns the exit status. ValueError and OSError say what is wrong."""
    key = environment.get("CHARACTER3D_API_KEY") or None
    client = Client(options.server, api_key=key, timeout=SILENT_SECONDS, patience=20.0)
    if options.command == "mcp":
        from .mcp_server import serve

        serve(client)
        return 0
    if options.command == "check":
        return check_files(client, options.inputs, options.out)
    return Batch(client, list_orders(options), options).finish()


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point."""
    options = read_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        return run_command(options, os.environ)
    except ModuleNotFoundError as error:
        if error.name not in ("rich", "mcp"):
            raise
        problem = MISSING_MCP if error.name == "mcp" else MISSING_RICH
    except (ValueError, OSError) as error:
        problem = str(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    sys.stderr.write(f"character3d: {problem}\n")
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
