"""The quality report against truth: known meshes, outlines, textures, and figures beyond their limits."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.figure import LANDMARKS, Figure
from character3d.pipeline.quality import LIMITS, report_quality
from character3d.pipeline.quality.measures import (
    count_still_limbs,
    measure_silhouette_iou,
    measure_texel_density,
    measure_unseen_share,
)
from character3d.pipeline.rigging import hold_limbs
from character3d.pipeline.skeleton_types import Skeleton, SkinWeights
from character3d.pipeline.types import (
    FramedPicture,
    Material,
    Mesh,
    PictureSet,
    RiggedCharacter,
    TexturedMesh,
)
from character3d.tests.readers.sample_humanoid import make_humanoid

DOCS = Path(__file__).resolve().parents[2] / "docs" / "rest.md"


def make_box(width, height, depth=0.2):
    box = trimesh.creation.box((width, height, depth))
    return Mesh(box.vertices + np.array((0, height / 2, 0)), box.faces)


def make_picture(side=256, left=0.25, top=0.1, right=0.75, bottom=0.9, hole=None):
    """A picture whose subject is a rectangle, with or without a hole; all in shares of its side."""
    rgba = np.zeros((side, side, 4), np.float32)
    rgba[round(top * side) : round(bottom * side), round(left * side) : round(right * side)] = 1
    if hole:
        x, y, x2, y2 = (round(share * side) for share in hole)
        rgba[y:y2, x:x2] = 0
    return FramedPicture(rgba)


def make_plane(size_texels=(64, 32), width=2.0, height=1.0, colors=0.5):
    """A rectangle whose uvs fill the texture."""
    positions = np.array([(0, 0, 0), (width, 0, 0), (width, height, 0), (0, height, 0)], np.float32)
    uvs = np.array([(0, 1), (1, 1), (1, 0), (0, 0)], np.float32)
    mesh = Mesh(positions, np.array([(0, 1, 2), (0, 2, 3)]), uvs=uvs)
    return TexturedMesh(mesh, Material(np.full((size_texels[1], size_texels[0], 4), colors, np.float32)))


def make_figure(confidence=0.9, warnings=(), unsure=()):
    trust = np.full(len(LANDMARKS), confidence, np.float32)
    trust[[LANDMARKS.index(name) for name in unsure]] = 0.1
    zeros = np.zeros((len(LANDMARKS), 3), np.float32)
    box = (0.2, 0.1, 0.8, 0.9)
    return Figure("front", zeros, trust, box, box, np.zeros((8, 8), np.uint8), warnings=tuple(warnings))


def make_character(textured, stretch):
    skeleton = Skeleton(("root",), np.array([-1]), np.eye(4)[None])
    count = len(textured.mesh.positions)
    skin = SkinWeights(np.zeros((count, 4)), np.tile((1.0, 0, 0, 0), (count, 1)))
    metrics = {"stretch_999": stretch}
    return RiggedCharacter(textured, skeleton, skin, warnings=("the legs were estimated",), metrics=metrics)


@pytest.mark.parametrize(
    ("box", "hole", "expected"),
    [
        ((0.5, 0.8), None, 1.0),  # the picture's subject is 5 wide and 8 high
        ((1.0, 1.6), None, 1.0),  # whatever its size
        ((0.25, 0.8), None, 0.5),  # half as wide: nothing is stretched
        ((1.0, 0.8), None, 0.5),
        ((0.5, 0.8), (0.35, 0.3, 0.65, 0.7), 1 - 0.12 / 0.4),
    ],
)
def test_the_overlap_of_outlines(box, hole, expected):
    overlap = measure_silhouette_iou(make_box(*box), make_picture(hole=hole))
    assert overlap == pytest.approx(expected, abs=0.012)


def test_the_texel_density():
    assert measure_texel_density(make_plane((64, 32), 2, 1)) == pytest.approx(32)
    assert measure_texel_density(make_plane((64, 32), 4, 2)) == pytest.approx(16)


def test_the_density_of_several_materials_counts_each_with_its_own_texture():
    plane = make_plane((64, 64), 1, 1)
    numbers = np.zeros(8, np.uint16)
    numbers[4:] = 1
    mesh = Mesh(
        np.concatenate((plane.mesh.positions, plane.mesh.positions + np.array((0, 0, 1)))),
        np.concatenate((plane.mesh.faces, plane.mesh.faces + 4)),
        uvs=np.tile(plane.uvs, (2, 1)),
        material_numbers=numbers,
    )
    both = TexturedMesh(mesh, plane.material, (make_plane((16, 16)).material,))
    assert measure_texel_density(both) == pytest.approx(np.sqrt((64**2 + 16**2) / 2))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_unseen_share(share):
    coverage = np.ones((32, 32), np.float32)
    coverage[: round(32 * share)] = 0
    assert measure_unseen_share(make_plane((32, 32)), coverage) == pytest.approx(share)


def test_a_good_character_has_no_warning():
    report = report_quality(
        make_plane((256, 256), 0.5, 0.8),
        picture=make_picture(128),
        figure=make_figure(),
        pictures=PictureSet(),
        coverage=np.ones((256, 256), np.float32),
        character=make_character(make_plane(), 2.0),
    )
    assert report.warnings == ()
    assert report.shape.silhouette_iou == pytest.approx(1, abs=0.02)
    assert report.shape.triangles == 2 and report.shape.height_meters == pytest.approx(0.8)
    assert report.texture.sizes == {"0.base_color": (256, 256)}
    assert report.texture.texels_per_pixel == pytest.approx(256 / np.sqrt(0.4) * 0.8 / 102, rel=0.01)
    assert (report.texture.seam_error, report.texture.unseen_share) == (0, 0)
    assert report.rig.stretch == 2.0 and report.rig.joints == 1 and not report.rig.is_humanoid
    assert report.guessed[-1] == "the legs were estimated"
    assert "left, back, right" in report.guessed[0]


def hold(*limbs):
    """A figure with hands and feet of which these of LIMBS move with the body."""
    whole = make_humanoid()
    return replace(whole, skin=hold_limbs(whole.skeleton, whole.skin, limbs))


CROSSED = {
    "unsure_landmarks": {"figure": make_figure(0.55)},
    "outline_differs": {"textured": make_plane((512, 512), 0.3, 0.8)},
    "coarse_texture": {"textured": make_plane((32, 32), 0.5, 0.8)},
    "unseen": {"coverage": np.full((8, 8), 0.5, np.float32)},
    "still_limbs": {"character": hold("left arm")},
    "tears": {"character": make_character(make_plane(), 4.5)},
}


@pytest.mark.parametrize(
    ("limbs", "still"), [((), 0), (("left arm",), 1), (("legs",), 2), (("left arm", "right arm", "legs"), 4)]
)
def test_limbs_that_move_nothing_are_counted(limbs, still):
    assert count_still_limbs(hold(*limbs)) == still
    assert count_still_limbs(make_character(make_plane(), 1.0)) is None


@pytest.mark.parametrize("code", CROSSED)
def test_a_figure_beyond_its_limit_is_a_warning(code):
    good = {"textured": make_plane((512, 512), 0.5, 0.8), "picture": make_picture(128)}
    options = {**good, **CROSSED[code]}
    (warning,) = report_quality(options.pop("textured"), **options).warnings
    (limit,) = (limit for limit in LIMITS if limit.code == code)
    assert (warning.code, warning.figure, warning.limit) == (code, limit.figure, limit.bound)
    assert limit.is_crossed(warning.value) and warning.advice and "{" not in warning.message


def test_seams_are_measured_where_two_charts_meet():
    plane = make_plane((64, 64), 1, 1)
    positions, uvs = (
        plane.mesh.positions[[0, 1, 2, 0, 2, 3]],
        np.array([(0.1, 0.9), (0.4, 0.9), (0.4, 0.6), (0.6, 0.9), (0.9, 0.6), (0.6, 0.6)], np.float32),
    )
    texels = np.zeros((64, 64, 4), np.float32)
    texels[:, 32:] = 0.5
    mesh = Mesh(positions, np.arange(6).reshape(2, 3), uvs=uvs)
    report = report_quality(TexturedMesh(mesh, Material(texels)))
    assert report.texture.seam_error == pytest.approx(0.5, abs=0.01)
    assert [warning.code for warning in report.warnings] == ["seams"]


def test_many_triangles_are_a_warning():
    plane = make_plane()
    mesh = Mesh(plane.mesh.positions, np.tile(plane.mesh.faces, (50_001, 1)), uvs=plane.uvs)
    report = report_quality(TexturedMesh(mesh, plane.material))
    assert "many_triangles" in [warning.code for warning in report.warnings]


def test_what_was_guessed_is_named():
    figure = make_figure(warnings=["the feet are outside the picture"], unsure=["left_ankle", "left_toe"])
    shown = {"left": make_picture(), "right": make_picture(), "back": make_picture()}
    pictures = PictureSet(shown, ("top was left out",))
    report = report_quality(make_plane(), picture=make_picture(), figure=figure, pictures=pictures)
    feet, unsure, note = report.guessed
    assert feet == figure.warnings[0] and note == "top was left out"
    assert unsure.endswith("left ankle, left toe")


def test_the_document_is_json_and_has_the_limits():
    body = json.loads(json.dumps(report_quality(make_plane(), figure=make_figure()).to_dict()))
    assert body["rig"] is None and body["shape"]["silhouette_iou"] is None
    assert body["limits"]["rig.stretch"] == {"least": None, "most": 3.0}
    assert body["limits"].keys() == {limit.figure for limit in LIMITS}
    assert body["figure"]["landmarks"].keys() == set(LANDMARKS)


def test_each_limit_is_of_a_figure_that_there_is():
    body = report_quality(make_plane(), figure=make_figure(), character=make_character(make_plane(), 1.0))
    parts = body.to_dict()
    assert all(limit.name in parts[limit.part] for limit in LIMITS)


def test_the_docs_have_the_table_of_the_limits():
    rows = re.findall(
        r"^\| `(\w+)` \| `([\w.]+)` \| (below|above) ([\d.]+) \|", DOCS.read_text(encoding="utf-8"), re.M
    )
    expected = [
        (limit.code, limit.figure, "below" if limit.is_least else "above", f"{limit.bound:g}")
        for limit in LIMITS
    ]
    assert [(code, figure, side, f"{float(bound):g}") for code, figure, side, bound in rows] == expected
