"""Prompts in ComfyUI's own queue: submit, locate, remove and interrupt them.

What differs between releases of ComfyUI is looked for here; tests/nodes/test_queue_hooks.py runs on each.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import execution

import nodes

from .errors import PROCESSING_ERROR, ApiError, invalid_parameter, server_busy
from .graph import Prompt
from .parameters import FIELDS, label

IN_HISTORY = "history"
RUNNING = "running"
QUEUED = "queued"
MISSING = "missing"
STALLED_SECONDS = 10.0
OBSERVED_SECONDS = 3.0
"""Older observations do not count; each live job is located, and the worker observed, every second."""


@dataclass(frozen=True)
class ValidPrompt:
    """A prompt that ComfyUI accepts. outputs: all of its output nodes."""

    prompt: Prompt
    outputs: list[str]
    extra_data: dict[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a prompt is. position: 1 is the next of those that wait."""

    where: str
    position: int | None = None


def _describe_node_errors(node_errors: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "node": errors.get("class_type"),
            "input": (reason.get("extra_info") or {}).get("input_name"),
            "message": reason.get("message"),
            "reason": reason.get("details"),
        }
        for errors in node_errors.values()
        for reason in errors.get("errors", ())
    ]


def _validation_error(error: Any, node_errors: Mapping[str, Any]) -> ApiError:
    """A node refused a value (400, when it came from a form field) or the graph is wrong (500)."""
    described = _describe_node_errors(node_errors)
    for reason in described:
        if reason["input"] in FIELDS:
            message = f"Invalid {label(reason['input'])}. {reason['message']}"
            return invalid_parameter(message, reason["input"], errors=described)
    message = error["message"] if isinstance(error, Mapping) else str(error or "The graph is not valid")
    return ApiError(500, PROCESSING_ERROR, message, {"errors": described})


class PromptSubmitter:
    """Queues prompts on one PromptServer and finds them by their id."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._queue = server.prompt_queue
        self._idle_since: float | None = None
        self._observed = 0.0
        self._observing = threading.Lock()

    @staticmethod
    def require_nodes(prompt: Prompt) -> None:
        """Raise ApiError 503 where this ComfyUI lacks nodes of the prompt."""
        wanted = {node["class_type"] for node in prompt.values()}
        missing = sorted(wanted - nodes.NODE_CLASS_MAPPINGS.keys())
        if missing:
            message = f"This server lacks nodes that the job needs: {', '.join(missing)}"
            raise server_busy(503, message, "missing_nodes", 300, missing=missing)

    def require_worker(self) -> None:
        """Raise ApiError 503 where prompts have been waiting for long and ComfyUI runs none. Any thread."""
        self._list_queue()
        idle_since = self._idle_since
        if idle_since is not None and time.monotonic() - idle_since > STALLED_SECONDS:
            message = "ComfyUI begins no job, though some wait. Its log may say why; a restart helps"
            raise server_busy(503, message, "stalled", 60)

    async def validate(self, prompt_id: str, client_id: str, prompt: Prompt) -> ValidPrompt:
        """Have the prompt checked by other packs' handlers and by ComfyUI; raises ApiError."""
        self.require_nodes(prompt)
        body = self._server.trigger_on_prompt(
            {"prompt": prompt, "prompt_id": prompt_id, "client_id": client_id, "extra_data": {}}
        )
        prompt = body["prompt"]
        if hasattr(self._server, "node_replace_manager"):
            self._server.node_replace_manager.apply_replacements(prompt)
        valid, error, outputs, node_errors = await execution.validate_prompt(prompt_id, prompt, None)
        if not valid or node_errors:
            raise _validation_error(error, node_errors)
        extra_data = {**body.get("extra_data", {}), "client_id": client_id}
        return ValidPrompt(prompt, list(outputs), extra_data)

    def put(self, prompt_id: str, valid: ValidPrompt) -> None:
        """Queue the prompt; output nodes that are ready run in the order of `valid.outputs`."""
        number, self._server.number = self._server.number, self._server.number + 1
        extra_data = {**valid.extra_data, "create_time": int(time.time() * 1000)}
        sensitive = {
            key: extra_data.pop(key)
            for key in getattr(execution, "SENSITIVE_EXTRA_DATA_KEYS", ())
            if key in extra_data
        }
        self._queue.put((number, prompt_id, valid.prompt, extra_data, valid.outputs, sensitive))

    def locate(self, prompt_id: str) -> Place:
        """Where the prompt is now."""
        # The queue first: a prompt goes from it into the history, never back.
        running, waiting = self._list_queue()
        if prompt_id in running:
            return Place(RUNNING)
        if prompt_id in waiting:
            return Place(QUEUED, waiting.index(prompt_id) + 1)
        return Place(IN_HISTORY if prompt_id in self._queue.get_history(prompt_id=prompt_id) else MISSING)

    def _list_queue(self) -> tuple[list[str], list[str]]:
        """The ids of the prompts that run, and of those that wait, the next one first.

        Also records since when prompts wait and none runs.
        """
        running, queued = self._queue.get_current_queue_volatile()
        waiting = [item[1] for item in sorted(queued, key=lambda item: item[:2])]
        now = time.monotonic()
        with self._observing:
            if running or not waiting:
                self._idle_since = None
            elif self._idle_since is None or now - self._observed > OBSERVED_SECONDS:
                self._idle_since = now
            self._observed = now
        return [item[1] for item in running], waiting

    def count(self) -> int:
        """How many prompts are running or waiting."""
        return self._queue.get_tasks_remaining()

    def read_history(self, prompt_id: str) -> Mapping[str, Any]:
        """The history entry of an executed prompt, or an empty one."""
        return self._queue.get_history(prompt_id=prompt_id).get(prompt_id, {})

    def remove(self, prompt_id: str) -> bool:
        """Remove a waiting prompt from the queue; False when it is not waiting."""
        return self._queue.delete_queue_item(lambda item: item[1] == prompt_id)

    def interrupt(self, prompt_id: str) -> bool:
        """Signal the prompt to stop if it is the running one; False when it is not.

        ComfyUI clears the signal when it begins a prompt, so a signal may be lost: repeat it.
        """
        if hasattr(self._queue, "interrupt_if_running"):  # since 2026
            return bool(self._queue.interrupt_if_running(prompt_id))
        with self._queue.mutex:
            running = any(item[1] == prompt_id for item in self._queue.currently_running.values())
            if running:
                nodes.interrupt_processing()
        return running
