"""A file's own skeleton, skin, clips, morph targets and further uv sets: read, moved along, written."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from character3d.pipeline.formats import read_mesh, write_fbx, write_glb
from character3d.pipeline.mesh_extras import MeshExtras
from character3d.pipeline.orientation import place_mesh
from character3d.pipeline.texture_baking import unwrap_mesh
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import make_character, make_clips
from character3d.tests.rigged_gltf import JOINTS, PLACES, SHEET, SMILE, TIMES, TURN, write_rigged_gltf
from scipy.spatial.transform import Rotation

pytest.importorskip("ufbx")
FILES = Path(__file__).parents[1] / "files"


@pytest.fixture
def loaded(tmp_path):
    return read_mesh(write_rigged_gltf(tmp_path / "rigged.glb"))


def read_deltas(morph, count):
    deltas = np.zeros((count, 3))
    deltas[morph.vertices] = morph.deltas
    return deltas


def spread_weights(skin, count):
    spread = np.zeros((len(skin.joints), count))
    np.add.at(spread, (np.arange(len(spread))[:, None], skin.joints), skin.weights)
    return spread


def test_a_gltf_skeleton_stands_where_its_nodes_do(loaded):
    rig = loaded.surface.extras.rig
    assert rig.skeleton.names == JOINTS
    assert rig.skeleton.parents.tolist() == [-1, 0, 1]
    np.testing.assert_allclose(rig.skeleton.positions, PLACES, atol=1e-6)
    axes = rig.skeleton.rest[:, :3, :3]
    np.testing.assert_allclose(
        axes, np.tile(Rotation.from_euler("x", 90, degrees=True).as_matrix(), (3, 1, 1)), atol=1e-6
    )
    assert loaded.surface.extras.describe() == (
        "skeleton of 3 joints, 1 clip (Wave), 2 morph targets, 1 further uv set"
    )
    assert loaded.warnings == ("rigged.glb: clips that move no joint are left out: Spin",)


def test_a_gltf_skin_is_kept(loaded):
    skin = loaded.surface.extras.rig.skin
    upper = SHEET[:, 1] > 1.2
    for rows, strongest in ((upper, 1), (~upper, 0)):
        np.testing.assert_array_equal(skin.joints[rows][:, :2], [(strongest, 2)] * rows.sum())
    np.testing.assert_allclose(skin.weights, [(0.75, 0.25, 0, 0)] * len(SHEET), atol=1e-6)


@pytest.mark.parametrize("interpolation", ["LINEAR", "STEP", "CUBICSPLINE"])
def test_a_gltf_clip_turns_joints_in_their_parents_axes(tmp_path, interpolation):
    loaded = read_mesh(write_rigged_gltf(tmp_path / "a.glb", interpolation))
    rig = loaded.surface.extras.rig
    (clip,) = rig.clips
    at_keys = np.searchsorted(clip.times, TIMES)
    np.testing.assert_allclose(clip.times[at_keys], TIMES, atol=1e-6)
    turned = Rotation.from_quat(clip.rotations[at_keys, 2])
    assert (turned * TURN.inv()).magnitude().max() < 1e-5
    hips = np.tile(PLACES[0], (3, 1))
    hips[1, 1] += 0.1
    np.testing.assert_allclose(clip.translations[at_keys, 0], hips, atol=1e-6)
    still = clip.translations[:, 2]
    np.testing.assert_allclose(still, np.tile(still[0], (len(clip.times), 1)), atol=1e-6)


def test_morph_targets_and_uv_sets_are_kept(loaded):
    extras = loaded.surface.extras
    assert [morph.name for morph in extras.morphs] == ["smile", "blink"]
    for morph, deltas in zip(extras.morphs, (SMILE, -0.5 * SMILE[::-1]), strict=True):
        np.testing.assert_allclose(read_deltas(morph, len(SHEET)), deltas, atol=1e-6)
    np.testing.assert_allclose(extras.uv_sets[1], 1 - SHEET[:, :2] / 2, atol=1e-6)


@pytest.mark.parametrize("write", [write_glb, write_fbx])
def test_what_was_written_is_read_back(tmp_path, write):
    """By writers that four programs were shown to read."""
    bare = make_character()
    character = replace(bare, clips=make_clips(bare.skeleton))
    path = tmp_path / f"a.{'glb' if write is write_glb else 'fbx'}"
    write(path, character)
    mesh = read_mesh(path).surface.mesh
    rig, skeleton = mesh.extras.rig, character.skeleton
    order = [rig.skeleton.index(name) for name in skeleton.names]
    np.testing.assert_allclose(rig.skeleton.rest[order], skeleton.rest, atol=2e-4)
    found = [rig.skeleton.names[parent] if parent >= 0 else "" for parent in rig.skeleton.parents[order]]
    assert found == [skeleton.names[parent] if parent >= 0 else "" for parent in skeleton.parents]
    corners = [np.c_[item.positions, item.uvs] for item in (mesh, bare.textured.mesh)]
    places = np.linalg.norm(corners[0][:, None] - corners[1], axis=2).argmin(axis=1)
    found, expected = (spread_weights(table, len(order)) for table in (rig.skin, character.skin))
    np.testing.assert_allclose(found[:, order], expected[places], atol=1e-3)
    assert {clip.name for clip in rig.clips} == {clip.name for clip in character.clips}
    walk, wanted = (
        next(clip for clip in clips if clip.name == "walk") for clips in (rig.clips, character.clips)
    )
    shared = [(np.abs(walk.times - time).argmin(), number) for number, time in enumerate(wanted.times)]
    shared = [(one, two) for one, two in shared if abs(walk.times[one] - wanted.times[two]) < 1e-3]
    assert len(shared) >= 3
    for one, two in shared:
        turn = (
            Rotation.from_quat(walk.rotations[one][order]) * Rotation.from_quat(wanted.rotations[two]).inv()
        )
        assert turn.magnitude().max() < 2e-3
        np.testing.assert_allclose(walk.translations[one][order[0]], wanted.translations[two], atol=1e-3)


def test_blend_shapes_and_uv_sets_of_an_fbx_are_kept():
    """Where the file's node turns them, in meters."""
    mesh = read_mesh(FILES / "morphed.fbx").surface
    (lift,) = mesh.extras.morphs
    assert (lift.name, lift.weight) == ("lift", 0.25)
    deltas = [(0, 0, 0), (0, 0, 0), (0, 0.4, 0), (0, 0, 0.2)]
    np.testing.assert_allclose(read_deltas(lift, 4), deltas, atol=1e-6)
    sheet = np.array([(0, 0, 0), (2, 0, 0), (2, 1, 0), (0, 1, 0)])
    np.testing.assert_allclose(mesh.positions, sheet + 0.25 * np.array(deltas), atol=1e-6)
    second = [(0, 1), (0.5, 1), (0.5, 0.75), (0, 0.75)]
    np.testing.assert_allclose(mesh.extras.uv_sets[1], second, atol=1e-6)


def test_extras_stand_up_with_the_mesh(loaded):
    mesh, before = loaded.surface, loaded.surface.extras
    turned = replace(mesh, positions=mesh.positions)
    extras = turned.extras.transform(
        Rotation.from_euler("y", 90, degrees=True).as_matrix(), 2.0, np.array((0, 1, 0))
    )
    back = Rotation.from_euler("y", 90, degrees=True)
    np.testing.assert_allclose(extras.rig.skeleton.positions, 2 * back.apply(PLACES) + (0, 1, 0), atol=1e-6)
    np.testing.assert_allclose(extras.morphs[0].deltas, 2 * back.apply(before.morphs[0].deltas), atol=1e-6)
    clip, old = extras.rig.clips[0], before.rig.clips[0]
    np.testing.assert_allclose(
        clip.translations[:, 0], 2 * back.apply(old.translations[:, 0]) + (0, 1, 0), atol=1e-5
    )
    np.testing.assert_allclose(clip.translations[:, 1], 2 * old.translations[:, 1], atol=1e-5)
    np.testing.assert_array_equal(clip.rotations[:, 1:], old.rotations[:, 1:])
    world = Rotation.from_matrix(extras.rig.skeleton.rest[0, :3, :3])
    assert (Rotation.from_quat(clip.rotations[0, 0]) * world.inv()).magnitude() < 1e-5


def test_extras_follow_the_vertices_that_are_cut_and_left_out(loaded):
    mesh = loaded.surface
    order = np.concatenate((np.arange(10, 20), [17, 3]))
    taken = mesh.extras.take(order)
    deltas = [read_deltas(item.morphs[0], count) for item, count in ((mesh.extras, 20), (taken, 12))]
    np.testing.assert_array_equal(deltas[1], deltas[0][order])
    np.testing.assert_array_equal(taken.rig.skin.joints, mesh.extras.rig.skin.joints[order])
    cut = unwrap_mesh(mesh, texture_size=64)
    nearest = np.linalg.norm(cut.positions[:, None] - mesh.positions, axis=2).argmin(axis=1)
    np.testing.assert_allclose(cut.extras.uv_sets[1], mesh.extras.uv_sets[1][nearest])
    np.testing.assert_allclose(read_deltas(cut.extras.morphs[0], len(cut.positions)), deltas[0][nearest])


def make_tangents(mesh):
    """Across the normals, every other one of a mirrored texture."""
    random = np.random.default_rng(3).normal(size=mesh.normals.shape)
    axes = np.cross(mesh.normals, random)
    signs = np.where(np.arange(len(axes)) % 2, -1.0, 1.0)
    return np.c_[axes / np.linalg.norm(axes, axis=1, keepdims=True), signs].astype(np.float32)


@pytest.fixture
def combed():
    """A character with tangents of its own."""
    bare = make_character()
    mesh = replace(bare.textured.mesh, extras=MeshExtras(tangents=make_tangents(bare.textured.mesh)))
    return replace(bare, textured=replace(bare.textured, mesh=mesh))


@pytest.mark.parametrize("mirror", [1, -1], ids=["as it is", "mirrored by its node"])
def test_tangents_of_a_gltf_are_kept(tmp_path, combed, mirror):
    path, before = tmp_path / "a.glb", combed.textured.mesh
    write_glb(path, combed.textured)
    document = pygltflib.GLTF2().load_binary(path)
    document.nodes[0].scale = [mirror, 1, 1]
    document.save_binary(path)
    after = read_mesh(path).surface.mesh
    tangents, side = after.extras.tangents, np.array((mirror, 1, 1))
    np.testing.assert_allclose(tangents[:, :3], before.extras.tangents[:, :3] * side, atol=1e-6)
    bitangents = [
        np.cross(mesh.normals, mesh.extras.tangents[:, :3]) * mesh.extras.tangents[:, 3:]
        for mesh in (before, after)
    ]
    np.testing.assert_allclose(bitangents[1], bitangents[0] * side, atol=1e-5)


def test_damaged_tangents_are_computed_anew(tmp_path, combed):
    path = tmp_path / "a.glb"
    write_glb(path, combed.textured)
    document = pygltflib.GLTF2().load_binary(path)
    accessor = document.accessors[document.meshes[0].primitives[0].attributes.TANGENT]
    accessor.count -= 1
    document.save_binary(path)
    assert read_mesh(path).surface.mesh.extras is None


def test_tangents_reach_an_fbx(tmp_path, combed):
    path, mesh = tmp_path / "a.fbx", combed.textured.mesh
    write_fbx(path, combed)
    report = run_reader("ufbx", tmp_path / "report.json", path, write_ask(tmp_path / "ask.json"))
    tangents = mesh.extras.tangents
    np.testing.assert_allclose(report["tangents"], tangents[mesh.faces][..., :3], atol=1e-6)
    bitangents = np.cross(mesh.normals, tangents[:, :3]) * tangents[:, 3:]
    np.testing.assert_allclose(report["bitangents"], bitangents[mesh.faces], atol=1e-6)


@pytest.mark.parametrize("weights", [(0.0, 0.0), (0.5, 0.0)])
def test_morph_targets_and_uv_sets_survive_a_glb(tmp_path, weights):
    mesh = read_mesh(write_rigged_gltf(tmp_path / "a.glb", weights=weights)).surface
    np.testing.assert_allclose(mesh.positions, SHEET + weights[0] * SMILE, atol=1e-6)
    write_glb(tmp_path / "b.glb", mesh)
    back = read_mesh(tmp_path / "b.glb").surface.mesh
    np.testing.assert_allclose(back.positions, mesh.positions, atol=1e-6)
    np.testing.assert_allclose(back.extras.uv_sets[1], mesh.extras.uv_sets[1])
    for found, expected in zip(back.extras.morphs, mesh.extras.morphs, strict=True):
        assert (found.name, found.weight) == (expected.name, expected.weight)
        np.testing.assert_allclose(*(read_deltas(item, 20) for item in (found, expected)), atol=1e-6)


def test_parts_of_a_mesh_share_their_morph_targets(tmp_path):
    mesh = read_mesh(write_rigged_gltf(tmp_path / "a.glb", weights=(0.5, 0.0), parts=2)).surface
    assert [morph.name for morph in mesh.extras.morphs] == ["smile", "blink"]
    np.testing.assert_allclose(read_deltas(mesh.extras.morphs[0], 40), np.tile(SMILE, (2, 1)), atol=1e-6)


def test_damaged_extras_are_left_out_and_named(tmp_path):
    path = write_rigged_gltf(tmp_path / "a.glb")
    data = path.read_bytes()
    for old, new, said in (
        (b'"path": "rotation"', b'"path": ["rotati"]', "the clip 'Wave' is left out"),
        (
            b'"sampler": 1',
            b'"sampler": 7',
            "the clip 'Wave' is left out: a.glb is damaged: it names sampler 7",
        ),
        (b'"POSITION": 6', b'"POSITION": 5', "the morph targets of 'body' are left out"),
    ):
        path.write_bytes(data.replace(old, new))
        loaded = read_mesh(path)
        assert len(loaded.surface.positions) == len(SHEET)
        assert said in " ".join(loaded.warnings)


def test_a_figure_keeps_its_rig_when_it_is_stood_up(tmp_path):
    bare = make_character()
    write_glb(tmp_path / "a.glb", bare)
    placed = place_mesh(read_mesh(tmp_path / "a.glb").surface, up="+Z", front="+X").surface.mesh
    rig = placed.extras.rig
    low, high = placed.bounds
    assert (rig.skeleton.positions > low - 0.3).all() and (rig.skeleton.positions < high + 0.3).all()
    hips = rig.skeleton.positions[rig.skeleton.index("mixamorig:Hips")]
    np.testing.assert_allclose(hips, _turn(bare.skeleton.positions[0]), atol=1e-5)


def _turn(place):
    """Of a mesh whose up is +Z and whose front is +X."""
    x, y, z = place
    return np.array((y, z, x))


def test_the_khronos_validator_finds_no_fault(tmp_path):
    require_reader("gltf-validator")
    mesh = read_mesh(write_rigged_gltf(tmp_path / "a.glb", weights=(0.5, 0.0))).surface
    write_glb(tmp_path / "b.glb", mesh)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "b.glb")
    assert report["issues"]["numErrors"] == report["issues"]["numWarnings"] == 0, report["issues"]["messages"]
