"""benchmarks/rigs.py compares our rig of a mesh with its maker's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from character3d.tests.humanoids import make_humanoid

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "rigs.py"


@pytest.mark.nightly
def test_our_own_rig_agrees_with_itself_and_its_mirror_image(tmp_path):
    character = make_humanoid()
    mesh, skin, names = character.textured.mesh, character.skin, character.skeleton.names
    weights = np.zeros((len(mesh.positions), len(names)))
    np.add.at(weights, (np.arange(len(weights))[:, None], skin.joints.astype(int)), skin.weights)
    short = [name.removeprefix("mixamorig:") for name in names]
    mirrored = [
        "Right" + n[4:] if n.startswith("Left") else "Left" + n[5:] if n.startswith("Right") else n
        for n in short
    ]
    for file, named in (("as_made", short), ("in_a_mirror", mirrored)):
        arrays = {"v": mesh.positions, "f": mesh.faces, "J": character.skeleton.positions, "W": weights}
        np.savez(tmp_path / f"{file}.npz", names=np.array(named), H=np.ptp(mesh.positions[:, 1]), **arrays)
    done = subprocess.run([sys.executable, "-P", SCRIPT, tmp_path], capture_output=True, text=True)
    rows = done.stdout.splitlines()
    assert len(rows) == 5, done.stderr
    figures = [row.split()[1:] for row in rows[:2]]
    assert [row[0] for row in figures] == ["TUNE", "HELD"]
    assert figures[0][1:5] == figures[1][1:5]
    assert float(rows[-1].split()[1]) < 6 and rows[-1].endswith("refused 0")
