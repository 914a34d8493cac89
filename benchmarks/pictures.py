"""Every picture of a folder through the service: a contact sheet each, a table, measures against truths.

    python benchmarks/pictures.py FOLDER --sheets OUT
    python benchmarks/pictures.py FOLDER --sheets OUT --only "0*,21*"   # pictures whose name matches
    python benchmarks/pictures.py FOLDER --sheets OUT --jobs            # without the cut-outs on backgrounds
    python benchmarks/pictures.py FOLDER --sheets OUT --again         # also those that OUT has already

FOLDER holds pictures, and in turnarounds/NAME/ a front.png with the true left.png and back.png. Run it with
a Python that has the pack's requirements. A real ComfyUI is started with the pack, as by job.py; each picture
is one REST job with the defaults, except that the character comes as .glb with all clips, so that it can be
read and posed. OUT/NAME.png is the sheet, OUT/table.md and table.csv are the table. A picture whose sheet and
row exist is skipped. The truths of pictures_truth.json, in pixels of the picture, were marked by hand.

neck     from the hand-marked neck to that of the Figure, % of the subject's height; limbs: the same, mean of
         crown, shoulders, wrists, ankles and pelvis
rig      from it to the line from Neck to Head of the delivered skeleton, laid over the picture
cut      IoU of the cut-out: of the picture itself, and of those with alpha on four backgrounds made by code
side     IoU of the mesh's silhouette from the left with the true one; depth: made extent / true extent
back     CIE 1976 difference of the mesh from behind, unshaded, to the true back
stretch  99.9th percentile over the edges of their largest stretch in walk and wave
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import fnmatch
import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))
_spec = importlib.util.spec_from_file_location(
    "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.color import srgb_to_lab  # noqa: E402
from cut_outs import CutOut, cut_out  # noqa: E402
from picture_measures import (  # noqa: E402
    BACKGROUNDS,
    compare_colors,
    compare_sides,
    compose,
    distance_to_segment,
    measure_stretch,
    overlap,
    place_mesh,
    true_mask,
)
from picture_sheet import draw_landmarks, make_model, make_sheet, view_mesh  # noqa: E402
from posed_glb import Glb, read_glb  # noqa: E402

from client import Client  # noqa: E402
from install import fetch_models  # noqa: E402
from launcher.environment import prepare_test_comfyui  # noqa: E402
from launcher.installation import link_pack  # noqa: E402
from launcher.server import Server, find_free_port, run_server  # noqa: E402

Array = npt.NDArray[Any]

_TRUTHS = Path(__file__).with_name("pictures_truth.json")
_NEAR = 4.0
"""A neck counts as found within so many percent of the subject's height."""
_FRAMES = 12
"""Moments of a clip at which its stretch is measured."""
_COLUMNS = (
    *("name", "status", "seconds", "kind", "kind_right", "neck", "rig", "limbs", "cut"),
    *(f"cut_{name}" for name in BACKGROUNDS),
    *("side", "depth", "back", "stretch", "warnings", "error"),
)
_FIRST_MEASURE, _LAST_MEASURE = _COLUMNS.index("neck"), _COLUMNS.index("stretch")


@dataclasses.dataclass(frozen=True)
class Case:
    """One picture: its name without suffix, its file, its truth if it has one."""

    name: str
    path: Path
    truth: dict[str, Any] | None

    @property
    def true_views(self) -> Path | None:
        """The folder with the true left and back."""
        return self.path.parent if (self.path.parent / "left.png").exists() else None


def find_cases(folder: Path, pattern: str) -> list[Case]:
    """The pictures of a folder and the fronts of its turnarounds."""
    truths = json.loads(_TRUTHS.read_text(encoding="utf-8"))
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".png", ".jpg", ".jpeg"))
    paths += sorted(folder.glob("turnarounds/*/front.png"))
    names = [path.relative_to(folder).as_posix() for path in paths]
    cases = [
        Case(name.rsplit(".", 1)[0].replace("/", "_"), path, truths.get(name))
        for name, path in zip(names, paths, strict=True)
    ]
    return [case for part in pattern.split(",") for case in cases if fnmatch.fnmatch(case.name, part)]


def run_job(server: Server, case: Case, folder: Path) -> dict[str, Any]:
    """Send the picture, wait, fetch the files into `folder`; the status with `wall` seconds."""
    client, started = Client(server.address), time.monotonic()
    job = client.generate(case.path, character_format="glb", animation="all")["job_id"]
    status = {**client.wait(job), "wall": time.monotonic() - started}
    for file in status.get("downloads", []):
        client.download(job, file["name"], folder)
    (folder / "status.json").parent.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps(status, indent=1), encoding="utf-8")
    client.delete(job)
    return status


def read_files(status: dict[str, Any], folder: Path) -> dict[str, Glb]:
    """The meshes that the job made: `raw`, `textured`, `rigged`."""
    kinds = {"raw_mesh": "raw", "textured_mesh": "textured", "rigged_character": "rigged"}
    return {
        kinds[file["result"]]: read_glb(folder / file["name"])
        for file in status.get("downloads", [])
        if file["result"] in kinds and (folder / file["name"]).exists()
    }


def measure_cut_outs(address: str, case: Case, picture: Image.Image) -> dict[str, float]:
    """IoU of the cut-out of the picture with alpha on each background."""
    assert case.truth is not None
    true, found = true_mask(case.truth, picture), {}
    for seed, background in enumerate(BACKGROUNDS):
        cut = cut_out(address, compose(picture, background, seed))
        found[f"cut_{background}"] = 0.0 if cut is None else overlap(cut.unframe(picture.size), true)
    return found


def read_figure(status: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """What the job read in the picture, lengths in shares of the framed picture; None if it says nothing."""
    names = (file["name"] for file in status.get("downloads", []) if file["result"] == "figure")
    name = next((name for name in names if name.endswith(".json")), None)
    return json.loads((folder / name).read_text(encoding="utf-8")) if name else None


def measure_figure(case: Case, figure: dict[str, Any], cut: CutOut) -> dict[str, Any]:
    """Kind, and the distances of the landmarks to the hand-marked ones, % of the subject's height."""
    row: dict[str, Any] = {"kind": figure["kind"]}
    if case.truth is None:
        return row
    row["kind_right"] = figure["kind"] in (case.truth["kind"], case.truth.get("also"))
    height, corner = case.truth["box"][3] - case.truth["box"][1], np.array((cut.left, cut.top))
    errors = {}
    for name, place in figure["landmarks"].items():
        if case.truth.get(name):
            found = corner + cut.side * np.array((place["x"], place["y"]))
            errors[name] = 100 * float(np.linalg.norm(found - case.truth[name])) / height
    row["neck"] = errors.pop("neck", None)
    row["limbs"] = statistics.mean(errors.values()) if errors else None
    return row


def measure_neck(case: Case, rigged: Glb, box: tuple[float, ...]) -> float | None:
    """From the hand-marked neck to the line from Neck to Head, % of the subject's height."""
    neck, head = rigged.joint("Neck"), rigged.joint("Head")
    if not case.truth or not case.truth["neck"] or neck is None or head is None:
        return None
    scale, shift = place_mesh(rigged.positions, box)
    ends = [shift + scale * np.array((point[0], -point[1])) for point in (neck, head)]
    height = case.truth["box"][3] - case.truth["box"][1]
    return 100 * distance_to_segment(case.truth["neck"], *ends) / height


def measure_views(case: Case, files: dict[str, Glb]) -> dict[str, float]:
    """Side and back against the true ones."""
    folder, found = case.true_views, {}
    if folder and "raw" in files:
        left = np.asarray(Image.open(folder / "left.png").convert("RGBA"))[..., 3] >= 128
        found["side"], found["depth"] = compare_sides(
            view_mesh(make_model(files["raw"], shrinks=False), np.pi / 2)[0], left
        )
    if folder and "textured" in files:
        back = np.asarray(Image.open(folder / "back.png").convert("RGBA"), np.float32) / 255
        true = (back[..., 3] >= 0.5, back[..., :3])
        found["back"] = compare_colors(
            view_mesh(make_model(files["textured"], shrinks=False), np.pi), true, srgb_to_lab
        )
    return found


def measure(
    address: str, case: Case, status: dict[str, Any], files: dict[str, Glb], folder: Path
) -> dict[str, Any]:
    """Everything but the cut-outs on backgrounds, and the sheet beside it."""
    picture = Image.open(case.path)
    row: dict[str, Any] = {"name": case.name, "status": status["status"], "seconds": round(status["wall"], 1)}
    row["warnings"] = " | ".join(status.get("warnings", []))
    row["error"] = status.get("error", "")
    row["marked"] = bool(case.truth and case.truth["neck"])
    cut, figure = cut_out(address, picture), read_figure(status, folder / "files" / case.name)
    landmarks = None
    if cut is not None:
        mask = cut.unframe(picture.size)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        if case.truth:
            row["cut"] = overlap(mask, true_mask(case.truth, picture))
        if figure:
            row |= measure_figure(case, figure, cut)
            landmarks = draw_landmarks(cut.framed, figure)
        if "rigged" in files:
            row["rig"] = measure_neck(case, files["rigged"], box)
    row |= measure_views(case, files)
    if "rigged" in files:
        rigged = files["rigged"]
        poses = (pose for clip in ("walk", "wave") for pose in rigged.sample(clip, _FRAMES))
        row["stretch"] = measure_stretch(rigged.positions, rigged.faces, poses)
    text = "\n".join(f"{key}: {_show(value)}" for key, value in row.items())
    sheet = make_sheet(picture, None if cut is None else cut.framed, landmarks, files, text)
    sheet.save(folder / f"{case.name}.png")
    return row


def write_tables(rows: list[dict[str, Any]], folder: Path) -> None:
    """table.csv and table.md."""
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    lines = [" | ".join(_COLUMNS), " | ".join("---" for _ in _COLUMNS)]
    lines += [" | ".join(_show(row.get(column)) for column in _COLUMNS) for row in rows]
    text = "\n".join(f"| {line} |" for line in lines)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")


def _show(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "/").replace("\n", " ")


def summarize(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Medians and worsts of what was measured, then the closing line."""
    for column in _COLUMNS[_FIRST_MEASURE : _LAST_MEASURE + 1]:
        values = [row[column] for row in rows if row.get(column) is not None]
        if values:
            low, middle, high = min(values), statistics.median(values), max(values)
            yield f"{column:12} {len(values):3} median {middle:7.3f} lowest {low:7.3f} highest {high:7.3f}"
    failed = sum(row["status"] != "completed" for row in rows)
    necks = [row.get("neck") for row in rows if row["marked"]]
    near = sum(neck is not None and neck <= _NEAR for neck in necks)
    seconds = statistics.median(row["seconds"] for row in rows)
    yield f"failed {failed} neck {near}/{len(necks)} job {seconds:.1f}"


def run_cases(cases: list[Case], out: Path, again: bool, only_jobs: bool) -> list[dict[str, Any]]:
    """Run what OUT does not have yet; the rows of all."""
    (out / "rows").mkdir(parents=True, exist_ok=True)
    stored = {case.name: out / "rows" / f"{case.name}.json" for case in cases}
    done = {name for name, path in stored.items() if path.exists() and (out / f"{name}.png").exists()}
    wanted = [case for case in cases if again or case.name not in done]
    if wanted:
        with tempfile.TemporaryDirectory() as folder:
            own = prepare_test_comfyui()
            fetch_models(own.base / "models", own.python)
            installation = dataclasses.replace(own, base=Path(folder))
            link_pack(installation.base / "custom_nodes")
            (installation.base / "models").symlink_to(own.base / "models", target_is_directory=True)
            with run_server(installation, find_free_port()) as server:
                for case in wanted:
                    files = out / "files" / case.name
                    status = run_job(server, case, files)
                    row = measure(server.address, case, status, read_files(status, files), out)
                    if not only_jobs and case.truth and case.truth["has_alpha"]:
                        row |= measure_cut_outs(server.address, case, Image.open(case.path))
                    stored[case.name].write_text(json.dumps(row, indent=1), encoding="utf-8")
                    print(f"{case.name:24} {row['status']:10} {row['seconds']:6.1f}", flush=True)
    return [json.loads(path.read_text(encoding="utf-8")) for path in stored.values()]


def main() -> None:
    """Run the pictures, write sheets and tables, print the closing line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sheets", type=Path, required=True, metavar="OUT")
    parser.add_argument("--only", default="*", metavar="PATTERNS")
    parser.add_argument("--jobs", action="store_true", help="without the cut-outs on other backgrounds")
    parser.add_argument("--again", action="store_true", help="also pictures that OUT has")
    arguments = parser.parse_args()
    cases = find_cases(arguments.folder, arguments.only)
    rows = run_cases(cases, arguments.sheets, arguments.again, arguments.jobs)
    write_tables(rows, arguments.sheets)
    print("\n".join(summarize(rows)))


if __name__ == "__main__":
    main()
