"""Stretch of the edges in motion; weights bound anew; legs that touch; arms before the body."""

from dataclasses import replace

import numpy as np
import pytest
from character3d.pipeline.animation import edge_stretch, mend_skin, settle_skin
from character3d.pipeline.animation import settle as settling
from character3d.pipeline.figure import PARTS
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton, separate_limbs
from character3d.pipeline.rigging.skin.held_limbs import LIMBS
from character3d.pipeline.types import Material, SkinWeights, TexturedMesh

from ..humanoids import rig_elf
from .figures import join_parts, make_body, make_box, make_capsule
from .test_fit_figure import read_figure
from .test_rigging import fuse_parts


def make_hard(character):
    """The character with every vertex bound to its strongest joint alone."""
    joints = np.take_along_axis(character.skin.joints, character.skin.weights.argmax(1)[:, None], 1)
    weights = np.zeros((len(joints), 4))
    weights[:, 0] = 1
    return replace(character, skin=SkinWeights(np.repeat(joints, 4, axis=1), weights))


@pytest.mark.nightly
def test_a_body_that_moves_as_one_does_not_stretch():
    character = rig_elf()
    weights = np.zeros((len(character.textured.mesh.positions), 4))
    weights[:, 0] = 1
    rigid = replace(character, skin=SkinWeights(np.zeros_like(weights), weights))
    assert edge_stretch(rigid) == pytest.approx(1, abs=1e-3)


def test_torn_skin_is_bound_anew():
    torn = make_hard(rig_elf())
    before = np.quantile(edge_stretch(torn), 0.999)
    mended = mend_skin(torn)
    assert mended.stretch_before == pytest.approx(before, rel=0.01)
    assert before > 4 and mended.stretch < 3
    assert np.quantile(edge_stretch(mended.character), 0.999) == pytest.approx(mended.stretch, rel=0.1)
    assert mended.character.textured is torn.textured and mended.character.skeleton is torn.skeleton
    assert np.abs(mended.character.skin.weights - torn.skin.weights).max(axis=1).min() == 0


def test_what_does_not_stretch_stays_as_it_is():
    rigid = make_hard(rig_elf())
    still = replace(rigid, skin=SkinWeights(np.zeros_like(rigid.skin.joints), rigid.skin.weights))
    mended = mend_skin(still)
    assert mended.character is still and mended.stretch == mended.stretch_before


@pytest.fixture(scope="module")
def joined_feet():
    """A body whose feet stand on one block."""
    mesh, joints = make_body(45, 3)
    block = make_box((-0.14, 0.0, -0.05), (0.14, 0.07, 0.18))
    return join_parts([(mesh.positions, mesh.faces), block]), joints


@pytest.mark.nightly_cases
@pytest.mark.parametrize(("part", "is_apart"), [("left_leg", True), ("clothes", False)])
def test_legs_are_apart_where_the_picture_shows_two(joined_feet, part, is_apart):
    mesh, joints = joined_feet
    figure = read_figure(mesh, joints, parts=np.full((16, 16), PARTS.index(part)))
    fitted = fit_skeleton(mesh, figure=figure)
    assert (fitted.legs_apart_below > 0.5) is is_apart
    apart = {"legs_apart_below": fitted.legs_apart_below}
    skin = compute_skin_weights(mesh, fitted.skeleton, **apart)
    separated = separate_limbs(mesh, fitted.skeleton, skin, **apart)
    assert (separated.cut_faces > 0) is is_apart


def test_an_arm_on_the_trunk_keeps_its_place_and_says_so():
    mesh, joints = make_body(45, 3)
    chest = make_box((-0.2, 0.95, -0.1), (0.2, 1.4, 0.1))
    joints = dict(joints)
    joints["LeftForeArm"], joints["LeftHand"] = np.array((0.15, 1.15, 0.1)), np.array((0.0, 1.15, 0.1))
    clothed = join_parts([(mesh.positions, mesh.faces), chest, make_capsule((0, 1, 0), (0, 1.3, 0), 0.1)])
    fitted = fit_skeleton(clothed, figure=read_figure(clothed, joints))
    assert [warning for warning in fitted.warnings if "the left arm lies on the body" in warning] != []
    assert fitted.hidden == tuple(f"mixamorig:Left{part}" for part in ("Arm", "ForeArm", "Hand"))


def test_limbs_that_tear_are_held(joined_feet, monkeypatch):
    monkeypatch.setattr(settling, "_LEGS_HELD", 3.5)  # these would stretch 4 times, which is let be
    mesh, joints = joined_feet
    sheet = make_box((-0.3, 0.0, -0.03), (0.3, 0.7, 0.03))
    tearing = fuse_parts(join_parts([(mesh.positions, mesh.faces), sheet]))
    skeleton = fit_skeleton(mesh, figure=read_figure(mesh, joints)).skeleton
    textured = TexturedMesh(replace(tearing, uvs=tearing.positions[:, :2]), Material(np.ones((2, 2, 4))))
    skin = compute_skin_weights(tearing, skeleton)
    settled = settle_skin(textured, skeleton, skin, legs_apart_below=float("-inf"))
    assert settled.torn == ("legs",) and settled.stretch < 3
    character = settled.character
    used = {character.skeleton.names[joint] for joint in character.skin.joints[character.skin.weights > 0]}
    assert not used & set(LIMBS["legs"]) and set(LIMBS["left arm"]) <= used
