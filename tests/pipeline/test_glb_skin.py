"""Skeleton, skin and clips in a GLB file: the file by its own rules, then as independent readers see it."""

import functools
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import encode_glb, write_glb
from character3d.pipeline.types import Skeleton, SkinWeights
from character3d.tests.readers.compare import (
    assert_joints_agree,
    assert_meshes_agree,
    assert_weights_agree,
    largest_difference,
    limit,
    spread_weights,
    write_ask,
)
from character3d.tests.readers.locate import require_reader, run_reader
from character3d.tests.readers.sample_character import (
    POSE,
    follow_clip_by_hand,
    make_character,
    make_clips,
    pose_by_hand,
)

BARE = make_character()
CHARACTER = replace(BARE, clips=make_clips(BARE.skeleton))
MESH, SKELETON = BARE.textured.mesh, BARE.skeleton
CLIPS = {clip.name: clip for clip in CHARACTER.clips}
READERS = ("blender", "assimp", "three")
KEYS = {
    "walk": [frame / 30 for frame in (0, 3, 8, 15, 22, 30)],
    "spin": [float(t) for t in CLIPS["spin"].times],
}
BETWEEN = [0.0501, 0.4177, 0.777, 0.93]
TIMES = sorted({*KEYS["walk"], *KEYS["spin"], *BETWEEN})
GOES_STRAIGHT = {"blender"}
"""Blender interpolates the four numbers of a quaternion, not the rotation; it is held to the keys."""


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glb")
    write_glb(folder / "elf 大.glb", CHARACTER)
    ask = write_ask(folder / "ask.json", POSE, TIMES)
    return functools.cache(
        lambda reader: run_reader(reader, folder / f"{reader}.json", folder / "elf 大.glb", ask)
    )


@pytest.fixture(params=READERS)
def reader(request):
    require_reader(request.param)
    return request.param


def parse(data):
    """The JSON, and every accessor as an array, read by hand."""
    length = struct.unpack_from("<I", data, 12)[0]
    tree, binary = json.loads(data[20 : 20 + length]), data[28 + length :]
    types = {5121: "u1", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
    sizes = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
    arrays = []
    for accessor in tree["accessors"]:
        start = tree["bufferViews"][accessor["bufferView"]]["byteOffset"]
        count = accessor["count"] * sizes[accessor["type"]]
        values = np.frombuffer(binary, types[accessor["componentType"]], count, start)
        arrays.append(values.reshape(accessor["count"], -1))
    return tree, arrays


def read_influences(tree, arrays):
    attributes = tree["meshes"][0]["primitives"][0]["attributes"]
    return arrays[attributes["JOINTS_0"]], arrays[attributes["WEIGHTS_0"]]


def test_readers_see_every_joint(read, reader):
    assert_joints_agree(read(reader)["joints"], SKELETON, reader)


def test_readers_see_the_mesh(read, reader):
    assert read(reader)["vertex_count"] == len(MESH.positions)
    assert_meshes_agree(read(reader), MESH, reader)


def test_readers_see_the_weights(read, reader):
    assert_weights_agree(read(reader)["weights"], CHARACTER, reader)


def test_readers_see_the_texture(read, reader):
    assert read(reader)["texture"]["size"] == [64, 64]
    assert read(reader)["texture"]["sha256"] == read("three")["texture"]["sha256"]


def test_readers_bend_it_as_we_do(read, reader):
    expected = pose_by_hand(CHARACTER, POSE)
    assert np.abs(expected - MESH.positions).max() > 0.2
    assert largest_difference(read(reader)["posed"], expected[MESH.faces]) < limit(reader, "posed")


@pytest.mark.parametrize("name", CLIPS)
def test_readers_play_it_as_we_do(read, reader, name):
    found, clip = read(reader)["clips"], CLIPS[name]
    assert set(found) == set(CLIPS)
    wanted = KEYS[name] if reader in GOES_STRAIGHT else [time for time in TIMES if time <= clip.times[-1]]
    for time in wanted:
        expected = follow_clip_by_hand(CHARACTER, clip, time)[MESH.faces]
        assert largest_difference(found[name][TIMES.index(time)], expected) < limit(reader, "posed"), time


def test_trimesh_sees_the_mesh(tmp_path):
    """It knows no skins; whoever opens the file with it has the mesh at rest."""
    write_glb(tmp_path / "a.glb", CHARACTER)
    (found,) = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry.values()
    assert np.array_equal(found.vertices, MESH.positions)
    assert np.array_equal(found.faces, MESH.faces)


def test_validator_has_no_complaint(tmp_path):
    write_glb(tmp_path / "a.glb", CHARACTER)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert report["issues"]["messages"] == []
    info = report["info"]
    assert (info["hasSkins"], info["animationCount"], info["maxInfluences"]) == (True, 2, 4)


@pytest.mark.parametrize("joint_count", [256, 257])
def test_validator_takes_skeletons_of_any_size(tmp_path, joint_count):
    """Up to 256 joints are named by bytes, more by 16 bits."""
    rest = np.tile(np.eye(4), (joint_count, 1, 1))
    rest[:, 1, 3] = np.arange(joint_count) * 0.01
    chain = Skeleton(tuple(f"joint {i}" for i in range(joint_count)), np.arange(-1, joint_count - 1), rest)
    joints = np.zeros((len(MESH.positions), 4))
    joints[:, 0] = np.arange(len(joints)) + joint_count - len(joints)
    weights = np.tile((1.0, 0, 0, 0), (len(joints), 1))
    character = replace(BARE, skeleton=chain, skin=SkinWeights(joints, weights))
    write_glb(tmp_path / "a.glb", character)
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert report["issues"]["messages"] == []
    found, _ = read_influences(*parse(encode_glb(character)))
    assert found.dtype == (np.uint8 if joint_count <= 256 else np.uint16)
    assert np.array_equal(found[:, 0], joints[:, 0])


def test_influences_follow_the_rules_of_the_format(tmp_path):
    """A joint named twice, weights of 0 beside any joint, sums a little off: all are put in order."""
    joints, weights = np.array(BARE.skin.joints), np.array(BARE.skin.weights)
    joints[0], weights[0] = (4, 4, 1, 4), (0.25, 0.5, 0.125, 0.125)
    joints[1], weights[1] = (5, 6, 6, 2), (1, 0, 0, 0)
    weights[2:] *= 1.00005
    skin = SkinWeights(joints, weights)
    write_glb(tmp_path / "a.glb", replace(BARE, skin=skin))
    report = run_reader("gltf-validator", tmp_path / "report.json", tmp_path / "a.glb")
    assert report["issues"]["messages"] == []
    found_joints, found = read_influences(*parse((tmp_path / "a.glb").read_bytes()))
    assert found_joints[1].tolist() == [5, 0, 0, 0]
    assert np.abs(found.sum(axis=1, dtype=np.float64) - 1).max() < 1e-7
    for vertex, (row, names) in enumerate(zip(found, found_joints, strict=True)):
        assert len(set(names[row > 0])) == (row > 0).sum(), vertex
    wanted = spread_weights(skin, 7)
    spread = spread_weights(SkinWeights(found_joints, found), 7)
    assert np.abs(spread - wanted / wanted.sum(axis=1, keepdims=True)).max() < 2e-7


def test_skinned_mesh_stands_beside_its_skeleton():
    tree, arrays = parse(encode_glb(CHARACTER))
    (skin,) = tree["skins"]
    mesh_node, root = tree["scenes"][0]["nodes"]
    assert tree["nodes"][mesh_node] == {"name": "character", "mesh": 0, "skin": 0}
    assert root == skin["skeleton"] == skin["joints"][0]
    bind = arrays[skin["inverseBindMatrices"]].reshape(-1, 4, 4).transpose(0, 2, 1)
    assert np.array_equal(bind[:, 3], np.tile((0, 0, 0, 1), (7, 1)))
    assert np.abs(bind @ SKELETON.rest - np.eye(4)).max() < 1e-6


def test_quaternions_keep_their_sign_and_still_joints_have_no_keys():
    tree, arrays = parse(encode_glb(CHARACTER))
    names = [node["name"] for node in tree["nodes"]]
    for animation in tree["animations"]:
        clip = CLIPS[animation["name"]]
        targets = [channel["target"] for channel in animation["channels"]]
        moved = {names[target["node"]] for target in targets if target["path"] == "rotation"}
        assert moved == {*POSE, "mixamorig:Head"}
        assert targets[0] == {"node": 1, "path": "translation"}
        for sampler in animation["samplers"]:
            assert np.array_equal(arrays[sampler["input"]][:, 0], clip.times)
            values = arrays[sampler["output"]]
            if values.shape[1] == 4:
                assert ((values[1:] * values[:-1]).sum(axis=1) >= 0).all()


def test_same_character_gives_same_bytes():
    again = make_character()
    assert encode_glb(replace(again, clips=make_clips(again.skeleton))) == encode_glb(CHARACTER)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"skin": SkinWeights([[0] * 4], [[1, 0, 0, 0]])},
            "GLB: expected skin weights for 240 vertices, got 1",
        ),
        ({"skin": SkinWeights(BARE.skin.joints + 4, BARE.skin.weights)}, "GLB: skin weights name joint 10"),
        ({"skeleton": replace(SKELETON, names=("a",) * 7)}, "GLB: two joints have the same name"),
        ({"skeleton": Skeleton((), [], np.zeros((0, 4, 4)))}, "GLB: expected a skeleton with joints"),
        (
            {"skeleton": replace(SKELETON, rest=SKELETON.rest * np.nan)},
            "GLB: expected finite rest transforms",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(tmp_path, changes, message):
    with pytest.raises(FormatError, match=message):
        write_glb(tmp_path / "bad.glb", replace(BARE, **changes))
    assert list(tmp_path.iterdir()) == []
