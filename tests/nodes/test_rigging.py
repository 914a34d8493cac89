"""Rig Character on meshes that no picture was made from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from character3d.pipeline.formats.mesh_files import read_mesh
from character3d.tests.pipeline.test_face import HEAD, MORPHS, make_figure

FILES = Path(__file__).resolve().parents[1] / "files"


def test_a_sword_is_rigged_with_its_hand(load_nodes):
    rigging, surfaces = load_nodes("rigging"), load_nodes("surfaces")
    textured, notes = rigging._place(
        surfaces.make_textured(read_mesh(FILES / "with_sword.obj").surface), up="auto", front="auto"
    )
    assert notes == ()
    options = {"pose_type": "No", "fingers": False, "strict": False, "figure": None}
    rig = rigging._fit_rig(textured.mesh, progress=lambda _: None, **options)
    bound = rigging._bind_mesh(textured, rig, "No")
    character = bound.put_on(textured)
    assert bound.notes == ("a long piece beside the left hand goes with it, as what it holds",)
    bound = character.skin.joints[character.skin.weights[:, 0] == 1]
    names = np.array(character.skeleton.names)[bound[:, 0]]
    assert (names == "mixamorig:LeftHandPropA1").sum() == 8
    prop = character.skeleton.index("mixamorig:LeftHandPropA1")
    assert character.skeleton.names[character.skeleton.parents[prop]] == "mixamorig:LeftHand"
    wrist = character.skeleton.positions[character.skeleton.index("mixamorig:LeftHand")]
    assert np.abs(wrist[:2] - (0.5, 0.92)).max() < 0.05


def test_a_painted_texture_gets_the_same_rig_without_another_fit(load_nodes, monkeypatch):
    rigging, surfaces = load_nodes("rigging"), load_nodes("surfaces")
    sword = surfaces.make_textured(read_mesh(FILES / "with_sword.obj").surface)
    red = replace(sword, material=replace(sword.material, texels=sword.material.texels * np.float32(0.5)))
    monkeypatch.setattr(rigging, "_read_placed", lambda value, *_, **__: [(value, ())])
    fits, find = [], rigging.RigCharacter._find_rig
    monkeypatch.setattr(rigging.RigCharacter, "_find_rig", lambda *args: fits.append(args) or find(*args))
    node = rigging.RigCharacter()  # as the executor owns one
    outputs = [node.execute(mesh, "No", "auto").args[0][0] for mesh in (sword, red)]
    assert len(fits) == 1
    before, after = outputs
    assert after.skin is before.skin and after.skeleton is before.skeleton
    assert after.textured.mesh is before.textured.mesh and after.textured.material is red.material
    assert after.warnings == before.warnings and after.metrics == before.metrics
    node.execute(red, "No", "auto", fingers=True)
    assert len(fits) == 2


def test_inputs_without_effect_are_listed(load_nodes):
    list_ignored, figure = load_nodes("rigging")._list_ignored, object()
    assert list_ignored("geodesic_voxel_binding", None) == () == list_ignored("skintokens_skin", None)
    assert list_ignored("geodesic_voxel_binding", figure) == ("up", "front", "height_meters")
    assert list_ignored("make_it_animatable", None) == ("fingers", "strict", "figure")
    assert list_ignored("skintokens", None) == ("pose_type", "fingers", "strict", "figure")


def test_a_face_moves_where_the_figure_shows_it_and_else_it_is_said_why_not(load_nodes):
    add = load_nodes("rigging")._add_face
    for figure in (None, make_figure(face_features=None)):
        still, notes = add(HEAD, figure, ["before"])
        assert still is HEAD and notes[0] == "before" and "does not show both eyes" in notes[1]
    eyes, notes = add(HEAD, make_figure(mouth=0.0), [])
    assert "no mouth was found" in notes[0]
    whole, notes = add(HEAD, make_figure(), [])
    assert notes == []
    names = [{morph.name for morph in made.textured.mesh.extras.morphs} for made in (eyes, whole)]
    assert names[1] == set(MORPHS) and names[0] < names[1] and "aa" not in names[0]
