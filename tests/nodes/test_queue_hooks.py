"""ComfyUI's own prompt queue, of whichever release: what the service reads of it and does to it."""

import importlib
from types import SimpleNamespace

import pytest


@pytest.fixture
def hooks(comfyui_modules, monkeypatch):
    """queue: ComfyUI's, without a worker. submitter: ours on it. signals: one for each interruption."""
    submission = importlib.import_module("character3d.server_routes.submission")
    execution, nodes = (importlib.import_module(name) for name in ("execution", "nodes"))
    signals = []
    monkeypatch.setattr(nodes, "interrupt_processing", lambda *_args: signals.append(1))
    monkeypatch.setattr(submission, "nodes", nodes)
    monkeypatch.setattr(submission, "execution", execution)
    server = SimpleNamespace(number=0, queue_updated=lambda: None)
    server.prompt_queue = execution.PromptQueue(server)
    submitter = submission.PromptSubmitter(server)
    for name in ("first", "second", "third"):
        submitter.put(name, submission.ValidPrompt({}, [], {"client_id": name}))
    return SimpleNamespace(module=submission, queue=server.prompt_queue, submitter=submitter, signals=signals)


def test_prompts_are_found_from_the_queue_to_the_history(hooks):
    locate, module = hooks.submitter.locate, hooks.module
    assert [locate(name).position for name in ("first", "second", "third")] == [1, 2, 3]
    _, number = hooks.queue.get()
    assert locate("first").where == module.RUNNING and locate("second").position == 1
    hooks.queue.task_done(number, {"outputs": {}}, status=None)
    assert locate("first").where == module.IN_HISTORY
    assert locate("never").where == module.MISSING
    assert hooks.submitter.count() == 2


def test_a_waiting_prompt_is_removed(hooks):
    assert hooks.submitter.remove("second") and not hooks.submitter.remove("second")
    assert hooks.submitter.locate("third").position == 2


def test_only_the_running_prompt_is_interrupted(hooks):
    assert not hooks.submitter.interrupt("first") and hooks.signals == []
    hooks.queue.get()
    assert hooks.submitter.interrupt("first") and hooks.signals == [1]
    assert not hooks.submitter.interrupt("second") and hooks.signals == [1]
