"""A worker on a real PostgreSQL; the ComfyUI beside it is played, with the bodies that the service makes."""

import contextlib
import hashlib
import io
import json
import logging
import queue
import threading

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed")
pytest.importorskip("celery", reason="Celery is not installed")

from celery.contrib.testing.worker import start_worker
from celery.signals import worker_ready
from character3d.client import ServiceError, connection
from character3d.cluster import comfyui as comfyui_module
from character3d.cluster import worker as worker_module
from character3d.cluster.comfyui import ComfyUI
from character3d.cluster.files import ClusterFiles
from character3d.cluster.intake import Intake
from character3d.cluster.jobs import RemoteJob
from character3d.cluster.ledger import FencedError, Ledger
from character3d.cluster.messages import QUEUE, TASK, make_celery, make_sender
from character3d.cluster.worker import MOST_ATTEMPTS, Worker
from character3d.pipeline.types import StageReport
from character3d.server_routes.database import JobDatabase
from character3d.server_routes.ended_job import read_ended_job
from character3d.server_routes.estimates import STAGE_SECONDS, Estimate
from character3d.server_routes.files import JobFile, measure_files
from character3d.server_routes.graph import build_graph, load_template
from character3d.server_routes.job_record import job_to_row, read_picture_facts
from character3d.server_routes.jobs import Failure, Job
from character3d.server_routes.live_job import LiveJob
from character3d.server_routes.mesh_jobs import adapt_parameters
from character3d.server_routes.parameters import parse_parameters
from character3d.server_routes.postgres_engine import PostgresEngine
from character3d.server_routes.status import describe_job
from character3d.tests.loopback import serve_answers

JOB, LOCAL = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
NAMES = {"raw_mesh": "Hy3D_00001_.glb", "textured_mesh": "Hy3D_textured_00001_.glb"}


def new_job(job_id, user="anna", **fields):
    parameters = parse_parameters({"seed": "7", **fields}, ())
    graph = build_graph(load_template(), job_id, {"image": "x.png"}, parameters.values)
    return Job(job_id, user, parameters, graph, Estimate((5, 10), STAGE_SECONDS))


class PlayedComfyUI:
    """Runs one job: `steps` are done one after the other, each when its events have been taken."""

    def __init__(self, folder, fails=False):
        self.picture, self.pictures = b"\x89PNG", [JobFile("cut_out", "preprocessing", "a b.png")]
        self.folder, self.fails, self.started, self.stopped, self.forgotten = folder, fails, [], [], []
        self.between, self.discarded = lambda step: None, []

    def start(self, job_id, files, fields):
        self.started.append((job_id, {name: path.read_bytes() for name, path in files.items()}, fields))
        return LOCAL

    def follow(self, local_id):
        job = new_job(local_id)
        events = LiveJob(job).log
        sent = 0
        for step, act in enumerate([job.start, self._save, self._end]):
            act(*(() if act == job.start else (job,)))
            self.between(step)
            for event in events.since(sent):
                yield event.frame()
            sent = events.last_seq

    def _save(self, job):
        job.add_report(StageReport("preprocessing", "border", 1.5))
        job.add_pictures(self.pictures)
        for key, name in NAMES.items():
            (self.folder / name).write_text(key)
            job.add_file(JobFile(key, "mesh_generation", name))

    def _end(self, job):
        facts = measure_files(self.folder, job.files)
        if self.stopped or self.fails:
            job.fail(Failure("Cancelled", "by hand", "rigging", cancelled=bool(self.stopped)), facts)
        else:
            job.complete(facts)

    def fetch(self, local_id, name, folder):
        assert local_id == LOCAL
        path = folder / name
        path.write_bytes((self.folder / name).read_bytes())
        return path

    def fetch_picture(self, local_id, name, folder):
        (folder / name).write_bytes(self.picture)
        return folder / name if self.picture else None

    def stop(self, local_id):
        self.stopped.append(local_id)
        return True

    def discard(self, local_id):
        self.discarded.append(local_id)

    def forget(self, local_id):
        self.forgotten.append(local_id)


@pytest.fixture
def database(postgres):
    database = JobDatabase(PostgresEngine(postgres.new_schema()))
    yield database
    database.close()


@pytest.fixture
def ledger(database):
    return Ledger(database.engine)


@pytest.fixture
def files(tmp_path):
    return ClusterFiles(f"file://{tmp_path / 'files'}")


@pytest.fixture
def comfyui(tmp_path):
    (tmp_path / "output").mkdir()
    return PlayedComfyUI(tmp_path / "output")


@pytest.fixture
def worker(database, files, comfyui, monkeypatch):
    monkeypatch.setattr(worker_module, "BEAT_SECONDS", 0.01)
    return Worker("a", database, files, comfyui)


def accept(ledger, files, tmp_path, **fields):
    job = new_job(JOB, **fields)
    (tmp_path / "x.png").write_bytes(b"picture")
    with (tmp_path / "x.png").open("rb") as picture:
        files.keep_uploads(JOB, {"image": picture})
    assert ledger.accept(job_to_row(job, json.dumps(describe_job(job))), None) is None
    return job


def test_a_job_runs_to_its_end_under_the_clusters_id(worker, database, ledger, files, comfyui, tmp_path):
    job = accept(ledger, files, tmp_path, webhook_url="https://example.com/hook")
    worker.run_job(JOB, False)
    ((key, sent, fields),) = comfyui.started
    assert (key, sent, fields["seed"]) == (JOB, {"image": b"picture"}, 7) and "webhook_url" not in fields
    ended = read_ended_job(database.find(JOB))
    body = ended.describe()
    assert (body["status"], body["progress"], body["attempts"]) == ("completed", 100, 1)
    assert body["created_at"] == describe_job(job)["created_at"] and LOCAL not in ended.text
    assert {file.name: ended.facts[file].sha256 for file in ended.files} == {
        name: hashlib.sha256(key.encode()).hexdigest() for key, name in NAMES.items()
    }
    for entry in body["downloads"]:
        assert entry["url"] == f"/job/{JOB}/download/{entry['name']}"
        with files.open_result(JOB, 1, entry["name"]) as file:
            assert hashlib.sha256(file.read()).hexdigest() == entry["sha256"]
    events = database.events(JOB)
    assert events[-1].type == "job_completed" and events[-1].data == body
    (delivery,) = database.due_deliveries(1e11)
    assert json.loads(delivery.body)["data"] == body
    assert comfyui.forgotten == [LOCAL] and ledger.claim(JOB, "b", True) is None


def test_what_stages_show_is_there_while_the_job_runs(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)
    shown = {"stage": "preprocessing", "shows": "cut_out", "url": f"/job/{JOB}/pictures/a%20b.png"}

    def look(step):
        if step == 2:
            job = RemoteJob(database.find(JOB))
            assert job.describe()["pictures"] == [shown]
            (picture,) = job.pictures
            assert picture.picture_url(JOB) == shown["url"]
            with files.open_result(JOB, 1, picture.relative) as file:
                assert file.read() == comfyui.picture

    comfyui.between = look
    worker.run_job(JOB, False)
    ended = read_ended_job(database.find(JOB))
    assert ended.describe()["pictures"] == [shown]
    (facts,) = read_picture_facts(ended.record).values()
    assert (facts.size, facts.sha256) == (4, hashlib.sha256(comfyui.picture).hexdigest())


def test_no_event_is_newer_than_the_status(worker, database, ledger, files, tmp_path, monkeypatch):
    accept(ledger, files, tmp_path)
    record, seen = Ledger.record, []

    def look(self, row, attempt, event, delivery):
        record(self, row, attempt, event, delivery)
        body = json.loads(database.find(JOB).status)
        assert body["progress"] >= event.data.get("progress", 0)
        if event.type == "stage_completed":
            states = {stage["name"]: stage["status"] for stage in body["stages"]}
            assert states[event.data["stage"]] == "completed"
        seen.append(event.type)

    monkeypatch.setattr(Ledger, "record", look)
    worker.run_job(JOB, False)
    assert "stage_completed" in seen and seen[-1] == "job_completed"


def test_a_picture_that_is_gone_stops_no_job(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)
    comfyui.picture = b""
    worker.run_job(JOB, False)
    body = read_ended_job(database.find(JOB)).describe()
    assert (body["status"], body["pictures"]) == ("completed", [])


def test_a_job_that_is_given_up_keeps_what_was_made(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)

    def die(step):
        if step == 2:
            raise KeyboardInterrupt

    comfyui.between = die
    with contextlib.suppress(KeyboardInterrupt):
        worker.run_job(JOB, False)
    for _ in range(MOST_ATTEMPTS):
        ledger.claim(JOB, "dead", True)
    worker.run_job(JOB, True)
    body = read_ended_job(database.find(JOB)).describe()
    assert (body["status"], body["error"]) == ("failed", "Given up")
    assert sorted(entry["name"] for entry in body["downloads"]) == sorted(NAMES.values())
    assert body["pictures"][0]["stage"] == "preprocessing"


def test_a_job_of_a_mesh_is_given_up_with_the_stages_of_one(worker, database, ledger, files, tmp_path):
    parameters = adapt_parameters(parse_parameters({}, ()))
    graph = build_graph(load_template(), JOB, {"mesh": JOB}, parameters.values)
    job = Job(JOB, "anna", parameters, graph, Estimate((5, 10), STAGE_SECONDS))
    row = job_to_row(job, json.dumps(describe_job(job)))
    assert ledger.accept(row, None) is None
    files.keep_uploads(JOB, {"mesh.glb": io.BytesIO(b"glTF")})
    for _ in range(MOST_ATTEMPTS):
        ledger.claim(JOB, "dead", True)
    worker.run_job(JOB, True)
    stages = json.loads(database.find(JOB).status)["stages"]
    assert [stage["name"] for stage in stages] == ["preprocessing", "rigging"]


def test_the_next_worker_starts_again_and_the_first_writes_nothing(
    worker, database, ledger, files, comfyui, tmp_path
):
    accept(ledger, files, tmp_path)

    def replace(step):
        if step == 1:
            assert ledger.claim(JOB, "b", True) == 2

    comfyui.between = replace
    worker.run_job(JOB, False)
    row = database.find(JOB)
    assert row.ended is None and (comfyui.forgotten, comfyui.discarded) == ([], [LOCAL])
    comfyui.between, comfyui.stopped = (lambda step: None), []
    worker.run_job(JOB, True)
    body = json.loads(database.find(JOB).status)
    assert (body["status"], body["attempts"]) == ("completed", 3)


def test_an_end_that_was_published_but_not_stored_is_stored(
    worker, database, ledger, files, comfyui, tmp_path, monkeypatch
):
    """The worker died between the manifest and the commit; nothing runs twice."""
    accept(ledger, files, tmp_path)
    record = Ledger.record

    def die(self, row, *arguments):
        if row.ended is not None:
            raise KeyboardInterrupt
        record(self, row, *arguments)

    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Ledger, "record", die)
        worker.run_job(JOB, False)
    assert database.find(JOB).ended is None
    worker.run_job(JOB, True)
    ended = read_ended_job(database.find(JOB))
    assert ended.describe()["status"] == "completed" and len(comfyui.started) == 1
    assert ended.record["attempts"] == 1  # whose files they are
    assert database.events(JOB)[-1].type == "job_completed"


def test_a_job_that_kills_its_workers_is_given_up(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)
    for _ in range(MOST_ATTEMPTS):
        ledger.claim(JOB, "dead", True)
    worker.run_job(JOB, True)
    body = json.loads(database.find(JOB).status)
    assert (body["status"], body["error"], body["failed_stage"]) == ("failed", "Given up", None)
    assert f"{MOST_ATTEMPTS} times" in body["error_details"] and comfyui.started == []


def test_a_client_stops_a_running_job(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)
    told = threading.Event()
    comfyui.stop = lambda local_id: comfyui.stopped.append(local_id) or told.set() or True

    def cancel(step):
        if step == 1:
            assert ledger.request_stop(JOB) == 1
            assert told.wait(20)

    comfyui.between = cancel
    worker.run_job(JOB, False)
    body = json.loads(database.find(JOB).status)
    assert (body["status"], body["cancelled"]) == ("failed", True)


def test_a_job_that_comfyui_refuses_fails_with_its_reason(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)

    def refuse(*arguments):
        raise ServiceError(400, "Invalid model name")

    comfyui.start = refuse
    worker.run_job(JOB, False)
    body = json.loads(database.find(JOB).status)
    assert body["status"] == "failed" and "Invalid model name" in body["error_details"]


def test_a_message_that_the_broker_lost_is_sent_once_more(worker, database, ledger, files, tmp_path):
    accept(ledger, files, tmp_path)
    sent = []
    ledger.send_messages(lambda job_id, queue: sent.append(job_id))
    ledger.claim(JOB, "a", False)
    assert ledger.resend_lost() == 0
    with database.engine.transaction() as session:
        session.execute("UPDATE jobs SET heard = heard - 1000")
    assert [ledger.resend_lost(), ledger.resend_lost()] == [1, 0]
    ledger.send_messages(lambda job_id, queue: sent.append(job_id))
    assert sent == [JOB, JOB] and ledger.claim(JOB, "b", False) == 2


def test_failures_keep_what_was_made(worker, database, ledger, files, comfyui, tmp_path):
    accept(ledger, files, tmp_path)
    comfyui.fails = True
    worker.run_job(JOB, False)
    ended = read_ended_job(database.find(JOB))
    assert ended.describe()["status"] == "failed"
    assert sorted(file.name for file in ended.files) == sorted(NAMES.values())


def test_an_ended_job_is_not_written(worker, database, ledger, files, tmp_path):
    accept(ledger, files, tmp_path)
    worker.run_job(JOB, False)
    with pytest.raises(FencedError):
        ledger.beat(JOB, 1)


def test_files_that_are_away_for_a_moment_cost_no_attempt(
    worker, database, ledger, files, tmp_path, monkeypatch
):
    accept(ledger, files, tmp_path)
    monkeypatch.setattr(worker_module, "PAUSE", 0.01)
    failures = {"fetch_uploads": 2, "keep_result": 1, "publish": 1, "read_manifest": 1}

    def break_down(name, work):
        def try_it(*arguments):
            failures[name] -= 1
            if failures[name] >= 0:
                raise OSError("the bucket is away")
            return work(*arguments)

        return try_it

    for name in failures:
        monkeypatch.setattr(files, name, break_down(name, getattr(files, name)))
    worker.run_job(JOB, False)
    body = json.loads(database.find(JOB).status)
    assert (body["status"], body["attempts"]) == ("completed", 1)
    assert all(left < 0 for left in failures.values())


def test_a_claim_whose_answer_was_lost_is_made_again(ledger, files, tmp_path):
    accept(ledger, files, tmp_path)
    assert ledger.claim(JOB, "a", False) == 1
    assert ledger.claim(JOB, "b", False) is None  # a runs it
    assert ledger.claim(JOB, "a", False) == 2  # a runs one job at a time: it was not told of the first


def test_a_comfyui_that_restarts_is_waited_for(monkeypatch):
    monkeypatch.setattr(comfyui_module, "PAUSE", 0.01)
    monkeypatch.setattr(connection, "FIRST_PAUSE", 0.01)
    accepted = json.dumps({"job_id": LOCAL}).encode()
    answers = iter([None] * 5 + [(409, {}, b'{"error_code": "BUSY", "message": "in progress"}')])
    keys = set()

    def answer(request):
        keys.add(request.headers["Idempotency-Key"])
        return next(answers, (202, {"Content-Type": "application/json"}, accepted))

    with serve_answers(answer) as url:
        assert ComfyUI(url).start(JOB, {"image": b"picture"}, {}) == LOCAL
        assert keys == {JOB}
    assert not ComfyUI(url).answers()


@pytest.fixture
def log_level():
    """The level of the root logger, which Celery's worker for tests sets."""
    level = logging.root.level
    yield
    logging.root.setLevel(level)


@pytest.mark.usefixtures("log_level")
def test_a_worker_takes_no_messages_while_its_intake_is_closed():
    app = make_celery("memory://")
    intake, ran = Intake(QUEUE), queue.SimpleQueue()

    @app.task(name=TASK)
    def take(job_id):
        ran.put(job_id)

    with start_worker(app, pool="threads", perform_ping_check=False, shutdown_timeout=30) as celery:
        worker_ready.send(sender=celery.consumer)  # Celery's own command does so
        send = make_sender(app)
        send("first", QUEUE)
        assert ran.get(timeout=20) == "first"
        intake.close()
        send("second", QUEUE)
        with pytest.raises(queue.Empty):
            ran.get(timeout=1)
        intake.open()
        assert ran.get(timeout=20) == "second"
