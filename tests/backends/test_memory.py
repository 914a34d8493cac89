"""Which learned models are in memory after prompts of real nodes, and which prompts are run again."""

import gc
import importlib

import numpy as np
import pytest
import torch
import trimesh

CHECKPOINT = "small_xl.safetensors"


@pytest.fixture
def core(comfyui_modules):
    """ComfyUI's table of node classes."""
    return importlib.import_module("nodes").NODE_CLASS_MAPPINGS


@pytest.fixture
def given(core, monkeypatch):
    """A node that puts out a box and its framed picture."""

    class Given:
        RETURN_TYPES, FUNCTION = ("TRIMESH", "IMAGE", "MASK"), "give"

        @classmethod
        def INPUT_TYPES(cls):
            return {}

        def give(self):
            mask = torch.zeros(1, 64, 64)
            mask[:, 8:56, 20:44] = 1
            return trimesh.creation.box((0.6, 1.7, 0.4)), torch.full((1, 64, 64, 3), 0.5), mask

    monkeypatch.setitem(core, "Given", Given)


@pytest.fixture
def views(given, core, model_patches, small_sdxl, monkeypatch):
    """(inputs) -> a prompt that generates views of 64 pixels; the adapter and a checkpoint are installed."""
    node = importlib.import_module("character3d.nodes.generating_multiview_texture").GenerateViews
    monkeypatch.setitem(core, "C3DGenerateViews", node)
    small_sdxl.save(model_patches / "ig2mv_sdxl.safetensors", small_sdxl.draw_adapter(2))
    small_sdxl.save(model_patches.parent / "checkpoints" / CHECKPOINT, small_sdxl.draw_checkpoint(1))
    inputs = {"mesh": ["given", 0], "image": ["given", 1], "mask": ["given", 2], "method": "ig2mv",
              "image_size": 64, "prompt": "an elf", "negative_prompt": "", "steps": 1, "cfg_scale": 2.0,
              "model_name": CHECKPOINT, "seed": 0}  # fmt: skip
    return lambda **changes: {
        "given": {"class_type": "Given", "inputs": {}},
        "views": {"class_type": "C3DGenerateViews", "inputs": inputs | changes},
    }


@pytest.fixture
def executor(comfyui_modules):
    executor = importlib.import_module("character3d.tests.executor").Executor()
    yield executor
    executor.free_memory()


def connect(prompt, name=CHECKPOINT):
    """Core's loader feeds the views."""
    prompt["loader"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}
    prompt["views"]["inputs"] |= {
        part: ["loader", slot] for slot, part in enumerate(("model", "clip", "vae"))
    }
    return prompt


def list_models():
    """The models in memory, each once whatever number of ModelPatchers share it, by class."""
    patcher = importlib.import_module("comfy.model_patcher").ModelPatcher
    gc.collect()
    models = {id(item.model): item.model for item in gc.get_objects() if issubclass(type(item), patcher)}
    return sorted((type(model).__name__, key) for key, model in models.items())


def count(name):
    return [kind for kind, _ in list_models()].count(name)


def test_the_models_stay_from_run_to_run_and_leave_at_free(executor, views):
    before = list_models()
    assert executor.run(views(seed=1), "views") == []
    loaded = list_models()
    assert {kind for kind, _ in loaded} - {kind for kind, _ in before} >= {"SDXL", "ViewAdapter"}
    assert executor.run(views(seed=2), "views") == ["given"]
    assert list_models() == loaded
    executor.free_memory()
    assert list_models() == before


@pytest.mark.nightly
def test_a_checkpoint_is_in_memory_once_whoever_loads_it(executor, views):
    """Core's loader connected to Generate Views, then the checkpoint's name, then core's again."""
    for prompt in (connect(views(model_name="")), views(), connect(views(model_name=""))):
        assert "views" not in executor.run(prompt, "views")
        assert count("SDXL") == count("ViewAdapter") == 1


def test_a_connected_checkpoint_is_loaded_for_ig2mv_only(executor, views):
    assert executor.run(connect(views(method="projection"), "none.safetensors"), "views") == []
    assert count("SDXL") == 0


def test_a_part_of_a_checkpoint_is_refused(executor, views):
    prompt = connect(views())
    del prompt["views"]["inputs"]["clip"]
    with pytest.raises(AssertionError, match="expected model, clip and vae together; found no clip"):
        executor.run(prompt, "views")


@pytest.mark.nightly
def test_only_the_files_that_a_run_reads_decide_whether_it_is_repeated(executor, views, models, small_sdxl):
    checkpoints = models.parent / "checkpoints"
    assert "views" not in executor.run(views(), "views")
    (checkpoints / "other_xl.safetensors").write_bytes(b"")
    assert "views" in executor.run(views(), "views")
    small_sdxl.save(checkpoints / CHECKPOINT, small_sdxl.draw_checkpoint(9))
    assert "views" not in executor.run(views(), "views")


def test_projection_is_repeated_for_no_file(executor, views, models, small_sdxl):
    prompt = views(method="projection")
    assert "views" not in executor.run(prompt, "views")
    small_sdxl.save(models.parent / "checkpoints" / CHECKPOINT, small_sdxl.draw_checkpoint(9))
    assert "views" in executor.run(prompt, "views")


@pytest.mark.nightly
def test_the_adapter_of_the_steps_is_shared_and_leaves_at_free(executor, views, core, monkeypatch):
    """Apply IG2MV and Generate Views in one prompt, on one checkpoint."""
    node = importlib.import_module("character3d.nodes.view_steps").ApplyIG2MV
    monkeypatch.setitem(core, "C3DApplyIG2MV", node)
    maps = np.random.default_rng(0).random((6, 64, 64, 3), dtype=np.float32)

    class Maps:
        RETURN_TYPES, FUNCTION, INPUT_TYPES = ("IMAGE",), "give", classmethod(lambda cls: {})

        def give(self):
            return (torch.from_numpy(maps),)

    monkeypatch.setitem(core, "Maps", Maps)
    prompt = connect(views())
    prompt["maps"] = {"class_type": "Maps", "inputs": {}}
    prompt["apply"] = {"class_type": "C3DApplyIG2MV", "inputs": {
        "model": ["loader", 0], "vae": ["loader", 2], "adapter": "auto", "image": ["given", 1],
        "mask": ["given", 2], "position": ["maps", 0], "normal": ["maps", 0]}}  # fmt: skip
    executor.run(prompt, "apply")
    assert "apply" in executor.run(prompt, "views")
    assert count("SDXL") == count("ViewAdapter") == 1
    executor.free_memory()
    assert count("SDXL") == count("ViewAdapter") == 0
