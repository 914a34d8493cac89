"""Jobs on disk: a record comes back as the job it was, and only live jobs stay in memory."""

import dataclasses
import os
import sqlite3
import time

import pytest
from character3d.server_routes import picture
from character3d.server_routes import store as store_module
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.errors import ApiError
from character3d.server_routes.files import measure_files
from character3d.server_routes.graph import build_graph, load_template
from character3d.server_routes.jobs import Failure, Job
from character3d.server_routes.records import job_to_row, read_parameters, row_to_job
from character3d.server_routes.status import describe_job
from character3d.server_routes.store import JobStore

from .test_jobs import EXPECTED, FILES, Run


@pytest.fixture
def database(tmp_path):
    database = JobDatabase(tmp_path / "user")
    yield database
    database.close()


@pytest.fixture
def store(database):
    template = load_template()

    def restore(row):
        graph = build_graph(template, row.id, "x.png", read_parameters(row.body).values)
        return row_to_job(row, graph, database.events(row.id))

    return JobStore(database, restore)


def start(database, store, number, user="u", **form):
    run = Run(**form)
    job = Job(f"job{number}", user, run.job.parameters, run.job.graph, EXPECTED, created=1000.0 + number)
    database.insert(job_to_row(job))
    store.add(job)
    return job


def test_a_completed_job_comes_back_as_it_was(database, store, tmp_path):
    run = Run(prompt="a knight", seed="7", unknown="x")
    database.insert(job_to_row(run.job))
    store.add(run.job)
    run.send("execution_start")
    for title in [*FILES, "Generate mesh"]:
        run.send("executed", node=run.ids[title], output=run.output(title))
    run.finish(*run.ids)
    (tmp_path / "3D").mkdir()
    for name in FILES.values():
        (tmp_path / "3D" / name).write_text(name)
    run.job.complete(measure_files(tmp_path, run.job.files))
    (row,) = database.newest("completed", 5)
    again = row_to_job(row, run.job.graph, database.events("job"))
    assert describe_job(again) == describe_job(run.job)
    assert again.log.since(0) == run.job.log.since(0) and again.log.last_seq == run.job.log.last_seq
    assert store.live == []


def test_a_failed_job_comes_back_with_its_reason(database, store):
    job = start(database, store, 1)
    job.start()
    job.fail(Failure("Rigging failed", "no standing humanoid", "rigging"), {})
    store._ended.clear()
    assert describe_job(store.find("job1")) == describe_job(job)
    assert store.find("job1") is not job


def test_ended_jobs_leave_the_memory_but_not_the_store(database, store, monkeypatch):
    monkeypatch.setattr(store_module, "ENDED_IN_MEMORY", 3)
    jobs = [start(database, store, number) for number in range(8)]
    for job in jobs[:6]:
        job.fail(Failure("x", "", None), {})
    assert len(store._ended) == 3 and store.live == jobs[6:]
    assert [store.find(job.id).state for job in jobs] == ["failed"] * 6 + ["queued"] * 2


def test_unknown_and_deleted_jobs(database, store):
    job = start(database, store, 1)
    job.fail(Failure("x", "", None), {})
    with pytest.raises(ApiError) as unknown:
        store.find("job2")
    store.forget(job.id)
    with pytest.raises(ApiError) as gone:
        store.find("job1")
    assert (unknown.value.status, gone.value.status) == (404, 410)
    database.forget_graves(time.time() + 1)
    with pytest.raises(ApiError) as forgotten:
        store.find("job1")
    assert forgotten.value.status == 404


def test_progress_between_two_events_is_stored_like_that_of_an_event(database, store):
    job = start(database, store, 1)
    job.start()
    events = job.log.last_seq
    (node,) = (key for key, node in job.graph.prompt.items() if node["class_type"] == "C3DBakeTexture")
    for fraction in (0.3, 0.6, 0.9):
        before = job.progress
        job.advance({node: fraction})
        assert database.find(job.id).body["progress"] == job.progress > before
    assert job.log.last_seq == events


def test_progress_is_history_once_a_job_has_ended(database, store):
    job = start(database, store, 1)
    job.start()
    job.advance(dict.fromkeys(job.graph.prompt, 1.0))
    assert {"progress_update", "stage_completed"} <= {event.type for event in database.events("job1")}
    job.fail(Failure("x", "", None), {})
    stored = database.events("job1")
    assert stored == job.log.since(0) and stored[-1].type == "error"
    assert all(event.type != "progress_update" for event in stored)


def test_a_full_disk_does_not_stop_a_job(database, store, monkeypatch):
    job = start(database, store, 1)

    def refuse(*update):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(database, "update", refuse)
    job.start()
    job.fail(Failure("x", "", None), {})
    assert store.find("job1").state == "failed"


def test_a_jobs_end_and_its_webhook_are_one_commit(database, store):
    job = start(database, store, 1, webhook_url="https://example.com/hook")
    job.start()
    assert database.next_delivery() is None
    database._connection.execute(
        "CREATE TRIGGER no BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, ''); END"
    )
    job.fail(Failure("x", "", None), {})
    assert database.find(job.id).state == "processing" and database.events(job.id)[-1].type != "error"


def test_others_may_read_and_write_while_a_new_job_waits_for_the_disk(database, monkeypatch):
    synced = []

    def sync(descriptor):
        assert os.fstat(descriptor).st_ino == os.stat(f"{database.path}-wal").st_ino
        assert database.find("job").state == "queued"
        database.update(dataclasses.replace(row, state="processing"))
        synced.append(descriptor)

    row = job_to_row(Run().job)
    monkeypatch.setattr(os, "fsync", sync)
    database.insert(row)
    assert len(synced) == 1 and database.find("job").state == "processing"


def test_a_picture_is_on_disk_before_its_record(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    picture.store_input(tmp_path, "job", b"x" * 1000)
    assert synced == [1000]


def test_a_second_server_takes_another_file(tmp_path):
    first, second = JobDatabase(tmp_path), JobDatabase(tmp_path)
    assert (first.path.name, second.path.name) == ("jobs.sqlite3", "jobs-2.sqlite3")
    first.close()
    third = JobDatabase(tmp_path)
    assert third.path.name == "jobs.sqlite3"
    for database in (second, third):
        database.close()


def test_idempotency_keys_expire(database):
    run = Run()
    row = job_to_row(run.job)
    database.insert(row, ("key", "digest"))
    assert database.find_request("user", "key", row.created - 1) == ("digest", "job")
    assert database.find_request("user", "key", row.created + 1) is None
    assert database.find_request("other", "key", 0) is None


def test_pages_go_on_exactly_where_they_ended_whatever_the_clock_does(tmp_path):
    database = JobDatabase(tmp_path)
    ids = [str(number) for number in range(40)]
    for number, job_id in enumerate(ids):
        database.insert(Row(job_id, "anna", 1.79e9 - 0.37 * number, None, "queued", {}))
    database.bury("20", None)
    listed, before = [], None
    while page := database.jobs_of("anna", ("queued",), before, 7):
        listed += [row.id for row in page]
        before = listed[-1]
        if before == "19":
            database.bury("19", None)  # the page that follows has lost its beginning
    assert listed == [job_id for job_id in reversed(ids) if job_id != "20"]
