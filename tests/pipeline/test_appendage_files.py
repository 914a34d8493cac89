"""Joints of tails and props in files, as independent readers see them."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.formats import VrmMeta, write_fbx, write_vrm
from character3d.pipeline.rigging import normalize_to_t_pose
from character3d.pipeline.types import Material, RiggedCharacter, TexturedMesh
from character3d.tests.readers.compare import (
    assert_joints_agree,
    assert_weights_agree,
    rename,
    write_ask,
)
from character3d.tests.readers.locate import require_reader, run_reader

from .test_appendages import wizard  # noqa: F401

EXTRA = ("LeftHandPropA1", "RightTailA1", "RightTailA2", "RightTailA3")


@pytest.fixture
def character(wizard):  # noqa: F811
    mesh, fitted, skin, *_ = wizard
    mapped = replace(mesh, uvs=np.zeros((len(mesh.positions), 2)))
    textured = TexturedMesh(mapped, Material(np.ones((4, 4, 4))))
    return RiggedCharacter(textured, fitted.skeleton, skin)


def assert_extra_joints_move_something(report, reader):
    moved = {name for row in report["weights"] for name, share in row.items() if share > 0.5}
    assert {rename(reader, f"mixamorig:{name}") for name in EXTRA} <= moved


@pytest.mark.nightly
@pytest.mark.parametrize("reader", ["ufbx", "three"])
def test_an_fbx_has_the_joints_of_what_hangs_on_the_body(tmp_path, character, reader):
    require_reader(reader)
    write_fbx(tmp_path / "a.fbx", character)
    report = run_reader(reader, tmp_path / "report.json", tmp_path / "a.fbx", write_ask(tmp_path / "ask", {}))
    assert_joints_agree(report["joints"], character.skeleton, reader)
    assert_weights_agree(report["weights"], character, reader)
    assert_extra_joints_move_something(report, reader)


def test_a_vrm_has_them_beside_its_human_bones(tmp_path, character):
    require_reader("three-vrm")
    character = normalize_to_t_pose(character)
    write_vrm(tmp_path / "a.vrm", character, VrmMeta("Wizard", ("One",)))
    ask = write_ask(tmp_path / "ask", {})
    report = run_reader("three-vrm", tmp_path / "report.json", tmp_path / "a.vrm", ask)
    assert set(report["human_bones"]) == set(character.skeleton.roles)
    assert_weights_agree(report["weights"], character, "three-vrm")
    assert_extra_joints_move_something(report, "three-vrm")
