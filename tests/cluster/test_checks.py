"""Questions to workers over a real RabbitMQ; the ComfyUI beside each is played."""

import io
import threading
import time

import pytest

pytest.importorskip("celery", reason="Celery is not installed")
pytest.importorskip("fsspec", reason="fsspec is not installed")

from character3d.client import ServiceError
from character3d.cluster import checks as checks_module
from character3d.cluster.checks import CheckConsumer, make_asker
from character3d.cluster.files import ClusterFiles
from character3d.cluster.messages import make_celery
from character3d.tests.rabbitmq_server import run_rabbitmq

pytestmark = pytest.mark.nightly  # RabbitMQ takes a while to start


class PlayedComfyUI:
    """Answers with what it is asked; `errors` are raised first."""

    def __init__(self, *errors):
        self.errors, self.asked = list(errors), 0

    def check(self, path, files, fields):
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return {"path": path, "fields": fields, "sizes": [file.stat().st_size for file in files.values()]}


@pytest.fixture(scope="module")
def broker():
    with run_rabbitmq() as broker:
        if broker is None:
            pytest.skip("RabbitMQ is not installed")
        yield broker


@pytest.fixture
def files(tmp_path):
    return ClusterFiles(f"file://{tmp_path}")


@pytest.fixture
def run_workers(broker, files):
    running = []

    def start(*comfyuis):
        for comfyui in comfyuis:
            consumer = CheckConsumer(make_celery(broker.url), files, comfyui)
            thread = threading.Thread(target=consumer.run)
            thread.start()
            running.append((consumer, thread))

    yield start
    for consumer, thread in running:
        consumer.should_stop = True
        thread.join(30)


@pytest.fixture
def ask(broker, files):
    asker = make_asker(make_celery(broker.url))

    def ask(path="/character/check", **fields):
        with files.hold_question({"image": io.BytesIO(b"picture")}) as number:
            return asker({"path": path, "id": number, "fields": fields})

    return ask


def test_a_question_comes_back_with_its_answer(ask, run_workers):
    run_workers(PlayedComfyUI(), PlayedComfyUI())
    started = time.monotonic()
    answer = ask(figure=2)
    assert answer == {
        "status": 200,
        "body": {"path": "/character/check", "fields": {"figure": 2}, "sizes": [7]},
    }
    assert time.monotonic() - started < 10


def test_several_are_answered_at_once_each_by_its_own(ask, run_workers):
    run_workers(PlayedComfyUI(), PlayedComfyUI())
    answers = {}
    threads = [
        threading.Thread(target=lambda n=n: answers.update({n: ask(figure=n)["body"]["fields"]["figure"]}))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: n for n in range(8)}


def test_what_a_comfyui_refuses_is_refused(ask, run_workers):
    error = ServiceError(415, "Mesh format not supported", "UNSUPPORTED_FORMAT", {"parameter": "mesh"})
    run_workers(PlayedComfyUI(error))
    answer = ask("/character/rig_check")
    assert answer["status"] == 415 and answer["body"]["details"] == {"parameter": "mesh"}


def test_one_that_cannot_be_asked_leaves_it_to_others(ask, run_workers):
    away = PlayedComfyUI(*[ConnectionError("away"), ServiceError(503, "full", "SERVER_BUSY")])
    run_workers(away)
    assert ask()["status"] == 200 and away.asked == 3


def test_the_wait_is_bounded_and_late_workers_find_nothing(ask, run_workers, monkeypatch):
    monkeypatch.setattr(checks_module, "WAIT_SECONDS", 1.0)
    with pytest.raises(TimeoutError):
        ask()
    late = PlayedComfyUI()
    run_workers(late)
    assert ask()["status"] == 200 and late.asked == 1


def test_questions_outlive_a_broker_that_restarts(ask, broker, run_workers):
    run_workers(PlayedComfyUI())
    assert ask()["status"] == 200
    broker.kill()
    with pytest.raises(OSError):
        ask()
    broker.start()
    deadline = time.monotonic() + 60
    while True:
        try:
            assert ask()["status"] == 200
            break
        except OSError:
            assert time.monotonic() < deadline
