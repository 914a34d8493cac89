"""Mixamo's clips by joint name on our rigs, in three.js: python benchmarks/clips.py CLIPS RIGS [--only Xbot].

CLIPS: a folder of Mixamo's .fbx files, each with its own character. RIGS: a folder of the npz files that
rigs.py reads, and of .glb or .fbx files, which are played on as they are. Each npz is rigged as the node
Rig Character does, without a picture, saved as Save Character does, as GLB (as FBX with --fbx), and played by
three.js (tests/readers/play_clip.mjs; CHARACTER3D_NODE_MODULES names the folder that `npm ci` filled there).
Nothing is retargeted: joints turn as the clip says; only the track of the hips is scaled, by their heights.

way    degrees between a bone's direction and that of the same bone of the clip's own character.
flesh  degrees by which the mesh of a joint is turned against that of the clip's own character, both
       counted from the T-pose: direction and roll together.
floor  the lowest point of the feet, % of the height of the hips: the least and greatest of all frames.

Each figure is the largest of all frames and of both sides; `own` is the clip's own character. --maker-joints
binds the mesh to its maker's joints with the maker's weights instead: its floor is what the mesh allows, as
a foot that is longer than that of the clip's own character goes through the ground when it rolls over its
toes.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from bench_data_rigs import read_maker_rig  # noqa: E402
from character3d.pipeline.animation import pose_character  # noqa: E402
from character3d.pipeline.formats import align_bones, encode_fbx, encode_glb  # noqa: E402
from character3d.pipeline.formats.motion_files import read_motions  # noqa: E402
from character3d.pipeline.mesh.normals import compute_vertex_normals  # noqa: E402
from character3d.pipeline.motion import add_motions  # noqa: E402
from character3d.pipeline.orientation import place_mesh  # noqa: E402
from character3d.pipeline.rigging import (  # noqa: E402
    compute_skin_weights,
    fit_skeleton,
    normalize_to_t_pose,
)
from character3d.pipeline.types import (  # noqa: E402
    AnimationClip,
    Material,
    Mesh,
    RiggedCharacter,
    SkinWeights,
    TexturedMesh,
)

_READERS = _REPOSITORY / "tests" / "readers"
Array = npt.NDArray[Any]
_BONES = {
    "Spine": "Spine1",
    "Spine1": "Spine2",
    "Spine2": "Neck",
    "Neck": "Head",
    "Shoulder": "Arm",
    "Arm": "ForeArm",
    "ForeArm": "Hand",
    "UpLeg": "Leg",
    "Leg": "Foot",
    "Foot": "ToeBase",
}
"""Joint -> the joint that its bone ends at."""
_JOINTS = ("Hips", *_BONES, "Head", "Hand", "ToeBase")
_SHORT = {"Shoulder": "Collar", "ForeArm": "FArm", "UpLeg": "Thigh", "Leg": "Shin", "ToeBase": "Toe"}


def main() -> None:
    """Print a row for each clip and rig."""
    arguments = _parse_arguments()
    clips = sorted(arguments.clips.glob("*.fbx"))
    files = [file for file in sorted(arguments.rigs.iterdir()) if file.suffix in (".npz", ".glb", ".fbx")]
    files = [file for file in files if any(fnmatch.fnmatch(file.stem, p) for p in arguments.only.split(","))]
    if arguments.load:
        _print_floors([file for file in files if file.suffix == ".npz"], clips)
        return
    columns = [_SHORT.get(name, name)[:6] for name in _JOINTS]
    print(f"{'':34}" + " ".join(f"{name:>6}" for name in columns) + "  floor")
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            for model, turns in _prepare(file, Path(folder), arguments):
                for clip in clips:
                    report = _play(clip, model, arguments.frames)
                    _print_row(f"{clip.stem[:16]} {model.name[:16]}", report, turns)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("rigs", type=Path)
    parser.add_argument("--only", default="*", help="patterns of the rigs' names, with commas between")
    parser.add_argument("--fbx", action="store_true", help="save as FBX instead of GLB")
    parser.add_argument("--t-pose", action="store_true", help="convert the rest pose to the T-pose")
    parser.add_argument("--maker-joints", action="store_true", help="bind the meshes to their makers' joints")
    parser.add_argument("--load", action="store_true", help="retarget the clips as Load Motion does")
    parser.add_argument("--frames", type=int, default=60)
    return parser.parse_args()


def _print_floors(files: list[Path], clips: list[Path]) -> None:
    motions = [motion for clip in clips for motion in read_motions(clip).motions]
    for file in files:
        character = add_motions(rig(file), motions)
        for clip in character.clips:
            lowest = measure_floor(character, clip)
            print(
                f"{clip.name[:16]:16} {file.stem:18} floor {lowest.min():5.1f}..{lowest.max():4.1f}",
                flush=True,
            )


def measure_floor(character: RiggedCharacter, clip: AnimationClip) -> Array:
    """The lowest point (T,) of what is bound to the feet, % of the height of the hips."""
    skeleton, skin = character.skeleton, character.skin
    feet = [
        joint for side in ("left", "right") for joint in skeleton.list_below(skeleton.roles[side + "Foot"])
    ]
    strongest = np.take_along_axis(skin.joints, skin.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
    own = np.isin(strongest, feet)
    height = skeleton.positions[skeleton.roles["hips"], 1]
    posed = pose_character(character, clip, clip.times)
    return np.array([100 * frame.mesh.positions[own, 1].min() / height for frame in posed])


def _prepare(file: Path, folder: Path, arguments: argparse.Namespace) -> list[tuple[Path, dict[str, Array]]]:
    """The file to play on, and by joint the turn (3, 3) from its rest pose to the T-pose."""
    if file.suffix != ".npz":
        return [(file, {})]
    character = rig_as_maker(file) if arguments.maker_joints else rig(file)
    posed = normalize_to_t_pose(character)
    turns = posed.skeleton.rest[:, :3, :3] @ np.swapaxes(character.skeleton.rest[:, :3, :3], 1, 2)
    target = folder / (file.stem + (".fbx" if arguments.fbx else ".glb"))
    chosen = posed if arguments.t_pose else character
    if not arguments.maker_joints:
        chosen = align_bones(chosen, "mixamo")
    target.write_bytes(encode_fbx(chosen, file.stem) if arguments.fbx else encode_glb(chosen))
    names = [name.split(":")[-1] for name in character.skeleton.names]
    return [(target, {} if arguments.t_pose else dict(zip(names, turns, strict=True)))]


def rig(file: Path) -> RiggedCharacter:
    """The mesh of an npz file with our rig."""
    data = np.load(file)
    positions = data["v"].astype(np.float32)
    mesh = Mesh(positions, data["f"], compute_vertex_normals(positions, data["f"]))
    placed = place_mesh(mesh).surface
    fitted = fit_skeleton(placed)
    skin = compute_skin_weights(
        placed, fitted.skeleton, hidden=fitted.hidden, appendages=fitted.appendages, solid=fitted.solid
    )
    return RiggedCharacter(_paint(placed), fitted.skeleton, skin)


def rig_as_maker(file: Path) -> RiggedCharacter:
    """The mesh of an npz file with the joints and the four strongest weights of its maker."""
    maker = read_maker_rig(file)
    mesh = _ground(maker.mesh)
    rest = maker.skeleton.rest.copy()
    rest[:, :3, 3] += mesh.positions[0] - maker.mesh.positions[0]
    strongest = np.argsort(-maker.weights, axis=1)[:, :4]
    weights = np.take_along_axis(maker.weights, strongest, axis=1)
    weights[weights.sum(axis=1) == 0] = (1, 0, 0, 0)
    skin = SkinWeights(
        strongest.astype(np.uint16), (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    )
    return RiggedCharacter(_paint(mesh), replace(maker.skeleton, rest=rest), skin)


def _ground(mesh: Mesh) -> Mesh:
    return replace(mesh, positions=mesh.positions - (0, mesh.positions[:, 1].min(), 0))


def _paint(mesh: Mesh) -> TexturedMesh:
    painted = replace(mesh, uvs=np.full((len(mesh.positions), 2), 0.5, np.float32))
    return TexturedMesh(painted, Material(np.full((4, 4, 4), 0.7, np.float32)))


def _play(clip: Path, model: Path, frames: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        modules = os.environ.get("CHARACTER3D_NODE_MODULES", str(_READERS / "node_modules"))
        script = _READERS / "play_clip.mjs"
        command = ["node", str(script), str(clip), str(model), str(frames), str(report)]
        environment = os.environ | {"CHARACTER3D_NODE_MODULES": str(Path(modules).resolve())}
        subprocess.run(command, check=True, env=environment)
        return dict(json.loads(report.read_text()))


def _print_row(title: str, report: dict[str, Any], turns: dict[str, Array]) -> None:
    own, model = (_read_joints(report[side]["joints"]) for side in ("own", "model"))
    ways = [_find_largest(own, model, name, turns, measure_way) for name in _JOINTS]
    flesh = [_find_largest(own, model, name, turns, measure_flesh) for name in _JOINTS]
    floors = []
    for side, joints in (("model", model), ("own", own)):
        low = 100 * np.array(report[side]["lowest"]) / joints["Hips"][0][1, 3]
        floors.append(f"{low.min():5.1f}..{low.max():4.1f}")
    print(f"{title:28} way   " + " ".join(f"{value:6.1f}" for value in ways) + f" {floors[0]}")
    print(f"{'':28} flesh " + " ".join(f"{value:6.1f}" for value in flesh) + f" {floors[1]} own", flush=True)


def _read_joints(joints: dict[str, Any]) -> dict[str, Array]:
    """Joint -> (1 + T, 4, 4): its rest, then its frames."""
    return {
        name: np.array([joint["rest"], *joint["frames"]]).reshape(-1, 4, 4) for name, joint in joints.items()
    }


def _find_largest(own: Any, model: Any, name: str, turns: dict[str, Array], measure: Any) -> float:
    names = [side + name for side in ("", "Left", "Right") if side + name in own and side + name in model]
    found = [measure(own, model, each, turns) for each in names]
    return float(np.max(found)) if found else float("nan")


def measure_way(own: Any, model: Any, name: str, turns: dict[str, Array]) -> float:
    """Largest angle between the directions of the bone, degrees."""
    side = next((side for side in ("Left", "Right") if name.startswith(side)), "")
    end = side + _BONES.get(name.removeprefix(side), "")
    if end not in own or end not in model:
        return float("nan")
    first, second = (_normalize(j[end][1:, :3, 3] - j[name][1:, :3, 3]) for j in (own, model))
    return float(np.degrees(np.arccos(np.clip((first * second).sum(axis=1), -1, 1))).max())


def measure_flesh(own: Any, model: Any, name: str, turns: dict[str, Array]) -> float:
    """Largest angle between the turns from the T-pose, degrees."""
    first, second = (_turn_from_rest(joints[name]) for joints in (own, model))
    off = np.swapaxes(first, 1, 2) @ second @ turns.get(name, np.eye(3)).T
    cosine = (np.trace(off, axis1=1, axis2=2) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).max())


def _turn_from_rest(joint: Array) -> Array:
    axes = _normalize(np.swapaxes(joint[:, :3, :3], 1, 2))
    return np.swapaxes(axes[1:], 1, 2) @ axes[0]


def _normalize(vectors: Array) -> Array:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


if __name__ == "__main__":
    main()
