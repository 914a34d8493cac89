"""What a mesh is told to be, and the skeleton that one that is no person gets."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import FormatError, MeshError, RigError
from character3d.pipeline.formats.fbx import encode_fbx
from character3d.pipeline.formats.glb import encode_glb
from character3d.pipeline.formats.mesh_files import read_mesh
from character3d.pipeline.formats.vrm import encode_vrm
from character3d.pipeline.orientation.form import FIGURES, KINDS, Form, read_form
from character3d.pipeline.rigging.creature import bind_creature, fit_creature
from character3d.pipeline.rigging.findings import find_in_form
from character3d.pipeline.rigging.rig_check import check_rig
from character3d.pipeline.types import Material, Mesh, RiggedCharacter, TexturedMesh
from character3d.pipeline.vrm_meta import VrmMeta
from scipy.spatial.transform import Rotation

from ..capsules import make_dog
from ..humanoids import ELF


def make_mesh(shape):
    return Mesh(shape.vertices, shape.faces)


DOG = make_mesh(make_dog())


@cache
def fit_dog():
    form = read_form(DOG)
    return form, fit_creature(DOG, form)


def test_shares_are_of_all_kinds_and_sum_to_one():
    form = read_form(DOG)
    assert tuple(form.shares) == KINDS and sum(form.shares.values()) == pytest.approx(1)
    assert form.kind == max(form.shares, key=form.shares.get) and form.confidence == max(form.shares.values())


@pytest.mark.parametrize("degrees", [0, 90, 180])
@pytest.mark.parametrize("scale", [1, 1000])
def test_a_person_is_one_however_it_lies_and_in_any_unit(degrees, scale):
    mesh = read_mesh(ELF).surface.mesh
    turn = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
    form = read_form(replace(mesh, positions=scale * mesh.positions @ turn.T, normals=None))
    assert form.kind == "humanoid" and form.is_surely_figure(has_joints=True)


def test_a_person_without_joints_is_doubted():
    """Above 0.85 the form alone is not enough: the joint network has to see a person, too."""
    shares = dict.fromkeys(KINDS, 0.0) | {"humanoid": 0.9, "object": 0.1}
    form = Form("humanoid", shares, 1.0, np.eye(3))
    assert form.is_surely_figure(has_joints=True) and not form.is_surely_figure(has_joints=False)
    surest = replace(form, shares=shares | {"humanoid": 0.98, "object": 0.02})
    assert surest.is_surely_figure(has_joints=False)


def test_half_a_person_without_joints_is_doubted_and_said_to_be_a_half():
    """A spaceship was a bust beyond any doubt."""
    shares = dict.fromkeys(KINDS, 0.0) | {"bust": 0.99, "object": 0.01}
    form = Form("bust", shares, 1.0, np.eye(3))
    assert form.is_surely_figure(has_joints=True) and not form.is_surely_figure(has_joints=False)
    codes = [[item.code for item in find_in_form(form, has_joints=seen)] for seen in (True, False)]
    assert codes == [["bust"], ["bust", "unsure"]]


def test_a_dog_a_box_and_a_table_are_no_person():
    assert read_form(DOG).kind == "quadruped"
    table = [trimesh.creation.box((1.6, 0.05, 0.8), trimesh.transformations.translation_matrix((0, 0.75, 0)))]
    for x in (0.7, -0.7):
        for z in (0.3, -0.3):
            place = trimesh.transformations.translation_matrix((x, 0.37, z))
            table.append(trimesh.creation.box((0.06, 0.74, 0.06), place))
    for shape in (trimesh.creation.box((1, 1.2, 0.8)), trimesh.util.concatenate(table)):
        form = read_form(make_mesh(shape))
        assert form.kind not in FIGURES or not form.is_surely_figure(has_joints=True)


def test_the_dog_gets_a_skeleton_named_by_place():
    _, fitted = fit_dog()
    names = fitted.skeleton.names
    legs = {limb for limb in fitted.limbs if limb.startswith("leg_")}
    assert legs == {f"leg_{end}_{side}" for end in ("front", "back") for side in ("left", "right")}
    assert {"head", "tail"} <= set(fitted.limbs)
    places = dict(zip(names, fitted.skeleton.positions, strict=True))
    assert places["head_end"][2] > 0.5 and places["tail_end"][2] < -0.5
    assert places["leg_front_left_end"][0] > 0.05 > -0.05 > places["leg_back_right_end"][0]
    assert places["leg_front_left_end"][2] > 0 > places["leg_back_left_end"][2]
    assert all(places[f"{leg}_end"][1] < 0.1 for leg in legs)
    assert len(set(names)) == len(names) and fitted.skeleton.roles == {}


def test_joints_lie_inside_and_each_limb_moves_with_its_own():
    _, fitted = fit_dog()
    mesh, skeleton = DOG, fitted.skeleton
    away = fitted.solid.tree.query(skeleton.positions)[0]
    assert away.max() < 1.5 * fitted.solid.size
    skin = bind_creature(mesh, skeleton, fitted.parts, fitted.solid)
    np.testing.assert_allclose(skin.weights.sum(axis=1), 1, atol=1e-5)
    owner = np.array(fitted.parts)[skin.joints[np.arange(len(skin.joints)), skin.weights.argmax(axis=1)]]
    foot = mesh.positions[:, 1] < 0.2
    sides = np.where(mesh.positions[:, 0] > 0, "left", "right")
    ends = np.where(mesh.positions[:, 2] > 0, "front", "back")
    wanted = np.char.add(np.char.add(np.char.add("leg_", ends), "_"), sides)
    assert (owner[foot] == wanted[foot]).all()
    assert set(owner[mesh.positions[:, 2] > 0.6]) == {"head"}


def test_files_hold_it_and_a_vrm_is_refused():
    _, fitted = fit_dog()
    mesh = DOG.with_uvs(np.zeros((len(DOG.positions), 2)))
    textured = TexturedMesh(mesh, Material(np.ones((4, 4, 4))))
    skin = bind_creature(textured.mesh, fitted.skeleton, fitted.parts, fitted.solid)
    character = RiggedCharacter(textured, fitted.skeleton, skin)
    for data in (encode_glb(character), encode_fbx(character, "dog")):
        assert b"leg_front_left_1" in data
    with pytest.raises(FormatError, match="no person"):
        encode_vrm(character, VrmMeta("dog", ("we",)))


def test_a_check_says_what_it_is_and_what_to_do():
    check = check_rig(DOG)
    assert (check.kind, check.skeleton, check.pose) == ("quadruped", "along limbs", "")
    assert check.findings[0].code == "no_humanoid" and check.findings[0].advice
    turn = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    elf = read_mesh(ELF).surface.mesh
    check = check_rig(replace(elf, positions=100 * elf.positions @ turn.T, normals=None))
    assert (check.kind, check.skeleton, check.up, check.front) == ("humanoid", "humanoid", "+Z", "-Y")
    assert check.unit == "centimetres" and 1.6 < check.height_meters < 1.8
    assert (check.arms, check.legs, check.surface.pieces) == (2, 2, 1) and check.symmetry > 0.5
    codes = [finding.code for finding in check.findings]
    assert {"turned", "unit"} <= set(codes) and "unsure" not in codes
    members = check.to_dict()
    assert members["faces"] == len(elf.faces) and members["findings"][0].keys() == {
        "code",
        "message",
        "advice",
    }


def test_a_rod_and_an_empty_mesh():
    rod = trimesh.creation.cylinder(0.02, 2.0)
    with pytest.raises(MeshError, match="0 faces"):
        check_rig(Mesh(rod.vertices, np.zeros((0, 3), np.int32)))
    check = check_rig(make_mesh(rod))
    assert check.skeleton in ("none", "along limbs") and check.findings
    sheet = Mesh([(0, 0, 0), (1, 0, 0), (0, 1, 0)], [(0, 1, 2)])
    with pytest.raises(RigError):
        fit_creature(sheet, read_form(DOG))
    assert check_rig(sheet).surface.holes == 1
