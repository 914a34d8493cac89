"""The rig on other makers' meshes: python benchmarks/rigs.py FOLDER [--only q_*,dude] [--sheets FOLDER].

FOLDER holds npz files: `v` (V, 3) positions, +Y up and facing +Z, `f` (F, 3), `names` of Mixamo's joints,
`J` (K, 3) where their maker has put them, `W` (V, K) the maker's skin weights, `H` the height. Each mesh is
stood up, fitted and bound as the node Rig Character does, with no picture.

error  mean distance of our joints from the maker's, % of height.
wrong  % of vertices whose main body part by our weights (head, trunk with collarbones, each arm, each leg)
       has less than a tenth of the maker's weight.

Where a maker's left and right are those of a mirror, they are exchanged: what is nearer counts.
Every second file of the sorted list is marked TUNE: constants may be chosen on it. The others are HELD.
The closing line `mean M p95 P wrong W refused R` is over all: the joint error, its 95th percentile over
meshes, the mean of `wrong`, and how many were refused. A mesh whose parts lie elsewhere than its maker's
joints (legs inside the trunk: it was taken from its file out of the pose of its bones) has no right binding;
its row says so, and a line `in pose` before the last leaves it out.
--sheets draws each fitted skeleton over its mesh. --maker-joints binds the mesh to its maker's joints
instead: `wrong` is then the error of the weights alone.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from bench_data_rigs import bind_mesh, is_in_pose, read_maker_rig, spread_weights  # noqa: E402
from character3d.pipeline.errors import Character3DError  # noqa: E402
from character3d.pipeline.mesh.normals import compute_vertex_normals  # noqa: E402
from character3d.pipeline.orientation import place_mesh  # noqa: E402
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton  # noqa: E402
from character3d.pipeline.types import Mesh  # noqa: E402

Array = npt.NDArray[Any]
_TRUNK = ("Hips", "Spine", "Spine1", "Spine2", "LeftShoulder", "RightShoulder")
_LIMBS = ("Arm", "ForeArm", "Hand", "UpLeg", "Leg", "Foot", "Toe")
_PART_NAMES = ("trunk", "head", "LeftArm", "RightArm", "LeftLeg", "RightLeg")
_SHEET_SIDE = 480


class Row(NamedTuple):
    """What was measured on one mesh. errors: joint -> % of height."""

    name: str
    errors: dict[str, float]
    wrong: float
    seconds: float
    refused: str = ""
    in_pose: bool = True

    @property
    def error(self) -> float:
        """Mean over the joints."""
        return float(np.mean(list(self.errors.values()))) if self.errors else float("nan")


def main() -> None:
    """Print a row for each mesh, and the means."""
    arguments = _parse_arguments()
    files = sorted(arguments.folder.glob("*.npz"))
    rows, tune = [], {file.stem for file in files[::2]}
    for file in files:
        if not any(fnmatch.fnmatch(file.stem, pattern) for pattern in arguments.only.split(",")):
            continue
        row = measure_weights(file) if arguments.maker_joints else measure(file, arguments.sheets)
        rows.append(row)
        worst = sorted(row.errors.items(), key=lambda item: -item[1])[:3]
        share = "TUNE" if file.stem in tune else "HELD"
        figures = f"{share} error {row.error:5.2f} wrong {row.wrong:5.2f} {row.seconds:4.1f} s"
        notes = row.refused or " ".join(f"{name} {error:.1f}" for name, error in worst)
        notes += "" if row.in_pose else "  mesh and joints are not in one pose"
        print(f"{row.name:20} {figures}  {notes}", flush=True)
    if arguments.joints:
        _print_joints(rows)
    for title, is_tune in (("TUNE", True), ("HELD", False)):
        if group := [row for row in rows if (row.name in tune) == is_tune]:
            print(f"{title:6} {summarize(group)}")
    if (posed := [row for row in rows if row.in_pose]) and len(posed) < len(rows):
        print(f"in pose, {len(posed)} of {len(rows)}: {summarize(posed)}")
    print(summarize(rows))


def summarize(rows: list[Row]) -> str:
    """The closing line."""
    errors = [row.error for row in rows if not row.refused]
    wrong = [row.wrong for row in rows if not row.refused]
    refused = sum(bool(row.refused) for row in rows)
    if not errors:
        return f"refused {refused}"
    mean, high = np.mean(errors), np.quantile(errors, 0.95)
    return f"mean {mean:.2f} p95 {high:.2f} wrong {np.mean(wrong):.2f} refused {refused}"


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*", help="patterns of file names, with commas between")
    parser.add_argument("--joints", action="store_true", help="also the mean error of each joint")
    parser.add_argument("--maker-joints", action="store_true", help="our weights on the makers' joints")
    parser.add_argument("--sheets", type=Path, help="a folder for pictures of the fitted skeletons")
    return parser.parse_args()


def measure(file: Path, sheets: Path | None = None) -> Row:
    """Rig one mesh and compare it with its maker's rig."""
    data = np.load(file)
    began = time.perf_counter()
    positions = data["v"].astype(np.float32)
    mesh = Mesh(positions, data["f"], compute_vertex_normals(positions, data["f"]))
    try:
        placed = place_mesh(mesh).surface
        fitted = fit_skeleton(placed)
        skin = compute_skin_weights(
            placed, fitted.skeleton, hidden=fitted.hidden, appendages=fitted.appendages, solid=fitted.solid
        )
    except Character3DError as error:
        return Row(file.stem, {}, float("nan"), time.perf_counter() - began, str(error))
    seconds = time.perf_counter() - began
    turn = _find_transform(positions, placed.positions)
    joints = np.c_[data["J"], np.ones(len(data["J"]))] @ turn
    ours = {name.split(":")[-1]: number for number, name in enumerate(fitted.skeleton.names)}
    names = list(map(str, data["names"]))
    readings = [
        _compare_joints(fitted.skeleton.positions, ours, joints, given) for given in _both_sides(names)
    ]
    errors, names = min(readings, key=lambda reading: float(np.mean(list(reading[0].values()))))
    scale = 100 / float(np.ptp(placed.positions[:, 1]))
    wrong = _share_of_wrong(spread_weights(skin, len(ours)), list(ours), data["W"].astype(float), names)
    if sheets is not None:
        sheets.mkdir(parents=True, exist_ok=True)
        _draw(placed, fitted.skeleton, joints).save(sheets / f"{file.stem}.png")
    gaps = {name: scale * gap for name, gap in errors.items()}
    return Row(file.stem, gaps, wrong, seconds, in_pose=is_in_pose(read_maker_rig(file)))


def measure_weights(file: Path) -> Row:
    """Bind one mesh to its maker's joints and compare the weights."""
    rig = read_maker_rig(file)
    began = time.perf_counter()
    try:
        skeleton, skin = bind_mesh(rig)
    except Character3DError as error:
        return Row(rig.name, {}, float("nan"), time.perf_counter() - began, str(error))
    seconds = time.perf_counter() - began
    ours, theirs = ([name.split(":")[-1] for name in names] for names in (skeleton.names, rig.skeleton.names))
    wrong = _share_of_wrong(spread_weights(skin, len(ours)), ours, rig.weights, theirs)
    return Row(rig.name, dict.fromkeys(rig.names, 0.0), wrong, seconds, in_pose=is_in_pose(rig))


def _both_sides(names: list[str]) -> tuple[list[str], list[str]]:
    """The maker's names, and with left and right exchanged."""
    swap = {"Left": "Right", "Righ": "Left"}
    return names, [
        swap[n[:4]] + n.removeprefix("Left").removeprefix("Right") if n[:4] in swap else n for n in names
    ]


def _compare_joints(
    positions: Array, ours: dict[str, int], joints: Array, names: list[str]
) -> tuple[dict[str, float], list[str]]:
    """Distance of each joint that both rigs have, and the names."""
    pairs = [(name, ours[name], number) for number, name in enumerate(names) if name in ours]
    gaps = {name: float(np.linalg.norm(positions[own] - joints[theirs])) for name, own, theirs in pairs}
    return gaps, names


def _find_transform(source: Array, target: Array) -> Array:
    """(4, 3) of the affine map from the mesh as it came to where it was placed."""
    return np.linalg.lstsq(np.c_[source, np.ones(len(source))].astype(float), target, rcond=None)[0]


def _share_of_wrong(ours: Array, our_names: list[str], theirs: Array, their_names: list[str]) -> float:
    """% of vertices, see above."""
    found, true = (_sum_parts(*pair) for pair in ((ours, our_names), (theirs, their_names)))
    bound = true.sum(axis=1) > 0.5
    main = found.argmax(axis=1)
    return float(100 * (np.take_along_axis(true, main[:, None], 1)[bound, 0] < 0.1).mean())


def _sum_parts(weights: Array, names: list[str]) -> Array:
    """(V, 6) weights of the body parts."""
    parts = np.zeros((len(weights), len(_PART_NAMES)))
    for column, name in enumerate(names):
        parts[:, _find_part(name)] += weights[:, column]
    return parts


def _find_part(name: str) -> int:
    if name in _TRUNK or not name.startswith(("Left", "Right", "Neck", "Head")):
        return 0
    if name.startswith(("Neck", "Head")):
        return 1
    side = "Left" if name.startswith("Left") else "Right"
    is_leg = any(part in name for part in ("Leg", "Foot", "Toe"))
    return _PART_NAMES.index(side + ("Leg" if is_leg else "Arm"))


def _draw(mesh: Mesh, skeleton: Any, true: Array) -> Image.Image:
    """Front and side view: the mesh's points gray, our bones red, the maker's joints green."""
    low, high = mesh.bounds
    scale = 0.92 * _SHEET_SIDE / float((high - low).max())
    sheet = Image.new("RGB", (2 * _SHEET_SIDE, _SHEET_SIDE), "white")
    draw = ImageDraw.Draw(sheet)
    for view, axis in enumerate((0, 2)):
        sign = 1 if axis == 0 else -1

        def place(point: Array, view: int = view, axis: int = axis, sign: int = sign) -> tuple[float, float]:
            middle = 0.5 * (low + high)
            x = view * _SHEET_SIDE + _SHEET_SIDE / 2 + sign * scale * (point[axis] - middle[axis])
            return float(x), float(_SHEET_SIDE / 2 - scale * (point[1] - middle[1]))

        for point in mesh.positions[:: max(1, len(mesh.positions) // 12000)]:
            draw.point(place(point), fill=(170, 170, 170))
        for child, parent in enumerate(skeleton.parents):
            if parent >= 0:
                ends = [place(skeleton.positions[number]) for number in (parent, child)]
                draw.line([*ends[0], *ends[1]], fill=(220, 30, 30), width=2)
        for point in true:
            x, y = place(point)
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), outline=(0, 150, 0), width=2)
    return sheet


def _print_joints(rows: list[Row]) -> None:
    found = defaultdict(list)
    for row in rows:
        for name, error in row.errors.items():
            found[name.removeprefix("Left").removeprefix("Right")].append(error)
    for name, values in sorted(found.items()):
        print(f"{name:10} {np.mean(values):5.2f} worst {max(values):5.2f}")


if __name__ == "__main__":
    main()
