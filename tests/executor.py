"""ComfyUI's executor inside this process: prompts run without a server, under any of its caches."""

import gc
import importlib
import inspect

import comfy.model_management


class Server:
    """What the executor tells its events; nobody listens."""

    client_id = last_node_id = None

    def send_sync(self, event, data, client_id=None):
        pass


class Executor:
    """Runs prompts one after the other. has_cache: whether outputs are kept from one to the next."""

    def __init__(self, cache="CLASSIC"):
        execution = importlib.import_module("execution")
        kind = getattr(execution.CacheType, cache)
        sizes = {"lru": 10, "ram": 0.0, "ram_inactive": 0.0}
        named = "cache_args" in inspect.signature(execution.PromptExecutor).parameters
        limits = {"cache_args": sizes} if named else {"cache_size": sizes["lru"]}
        self._executor = execution.PromptExecutor(Server(), cache_type=kind, **limits)
        self.has_cache = cache != "NONE"

    def run(self, prompt, output):
        """Run a prompt to its output node; the nodes that were taken from the cache."""
        self._executor.execute(prompt, "prompt", {}, [output])
        messages = dict(self._executor.status_messages)
        assert self._executor.success, messages["execution_error"]["exception_message"]
        gc.collect()
        return messages["execution_cached"]["nodes"]

    def free_memory(self):
        """What ComfyUI does at POST /free with unload_models and free_memory."""
        comfy.model_management.unload_all_models()
        self._executor.reset()
        gc.collect()
