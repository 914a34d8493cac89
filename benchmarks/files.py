"""Load Mesh, Rig Character and Save Character on every model file of a folder, compared with its truth.

    python benchmarks/files.py FOLDER [--only GLOB] [--load-only] [--gigabytes 4] [--seconds 120]

Each file has a process of its own, limited in memory and time. Columns: the file; what became of it; peak
memory of the process (about 400 MB of it the programs themselves) and seconds; metres of what Load Mesh hands
on, x y z; what was said, or the error. FOLDER/truth.json may say of a file, by its path below FOLDER:
`height` and `width` in metres, `colors` as sRGB `above` and `below` 0.9 m of the saved character, `refused`,
and `says`: whether the nodes must say something. trimesh reads the saved character again. Ends with a line

    files N read R refused X wrong W crashed C

wrong: a size or color that differs from its truth, a refusal that should not be or is missing, a word that is
missing; they are among the read and the refused. crashed: an error that is no sentence of ours, a limit
exceeded, or an end without an answer. Needs a system that can fork. Exits with 1 if anything is wrong or
crashed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from launcher.environment import prepare_own_comfyui  # noqa: E402

SIZE_TOLERANCE = 0.01
COLOR_TOLERANCE = 8
MIDDLE = 0.9
"""Metres between `above` and `below`; what is within BAND of it belongs to neither."""
BAND = 0.1


def main() -> None:
    """Run this script again, with the Python that has the pack's requirements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="files whose path below the folder matches")
    parser.add_argument("--load-only", action="store_true", help="Load Mesh alone")
    parser.add_argument("--gigabytes", type=float, default=4.0)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--comfyui", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.comfyui:
        sys.exit(measure_folder(options))
    installation = prepare_own_comfyui(with_tests=True)
    own = [str(installation.python), "-P", __file__, *sys.argv[1:], "--comfyui", str(installation.comfyui)]
    sys.exit(subprocess.run(own).returncode)


def measure_folder(options: argparse.Namespace) -> int:
    """Print a line for each file and the sums; 1 if anything is wrong or crashed."""
    folder: Path = options.folder.resolve()
    nodes = load_nodes(options.comfyui)
    truths = json.loads((folder / "truth.json").read_text()) if (folder / "truth.json").exists() else {}
    counts: Counter[str] = Counter()
    for name in list_files(folder, options.only, nodes["suffixes"]):
        found = run_apart(nodes, folder, name, options)
        wrong = compare(found, truths.get(name, {}))
        counts.update(["files", found["outcome"], *(["wrong"] if wrong else [])])
        print(describe(name, found, wrong), flush=True)
    order = ("files", "read", "refused", "wrong", "crashed")
    print(" ".join(f"{word} {counts[word]}" for word in order))
    return int(bool(counts["wrong"] or counts["crashed"]))


def load_nodes(comfyui: str) -> dict[str, Any]:
    """Import the three nodes inside a bare ComfyUI, without its server."""
    sys.path.append(comfyui)
    importlib.import_module("comfy.options").args_parsing = False
    importlib.import_module("comfy.cli_args").args.cpu = True
    spec = importlib.util.spec_from_file_location(
        "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
    )
    assert spec is not None
    sys.modules["character3d"] = importlib.util.module_from_spec(spec)
    importlib.import_module("torch").set_num_threads(1)  # threads do not survive a fork
    return {
        "load": importlib.import_module("character3d.nodes.load_mesh").LoadMesh,
        "rig": importlib.import_module("character3d.nodes.rigging").RigCharacter,
        "save": importlib.import_module("character3d.nodes.save_character").SaveCharacter,
        "error": importlib.import_module("character3d.pipeline.errors").Character3DError,
        "suffixes": importlib.import_module("character3d.pipeline.formats").MESH_SUFFIXES,
        "paths": importlib.import_module("folder_paths"),
        "trimesh": importlib.import_module("trimesh"),
    }


def list_files(folder: Path, pattern: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    """Model files below the folder, by their path there."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix.lower() in suffixes and path.is_file() and name.match(pattern):
            yield name.as_posix()


def run_apart(nodes: dict[str, Any], folder: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run a file in a fork; what it found, or how it ended."""
    reading, writing = os.pipe()
    start = time.monotonic()
    child = os.fork()
    if not child:
        os.close(reading)
        answer = json.dumps(run_nodes(nodes, folder, name, options)).encode()
        with os.fdopen(writing, "wb") as stream:
            stream.write(answer)
        os._exit(0)
    os.close(writing)
    data = b""
    while select.select([reading], [], [], max(start + options.seconds - time.monotonic(), 0))[0]:
        if not (piece := os.read(reading, 1 << 16)):
            break
        data += piece
    else:
        os.killpg(child, signal.SIGKILL)  # with the reader that it may have started
        data = json.dumps({"outcome": "crashed", "error": f"longer than {options.seconds} s"}).encode()
    os.close(reading)
    _, status, usage = os.wait4(child, 0)
    ended = {"outcome": "crashed", "error": f"ended by signal {os.WTERMSIG(status)}"}
    found: dict[str, Any] = json.loads(data) if data else ended
    return {**found, "seconds": time.monotonic() - start, "megabytes": usage.ru_maxrss / 1024}


def run_nodes(nodes: dict[str, Any], folder: Path, name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The steps of a file, in the fork."""
    os.setpgid(0, 0)
    most = int(options.gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    found: dict[str, Any] = {"outcome": "read", "said": [], "step": "load"}
    with tempfile.TemporaryDirectory() as output:
        nodes["paths"].set_input_directory(str(folder))
        nodes["paths"].set_output_directory(output)
        try:
            run_steps(nodes, name, options.load_only, found)
        except nodes["error"] as error:
            found["error"] = str(error)
            if found["step"] == "load":
                found["outcome"] = "refused"
        except Exception as error:  # noqa: BLE001
            found |= {"outcome": "crashed", "error": f"{type(error).__name__}: {error}"}
    return found


def run_steps(nodes: dict[str, Any], name: str, is_load_only: bool, found: dict[str, Any]) -> None:
    """Load, rig, save and read again; what is found goes to `found`."""
    loaded = nodes["load"].execute(mesh_file=name)
    found["said"] += loaded.ui["text"]
    mesh = loaded.args[0]
    found["size"] = [float(value) for value in mesh.bounds[1] - mesh.bounds[0]]
    if is_load_only:
        return
    found["step"] = "rig"
    rigged = nodes["rig"].execute(mesh, pose_type="No", method="geodesic_voxel_binding")
    found["said"] += rigged.ui["character3d_report"][0]["warnings"]
    found["step"] = "save"
    saved = nodes["save"].execute(rigged.args[0][0], "files/character", character_format="glb")
    found["step"] = "read again"
    path = Path(nodes["paths"].get_output_directory(), saved.args[0])
    found["colors"] = measure_colors(nodes["trimesh"].load_scene(path))
    found["step"] = ""


def measure_colors(scene: Any) -> dict[str, list[float]]:
    """Median sRGB of the faces above and below MIDDLE, from textures, vertex colors and factors."""
    import numpy as np

    heights, colors = [], []
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        mesh = scene.geometry[name]
        heights.append((mesh.triangles_center @ transform[:3, :3].T + transform[:3, 3])[:, 1])
        colors.append(color_faces(mesh))
    height, color = np.concatenate(heights), np.concatenate(colors)
    sides = {"above": height > MIDDLE + BAND, "below": height < MIDDLE - BAND}
    return {side: np.median(color[rows], axis=0).tolist() for side, rows in sides.items() if rows.any()}


def color_faces(mesh: Any) -> Any:
    """(F, 3) sRGB 0..255 in the middle of each face."""
    import numpy as np

    material = getattr(mesh.visual, "material", None)
    image, uvs = getattr(material, "baseColorTexture", None), getattr(mesh.visual, "uv", None)
    if image is None or uvs is None:
        return np.asarray(mesh.visual.face_colors, float)[:, :3]
    texels = np.asarray(image.convert("RGB"))
    places = uvs[mesh.faces].mean(axis=1) * (1, -1) + (0, 1)
    rows = np.floor(places[:, ::-1] % 1 * texels.shape[:2]).astype(int)
    return texels[rows[:, 0], rows[:, 1]].astype(float)


def compare(found: Mapping[str, Any], truth: Mapping[str, Any]) -> list[str]:
    """What differs from the truth, in words."""
    wrong = []
    has_error = "error" in found
    if truth and has_error != truth.get("refused", False):
        wrong.append("refused" if has_error else "not refused")
    for axis, kind in enumerate(("width", "height")):
        if kind in truth and "size" in found:
            size = found["size"][axis]
            if abs(size - truth[kind]) > SIZE_TOLERANCE * truth[kind]:
                wrong.append(f"{kind} {size:.3f}, expected {truth[kind]}")
    for side, color in truth.get("colors", {}).items():
        seen = found.get("colors", {}).get(side, [])
        if not seen or max(abs(a - b) for a, b in zip(seen, color, strict=True)) > COLOR_TOLERANCE:
            wrong.append(f"{side} {[round(value) for value in seen]}, expected {color}")
    if truth.get("says") and not found["said"] and not has_error:
        wrong.append("said nothing")
    return wrong


def describe(name: str, found: Mapping[str, Any], wrong: list[str]) -> str:
    """The line of a file."""
    size = " ".join(f"{value:.3f}" for value in found.get("size", []))
    step = f"{found['step']}: " if found.get("step") not in (None, "", "load") and "error" in found else ""
    words = [*(f"WRONG {word}" for word in wrong), *found.get("said", [])]
    if "error" in found:
        words.append(f"{step}{found['error']}")
    measured = f"{found['megabytes']:6.0f} MB {found['seconds']:5.1f} s"
    return f"{name:40} {found['outcome']:8} {measured} {size:20} {' | '.join(words)}"


if __name__ == "__main__":
    main()
