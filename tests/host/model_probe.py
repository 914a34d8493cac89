"""Which learned models a ComfyUI holds in memory, asked through a route of a small pack of its own."""

import json
import time

PACK = """
import gc
import comfy.model_patcher
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}

@PromptServer.instance.routes.get("/probe/models")
async def list_models(request):
    gc.collect()
    patcher = comfy.model_patcher.ModelPatcher
    models = [item.model for item in gc.get_objects() if issubclass(type(item), patcher)]
    return web.json_response({id(model): type(model).__name__ for model in models})
"""


def install(base):
    """Add the pack to the ComfyUI of the folder `base`, before its start."""
    folder = base / "custom_nodes" / "model_probe"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(PACK)


def list_models(client):
    """Address -> class of each model in memory, whatever number of ModelPatchers share it."""
    return client.get_json("/probe/models")


def free_memory(client):
    """Ask ComfyUI to unload models and free memory; the models in memory once none is, or after 20 s."""
    body = json.dumps({"unload_models": True, "free_memory": True}).encode()
    deadline = time.monotonic() + 20
    while (left := list_models(client)) and time.monotonic() < deadline:
        # Again each time: ComfyUI's worker misses one that comes while it still tidies up after a run.
        client.read("/free", body, **{"Content-Type": "application/json"})
        time.sleep(0.5)
    return left
