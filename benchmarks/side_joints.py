"""Joints of people who walk with bent arms, from a front and a left picture.

    pip install anny==0.6.2
    CHARACTER3D_COMFYUI=COMFYUI python benchmarks/side_joints.py              # eight people; two minutes

Bodies of anny (bench_data_people.py) are posed by its weights, with random turns of shoulders, elbows, hips
and knees, and seen from front and left. Both pictures are framed and read as the node does, with the
networks of COMFYUI. Columns, in % of the height: mean error of elbows, wrists, knees, ankles and balls of the
feet on the mesh made from both, and of their depth alone; first with depths that are guessed from the front,
then with those that are read from the left. The last line holds the means: `front F left L`.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from bench_data_people import Person, generate_people  # noqa: E402
from character3d.pipeline.figure import Figure  # noqa: E402
from character3d.pipeline.mesh_generation import inflate_silhouette  # noqa: E402
from character3d.pipeline.preprocessing import preprocess_picture  # noqa: E402
from character3d.pipeline.preprocessing.read_figure import read_figure  # noqa: E402
from character3d.pipeline.preprocessing.side_depth import measure_depths  # noqa: E402
from character3d.pipeline.preview import render_preview  # noqa: E402
from character3d.pipeline.rigging import fit_skeleton  # noqa: E402
from character3d.pipeline.types import FramedPicture, Mesh  # noqa: E402
from look import find_points  # noqa: E402

_JOINTS = [
    f"mixamorig:{side}{name}"
    for side in ("Left", "Right")
    for name in ("ForeArm", "Hand", "Leg", "Foot", "ToeBase")
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--cache", type=Path, help="npz file in which the bodies are stored")
    arguments = parser.parse_args()
    rng, rows = np.random.default_rng(7), []
    print(f"{'person':32} {'front':>7} {'depth':>7} {'left':>7} {'depth':>7}")
    for person in generate_people(arguments.people, seed=2, cache=arguments.cache):
        if person.pose == "A-pose":
            rows.append(measure_person(make_step(person, rng)))
            print(f"{person.name:32}" + "".join(f" {value:7.2f}" for value in rows[-1]), flush=True)
    table = np.mean(rows, axis=0)
    print(f"front {table[0]:.2f} left {table[2]:.2f}")


def measure_person(person: Person) -> list[float]:
    """Error and that of the depth, %, without and with the left picture's landmarks."""
    body = Mesh(person.positions, person.faces)
    front, left = (look(body, azimuth) for azimuth in (0.0, np.pi / 2))
    figure, side = (read_figure(picture, *find_points(picture)) for picture in (front, left))
    errors = [measure_joints(front, left, read, person) for read in (figure, measure_depths(figure, [side]))]
    return [
        value
        for error in errors
        for value in (np.linalg.norm(error, axis=1).mean(), np.abs(error[:, 2]).mean())
    ]


def look(body: Mesh, azimuth: float) -> FramedPicture:
    return preprocess_picture(
        render_preview(body, size=768, azimuth=azimuth, elevation=0.0, transparent=True)
    )


def measure_joints(front: FramedPicture, left: FramedPicture, figure: Figure, person: Person) -> np.ndarray:
    """Errors (J, 3) in % of the height; the boxes of mesh and body lie on each other."""
    mesh = inflate_silhouette(front, figure=figure, sides={"left": left})
    skeleton = fit_skeleton(mesh, figure=figure).skeleton
    boxes = [(points.min(axis=0), points.max(axis=0)) for points in (mesh.positions, person.positions)]
    (low, high), (true_low, true_high) = boxes
    scale = (high - low)[1] / (true_high - true_low)[1]
    true = np.array([person.joints[name] for name in _JOINTS]) - (true_low + true_high) / 2
    found = skeleton.positions[[skeleton.index(name) for name in _JOINTS]] - (low + high) / 2
    return (found - true * scale) / (high - low)[1] * 100


def make_step(person: Person, rng: np.random.Generator) -> Person:
    """The person, walking, with bent arms."""
    stride = rng.uniform(5, 22)
    turns = {"LeftUpLeg": -stride, "RightUpLeg": stride}
    for side in ("Left", "Right"):
        turns |= {
            f"{side}Arm": rng.uniform(-45, 35),
            f"{side}ForeArm": rng.uniform(-80, -10),
            f"{side}Leg": rng.uniform(0, 15),
        }
    rest, places, world = np.array(list(person.joints.values())), [], []
    for name, parent, place in zip(person.joints, person.parents, rest, strict=True):
        own = Rotation.from_euler("x", turns.get(name.split(":")[-1], 0.0), degrees=True)
        above = world[parent] if parent >= 0 else Rotation.identity()
        places.append(places[parent] + above.apply(place - rest[parent]) if parent >= 0 else place)
        world.append(above * own)
    moved = np.zeros_like(person.positions, np.float64)
    for turn, place, start, weight in zip(world, places, rest, person.weights.T, strict=True):
        moved += weight[:, None] * (turn.apply(person.positions - start) + place)
    joints = dict(zip(person.joints, places, strict=True))
    return replace(person, positions=moved.astype(np.float32), joints=joints)


if __name__ == "__main__":
    main()
