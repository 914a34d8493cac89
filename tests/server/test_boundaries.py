"""Where the service meets ComfyUI and its own defects: nodes that are absent, values they refuse, users."""

import asyncio
import contextlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from character3d.server_routes import picture, submission
from character3d.server_routes.access import Access
from character3d.server_routes.errors import ApiError, answer_errors
from character3d.server_routes.graph import load_template
from character3d.server_routes.registration import register_routes


class Queue:
    """As much of ComfyUI's PromptQueue as is read here."""

    def __init__(self, running=(), waiting=(), history=()):
        self.mutex = threading.RLock()
        self.currently_running = dict(enumerate((0, prompt_id) for prompt_id in running))
        self.queue = list(waiting)
        self.history = {prompt_id: {} for prompt_id in history}

    def get_current_queue_volatile(self):
        return list(self.currently_running.values()), list(self.queue)

    def get_history(self, prompt_id):
        return {prompt_id: self.history[prompt_id]} if prompt_id in self.history else {}


def submitter(monkeypatch, queue=None, answer=(True, None, [], {}), classes=()):
    async def validate_prompt(prompt_id, prompt, partial):
        return answer

    server = SimpleNamespace(prompt_queue=queue or Queue(), trigger_on_prompt=lambda body: body, number=3)
    monkeypatch.setattr(submission.nodes, "NODE_CLASS_MAPPINGS", dict.fromkeys(classes), raising=False)
    monkeypatch.setattr(submission.execution, "validate_prompt", validate_prompt, raising=False)
    return submission.PromptSubmitter(server)


def refusal_of(work):
    with pytest.raises(ApiError) as caught:
        asyncio.run(work)
    return caught.value


def test_absent_nodes_are_named(monkeypatch):
    refusal = refusal_of(
        submitter(monkeypatch, classes=["LoadImage"]).validate("id", "client", load_template())
    )
    assert (refusal.status, refusal.code, refusal.details["reason"]) == (503, "SERVER_BUSY", "missing_nodes")
    assert "C3DGenerateMesh" in refusal.details["missing"] and "LoadImage" not in refusal.details["missing"]


@pytest.mark.parametrize(("input_name", "status"), [("steps", 400), ("weights", 500)])
def test_value_that_a_node_refuses(monkeypatch, input_name, status):
    prompt = load_template()
    reason = {"message": "Value too big", "details": "x", "extra_info": {"input_name": input_name}}
    node_errors = {"9": {"class_type": "C3DGenerateViews", "errors": [reason]}}
    classes = [node["class_type"] for node in prompt.values()]
    answer = (True, None, ["6"], node_errors)
    refusal = refusal_of(submitter(monkeypatch, None, answer, classes).validate("id", "client", prompt))
    assert refusal.status == status
    assert refusal.code == ("INVALID_PARAMETERS" if status == 400 else "PROCESSING_ERROR")


def test_places_of_a_prompt(monkeypatch):
    queue = Queue(running=["r"], waiting=[(7, "late"), (2, "early")], history=["h"])
    found = submitter(monkeypatch, queue)
    assert found.locate("r").where == submission.RUNNING
    assert found.locate("h").where == submission.IN_HISTORY
    assert found.locate("x").where == submission.MISSING
    assert [found.locate(name).position for name in ("early", "late")] == [1, 2]


def test_a_worker_that_begins_nothing_is_noticed(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(submission.time, "monotonic", lambda: clock.now)
    queue = Queue(waiting=[(1, "w")])
    found = submitter(monkeypatch, queue)
    for seconds, is_stalled in [(0, False), (100, False), *[(1, False)] * 10, (1, True)]:
        clock.now += seconds
        found.locate("w")
        with pytest.raises(ApiError) if is_stalled else contextlib.nullcontext() as refused:
            found.require_worker()
    assert (refused.value.status, refused.value.details["reason"]) == (503, "stalled")
    queue.currently_running = {0: (0, "w")}
    found.locate("w")
    found.require_worker()


def test_only_the_running_prompt_is_interrupted(monkeypatch):
    signals = []
    monkeypatch.setattr(submission.nodes, "interrupt_processing", lambda: signals.append(1), raising=False)
    found = submitter(monkeypatch, Queue(running=["r"], waiting=[(1, "w")]))
    assert not found.interrupt("w") and not signals
    assert found.interrupt("r") and len(signals) == 1


def test_queue_item_has_six_members(monkeypatch):
    queue = Queue()
    queue.put = queue.queue.append
    found = submitter(monkeypatch, queue)
    monkeypatch.setattr(submission.execution, "SENSITIVE_EXTRA_DATA_KEYS", ("key",), raising=False)
    valid = submission.ValidPrompt({"1": {}}, ["1"], {"client_id": "c", "key": "secret"})
    found.put("a", valid)
    found.put("b", valid)
    (number, prompt_id, prompt, extra, outputs, sensitive), second = queue.queue
    assert (number, prompt_id, prompt, outputs, sensitive) == (3, "a", {"1": {}}, ["1"], {"key": "secret"})
    assert extra["client_id"] == "c" and "key" not in extra and extra["create_time"] > 0
    assert second[0] == 4


async def test_a_defect_of_ours_is_answered_without_its_words():
    async def broken(request):
        raise KeyError("/home/me/secret")

    answer = await answer_errors(broken)(make_mocked_request("GET", "/job/x/status"))
    body = json.loads(answer.body)
    assert answer.status == 500 and body["error_code"] == "PROCESSING_ERROR"
    assert "secret" not in str(body) and body["details"]["request_id"]


@pytest.mark.parametrize(
    ("name", "user"),
    [
        (None, "peer:127.0.0.1"),
        ("anna", "user:anna"),
        ("nobody", "peer:127.0.0.1"),
        ("default", "peer:127.0.0.1"),
    ],
)
def test_users(name, user):
    manager = SimpleNamespace(users={"anna": "Anna", "default": "default"})
    headers = {"comfy-user": name} if name else {}
    request = make_mocked_request("POST", "/generate_character", headers=headers).clone(remote="127.0.0.1")
    assert Access().identify(request, manager) == user


def test_a_graph_that_does_not_fit_switches_the_service_off_and_core_stays(tmp_path, caplog):
    (tmp_path / "graph.json").write_text("{}")
    server = SimpleNamespace(app=web.Application(), routes=web.RouteTableDef(), prompt_queue=None)
    register_routes(server, None, None, None, tmp_path / "graph.json")
    assert len(server.routes) == len(server.app.router.routes()) == 0
    assert "the REST service is off" in caplog.text


def test_the_folder_of_pictures_is_there_only_while_it_holds_any(tmp_path):
    """Threads that store and delete at once never meet a folder that is gone."""

    def store_and_remove(job_id):
        for _ in range(100):
            name = picture.store_input(tmp_path, job_id, b"png")
            assert (tmp_path / name).read_bytes() == b"png"
            picture.remove_input(tmp_path, job_id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store_and_remove, map(str, range(8))))
    assert list(tmp_path.iterdir()) == []
