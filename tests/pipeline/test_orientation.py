"""Meshes as files bring them: turned, in other units, inside out, and with more than the figure."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import MeshError, RigError
from character3d.pipeline.formats.mesh_files import read_mesh
from character3d.pipeline.orientation import place_mesh
from character3d.pipeline.rigging import compute_skin_weights, fit_skeleton
from character3d.pipeline.types import Material, Mesh, TexturedMesh
from scipy.spatial.transform import Rotation

from ..capsules import join_capsules
from ..humanoids import ELF

FILES = Path(__file__).resolve().parents[1] / "files"


@cache
def make_body(count=12):
    """A figure of capsules in A-pose, 1.705 m tall, upright, facing +Z, feet at y = 0."""
    limbs = [
        ((0, 0.85, 0), (0, 1.3, 0), 0.13),
        ((0, 1.3, 0), (0, 1.5, 0), 0.05),
        ((0, 1.58, 0), (0, 1.6, 0), 0.105),
    ]
    for side in (1, -1):
        arm = [(0.17, 1.35, 0), (0.34, 1.13, 0), (0.5, 0.92, 0), (0.55, 0.85, 0.02)]
        leg = [(0.1, 0.85, 0), (0.11, 0.47, 0.01), (0.12, 0.09, 0), (0.12, 0.04, 0.13)]
        for chain, radius in ((arm, 0.045), (leg, 0.06), ([(0.12, 0.04, -0.03), (0.12, 0.04, 0.13)], 0.04)):
            mirrored = np.array(chain) * (side, 1, 1)
            limbs += [(a, b, min(radius, a[1], b[1])) for a, b in pairwise(mirrored)]
    return join_capsules(limbs, count)


def to_mesh(*parts):
    joined = trimesh.util.concatenate(list(parts))
    return Mesh(joined.vertices, joined.faces)


def turn(mesh, rotation):
    return replace(mesh, positions=mesh.positions @ rotation.as_matrix().T)


BODY = to_mesh(make_body())
TURNS = {
    "z up": Rotation.from_euler("x", 90, degrees=True),
    "upside down": Rotation.from_euler("x", 180, degrees=True),
    "lying on its side": Rotation.from_euler("z", 90, degrees=True),
    "faces -Z": Rotation.from_euler("y", 180, degrees=True),
    "faces +X": Rotation.from_euler("y", 90, degrees=True),
    "turned by 30 degrees": Rotation.from_euler("y", 30, degrees=True),
}


def assert_stands(mesh, *, is_exact=1e-4):
    """Whether the mesh is the body again: as high, as wide, its toes to the front and its head above."""
    placed, wanted = mesh.positions - mesh.bounds[0], BODY.positions - BODY.bounds[0]
    assert np.abs(placed - wanted).max() < is_exact


@pytest.mark.parametrize("name", TURNS)
def test_a_turned_figure_is_stood_up_and_turned_to_the_front(name):
    placed = place_mesh(turn(BODY, TURNS[name]))
    assert_stands(placed.surface, is_exact=0.03 if "30" in name else 1e-4)  # 1 degree
    assert len(placed.notes) == 1 and "turned to face +Z" in placed.notes[0]


def assert_unchanged(found, mesh):
    found, mesh = (getattr(item, "mesh", item) for item in (found, mesh))
    assert found.positions is mesh.positions and found.faces is mesh.faces


def test_a_mesh_that_was_placed_is_not_looked_at_again(monkeypatch):
    placed = place_mesh(BODY).surface
    turned = place_mesh(placed, front="-Z")
    assert turned.notes and not np.allclose(turned.surface.positions, placed.positions)
    monkeypatch.setattr("character3d.pipeline.orientation.place.split_pieces", None)
    assert place_mesh(placed).surface is placed


def test_a_figure_that_stands_right_passes_through_bit_for_bit():
    for mesh in (BODY, read_mesh(ELF).surface):
        placed = place_mesh(mesh)
        assert placed.notes == ()
        assert_unchanged(placed.surface, mesh)


@pytest.mark.parametrize(
    ("scale", "word"), [(1000, "millimetres"), (100, "centimetres"), (39.37, "inches"), (3.281, "feet")]
)
def test_units_are_found_from_the_height(scale, word):
    placed = place_mesh(replace(BODY, positions=BODY.positions * scale))
    assert np.ptp(placed.surface.positions[:, 1]) == pytest.approx(np.ptp(BODY.positions[:, 1]), rel=1e-3)
    assert word in placed.notes[0]


def test_a_height_in_no_unit_becomes_that_of_a_person():
    placed = place_mesh(replace(BODY, positions=BODY.positions * 1e-5))
    assert np.ptp(placed.surface.positions[:, 1]) == pytest.approx(1.7) and "height_meters" in placed.notes[0]


def test_a_figure_that_does_not_stand_on_the_ground_is_put_there():
    centered = place_mesh(replace(BODY, positions=BODY.positions - (0, 0.85, 0)))
    np.testing.assert_allclose(centered.surface.positions, BODY.positions, atol=1e-6)
    assert centered.notes == ("the figure stood at a height of -0.85 m; it was put on the ground",)
    sunk = place_mesh(replace(BODY, positions=BODY.positions - (0, 0.05, 0)))
    np.testing.assert_allclose(sunk.surface.positions, BODY.positions, atol=1e-6)
    assert place_mesh(replace(BODY, positions=BODY.positions - (0, 0.015, 0))).notes == ()


def test_what_its_format_says_of_a_frame_counts_more_than_a_doubtful_front():
    away = turn(BODY, TURNS["faces -Z"])
    assert place_mesh(away).front == "-Z" and place_mesh(away, is_stated=True).front == "+Z"
    assert read_mesh(ELF).has_stated_frame and not read_mesh(FILES / "with_sword.obj").has_stated_frame


def test_options_decide_before_the_mesh_does():
    upright = place_mesh(BODY, up="+Z", front="+X", height=2.0)
    assert np.ptp(upright.surface.positions[:, 1]) == pytest.approx(2.0)
    ratio = np.ptp(BODY.positions, axis=0)[[1, 2, 0]] / np.ptp(BODY.positions[:, 2])
    assert np.ptp(upright.surface.positions, axis=0) == pytest.approx(2.0 * ratio, rel=1e-4)
    assert_unchanged(place_mesh(BODY, up="+Y", front="+Z").surface, BODY)
    with pytest.raises(MeshError, match="same axis"):
        place_mesh(BODY, up="+Y", front="-Y")
    with pytest.raises(ValueError, match="up: expected one of"):
        place_mesh(BODY, up="Y")


def moved(mesh, x, y, z):
    return mesh.copy().apply_translation((x, y, z))


BESIDE = {
    "floor": (trimesh.creation.box((10, 0.01, 10)), "a floor"),
    "hull": (moved(trimesh.creation.box((1.3, 1.8, 0.5)), 0, 0.85, 0), "a collision box"),
    "stray": (
        trimesh.Trimesh([(40, 0, 0), (40, 0.001, 0), (40, 0, 0.001)], [(0, 1, 2)]),
        "away from the figure",
    ),
    "second body": (moved(make_body(), 1.6, 0, 0), "a second body"),
    "coarser copy": (make_body(8).apply_scale(0.997), "a coarser copy"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_no_part_of_the_figure_is_left_out_and_named(name):
    other, words = BESIDE[name]
    placed = place_mesh(to_mesh(make_body(), other))
    assert len(placed.surface.faces) == len(BODY.faces)
    assert_stands(placed.surface)
    assert len(placed.notes) == 1 and words in placed.notes[0]


def test_all_that_vertices_carry_follows_them():
    floor = to_mesh(make_body(), BESIDE["floor"][0])
    count = len(floor.positions)
    numbers = (np.arange(count) >= len(BODY.positions)).astype(np.uint16)
    uvs = np.random.default_rng(0).random((count, 2))
    mesh = turn(replace(floor, uvs=uvs, material_numbers=numbers), TURNS["z up"])
    picture = Material(np.ones((2, 2, 4)))
    placed = place_mesh(TexturedMesh(mesh, picture, (picture,))).surface
    assert np.array_equal(placed.mesh.uvs, mesh.uvs[: len(BODY.positions)])
    assert not placed.mesh.material_numbers.any()


def volume(mesh):
    return trimesh.Trimesh(mesh.positions, mesh.faces, process=False).volume


def test_inside_out_and_doubled_surfaces_are_mended():
    flipped = replace(BODY, faces=BODY.faces[:, ::-1])
    doubled = replace(BODY, faces=np.concatenate((BODY.faces, BODY.faces[:, ::-1])))
    for mesh, words in ((flipped, "inside out"), (doubled, "there twice")):
        placed = place_mesh(mesh)
        assert volume(placed.surface) == pytest.approx(volume(BODY), rel=1e-4)
        assert len(placed.surface.faces) == len(BODY.faces) and words in placed.notes[0]


def test_outlines_and_two_sided_sheets_stay():
    outline = join_capsules([((0, 1.58, 0), (0, 1.6, 0), 0.115)], 12)  # of the head
    outline.invert()
    cape = trimesh.Trimesh(
        [(-0.2, 0.7, -0.2), (0.2, 0.7, -0.2), (0, 1.3, -0.2)], [(0, 1, 2), (2, 1, 0)], process=False
    )
    for other in (outline, cape):
        mesh = to_mesh(make_body(), other)
        assert_unchanged(place_mesh(mesh).surface, mesh)


FROM_FILES = {
    "millimetres.obj": "millimetres",
    "z_up.obj": "up axis was +Z",
    "vrm0_faces_minus_z.glb": "faced -Z",
    "turned_30_degrees.obj": "turned to face +Z",
    "upside_down.obj": "up axis was -Y",
    "with_sword.obj": "",
    "with_ground_plane.glb": "a floor",
    "stray_triangle.obj": "away from the figure",
    "two_sided.obj": "there twice",
    "inside_out.obj": "inside out",
    "two_characters.glb": "a second body",
    "collision_box.glb": "a collision box",
}


@pytest.mark.parametrize("name", FROM_FILES)
def test_files_that_other_programs_read_wrong(name):
    placed = place_mesh(read_mesh(FILES / name).surface)
    surface = placed.surface
    mesh = surface.mesh if isinstance(surface, TexturedMesh) else surface
    width, height, _ = np.ptp(mesh.positions, axis=0)
    assert height == pytest.approx(1.705, rel=0.01) and width == pytest.approx(1.178, rel=0.01)
    assert volume(mesh) > 0
    notes = " ".join(placed.notes)
    assert FROM_FILES[name] in notes and bool(notes) == bool(FROM_FILES[name])


@pytest.mark.parametrize(("extension", "axes"), [("VRM", ("+Y", "-Z")), ("VRMC_vrm", ("+Y", "+Z"))])
def test_vrm_says_where_its_figures_face(tmp_path, extension, axes):
    scene = trimesh.Scene(trimesh.creation.box())
    tree = {"extensionsUsed": [extension]}
    file = tmp_path / "model.vrm"
    file.write_bytes(scene.export(file_type="glb", tree_postprocessor=lambda made: made.update(tree)))
    loaded = read_mesh(file)
    assert (loaded.up, loaded.front) == axes


def test_what_is_no_figure_is_left_as_it_is():
    bar = to_mesh(trimesh.creation.box((7, 0.1, 0.1)))
    placed = place_mesh(bar)
    assert placed.surface.positions is bar.positions or "no figure was recognized" in placed.notes[0]
    with pytest.raises(RigError, match="no figure: it is 7"):
        fit_skeleton(bar)
    for positions in (np.zeros((3, 3)), np.full((3, 3), np.nan), np.eye(3) * 1e-30):
        mesh = Mesh(positions, [(0, 1, 2)])
        assert place_mesh(mesh).surface is mesh
        with pytest.raises(RigError):
            fit_skeleton(mesh)


def test_a_sword_goes_with_the_hand_that_holds_it():
    sword = trimesh.creation.box((0.03, 0.9, 0.01))
    mesh = to_mesh(make_body(), moved(sword, 0.54, 0.9, 0.05))
    fitted = fit_skeleton(mesh, pose_type="No")
    alone = fit_skeleton(BODY, pose_type="No")
    joints = len(alone.skeleton.names)
    assert np.abs(fitted.skeleton.positions[:joints] - alone.skeleton.positions).max() < 0.01
    assert fitted.skeleton.names[joints:] == ("mixamorig:LeftHandPropA1", "mixamorig:LeftHandPropA_End")
    assert fitted.skeleton.names[fitted.skeleton.parents[joints]] == "mixamorig:LeftHand"
    assert "left hand" in fitted.warnings[-1]
    skin = compute_skin_weights(mesh, fitted.skeleton, appendages=fitted.appendages, solid=fitted.solid)
    assert (skin.joints[-8:, 0] == joints).all() and (skin.weights[-8:, 0] == 1).all()
    assert not (skin.weights[:-8][skin.joints[:-8] >= joints] > 0).any()
