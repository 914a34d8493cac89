"""A face with morph targets: where it is found, how it moves, and what files say of it."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from character3d.pipeline.figure import LANDMARKS, Figure
from character3d.pipeline.figure.face import Face
from character3d.pipeline.formats import VrmMeta, encode_vrm, read_mesh, write_fbx, write_glb, write_vrm
from character3d.pipeline.formats.vrm_expressions import PRESETS
from character3d.pipeline.mesh.refine import refine_faces
from character3d.pipeline.mesh_extras import MeshExtras, MorphTarget
from character3d.pipeline.preprocessing.face_features import find_features
from character3d.pipeline.rigging.face import add_face, place_face
from character3d.pipeline.rigging.face.shapes import list_shapes
from character3d.pipeline.types import Material, Mesh, TexturedMesh
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_humanoid import make_humanoid
from PIL import Image, ImageDraw
from scipy.spatial import cKDTree

from .test_vrm import read_tree

SKIN, IRIS, LIPS = (0.95, 0.75, 0.62), (0.2, 0.1, 0.05), (0.6, 0.2, 0.2)
EYES, MOUTH = ((130, 140), (190, 144)), (161, 195)
FACE = Face(
    np.array((160.0, 165.0)),
    np.array((55.0, 55.0)),
    np.array(((138, 150), (178, 150), (160, 170), (160, 205), (100, 150), (220, 150)), float),
    0.9,
)
"""As far from the truth as BlazeFace is in stylised faces."""


def draw_face(eyes=EYES, mouth=MOUTH):
    picture = Image.new("RGB", (320, 320), "white")
    draw = ImageDraw.Draw(picture)

    def fill(center, across, tall, color):
        ends = (center[0] - across, center[1] - tall, center[0] + across, center[1] + tall)
        draw.ellipse(ends, fill=tuple(round(255 * value) for value in color))

    fill((160, 165), 75, 90, SKIN)
    for eye in eyes:
        fill(eye, 18, 12, (1, 1, 1))
        fill(eye, 9, 10, IRIS)
        fill((eye[0], eye[1] - 26), 18, 3, IRIS)  # a brow
    if mouth:
        fill(mouth, 18, 3, LIPS)
    return np.asarray(picture).astype(np.float32) / 255


def test_eyes_and_mouth_are_where_they_are_drawn():
    right, left, mouth = find_features(draw_face(), FACE)
    assert right[:2] == pytest.approx(EYES[0], abs=2.5)
    assert left[:2] == pytest.approx(EYES[1], abs=2.5)
    assert mouth[:2] == pytest.approx(MOUTH, abs=4)
    assert 10 < mouth[2] < 26 and 10 < right[2] < 26


def test_a_face_without_a_mouth_has_eyes_and_one_without_eyes_nothing():
    assert find_features(draw_face(mouth=None), FACE)[2, 2] == 0
    assert find_features(draw_face(eyes=()), FACE) is None
    assert find_features(draw_face(eyes=EYES[:1]), FACE) is None
    assert find_features(np.ones((320, 320, 3), np.float32), FACE) is None


def make_head():
    """The humanoid with a round head of 12 cm, and a figure whose picture shows its eyes and mouth."""
    human = make_humanoid()
    rows, columns = 40, 60
    tilt, turn = np.meshgrid(np.linspace(0.01, np.pi - 0.01, rows), np.linspace(0, 2 * np.pi, columns))
    tilt, turn = tilt.T.ravel(), turn.T.ravel()
    ball = np.stack((np.sin(tilt) * np.sin(turn), np.cos(tilt), np.sin(tilt) * np.cos(turn)), axis=1)
    at = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = (part.ravel() for part in (at[:-1, :-1], at[:-1, 1:], at[1:, :-1], at[1:, 1:]))
    faces = np.concatenate((np.stack((a, c, b), axis=1), np.stack((b, c, d), axis=1)))
    mesh, count = human.textured.mesh, len(human.textured.mesh.positions)
    head = human.skeleton.roles["head"]
    joined = Mesh(
        np.concatenate((mesh.positions, 0.12 * ball + (0, 1.66, 0.03))),
        np.concatenate((mesh.faces, faces + count)),
        np.concatenate((mesh.normals, ball)),
        np.concatenate((mesh.uvs, np.stack((turn / 7, tilt / 4), axis=1))),
    )
    joints = np.concatenate((human.skin.joints, np.tile((head, 0, 0, 0), (len(ball), 1))))
    weights = np.concatenate((human.skin.weights, np.tile((1.0, 0, 0, 0), (len(ball), 1))))
    skin = type(human.skin)(joints, weights)
    textured = TexturedMesh(joined, Material(np.ones((4, 4, 4))))
    return replace(human, textured=textured, skin=skin)


HEAD = make_head()
EYES_AT = np.array(((-0.045, 1.68), (0.045, 1.68)))
MOUTH_AT = np.array((0.0, 1.6))


def make_figure(mouth=0.018, **changes):
    """A figure that fills the picture as the mesh's front view does."""
    low, high = HEAD.textured.mesh.bounds
    size = (high - low)[:2]

    def share(point):
        return np.array(((point[0] - low[0]) / size[0], (high[1] - point[1]) / size[1]))

    halves = np.array(((0.02, 0.015), (0.02, 0.015), (mouth, 0.004))) / size
    places = np.stack([share(point) for point in (*EYES_AT, MOUTH_AT)])
    center = share((0.0, 1.65))
    values = {
        "kind": "front",
        "landmarks": np.zeros((len(LANDMARKS), 3)),
        "confidence": np.zeros(len(LANDMARKS)),
        "box": (0.0, 0.0, 1.0, 1.0),
        "head_box": (0.4, 0.0, 0.6, 0.2),
        "parts": np.zeros((8, 8)),
        "face": (*center, 0.09 / size[0], 0.09 / size[1]),
        "face_features": np.concatenate((places, halves), axis=1),
    }
    return Figure(**(values | changes))


PLACE = place_face(make_figure(), HEAD.textured.mesh)
SPEAKER = add_face(HEAD, PLACE)
MORPHS = {morph.name: morph for morph in SPEAKER.textured.mesh.extras.morphs}


def test_it_is_placed_where_the_picture_shows_it():
    assert PLACE.unit == pytest.approx(0.09)
    assert PLACE.origin == pytest.approx((0, 1.68), abs=1e-6)
    assert PLACE.mouth == pytest.approx((0, -0.08 / 0.09, 0.2), abs=1e-5)
    assert PLACE.to_face(np.array(((0.045, 1.68),))) == pytest.approx(np.array(((0.5, 0),)), abs=1e-5)
    mesh = HEAD.textured.mesh
    assert place_face(make_figure(face=None), mesh) is None
    assert place_face(make_figure(face_features=None), mesh) is None
    assert place_face(make_figure(mouth=0.0), mesh).mouth is None


def test_without_a_mouth_only_eyes_and_brows_move():
    names = list_shapes(place_face(make_figure(mouth=0.0), HEAD.textured.mesh))
    assert {"eyeBlinkLeft", "eyeLookInRight", "eyeWideLeft", "browDownRight", "browInnerUp"} < set(names)
    assert not [
        name for name in names if "mouth" in name or name in ("aa", "ih", "ou", "ee", "oh", "jawOpen")
    ]


def test_every_shape_of_arkits_and_vrms_that_it_has_moves_the_head_alone():
    assert {"aa", "ih", "ou", "ee", "oh", "jawOpen", "mouthFunnel", "mouthPucker"} < set(MORPHS)
    assert {f"{name}{side}" for name in ("eyeBlink", "mouthSmile") for side in ("Left", "Right")} < set(
        MORPHS
    )
    positions = SPEAKER.textured.mesh.positions
    for name, morph in MORPHS.items():
        moved = positions[morph.vertices]
        assert len(morph.vertices) > 4 and moved[:, 1].min() > 1.5 and moved[:, 2].min() > 0, name
        assert np.linalg.norm(morph.deltas, axis=1).max() < 0.35 * PLACE.unit, name


def test_a_blink_draws_the_eye_together_and_leaves_the_other():
    morph, mesh = MORPHS["eyeBlinkLeft"], SPEAKER.textured.mesh
    moved = mesh.positions.astype(np.float64)
    moved[morph.vertices] += morph.deltas
    eye = np.abs(mesh.positions[:, :2] - EYES_AT[1]).max(axis=1) < 0.012
    eye &= mesh.positions[:, 2] > 0.1
    assert np.ptp(moved[eye, 1]) < 0.25 * np.ptp(mesh.positions[eye, 1])
    assert mesh.positions[morph.vertices, 0].min() > 0


def test_a_jaw_opens_downwards_and_a_smile_lifts_its_corner():
    assert (MORPHS["jawOpen"].deltas[:, 1] <= 0).all()
    smile = MORPHS["mouthSmileLeft"]
    highest = smile.deltas[:, 1].argmax()
    assert smile.deltas[highest, 1] > 0
    assert SPEAKER.textured.mesh.positions[smile.vertices[highest], :2] == pytest.approx(
        (0.018, 1.6), abs=0.012
    )


@pytest.mark.parametrize("name", MORPHS)
def test_no_field_folds(name):
    """Before and after, the same points follow each other along level and plumb lines."""
    steps = np.linspace(-2, 2, 401)
    x, y = np.meshgrid(steps, steps, indexing="ij")
    points = np.stack((x.ravel(), y.ravel()), axis=1)
    moved = (points + list_shapes(PLACE)[name](points)).reshape(401, 401, 2)
    assert np.diff(moved[..., 0], axis=0).min() > 0
    assert np.diff(moved[..., 1], axis=1).min() > 0


def test_its_triangles_get_smaller_and_nothing_else_changes():
    before, after = HEAD.textured.mesh, SPEAKER.textured.mesh
    count = len(before.positions)
    assert len(after.faces) > len(before.faces)
    assert np.array_equal(after.positions[:count], before.positions)
    assert np.array_equal(SPEAKER.skin.weights[:count], HEAD.skin.weights)
    assert SPEAKER.skin.weights.sum(axis=1) == pytest.approx(1, abs=1e-5)
    area = [_measure_area(mesh) for mesh in (before, after)]
    assert area[0] == pytest.approx(area[1], rel=1e-5)


def _measure_area(mesh):
    corners = mesh.positions[mesh.faces].astype(float)
    return np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    ).sum()


def test_refined_faces_leave_no_gap():
    """Every edge of a closed surface still belongs to two faces, once each way."""
    ball = trimesh.creation.icosphere(2)
    mesh = Mesh(ball.vertices, ball.faces)
    chosen = np.random.default_rng(0).random(len(mesh.faces)) < 0.3
    sources, faces = refine_faces(mesh, chosen)
    points = mesh.positions[sources].astype(float).mean(axis=1)
    made = trimesh.Trimesh(points, faces, process=False)
    assert made.is_watertight and made.is_winding_consistent
    assert made.area == pytest.approx(ball.area, rel=1e-6) and made.volume == pytest.approx(
        ball.volume, rel=1e-5
    )
    assert len(faces) > len(mesh.faces) + 3 * chosen.sum()


def test_morph_targets_of_a_loaded_mesh_stay():
    own = MorphTarget("aa", np.array((0, 3)), np.ones((2, 3)) * 0.01)
    extras = MeshExtras(morphs=(own,))
    textured = replace(HEAD.textured, mesh=replace(HEAD.textured.mesh, extras=extras))
    made = add_face(replace(HEAD, textured=textured), PLACE).textured.mesh
    assert made.extras.morphs[0] is own
    names = [morph.name for morph in made.extras.morphs]
    assert names.count("aa") == 1 and set(names) == set(MORPHS)
    assert np.array_equal(made.faces, HEAD.textured.mesh.faces)


def test_a_vrm_has_expressions_and_looks():
    """By the words of VRMC_vrm's schemas of expressions and lookAt."""
    tree = read_tree(encode_vrm(SPEAKER, VrmMeta("Speaker", ("One",))))
    extension = tree["extensions"]["VRMC_vrm"]
    assert set(extension["expressions"]) == {"preset"}
    preset = extension["expressions"]["preset"]
    assert set(preset) == set(PRESETS)
    assert set(preset) == {
        *("aa", "ih", "ou", "ee", "oh", "blink", "blinkLeft", "blinkRight", "happy", "angry", "sad"),
        *("relaxed", "surprised", "lookUp", "lookDown", "lookLeft", "lookRight"),
    }
    names = tree["meshes"][0]["extras"]["targetNames"]
    for expression in preset.values():
        for bind in expression["morphTargetBinds"]:
            assert set(bind) == {"node", "index", "weight"} and 0 < bind["weight"] <= 1
            assert tree["nodes"][bind["node"]]["mesh"] == 0 and bind["index"] < len(names)
    assert {names[bind["index"]] for bind in preset["blink"]["morphTargetBinds"]} == {
        "eyeBlinkLeft",
        "eyeBlinkRight",
    }
    look_at = extension["lookAt"]
    assert look_at["type"] == "expression" and len(look_at["offsetFromHeadBone"]) == 3
    without = encode_vrm(HEAD, VrmMeta("Speaker", ("One",)))
    assert set(read_tree(without)["extensions"]["VRMC_vrm"]) == {"specVersion", "meta", "humanoid"}


def test_three_vrm_closes_its_eyes(tmp_path):
    require_reader("three-vrm")
    write_vrm(tmp_path / "a.vrm", SPEAKER, VrmMeta("Speaker", ("One",)))
    ask = write_ask(tmp_path / "ask.json", express={"blinkLeft": 1.0})
    report = run_reader("three-vrm", tmp_path / "report.json", tmp_path / "a.vrm", ask)
    assert report["warnings"] == [] and set(report["expressions"]) == set(PRESETS)
    assert report["looks"] is True
    number = list(MORPHS).index("eyeBlinkLeft")
    assert report["influences"] == [float(other == number) for other in range(len(MORPHS))]


def test_an_fbx_has_them_as_blend_shapes(tmp_path):
    """As ufbx reads it; a weight that the positions show already is the channel's."""
    require_reader("ufbx")
    extras = SPEAKER.textured.mesh.extras
    shown = replace(extras.morphs[0], weight=0.5)
    mesh = replace(SPEAKER.textured.mesh, extras=replace(extras, morphs=(shown, *extras.morphs[1:])))
    write_fbx(tmp_path / "a.fbx", replace(SPEAKER, textured=replace(SPEAKER.textured, mesh=mesh)))
    found = read_mesh(tmp_path / "a.fbx").surface
    found = found.mesh if isinstance(found, TexturedMesh) else found
    assert [(morph.name, morph.weight) for morph in found.extras.morphs] == [
        (morph.name, morph.weight) for morph in mesh.extras.morphs
    ]
    away, nearest = cKDTree(mesh.positions).query(found.positions)
    assert away.max() < 1e-5
    for ours, theirs in zip(mesh.extras.morphs, found.extras.morphs, strict=True):
        dense, read = np.zeros((len(mesh.positions), 3)), np.zeros((len(found.positions), 3))
        dense[ours.vertices], read[theirs.vertices] = ours.deltas, theirs.deltas
        assert np.abs(read - dense[nearest]).max() < 1e-5, ours.name


def test_the_validator_finds_nothing_wrong(tmp_path):
    require_reader("gltf-validator")
    write_glb(tmp_path / "a.glb", SPEAKER)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert (report["issues"]["numErrors"], report["issues"]["numWarnings"]) == (0, 0)
