"""Files changed at random: read, or refused in a sentence of ours; no other error comes out."""

import contextlib
import copy
import json
import random
import re
import struct
import subprocess
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import Character3DError
from character3d.pipeline.formats import read_mesh

FILES = Path(__file__).parents[1] / "files"
CASES = 150
VALUES = [None, -1, 0, 7, 2**40, 1e40, True, "", "../a", [], {}, [None], [0] * 3, 5126, "VEC3", "data:,"]
FOREIGN = re.compile(
    r"\w+(Error|Exception|Warning)\b|object has no|index out of|out of bounds|not subscriptable|unhashable|"
    r"could not convert|invalid literal|reshape|unsupported operand|numpy|argument"
)
"""Words of Python's and numpy's own errors; benchmarks/fuzz.py has more cases."""


@contextlib.contextmanager
def refused_in_our_words():
    try:
        yield
    except Character3DError as error:
        assert not FOREIGN.search(str(error)), str(error)


def unpack(path):
    """The JSON and the rest of a GLB file."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    return json.loads(data[20 : 20 + length]), data[20 + length :]


def list_places(tree):
    """Every container of a JSON tree with each of its keys."""
    for key in range(len(tree)) if isinstance(tree, list) else list(tree):
        yield tree, key
        if isinstance(tree[key], (list, dict)):
            yield from list_places(tree[key])


@pytest.mark.parametrize(
    "name", ["skinned_beside_armature", "gpu_instanced_limbs", "sparse_positions", "textured"]
)
def test_gltf_with_other_values(tmp_path, name):
    choose = random.Random(name)
    tree, rest = unpack(FILES / f"{name}.glb")
    for _ in range(CASES):
        changed = copy.deepcopy(tree)
        for _ in range(choose.choice((1, 1, 2))):
            owner, key = choose.choice(list(list_places(changed)))
            owner[key] = copy.deepcopy(choose.choice(VALUES))
        text = json.dumps(changed).encode()
        head = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text) + len(rest), len(text), b"JSON")
        (tmp_path / "a.glb").write_bytes(head + text + rest)
        with refused_in_our_words():
            read_mesh(tmp_path / "a.glb")


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".stl", ".off", ".3mf"])
def test_other_bytes(tmp_path, suffix):
    choose = random.Random(suffix)
    if suffix == ".3mf":
        data = (FILES / "millimetres_z_up.3mf").read_bytes()
    else:
        box = trimesh.creation.box()
        box.visual.vertex_colors = np.tile((200, 30, 60, 255), (8, 1))
        box.export(tmp_path / f"box{suffix}")
        data = (tmp_path / f"box{suffix}").read_bytes()
    for _ in range(CASES):
        changed = bytearray(data)
        for _ in range(choose.choice((1, 2, 8))):
            place = choose.randrange(len(changed))
            changed[place : place + choose.randrange(3)] = bytes(
                choose.choices(range(256), k=choose.randrange(3))
            )
        (tmp_path / f"a{suffix}").write_bytes(changed)
        with refused_in_our_words():
            read_mesh(tmp_path / f"a{suffix}")


@pytest.mark.nightly
def test_other_cases_each_night():
    script = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
    first = date.today().toordinal() * 2000
    command = [sys.executable, str(script), "--cases", "2000", "--first", str(first)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout + done.stderr
