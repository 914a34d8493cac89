"""How well the network reads what it has never seen: turnarounds and meshes with their makers' joints.

    python evaluate.py --turnarounds FOLDER --points FOLDER --rigs FOLDER [--weights FILE]

Turnarounds: FOLDER/<k>/front.png and left.png with alpha; the character in left.png looks to the left.
`points` holds turnarounds_<k>_front.npz of a body-landmark reader (points (39, 5), conf). Columns: IoU of the
side silhouette, both scaled to one height: each row of the front picture is the union of its [back, front];
`center` with the centers of the bounds on each other, `best` at the best offset, as a front picture does not
tell where the depth's zero is. depth: area of the side silhouette over the true one's. With + the same with
the points as hints.
Rigs: arrays v, f, names, J, H. Mean error of front and back depth in % of height, raw and without the median
offset; thickness error; mean error of the joints in the picture in % of height, without hints and with hints
that are the true joints and 1 % of noise.
TUNE is what constants were chosen on; HELD is only reported.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pack  # noqa: F401
from character3d.pipeline.figure import LANDMARKS
from character3d.pipeline.figure import network as reader
from numpy.typing import NDArray
from PIL import Image
from raster import rasterize
from scipy import ndimage

_TUNE = ("1", "4", "6", "9", "12")
_SIDE = 256
_JOINTS = {
    "pelvis": "Hips",
    "neck": "Neck",
    **{
        f"{side.lower()}_{ours}": f"{side}{theirs}"
        for side in ("Left", "Right")
        for ours, theirs in (
            *(("shoulder", "Arm"), ("elbow", "ForeArm"), ("wrist", "Hand")),
            *(("hip", "UpLeg"), ("knee", "Leg"), ("ankle", "Foot")),
        )
    },
}
_POINTS = {"shoulder": 11, "elbow": 13, "wrist": 15, "hip": 23, "knee": 25, "ankle": 27, "toe": 31}


def main() -> None:
    """Print a line for each character and the means of TUNE and HELD."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turnarounds", type=Path)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--rigs", type=Path)
    parser.add_argument("--weights", type=Path, help="instead of those of the pack")
    arguments = parser.parse_args()
    if arguments.weights:
        reader.load_network.cache_clear()
        network = reader.BodyNetwork()
        weights = reader.load_file(arguments.weights)
        network.load_state_dict({name: value.float() for name, value in weights.items()}, strict=False)
        reader.load_network = lambda device: network.eval()
    if arguments.turnarounds:
        _turnarounds(arguments.turnarounds, arguments.points)
    if arguments.rigs:
        _rigs(arguments.rigs)


def _report(title: str, columns: tuple[str, ...], rows: dict[str, tuple[bool, tuple[float, ...]]]) -> None:
    print(f"{title:24s}" + "".join(f"{name:>10s}" for name in columns))
    for name, (tune, values) in rows.items():
        print(f"{name + (' TUNE' if tune else ' HELD'):24s}" + "".join(f"{value:10.3f}" for value in values))
    for label, wanted in (("TUNE", (True,)), ("HELD", (False,)), ("all", (True, False))):
        table = np.array([values for tune, values in rows.values() if tune in wanted])
        if len(table):
            for name, merged in (
                ("mean", table.mean(axis=0)),
                ("median", np.median(table, axis=0)),
                ("least", table.min(axis=0)),
            ):
                print(f"{label + ' ' + name:24s}" + "".join(f"{value:10.3f}" for value in merged))


def _turnarounds(folder: Path, points: Path | None) -> None:
    rows = {}
    for path in sorted((p for p in folder.iterdir() if p.is_dir()), key=lambda p: int(p.name)):
        picture, truth = (_read_picture(path / f"{name}.png") for name in ("front", "left"))
        mask = picture[..., 3]
        hints, trust = (
            _read_points(points / f"turnarounds_{path.name}_front.npz", mask.shape[0])
            if points
            else (None, None)
        )
        values: list[float] = []
        for given in ((None, None), (hints, trust)):
            reading = reader.read_body(mask, *given, colors=picture[..., :3])
            values += compare_sides(reading.front, reading.back, truth[..., 3])
        rows[path.name] = (path.name in _TUNE, tuple(values))
    _report("turnaround", ("center", "best", "depth", "+center", "+best", "+depth"), rows)


def _read_picture(path: Path) -> NDArray:
    return np.asarray(Image.open(path).convert("RGBA")).astype(np.float32) / 255


def _read_points(path: Path, size: int) -> tuple[NDArray, NDArray]:
    with np.load(path) as file:
        p, confidence = file["points"][:, :2] / size, float(file["conf"])
    hints = np.full((20, 2), np.nan, np.float32)
    for i, side in enumerate(("left", "right")):
        for name, index in _POINTS.items():
            hints[LANDMARKS.index(f"{side}_{name}")] = p[index + i]
        hints[LANDMARKS.index(f"{side}_hand")] = p[[17 + i, 19 + i]].mean(axis=0)
    hints[LANDMARKS.index("pelvis")] = p[[23, 24]].mean(axis=0)
    hints[LANDMARKS.index("head")] = p[[7, 8]].mean(axis=0)
    hints[LANDMARKS.index("neck")] = p[[11, 12]].mean(axis=0) * 0.75 + p[[7, 8]].mean(axis=0) * 0.25
    return hints, np.full(20, confidence if confidence > 0.5 else 0, np.float32)


def compare_sides(front: NDArray, back: NDArray, truth: NDArray) -> list[float]:
    """IoU of the side silhouettes centered, IoU at the best offset, and the ratio of their areas."""
    rows = np.nonzero(np.isfinite(front).any(axis=1))[0]
    height = rows[-1] + 1 - rows[0]
    scale = _SIDE / height
    made = np.zeros((_SIDE, 4 * _SIDE), bool)
    for i in range(_SIDE):
        row = min(rows[0] + int((i + 0.5) / scale), rows[-1])
        inside = np.isfinite(front[row])
        size = len(front) * scale
        for low, high in zip(back[row, inside] * size, front[row, inside] * size, strict=True):
            made[i, max(round(float(low)) + 2 * _SIDE, 0) : round(float(high)) + 2 * _SIDE] = True
    ys, xs = np.nonzero(truth > 0.5)
    true = truth[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1][:, ::-1]
    true = ndimage.zoom(true, _SIDE / len(true), order=1)[:_SIDE] > 0.5
    placed = np.zeros_like(made)
    placed[: len(true), _SIDE : _SIDE + true.shape[1]] = true
    ious = {shift: _iou(made, np.roll(placed, shift, axis=1)) for shift in range(2 * _SIDE)}
    columns = np.nonzero(made.any(axis=0))[0]
    middle = (columns[0] + columns[-1]) / 2 - _SIDE - (true.shape[1] - 1) / 2
    return [
        ious[int(np.clip(round(middle), 0, 2 * _SIDE - 1))],
        max(ious.values()),
        made.sum() / placed.sum(),
    ]


def _iou(a: NDArray, b: NDArray) -> float:
    return float((a & b).sum() / max((a | b).sum(), 1))


def _rigs(folder: Path) -> None:
    rows = {}
    for order, path in enumerate(sorted(folder.glob("*.npz"))):
        rng = np.random.default_rng(0)
        with np.load(path) as file:
            v, f, names, joints = file["v"], file["f"], [str(n) for n in file["names"]], file["J"]
        values: list[float] = []
        low, high = v.min(axis=0), v.max(axis=0)
        side, center, height = 1.15 * (high - low)[:2].max(), (low + high) / 2, high[1] - low[1]
        pelvis = joints[names.index("Hips")]

        def place(
            p: NDArray, side: float = side, center: NDArray = center, pelvis: NDArray = pelvis
        ) -> NDArray:
            return np.stack(
                [
                    0.5 + (p[:, 0] - center[0]) / side,
                    0.5 - (p[:, 1] - center[1]) / side,
                    (p[:, 2] - pelvis[2]) / side,
                ],
                1,
            )

        pixels = (place(v) * (_SIDE, _SIDE, 1)).astype(np.float32)
        front, back, _ = rasterize(pixels, f.astype(np.int32), np.ones(len(f), np.int32), _SIDE)
        inside, true = np.isfinite(front), place(joints)
        pairs = [(LANDMARKS.index(a), names.index(b)) for a, b in _JOINTS.items() if b in names]
        hints = np.full((20, 2), np.nan, np.float32)
        for a, b in pairs:
            hints[a] = true[b, :2] + rng.normal(0, 0.01 * height / side, 2)
        unit = 100 * side / height
        for given in (None, hints):
            reading = reader.read_body(inside.astype(np.float32), given)
            errors = np.stack([reading.front - front, reading.back - back])[:, inside] * unit
            free = errors - np.median(errors)
            thick = errors[0] - errors[1]
            joint = [np.linalg.norm(reading.landmarks[a, :2] - true[b, :2]) * unit for a, b in pairs]
            neck = (
                np.abs(reading.landmarks[2, 1] - true[names.index("Neck"), 1]) * unit
                if "Neck" in names
                else 0.0
            )
            values += [
                np.abs(errors).mean(),
                np.abs(free).mean(),
                np.abs(thick).mean(),
                float(np.mean(joint)),
                neck,
            ]
        rows[path.stem] = (order % 2 == 0, tuple(values))
    _report(
        "rig",
        ("depth", "free", "thick", "joints", "neck", "+depth", "+free", "+thick", "+joints", "+neck"),
        rows,
    )


if __name__ == "__main__":
    main()
