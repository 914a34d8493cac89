"""What the types promise of their arrays: dtype, shape, read-only memory, and values that are sound."""

from dataclasses import fields, replace

import numpy as np
import pytest
from character3d.pipeline import mesh_extras, types
from character3d.pipeline.mesh_extras import MeshExtras, MorphTarget, OwnClip
from character3d.pipeline.types import (
    AnimationClip,
    Camera,
    CameraRig,
    FramedPicture,
    Material,
    Mesh,
    RiggedCharacter,
    Skeleton,
    SkinWeights,
    StageReport,
    TexturedMesh,
    ViewImages,
    ViewMaps,
)

RIG = CameraRig((Camera("front", 0.0, 0.0, 1.0), Camera("back", 3.14, 0.0, 1.0)))
MESH = Mesh(
    np.eye(3),
    [[0, 1, 2]],
    normals=np.eye(3),
    uvs=[[0.1, 0.1], [0.9, 0.1], [0.6, 0.9]],
    colors=np.ones((3, 4)),
)
MATERIAL = Material(np.arange(4 * 5 * 4).reshape(4, 5, 4) / 80)
SKELETON = Skeleton(
    ("hips", "spine", "head"), [-1, 0, 1], np.tile(np.eye(4), (3, 1, 1)), {"hips": 0, "head": 2}
)
SKIN = SkinWeights([[0, 1, 2, 0]] * 3, [[0.5, 0.25, 0.25, 0]] * 3)
CLIP = AnimationClip("still", [0.0, 1.0], np.tile([0.0, 0, 0, 1], (2, 3, 1)), np.zeros((2, 3)))
VALUES = {
    "FramedPicture": FramedPicture(np.zeros((6, 6, 4))),
    "Mesh": MESH,
    "Material": MATERIAL,
    "ViewMaps": ViewMaps(
        RIG, np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8)), np.zeros((2, 8, 8), bool)
    ),
    "ViewImages": ViewImages(RIG, np.zeros((2, 8, 8, 3)), np.zeros((2, 8, 8))),
    "Skeleton": SKELETON,
    "SkinWeights": SKIN,
    "AnimationClip": CLIP,
    "MorphTarget": MorphTarget("smile", [0, 2], np.ones((2, 3))),
    "OwnClip": OwnClip("still", [0.0, 1.0], CLIP.rotations, np.zeros((2, 3, 3))),
    "MeshExtras": MeshExtras({1: np.zeros((3, 2))}),
    "_UvSet": mesh_extras._UvSet(np.zeros((3, 2))),
}
DTYPES = {"faces": np.int32, "vertices": np.int32, "parents": np.int32, "joints": np.uint16}
ARRAYS = [
    (name, item.name)
    for name, value in VALUES.items()
    for item in fields(value)
    if isinstance(getattr(value, item.name), np.ndarray)
]
every_array = pytest.mark.parametrize(("owner", "name"), ARRAYS)


def test_every_type_with_arrays_is_tested_here():
    declared = {
        name
        for name, value in (vars(types) | vars(mesh_extras)).items()
        if isinstance(value, type)
        and any("Array" in str(item) for item in getattr(value, "__annotations__", {}).values())
    }
    assert declared == set(VALUES)


@every_array
def test_arrays_have_their_dtype_and_cannot_be_written(owner, name):
    value = VALUES[owner]
    array = getattr(value, name)
    is_mask_of_maps = (owner, name) == ("ViewMaps", "mask")
    assert array.dtype == (np.bool_ if is_mask_of_maps else DTYPES.get(name, np.float32))
    assert array.flags.c_contiguous
    with pytest.raises(ValueError, match="read-only"):
        array[...] = 0


@every_array
def test_writable_memory_of_the_caller_is_copied(owner, name):
    value = VALUES[owner]
    mine = np.array(getattr(value, name))
    held = getattr(replace(value, **{name: mine}), name)
    assert not np.shares_memory(held, mine) and mine.flags.writeable
    np.testing.assert_array_equal(held, mine)


@every_array
def test_arrays_that_nobody_can_write_to_are_kept(owner, name):
    value = VALUES[owner]
    assert getattr(replace(value), name) is getattr(value, name)


def test_a_read_only_view_of_writable_memory_is_copied():
    mine = np.zeros((4, 4, 4), np.float32)
    view = mine[:]
    view.setflags(write=False)
    material = Material(view)
    mine[...] = 1
    assert material.base_color.max() == 0


def test_a_view_of_frozen_memory_is_kept_where_it_is_contiguous():
    rows, columns = MATERIAL.base_color[1:3], MATERIAL.base_color[:, 1:3]
    assert Material(rows).base_color is rows
    assert not np.shares_memory(Material(columns).base_color, columns)
    np.testing.assert_array_equal(Material(columns).base_color, columns)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: FramedPicture(np.zeros((4, 6, 4))), r"FramedPicture\.rgba: .*\(4, 4, 4\), got \(4, 6, 4\)"),
        (
            lambda: Mesh(np.zeros((3, 2)), [[0, 1, 2]]),
            r"Mesh\.positions: expected shape \(n, 3\), got \(3, 2\)",
        ),
        (lambda: replace(MESH, faces=[[0, 1]]), r"Mesh\.faces: expected shape \(n, 3\), got \(1, 2\)"),
        (lambda: replace(MESH, uvs=np.zeros((2, 2))), r"Mesh\.uvs: expected shape \(3, 2\), got \(2, 2\)"),
        (lambda: replace(MESH, colors=np.ones((3, 3))), r"Mesh\.colors: expected shape \(3, 4\)"),
        (lambda: Material(np.zeros((4, 4, 3))), r"Material\.texels: expected shape \(n, n, 4\)"),
        (
            lambda: ViewImages(RIG, np.zeros((3, 8, 8, 3)), np.zeros((2, 8, 8))),
            r"ViewImages\.color: expected shape \(2, 8, 8, 3\)",
        ),
        (lambda: replace(SKELETON, parents=[-1, 0]), r"Skeleton\.parents: expected shape \(3,\), got \(2,\)"),
        (
            lambda: SkinWeights([[0, 1, 2]], [[1, 0, 0]]),
            r"SkinWeights\.joints: expected 4 or 8 columns",
        ),
        (lambda: replace(CLIP, translations=np.zeros((3, 3))), r"AnimationClip\.translations: .*\(2, 3\)"),
    ],
)
def test_a_wrong_shape_names_the_field_and_both_shapes(build, words):
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (
            lambda: replace(MESH, faces=[[0, 1, 3]]),
            r"Mesh\.faces: expected vertex indices 0\.\.2, got 0\.\.3",
        ),
        (lambda: replace(MESH, faces=[[0, 1, -1]]), r"Mesh\.faces: .* got -1\.\.1"),
        (lambda: TexturedMesh(replace(MESH, uvs=None), MATERIAL), "expected a mesh with uvs"),
        (
            lambda: replace(SKELETON, parents=[1, -1, 1]),
            r"Skeleton\.parents: expected each parent before its children, got 1 for 'hips'",
        ),
        (lambda: replace(SKELETON, parents=[-1, 1, 1]), "got 1 for 'spine'"),
        (lambda: replace(SKELETON, parents=[-2, 0, 1]), "got -2 for 'hips'"),
        (
            lambda: replace(SKELETON, roles={"head": 3}),
            r"Skeleton\.roles: .* 0\.\.2, got .*'head': 3",
        ),
        (lambda: replace(SKIN, weights=SKIN.weights * 0.9), r"SkinWeights\.weights: .* got one off by 0\.1"),
        (lambda: replace(SKIN, weights=SKIN.weights * np.nan), "got one off by nan"),
        (lambda: replace(SKIN, weights=[[1.5, -0.5, 0, 0]] * 3), r"no negative weights, got -0\.5"),
        (lambda: replace(CLIP, times=[np.nan, np.nan]), "times: expected at least one, all finite"),
        (lambda: replace(CLIP, times=[0.0, np.inf]), "times: expected at least one, all finite"),
        (
            lambda: AnimationClip("none", [], np.zeros((0, 3, 4)), np.zeros((0, 3))),
            "times: expected at least one, all finite",
        ),
        (
            lambda: replace(CLIP, translations=np.full((2, 3), np.inf)),
            r"translations: expected finite values",
        ),
        (lambda: replace(CLIP, rotations=CLIP.rotations * 1.1), r"unit quat.* off by 0\.1"),
        (lambda: replace(CLIP, rotations=CLIP.rotations * np.nan), "unit quat.* off by nan"),
    ],
)
def test_values_that_break_a_promise_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_the_mask_of_a_framed_picture_is_where_alpha_is_at_least_one_half():
    rgba = np.zeros((2, 2, 4))
    rgba[..., 3] = [[0, 0.49], [0.5, 1]]
    np.testing.assert_array_equal(FramedPicture(rgba).mask, [[False, False], [True, True]])


def test_bounds_of_a_mesh():
    low, high = Mesh([[0, -1, 2], [3, 1, 0], [1, 0, 1]], [[0, 1, 2]]).bounds
    np.testing.assert_array_equal([low, high], [[0, -1, 0], [3, 1, 2]])


def test_vertex_colors_are_those_of_the_texel_at_the_uv():
    found = TexturedMesh(MESH, MATERIAL).vertex_colors
    np.testing.assert_array_equal(found, MATERIAL.base_color[[0, 0, 3], [0, 4, 3]])


def test_joints_are_found_by_name_and_have_positions():
    rest = np.tile(np.eye(4), (3, 1, 1))
    rest[:, 1, 3] = 1, 2, 3
    moved = replace(SKELETON, rest=rest)
    np.testing.assert_array_equal(moved.positions, [[0, 1, 0], [0, 2, 0], [0, 3, 0]])
    assert moved.index("head") == 2
    with pytest.raises(ValueError, match="no joint 'tail'; this skeleton has hips, spine, head"):
        moved.index("tail")


def test_a_rig_counts_its_cameras_and_a_character_has_no_clips_at_first():
    assert len(RIG) == 2
    assert RiggedCharacter(TexturedMesh(MESH, MATERIAL), SKELETON, SKIN).clips == ()


def test_a_report_is_plain_json():
    report = StageReport("rigging", "auto", 1.5, ("a",), {"joints": 25.0}, ("seed",))
    assert report.to_dict() == {
        "stage": "rigging",
        "method": "auto",
        "seconds": 1.5,
        "warnings": ["a"],
        "metrics": {"joints": 25.0},
        "ignored_inputs": ["seed"],
    }


def test_texels_of_eight_bits_stay_small_and_say_the_same():
    texels = np.random.default_rng(0).integers(0, 256, (3, 5, 4), dtype=np.uint8)
    small, large = Material(texels), Material(texels.astype(np.float32) / 255)
    assert small.texels.dtype == np.uint8 and large.texels.dtype == np.float32
    np.testing.assert_array_equal(small.base_color, large.base_color)
    uvs = np.random.default_rng(1).random((20, 2))
    np.testing.assert_array_equal(small.sample(uvs), large.sample(uvs))


def test_extras_belong_to_the_vertices_of_their_mesh():
    extras = MeshExtras({1: np.zeros((3, 2))}, (MorphTarget("smile", [2], np.ones((1, 3))),))
    assert replace(MESH, extras=extras).extras is extras
    assert not extras.uv_sets[1].flags.writeable
    for wrong in (
        MeshExtras({1: np.zeros((4, 2))}),
        MeshExtras({}, (MorphTarget("a", [3], np.ones((1, 3))),)),
    ):
        with pytest.raises(ValueError, match="those of a mesh with 3 vertices"):
            replace(MESH, extras=wrong)
