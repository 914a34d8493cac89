"""How well fingers are found, fitted and bound on people in A, T and 大 pose.

    pip install anny==0.6.2
    python benchmarks/fingers.py --cache people.npz                # 60 rows and the means; 15 minutes
    python benchmarks/fingers.py --cache people.npz --people 4     # fewer people

The people are those of fit.py, anny's own meshes; anny's Mixamo rig has three joints a finger and weights
for them. Lengths are given in % of the hand, which is 1.16 times wrist to third joint of the middle finger.
Columns, worst or mean of both hands:

five   hands, of two, where five fingers were found, each nearest to its namesake. Target: 90 % of all.
error  mean distance of the 15 finger joints from anny's, and the 95th percentile. Target: mean at most 6.
       Our knuckles lie where X-rays have them, behind the web; anny's lie nearer to it.
curl   all finger joints are turned by 45 degrees (the thumb's last two by 27) towards the palm, once with
       our joints and weights, once with anny's: mean distance of the two surfaces over the hand, and 95th
       percentile.
skin   the same with anny's joints both times, so that only the weights differ, vertex by vertex.
bleed  largest weight of another finger's joints on the vertices that anny binds, by more than 0.9, to the
       last two bones of a finger.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton, pose_vertices  # noqa: E402
from character3d.pipeline.types import Mesh, Skeleton, SkinWeights  # noqa: E402
from people import Person, generate_people  # noqa: E402

_FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
_NAMES = [f"Hand{finger}{number}" for finger in _FINGERS for number in (1, 2, 3)]
_CURL, _THUMB_CURL = 45.0, 27.0
_WRIST_TO_THIRD = 1.16


def main() -> None:
    arguments = _parse_arguments()
    found, errors, heights, curls, skins, bleeds = [], [], [], [], [], []
    print(f"{'person':32} {'pose':8} five {'error':>11} {'curl':>11} {'skin':>11} {'bleed':>6} {'s':>5}")
    for person in generate_people(arguments.people, seed=arguments.seed, cache=arguments.cache):
        started = time.perf_counter()
        mesh = Mesh(person.positions, person.faces)
        skeleton = fit_skeleton(mesh, pose_type=person.pose, fingers=True).skeleton
        hands = [side for side in ("mixamorig:Left", "mixamorig:Right") if _is_right(skeleton, person, side)]
        found.append(len(hands))
        row = f"{person.name:32} {person.pose:8} {len(hands):4}"
        if hands:
            gaps = np.concatenate([_measure_joints(skeleton, person, side) for side in hands])
            sizes = [_measure_hand(person, side) for side in hands]
            heights.append(gaps.mean() * np.mean(sizes) / np.ptp(person.positions[:, 1]))
            curl, skin, bleed = _measure_skin(mesh, skeleton, person, hands, arguments.cache)
            for total, part in ((errors, gaps), (curls, curl), (skins, skin), (bleeds, [bleed])):
                total.append(part)
            row += "".join(f" {_percent(part):>11}" for part in (gaps, curl, skin)) + f" {bleed:6.3f}"
        print(row, f"{time.perf_counter() - started:5.1f}", flush=True)
    print(f"\nfive right fingers on {sum(found)} of {2 * len(found)} hands")
    for name, parts in (("error", errors), ("curl", curls), ("skin", skins)):
        print(f"{name} mean and 95th percentile, % of the hand: {_percent(np.concatenate(parts))}")
    print(f"error, % of height: {100 * np.mean(heights):.2f}; largest bleed {np.max(bleeds):.3f}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--cache", type=Path, required=True, help="npz file that keeps the bodies")
    return parser.parse_args()


def _percent(values: np.ndarray) -> str:
    return f"{100 * values.mean():.2f} {100 * np.quantile(values, 0.95):5.2f}"


def _measure_hand(person: Person, side: str) -> float:
    way = person.joints[side + "HandMiddle3"] - person.joints[side + "Hand"]
    return _WRIST_TO_THIRD * float(np.linalg.norm(way))


def _is_right(skeleton: Skeleton, person: Person, side: str) -> bool:
    """Whether all five fingers are there, and each third joint is nearest to its namesake of anny's."""
    names = [f"{side}Hand{finger}3" for finger in _FINGERS]
    if any(name not in skeleton.names for name in names):
        return False
    ours = skeleton.positions[[skeleton.index(name) for name in names]]
    nearest = cKDTree([person.joints[name] for name in names]).query(ours)[1]
    return nearest.tolist() == list(range(len(names)))


def _measure_joints(skeleton: Skeleton, person: Person, side: str) -> np.ndarray:
    ours = skeleton.positions[[skeleton.index(side + name) for name in _NAMES]]
    true = np.array([person.joints[side + name] for name in _NAMES])
    return np.linalg.norm(ours - true, axis=1) / _measure_hand(person, side)


def _measure_skin(
    mesh: Mesh, skeleton: Skeleton, person: Person, hands: list[str], cache: Path
) -> tuple[np.ndarray, np.ndarray, float]:
    """Distances over the hands: curled surfaces, and curled vertices with anny's joints; the worst bleed."""
    with np.load(cache) as stored:
        names, parents, weights = (stored[key] for key in ("names", "parents", "weights"))
    names = tuple(map(str, names))
    rest = np.tile(np.eye(4), (len(names), 1, 1))
    rest[:, :3, 3] = [person.joints[name] for name in names]
    their_rig, their_skin = Skeleton(names, parents, rest), _pack_weights(weights)
    our_skin = compute_skin_weights(mesh, skeleton)
    moved = _with_joints(skeleton, person)
    moved_skin = compute_skin_weights(mesh, moved)
    curls, skins, bleed = [], [], 0.0
    for side in hands:
        size = _measure_hand(person, side)
        hand = weights[:, [name.startswith(side + "Hand") for name in names]].sum(axis=1) > 0.5
        turns = _curl_fingers(person, side)
        theirs = pose_vertices(mesh, their_rig, their_skin, turns)[hand]
        ours = pose_vertices(mesh, skeleton, our_skin, _in_joints(skeleton, turns))[hand]
        with_theirs = pose_vertices(mesh, moved, moved_skin, _in_joints(moved, turns))[hand]
        curls.append(cKDTree(theirs).query(ours)[0] / size)
        skins.append(np.linalg.norm(with_theirs - theirs, axis=1) / size)
        bleed = max(bleed, _measure_bleed(skeleton, our_skin, names, weights, side))
    return np.concatenate(curls), np.concatenate(skins), bleed


def _pack_weights(weights: np.ndarray) -> SkinWeights:
    order = np.argsort(-weights, axis=1)[:, :4]
    shares = np.take_along_axis(weights, order, axis=1)
    return SkinWeights(order, shares / shares.sum(axis=1, keepdims=True))


def _with_joints(skeleton: Skeleton, person: Person) -> Skeleton:
    """Our skeleton with anny's joints where both have them; the axes stay."""
    rest = skeleton.rest.copy()
    for index, name in enumerate(skeleton.names):
        if name in person.joints:
            rest[index, :3, 3] = person.joints[name]
    return replace(skeleton, rest=rest)


def _curl_fingers(person: Person, side: str) -> dict[str, np.ndarray]:
    """Joint name -> (3, 3) turn in the mesh frame: fingers about the line of the knuckles."""
    at = {name: person.joints[side + "Hand" + name] for name in ("", "Middle1", "Index1", "Pinky1")}
    across = at["Index1"] - at["Pinky1"]
    across /= np.linalg.norm(across)
    sign = 1.0 if side.endswith("Left") else -1.0
    thumb = person.joints[side + "HandThumb3"] - person.joints[side + "HandThumb2"]
    flexion = np.cross(thumb, -across)
    flexion /= np.linalg.norm(flexion)
    turns = {}
    for finger in _FINGERS[1:]:
        for number in (1, 2, 3):
            turns[f"{side}Hand{finger}{number}"] = _turn(-sign * across, _CURL)
    for number in (2, 3):
        turns[f"{side}HandThumb{number}"] = _turn(flexion, _THUMB_CURL)
    return turns


def _turn(axis: np.ndarray, degrees: float) -> np.ndarray:
    return Rotation.from_rotvec(np.radians(degrees) * axis).as_matrix()


def _in_joints(skeleton: Skeleton, turns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The turns of the mesh frame in the joints' own axes."""
    axes = {name: skeleton.rest[skeleton.index(name), :3, :3] for name in turns}
    return {name: axes[name].T @ turn @ axes[name] for name, turn in turns.items()}


def _measure_bleed(
    skeleton: Skeleton, skin: SkinWeights, names: tuple[str, ...], weights: np.ndarray, side: str
) -> float:
    worst = 0.0
    for finger in _FINGERS:
        own = weights[:, [name in (f"{side}Hand{finger}2", f"{side}Hand{finger}3") for name in names]]
        other = np.array(
            [
                any(f"{side}Hand{word}" in name for word in _FINGERS if word != finger)
                for name in skeleton.names
            ]
        )
        share = (skin.weights * other[skin.joints]).sum(axis=1)
        worst = max(worst, float(share[own.sum(axis=1) > 0.9].max(initial=0.0)))
    return worst


if __name__ == "__main__":
    main()
