"""The mesh that was unwrapped last, or is being unwrapped, is not unwrapped again, and any other is."""

import threading
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

    monkeypatch.setattr(module.texture_baking, "unwrap_mesh", work)

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


@pytest.fixture
def beside(load_nodes, monkeypatch):
    """The module, whose unwrapping says that it has begun, and steps until it may end."""
    module = load_nodes("unwrapped")
    monkeypatch.setattr(module, "_last", [])
    module.has_begun, module.may_end, threads = threading.Event(), threading.Event(), []

    def work(mesh, progress, **options):
        threads.append(threading.current_thread().name)
        module.has_begun.set()
        while not module.may_end.wait(0.01):
            progress(0.5)
        return replace(mesh, uvs=np.zeros((3, 2)))

    monkeypatch.setattr(module.texture_baking, "unwrap_mesh", work)
    module.threads = threads
    return module


def unwrap_after(module, mesh=MESH):
    return module.unwrap_again(mesh, texture_size=64, device=CPU, progress=lambda fraction: None)


def test_what_was_begun_beside_other_work_is_waited_for(beside):
    with beside.unwrap_beside(MESH, texture_size=64, device=CPU):
        assert beside.has_begun.wait(5)
    threading.Timer(0.2, beside.may_end.set).start()
    assert unwrap_after(beside).uvs is not None
    with beside.unwrap_beside(MESH, texture_size=64, device=CPU):  # it is known
        unwrap_after(beside)
    assert len(beside.threads) == 1 and beside.threads[0].startswith("character3d-unwrap")


def test_who_waits_for_it_can_be_cancelled(beside):
    def cancel(fraction):
        raise InterruptedError

    with beside.unwrap_beside(MESH, texture_size=64, device=CPU), pytest.raises(InterruptedError):
        beside.unwrap_again(MESH, texture_size=64, device=CPU, progress=cancel)
    beside.may_end.set()


def test_it_stops_with_the_work_beside_it(beside):
    with pytest.raises(InterruptedError), beside.unwrap_beside(MESH, texture_size=64, device=CPU):
        assert beside.has_begun.wait(5)
        raise InterruptedError
    (stopped,) = beside._last
    assert stopped.result.exception(5) is not None
    beside.may_end.set()
    assert unwrap_after(beside).uvs is not None and len(beside.threads) == 2


@pytest.mark.parametrize(
    ("inputs", "size"),
    [
        ({"texture_size": "auto"}, 1024),
        ({"texture_size": 4096, "keep_uvs": False}, 4096),
        ({"texture_size": "auto", "keep_uvs": True}, 0),
        ({"texture_size": ["7", 0]}, 0),
    ],
)
def test_it_unwraps_for_the_texture_that_the_graph_bakes(load_nodes, inputs, size):
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {}},
        "2": {"class_type": "C3DBakeTexture", "inputs": inputs},
    }
    assert load_nodes("unwrapped").find_baked_size(prompt, 768) == size


def test_nothing_is_begun_where_nothing_is_baked(load_nodes, beside):
    assert load_nodes("unwrapped").find_baked_size({}, 768) == 0
    with beside.unwrap_beside(MESH, texture_size=0, device=CPU):
        pass
    assert not beside._last
