"""The mesh that was unwrapped last is not unwrapped again, and any other is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from character3d.pipeline.types import Mesh

CPU = torch.device("cpu")
MESH = Mesh(np.eye(3), np.array([[0, 1, 2]]))


@pytest.fixture
def unwrap(load_nodes, monkeypatch):
    """Unwraps, and returns how often that was done so far."""
    module, done = load_nodes("unwrapped"), []
    monkeypatch.setattr(module, "_last", [])

    def work(mesh, **options):
        done.append(mesh)
        return replace(mesh, uvs=np.zeros((3, 2)))

    monkeypatch.setattr(module, "unwrap_mesh", work)

    def run(mesh, texture_size=64):
        result = module.unwrap_again(
            mesh, texture_size=texture_size, device=CPU, progress=lambda fraction: None
        )
        assert np.array_equal(result.positions, mesh.positions) and result.uvs is not None
        return len(done)

    return run


def test_the_same_mesh_is_unwrapped_once(unwrap):
    assert unwrap(MESH) == unwrap(Mesh(np.eye(3), np.array([[0, 1, 2]]))) == 1


@pytest.mark.parametrize(
    "other",
    [
        Mesh(2 * np.eye(3), np.array([[0, 1, 2]])),
        Mesh(np.eye(3), np.array([[0, 2, 1]])),
        replace(MESH, normals=np.eye(3)),
        replace(MESH, uvs=np.zeros((3, 2))),
        replace(MESH, is_placed=True),
    ],
)
def test_another_mesh_is_unwrapped_anew(unwrap, other):
    assert (unwrap(MESH), unwrap(other), unwrap(MESH)) == (1, 2, 3)


def test_another_size_of_texture_is_another_unwrap(unwrap):
    assert (unwrap(MESH), unwrap(MESH, texture_size=128)) == (1, 2)
