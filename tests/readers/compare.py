"""What the tests of all formats share: questions to the readers, and how their answers are compared."""

import json
import re

import numpy as np

TOLERANCE = 1e-5
"""Metres for places, plain numbers for the rest."""
LIMITS = {
    ("assimp", "posed"): 2e-5,
    ("assimp", "joints"): 2e-5,
    ("blender", "posed"): 2e-5,
    ("blender", "joints"): 5e-5,
    ("blender", "normals"): 1e-4,
}
"""What readers themselves leave open: assimp's answer has six digits, of which posing adds up several;
Blender keeps a custom normal as two 16-bit integers, and a joint as head, tail and roll in float32: the
roll is worst where a bone points straight down, as thighs do."""


def limit(reader, key):
    return LIMITS.get((reader, key), TOLERANCE)


def write_ask(path, pose=None, times=(), swing=None, express=None):
    """pose: name -> (3, 3); times: seconds at which clips are looked at; swing, express: see README.md."""
    turns = {name: np.asarray(turn).tolist() for name, turn in (pose or {}).items()}
    path.write_text(json.dumps({"pose": turns, "times": list(times), "swing": swing, "express": express}))
    return path


def rename(reader, name):
    """three.js takes out of a node's name what its animation paths use (sanitizeNodeName)."""
    return re.sub(r"[\[\].:/]", "", name) if reader.startswith("three") else name


def largest_difference(found, expected):
    found = np.array(found)
    assert found.shape == np.shape(expected)
    return np.abs(found - expected).max()


def assert_joints_agree(joints, skeleton, reader):
    """Names, parents, rest and inverse bind matrices."""
    names = [rename(reader, name) for name in skeleton.names]
    parents = [None if parent < 0 else names[parent] for parent in skeleton.parents]
    assert {name: entry["parent"] for name, entry in joints.items()} == dict(zip(names, parents, strict=True))
    for name, rest in zip(names, skeleton.rest.astype(np.float64), strict=True):
        assert largest_difference(joints[name]["rest"], rest) < limit(reader, "joints"), name
        assert largest_difference(joints[name]["inverse_bind"], np.linalg.inv(rest)) < limit(reader, "joints")


def assert_meshes_agree(report, mesh, reader, **limits):
    """Places, normals and uvs of every corner; no complaints. limits: other ones, by what they are of."""
    assert report["warnings"] == []
    for key in ("positions", "normals", "uvs"):
        expected = getattr(mesh, key)[mesh.faces]
        assert largest_difference(report[key], expected) < limits.get(key, limit(reader, key)), key


def assert_weights_agree(rows, character, reader):
    """rows: of every corner, joint name -> weight."""
    names = [rename(reader, name) for name in character.skeleton.names]
    count = len(names)
    position = {name: index for index, name in enumerate(names)}
    expected = spread_weights(character.skin, count)[character.textured.mesh.faces.ravel()]
    found = np.zeros_like(expected)
    for corner, row in enumerate(rows):
        for name, weight in row.items():
            found[corner, position[name]] = weight
    assert np.array_equal(found > 0, expected > 0)
    assert np.abs(found.sum(axis=1) - 1).max() < TOLERANCE
    assert largest_difference(found, expected) < TOLERANCE


def spread_weights(skin, joint_count):
    """(V, J) weights."""
    dense = np.zeros((len(skin.joints), joint_count))
    np.add.at(dense, (np.arange(len(dense))[:, None], skin.joints), skin.weights)
    return dense
