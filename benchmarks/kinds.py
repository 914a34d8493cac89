"""What meshes are told to be: python benchmarks/kinds.py FOLDER [--rigs FOLDER] [--only PATTERN].

FOLDER holds npz files with vertices `v` and faces `f` whose names begin with a kind and two underscores, as
in `quadruped__horse.npz`; the meshes of --rigs (see rigs.py) are people. Every second file of a kind's sorted
list is TUNE: training/kinds.py may see it. The others are HELD.

For each mesh: what it is, the share of all figures together, and whether it gets a skeleton of its own, that
of a person with a doubt, or that of a person without a word. The closing lines count, for people and for all
others: `own`, `doubt` and `plain`.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.orientation import place_mesh  # noqa: E402
from character3d.pipeline.orientation.form import FIGURES, KINDS, Form, read_form  # noqa: E402
from character3d.pipeline.rigging.fit.merge_joints import is_sure  # noqa: E402
from character3d.pipeline.rigging.fit.see_joints import see_joints  # noqa: E402
from character3d.pipeline.types import Mesh  # noqa: E402


def main() -> None:
    """Print a line for each mesh, and the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rigs", type=Path, help="a folder of people")
    parser.add_argument("--only", default="*", help="a pattern of file names")
    arguments = parser.parse_args()
    counts: Counter[tuple[str, str, str]] = Counter()
    for kind, share, path in list_files(arguments.folder, arguments.rigs):
        if not fnmatch.fnmatch(path.stem, arguments.only):
            continue
        shard = np.load(path)
        mesh = Mesh(shard["v"], shard["f"])
        form = read_form(mesh)
        rigged = describe_rig(form, mesh)
        counts[share, "people" if kind in FIGURES else "others", rigged] += 1
        told = f"{form.kind} {form.confidence:.2f}, figures {form.figure_share:.2f}, {rigged}"
        print(f"{share} {kind:10} {path.stem:40} {told}", flush=True)
    for share in ("TUNE", "HELD"):
        for group in ("people", "others"):
            found = " ".join(
                f"{rigged} {counts[share, group, rigged]}" for rigged in ("own", "doubt", "plain")
            )
            print(f"{share} {group}: {found}")


def list_files(folder: Path, rigs: Path | None) -> Iterator[tuple[str, str, Path]]:
    """(kind, TUNE or HELD, path) of each mesh."""
    groups = {kind: sorted(folder.glob(f"{kind}__*.npz")) for kind in KINDS}
    lists = [*groups.items(), *([("humanoid", sorted(rigs.glob("*.npz")))] if rigs else [])]
    for kind, paths in lists:
        for number, path in enumerate(paths):
            yield kind, "HELD" if number % 2 else "TUNE", path


def describe_rig(form: Form, mesh: Mesh) -> str:
    """own: a skeleton of its own. doubt, plain: a person's, with or without a word."""
    if not form.is_figure:
        return "own"
    if not form.is_surely_figure(has_joints=True):
        return "doubt"
    seen = see_joints(place_mesh(mesh).surface)
    has_joints = seen is not None and is_sure(seen)
    return "plain" if form.is_surely_figure(has_joints=has_joints) else "doubt"


if __name__ == "__main__":
    main()
