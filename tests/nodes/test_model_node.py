"""How long a node keeps its models, under each of ComfyUI's caches."""

import gc
import importlib
import os
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from character3d.pipeline.types import Mesh

MESH = Mesh(np.zeros((3, 3), np.float32), np.array([[0, 1, 2]], np.int32), np.ones((3, 3), np.float32))
CACHES = ["CLASSIC", "LRU", "RAM_PRESSURE", "NONE"]


class Model:
    """Something large, of blocks of a few MB as the tensors of a model. peak: resident bytes with it."""

    SIZE, peak = 128 << 20, 0

    def __init__(self):
        self.blocks = [torch.ones(1 << 19) for _ in range(64)]
        Model.peak = read_resident()


def read_resident():
    """Bytes of this process in memory; 0 where the system does not tell."""
    file = Path("/proc/self/statm")
    return int(file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.exists() else 0


@pytest.fixture
def loads(load_nodes, monkeypatch):
    """(file, weak reference to its model) for each load by C3DProbe, a node of `file` and `picture`."""
    io, node = load_nodes("compat").io, load_nodes("model_node")
    memory = importlib.import_module("character3d.backends.model_memory")
    loads = []

    @memory.share_loaded
    def load(file):
        assert [kept for kept, model in loads if kept != file and model()] == []
        model = Model()
        loads.append((file, weakref.ref(model)))
        return model

    class Probe(node.ModelNode):
        @classmethod
        def define_schema(cls):
            inputs = [io.String.Input("file"), io.Int.Input("picture")]
            return io.Schema("C3DProbe", inputs=inputs, outputs=[io.Int.Output()], is_output_node=True)

        @classmethod
        def execute(cls, file, picture):
            if file:
                cls.load_models(file, lambda: load(file))
            else:
                cls.release_models()
            return io.NodeOutput(picture)

    class Other(Probe):
        @classmethod
        def define_schema(cls):
            return io.Schema("C3DOther", outputs=[io.Int.Output()], is_output_node=True)

        @classmethod
        def execute(cls):
            return io.NodeOutput(0)

    core = importlib.import_module("nodes")
    monkeypatch.setitem(core.NODE_CLASS_MAPPINGS, "C3DProbe", Probe)
    monkeypatch.setitem(core.NODE_CLASS_MAPPINGS, "C3DOther", Other)
    return loads


@pytest.fixture(params=CACHES)
def executor(loads, request):
    if not hasattr(importlib.import_module("execution").CacheType, request.param):
        pytest.skip(f"this ComfyUI has no cache of the kind {request.param}")
    return importlib.import_module("character3d.tests.executor").Executor(request.param)


def run(executor, class_type="C3DProbe", **inputs):
    executor.run({"1": {"class_type": class_type, "inputs": inputs}}, "1")


def list_living(loads):
    return [file for file, model in loads if model()]


@pytest.mark.nightly_cases
def test_models_are_kept_from_run_to_run_where_comfyui_keeps_outputs(executor, loads):
    run(executor, file="a", picture=1)
    run(executor, file="a", picture=2)
    assert [file for file, _ in loads] == (["a"] if executor.has_cache else ["a", "a"])
    assert list_living(loads) == (["a"] if executor.has_cache else [])


@pytest.mark.nightly_cases
def test_free_memory_releases_them(executor, loads):
    run(executor, file="a", picture=1)
    executor.free_memory()
    assert list_living(loads) == []


@pytest.mark.nightly_cases
def test_a_prompt_without_the_node_releases_them(executor, loads):
    run(executor, file="a", picture=1)
    run(executor, "C3DOther")
    assert list_living(loads) == []


@pytest.mark.nightly_cases
def test_other_files_replace_them_and_are_read_afterwards(executor, loads):
    """The loader itself asserts that no model of another file is left."""
    run(executor, file="a", picture=1)
    run(executor, file="b", picture=1)
    assert [file for file, _ in loads] == ["a", "b"]


@pytest.mark.nightly_cases
def test_a_run_without_a_model_releases_them(executor, loads):
    run(executor, file="a", picture=1)
    run(executor, file="", picture=1)
    assert list_living(loads) == []


@pytest.mark.nightly_cases
def test_callers_share_a_model_while_one_of_them_holds_it(load_nodes, comfyui_modules):
    memory = importlib.import_module("character3d.backends.model_memory")
    load = memory.share_loaded(lambda file: Model())
    first = load("a")
    assert load("a") is first and load("b") is not first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


@pytest.mark.nightly_cases
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's process files")
def test_their_memory_goes_back_to_the_system(executor, loads):
    """The C library keeps blocks of a size that was freed before, unless it is told not to."""
    resident = []
    for number in range(3):
        run(executor, file="a", picture=number)
        executor.free_memory()
        resident.append(read_resident())
    assert max(resident) - resident[0] < 0.1 * Model.SIZE
    assert resident[0] < Model.peak - 0.9 * Model.SIZE


def test_values_are_told_apart_by_all_that_they_hold(load_nodes):
    identify = load_nodes("identify").identify
    array = np.arange(6.0)
    values = [
        (array,),
        (array.astype(np.float32),),
        (array.reshape(2, 3),),
        (array + 1e-12,),
        ((array, 1),),
        (array, 1),
        (array, True),
        (array, "1"),
        (replace(MESH, normals=None),),
        (MESH,),
        (),
        (None,),
    ]
    assert len({identify(*value) for value in values}) == len(values)
    assert identify(MESH, {"a": [1]}) == identify(replace(MESH), {"a": (1,)})
    with pytest.raises(TypeError, match="Tensor"):
        identify(torch.zeros(2))
