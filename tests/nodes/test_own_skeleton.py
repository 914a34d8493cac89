"""Rig Character and Check Rig on a mesh that is no person."""

import json

import pytest
from character3d.pipeline.errors import RigError

from ..capsules import make_dog


@pytest.fixture
def rig(load_nodes):
    def rig(mesh, **options):
        node = load_nodes("rigging").RigCharacter
        output = node.execute(mesh, "No", "geodesic_voxel_binding", **options)
        return output.args[0][0], output.ui["character3d_report"][0]

    return rig


def test_a_dog_gets_a_skeleton_of_its_own_and_the_report_says_why(rig, load_nodes):
    character, report = rig(make_dog())
    assert "leg_front_left_1" in character.skeleton.names and character.skeleton.roles == {}
    assert report["method"] == "curve_skeleton" and report["metrics"]["confidence"] > 0.5
    assert "an animal on four legs" in report["warnings"][-1] and "VRM" in report["warnings"][-1]
    animate = load_nodes("animation").AddAnimation.execute
    assert animate(character, "none").args[0].clips == ()
    with pytest.raises(RigError, match="no person's"):
        animate(character, "walk")
    with pytest.raises(RigError, match="no person's"):
        load_nodes("save_character").SaveCharacter.execute(character, "dog", character_format="vrm")


def test_what_the_skeleton_input_says_counts(rig):
    character, report = rig(make_dog(), skeleton="humanoid")
    assert "hips" in character.skeleton.roles and report["method"] == "geodesic_voxel_binding"
    with pytest.raises(RigError, match="an animal on four legs"):
        rig(make_dog(), strict=True)
    character, report = rig(make_dog(), skeleton="along limbs", strict=True)
    assert report["method"] == "curve_skeleton"


def test_the_check_says_the_same(load_nodes):
    output = load_nodes("check_rig").CheckRig.execute(make_dog())
    (kind,), (confidence,), (report,) = output.args
    found = json.loads(report)
    assert (kind, confidence) == ("quadruped", found["confidence"]) and found["skeleton"] == "along limbs"
    assert output.ui["text"][0].startswith("quadruped (")


def test_a_file_is_checked_and_one_that_is_too_large_is_refused(load_nodes, tmp_path, monkeypatch):
    checks = load_nodes("check_rig")
    make_dog().export(tmp_path / "dog.stl")
    found = checks.check_rig_file(tmp_path / "dog.stl")
    assert found["kind"] == "quadruped" and json.dumps(found)
    monkeypatch.setattr(checks, "MAX_FACES", 100)
    with pytest.raises(checks.MeshError, match="at most 100"):
        checks.check_rig_file(tmp_path / "dog.stl")
