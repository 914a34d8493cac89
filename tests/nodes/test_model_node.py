"""How long a node keeps its models, under each of ComfyUI's caches."""

import gc
import importlib
import weakref

import pytest

CACHES = ["CLASSIC", "LRU", "RAM_PRESSURE", "NONE"]


class Model:
    """Something large."""


class Server:
    """What ComfyUI's executor tells its events."""

    client_id = last_node_id = None

    def send_sync(self, event, data, client_id=None):
        pass


@pytest.fixture
def loads(load_nodes, monkeypatch):
    """(file, a weak reference to its model) for each load of the node C3DProbe(file, picture)."""
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
    execution = importlib.import_module("execution")
    cache = getattr(execution.CacheType, request.param, None)
    if cache is None:
        pytest.skip(f"this ComfyUI has no cache of the kind {request.param}")
    return execution.PromptExecutor(Server(), cache_type=cache, cache_args={"lru": 10, "ram": 0.0})


def run(executor, class_type="C3DProbe", **inputs):
    prompt = {"1": {"class_type": class_type, "inputs": inputs}}
    executor.execute(prompt, "prompt", {}, ["1"])
    assert executor.success, executor.status_messages
    gc.collect()


def list_living(loads):
    return [file for file, model in loads if model()]


def test_models_are_kept_from_run_to_run_where_comfyui_keeps_outputs(executor, loads):
    execution = importlib.import_module("execution")
    run(executor, file="a", picture=1)
    run(executor, file="a", picture=2)
    is_kept = executor.cache_type != execution.CacheType.NONE
    assert [file for file, _ in loads] == (["a"] if is_kept else ["a", "a"])
    assert list_living(loads) == (["a"] if is_kept else [])


def test_free_memory_releases_them(executor, loads):
    """What POST /free does with free_memory."""
    run(executor, file="a", picture=1)
    executor.reset()
    gc.collect()
    assert list_living(loads) == []


def test_a_prompt_without_the_node_releases_them(executor, loads):
    run(executor, file="a", picture=1)
    run(executor, "C3DOther")
    assert list_living(loads) == []


def test_other_files_replace_them_and_are_read_afterwards(executor, loads):
    """The loader itself asserts that no model of another file is left."""
    run(executor, file="a", picture=1)
    run(executor, file="b", picture=1)
    assert [file for file, _ in loads] == ["a", "b"]


def test_a_run_without_a_model_releases_them(executor, loads):
    run(executor, file="a", picture=1)
    run(executor, file="", picture=1)
    assert list_living(loads) == []


def test_callers_share_a_model_while_one_of_them_holds_it(load_nodes, comfyui_modules):
    memory = importlib.import_module("character3d.backends.model_memory")
    load = memory.share_loaded(lambda file: Model())
    first = load("a")
    assert load("a") is first and load("b") is not first
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
