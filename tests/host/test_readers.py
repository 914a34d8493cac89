"""Independent readers on the files of a real job: the elf's meshes and its rigged character."""

import functools
import re

import numpy as np
import pytest
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader

READERS = ("ufbx", "blender", "assimp", "three")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def fetch(elf_job, tmp_path_factory):
    """Download one result and return its path."""
    folder, results = tmp_path_factory.mktemp("results"), elf_job.answers[-1]["results"]

    def save(name):
        path = folder / results[name].rsplit("/", 1)[-1]
        path.write_bytes(elf_job.client.read_result(elf_job.job_id, results[name]))
        return path

    return save


@pytest.fixture(scope="module")
def read(fetch, tmp_path_factory):
    """read(reader): its report on the rigged character, in its rest pose."""
    model, folder = fetch("rigged_character"), tmp_path_factory.mktemp("reports")
    ask = write_ask(folder / "ask.json")
    return functools.cache(lambda reader: run_reader(reader, folder / f"{reader}.json", model, ask))


def plain(name):
    """three.js takes the colon out of node names."""
    return re.sub(r"[\[\].:/]", "", name)


@pytest.mark.parametrize("name", ["raw_mesh", "textured_mesh"])
def test_the_khronos_validator_finds_no_fault(fetch, tmp_path, name):
    report = run_reader("gltf-validator", tmp_path / "report.json", fetch(name))
    assert report["issues"]["numErrors"] == 0, report["issues"]["messages"]
    assert report["issues"]["numWarnings"] == 0, report["issues"]["messages"]


@pytest.mark.parametrize("reader", READERS)
def test_weights_are_whole_and_at_most_four(read, reader):
    require_reader(reader)
    corners = read(reader)["weights"]
    assert max(len([w for w in corner.values() if w > 0]) for corner in corners) <= 4
    assert np.abs(np.array([sum(corner.values()) for corner in corners]) - 1).max() < 1e-3


@pytest.mark.parametrize("reader", READERS[1:])
def test_readers_agree_on_the_rig_the_mesh_and_the_texture(read, reader):
    require_reader(reader)
    ours, theirs = read("ufbx"), read(reader)
    tree = {plain(name): joint["parent"] and plain(joint["parent"]) for name, joint in ours["joints"].items()}
    assert tree == {plain(n): j["parent"] and plain(j["parent"]) for n, j in theirs["joints"].items()}
    assert len(tree) == 25
    if reader == "blender":
        assert theirs["vertex_count"] == ours["vertex_count"]
    if reader == "assimp":  # which joins vertices that lie within its tolerance
        assert 0.999 < theirs["vertex_count"] / ours["vertex_count"] <= 1
    assert len(theirs["positions"]) == len(ours["positions"])
    for part in ("positions", "uvs"):
        assert np.abs(np.array(ours[part]) - np.array(theirs[part])).max() < TOLERANCE
    for part in ("sha256", "size"):
        assert ours["texture"][part] == theirs["texture"][part]
    assert ours["texture"]["size"] == [1024, 1024]  # what views of 768 pixels show
