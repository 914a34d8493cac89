"""What write_fbx wrote, as four independent readers see it; tests/readers/README.md says how."""

import functools
import hashlib
import io
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import write_fbx
from character3d.pipeline.mesh.normals import vertex_normals
from character3d.pipeline.types import Mesh, SkinWeights, TexturedMesh
from character3d.tests.readers.compare import (
    TOLERANCE,
    assert_joints_agree,
    assert_meshes_agree,
    assert_weights_agree,
    largest_difference,
    limit,
    write_ask,
)
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import POSE, make_character, pose_by_hand
from PIL import Image

READERS = ("ufbx", "blender", "assimp", "three")
SPLITS_CORNERS = {"three"}
CHARACTER = make_character()
MESH, SKELETON = CHARACTER.textured.mesh, CHARACTER.skeleton


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("fbx") / "elf 大.fbx"
    write_fbx(path, CHARACTER)
    return path


@pytest.fixture(scope="module")
def read(model, tmp_path_factory):
    """read(reader): its report on the model, run once."""
    folder = tmp_path_factory.mktemp("reports")
    ask = write_ask(folder / "ask.json", POSE)
    return functools.cache(lambda reader: run_reader(reader, folder / f"{reader}.json", model, ask))


@pytest.fixture(params=READERS)
def reader(request):
    require_reader(request.param)
    return request.param


def find_png(model):
    return re.search(rb"\x89PNG.*?IEND.{4}", model.read_bytes(), re.DOTALL).group()


def test_readers_see_every_joint(read, reader):
    assert_joints_agree(read(reader)["joints"], SKELETON, reader)


def test_readers_see_the_mesh(read, reader):
    report = read(reader)
    assert report["vertex_count"] == (MESH.faces.size if reader in SPLITS_CORNERS else len(MESH.positions))
    assert_meshes_agree(report, MESH, reader)


def test_readers_see_the_weights(read, reader):
    assert_weights_agree(read(reader)["weights"], CHARACTER, reader)


def test_readers_see_the_texture(read, reader, model):
    png = find_png(model)
    texels = np.array(Image.open(io.BytesIO(png)))
    base_color = CHARACTER.textured.material.base_color
    assert np.array_equal(texels, np.rint(base_color[..., :3] * 255))
    told = {"type": "image/png"} if reader == "three" else {}
    assert read(reader)["texture"] == {"sha256": hashlib.sha256(png).hexdigest(), "size": [64, 64], **told}


def test_readers_bend_it_as_we_do(read, reader):
    expected = pose_by_hand(CHARACTER, POSE)
    assert np.abs(expected - MESH.positions).max() > 0.2
    assert largest_difference(read(reader)["posed"], expected[MESH.faces]) < limit(reader, "posed")


@pytest.mark.nightly
def test_readers_agree_with_one_another(read):
    for reader in READERS:
        require_reader(reader)
    for one, other in combinations(READERS, 2):
        for key in ("positions", "normals", "uvs", "posed"):
            allowed = max(limit(one, key), limit(other, key))
            assert largest_difference(read(one)[key], read(other)[key]) < allowed, (one, other, key)


@pytest.mark.nightly
def test_blender_has_metres_and_stands_upright(read):
    """The report is in our frame: this is Blender's own, Z up and facing -Y."""
    report = read("blender")
    extent = np.ptp(MESH.positions, axis=0)
    assert report["dimensions"] == pytest.approx(extent, abs=TOLERANCE)
    low, high = np.array(report["blender_bounds"])
    lowest, highest = MESH.bounds
    assert low == pytest.approx((lowest[0], -highest[2], lowest[1]), abs=TOLERANCE)
    assert high == pytest.approx((highest[0], -lowest[2], highest[1]), abs=TOLERANCE)


def test_mesh_without_normals_gets_smooth_ones_and_alpha_stays(tmp_path):
    bare = Mesh(MESH.positions, MESH.faces, uvs=MESH.uvs)
    color = np.array(CHARACTER.textured.material.base_color)
    color[:8, :, 3] = 0.25
    material = replace(CHARACTER.textured.material, texels=color)
    model, ask = tmp_path / "bare.fbx", write_ask(tmp_path / "ask.json")
    write_fbx(model, replace(CHARACTER, textured=TexturedMesh(bare, material)))
    report = run_reader("three", tmp_path / "report.json", model, ask)
    corners = MESH.positions[MESH.faces]
    expected = vertex_normals(bare)[MESH.faces]
    assert np.linalg.norm(expected, axis=-1) == pytest.approx(1, abs=1e-5)
    assert largest_difference(report["normals"], expected) < TOLERANCE
    assert largest_difference(report["posed"], corners) < TOLERANCE
    assert Image.open(io.BytesIO(find_png(model))).getpixel((0, 0))[3] == 64


def test_same_character_gives_same_bytes(tmp_path, model):
    path = tmp_path / model.name
    write_fbx(str(path), make_character())
    assert path.read_bytes() == model.read_bytes()
    assert path.read_bytes().startswith(b"Kaydara FBX Binary  \x00")


def test_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "character.fbx"
    path.write_bytes(b"before")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_fbx(path, CHARACTER)
    assert [item.name for item in tmp_path.iterdir()] == ["character.fbx"]
    assert path.read_bytes() == b"before"


def with_joints(value):
    joints = np.array(CHARACTER.skin.joints)
    joints[3, 0] = value
    return replace(CHARACTER, skin=SkinWeights(joints, CHARACTER.skin.weights))


def with_skeleton(**changes):
    return replace(CHARACTER, skeleton=replace(SKELETON, **changes))


def with_positions(positions):
    mesh = replace(MESH, positions=positions)
    return replace(CHARACTER, textured=replace(CHARACTER.textured, mesh=mesh))


@pytest.mark.parametrize(
    ("character", "message"),
    [
        (with_joints(7), "name joint 7, the skeleton has 7"),
        (replace(CHARACTER, skin=SkinWeights([[0] * 4], [[1, 0, 0, 0]])), "for 240 vertices, got 1"),
        (with_skeleton(names=("a",) * 7), "same name"),
        (with_skeleton(parents=[-1, 0, 1, 2, -1, 4, 0]), "expected one root joint, found 2: .*LeftArm"),
        (with_skeleton(rest=SKELETON.rest * 1.1), "'mixamorig:Hips' is not a rotation"),
        (with_positions(np.full_like(MESH.positions, np.nan)), "expected finite positions"),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, character, message):
    with pytest.raises(FormatError, match=message):
        write_fbx(tmp_path / "bad.fbx", character)
    assert list(tmp_path.iterdir()) == []
