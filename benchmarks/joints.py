"""Joint error of the fitted skeleton on 100 people in three poses and three proportions.

    pip install anny==0.6.2
    python benchmarks/joints.py --cache people.npz                  # unchanged bodies, about 10 minutes
    python benchmarks/joints.py --cache people.npz --every 10 --altered   # also damaged and dressed

Error: distance between fitted and true joint, % of height. `mean` and `95th` are over all joints of all
people, `worst` is the largest mean of one person. `pose`: people whose pose was misclassified. `refused`:
people for whom the fit raised RigError. `warned`: people with a warning. The joints compared are the 22 that
both rigs have, see fit.py. bench_data_people.py describes the proportions, bench_data_alterations.py the
alterations.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from bench_data_alterations import ALTERATIONS  # noqa: E402
from bench_data_people import POSES, PROPORTIONS, Person, generate_people  # noqa: E402
from character3d.pipeline.errors import RigError  # noqa: E402
from character3d.pipeline.rigging import fit_skeleton  # noqa: E402
from character3d.pipeline.types import Mesh  # noqa: E402


def main() -> None:
    """Print a table."""
    arguments = _parse_arguments()
    people = generate_people(
        arguments.people, arguments.seed, arguments.cache, tuple(PROPORTIONS), arguments.every
    )
    names = arguments.only or (list(ALTERATIONS) if arguments.altered else ["as it is"])
    jobs = ((name, person) for person in people for name in names)
    with multiprocessing.Pool(arguments.processes) as pool:
        rows = list(pool.imap(_fit_person, jobs, chunksize=3))
    _print_groups(rows, names)
    if arguments.joints:
        _print_joints(rows)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--people", type=int, default=100)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="use every n-th person")
    parser.add_argument("--altered", action="store_true", help="also alter the bodies in every way")
    parser.add_argument("--only", nargs="*", choices=list(ALTERATIONS), help="only these alterations")
    parser.add_argument("--joints", action="store_true", help="also the mean error of each joint")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, help="npz file in which the bodies are stored")
    return parser.parse_args()


def _fit_person(job: tuple[str, Person]) -> dict:
    name, person = job
    rng = np.random.default_rng(
        zlib.crc32(f"{name} {person.name} {person.pose} {person.proportion}".encode())
    )
    mesh = Mesh(*ALTERATIONS[name](person, rng))
    row = {"altered": name, "proportion": person.proportion, "asked": person.pose, "name": person.name}
    try:
        fitted = fit_skeleton(mesh, pose_type=person.pose)
    except RigError as error:
        return row | {"refused": str(error)}
    skeleton = fitted.skeleton
    joints = [name for name in skeleton.names if name in person.joints]
    gaps = [np.linalg.norm(skeleton.positions[skeleton.index(name)] - person.joints[name]) for name in joints]
    height = np.ptp(person.positions[:, 1])
    errors = dict(zip(joints, 100 * np.array(gaps) / height, strict=True))
    return row | {"errors": errors, "seen": fitted.pose, "warnings": fitted.warnings}


def _print_groups(rows: list[dict], names: list[str]) -> None:
    head = f"{'body':20} {'proportion':10} {'pose':8} {'n':>5} {'mean':>6} {'95th':>6} {'worst':>6}"
    print(f"{head} {'pose':>5} {'refused':>7} {'warned':>6}")
    for name in names:
        here = [row for row in rows if row["altered"] == name]
        if len(names) == 1:
            for proportion in PROPORTIONS:
                for pose in POSES:
                    group = [r for r in here if r["proportion"] == proportion and r["asked"] == pose]
                    _print_group(name, proportion, pose, group)
        else:
            for proportion in PROPORTIONS:
                _print_group(name, proportion, "all", [r for r in here if r["proportion"] == proportion])
        _print_group(name, "all", "all", here)
    for text, count in Counter(row["refused"] for row in rows if "refused" in row).most_common(8):
        print(f"refused {count}: {text}")


def _print_group(name: str, proportion: str, pose: str, rows: list[dict]) -> None:
    fitted = [row for row in rows if "errors" in row]
    errors = np.array([list(row["errors"].values()) for row in fitted] or [[np.nan]])
    wrong = sum(row["seen"] != row["asked"] for row in fitted)
    warned = sum(bool(row["warnings"]) for row in fitted)
    figures = f"{errors.mean():6.2f} {np.quantile(errors, 0.95):6.2f} {errors.mean(axis=1).max():6.2f}"
    counts = f"{wrong:5} {len(rows) - len(fitted):7} {warned:6}"
    print(f"{name:20} {proportion:10} {pose:8} {len(rows):5} {figures} {counts}", flush=True)


def _print_joints(rows: list[dict]) -> None:
    for proportion in PROPORTIONS:
        found = defaultdict(list)
        for row in rows:
            if row["proportion"] == proportion:
                for full, error in row.get("errors", {}).items():
                    name = full.split(":")[1].removeprefix("Left").removeprefix("Right")
                    found[name].append(error)
        print(proportion, ", ".join(f"{name} {np.mean(values):.2f}" for name, values in found.items()))


if __name__ == "__main__":
    main()
