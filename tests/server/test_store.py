"""Jobs on disk: stored before anybody hears of them, served as stored once they have ended.

What uses the fixtures `threads`, `database` or `store` is held to both databases, SQLite and PostgreSQL.
"""

import asyncio
import dataclasses
import json
import os
import threading
import time

import pytest
from character3d.server_routes import picture
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.database_engine import DatabaseError
from character3d.server_routes.database_threads import DatabaseThreads
from character3d.server_routes.errors import ApiError
from character3d.server_routes.files import measure_files
from character3d.server_routes.job_record import job_to_row, row_to_job
from character3d.server_routes.jobs import COMPLETED, FAILED, PROCESSING, QUEUED, Failure, Job
from character3d.server_routes.sqlite_engine import SqliteEngine
from character3d.server_routes.status import describe_job
from character3d.server_routes.store import JobStore

from .conftest import check_answer
from .test_jobs import EXPECTED, FILES, Run

UNKNOWN = "00000000-0000-4000-8000-000000000000"
STATES = (QUEUED, PROCESSING, COMPLETED, FAILED)


@pytest.fixture
async def threads(engine):
    threads = DatabaseThreads(JobDatabase(engine))
    yield threads
    await threads.close()


@pytest.fixture
def database(threads):
    return threads.database


@pytest.fixture
def store(threads):
    return JobStore(threads)


def start(database, store, number, user="u", **form):
    run = Run(**form)
    job = Job(f"job{number}", user, run.job.parameters, run.job.graph, EXPECTED, created=1000.0 + number)
    database.insert(job_to_row(job))
    return store.add(job)


def execute(database, statement, *values):
    with database.engine.transaction() as session:
        return session.execute(statement, values)


async def fail(store, live, message="x", stage=None):
    live.job.fail(Failure(message, "no standing humanoid", stage), {})
    store.finish(live, await live.stored())


def hold_writes(threads):
    """The writer thread waits until the event is set."""
    go_on = threading.Event()
    threads._writer.submit(go_on.wait)
    return go_on


async def run_to_its_end(database, store, tmp_path, **form):
    """A job with all its files, completed; and its status as clients saw it last."""
    run = Run(**form)
    database.insert(job_to_row(run.job))
    live = store.add(run.job)
    await run.listener.send_json({"type": "execution_start", "data": {"prompt_id": "job"}})
    for title in [*FILES, "Generate mesh"]:
        data = {"prompt_id": "job", "node": run.ids[title], "output": run.output(title)}
        await run.listener.send_json({"type": "executed", "data": data})
    (tmp_path / "3D").mkdir()
    for name in FILES.values():
        (tmp_path / "3D" / name).write_text(name)
    run.job.complete(measure_files(tmp_path, run.job.files))
    store.finish(live, await live.stored())
    return run.job, live


async def test_a_completed_job_comes_back_as_it_was(database, store, tmp_path):
    job, live = await run_to_its_end(database, store, tmp_path, prompt="a knight", seed="7", unknown="x")
    (row,) = database.newest("completed", 5)
    assert describe_job(row_to_job(row, job.graph)) == describe_job(job)
    ended = await store.find("job")
    assert ended.is_over and store.live == []
    assert ended.text == live.text and ended.describe() == describe_job(job)
    assert (ended.files, ended.facts) == (job.files, job.facts)
    assert ended.describe_acceptance()["parameters"] == ended.describe()["parameters"]
    log = await store.find_log(ended)
    assert log.since(0) == live.log.since(0) and log.is_closed
    assert log.since(0)[-1].data == ended.describe()


async def test_a_failed_job_comes_back_with_its_reason(database, store):
    live = start(database, store, 1)
    live.job.start()
    await fail(store, live, "Rigging failed", "rigging")
    assert (await store.find("job1")).text == live.text
    assert json.loads(live.text)["error"] == "Rigging failed"


async def test_only_live_jobs_stay_in_memory(database, store):
    jobs = [start(database, store, number) for number in range(8)]
    for live in jobs[:6]:
        await fail(store, live)
    assert store.live == jobs[6:]
    found = [(await store.find(live.id)).describe()["status"] for live in jobs]
    assert found == ["failed"] * 6 + ["processing"] * 2


async def test_unknown_and_deleted_jobs(database, store):
    live = start(database, store, 1)
    await fail(store, live)
    with pytest.raises(ApiError) as unknown:
        await store.find("job2")
    ended = await store.find("job1")
    await store.delete(ended)
    with pytest.raises(ApiError) as gone:
        await store.find("job1")
    with pytest.raises(ApiError) as again:
        await store.delete(ended)
    assert [error.value.status for error in (unknown, gone, again)] == [404, 410, 410]
    database.purge_tombstones(time.time() + 1)
    with pytest.raises(ApiError) as forgotten:
        await store.find("job1")
    assert forgotten.value.status == 404


async def test_nothing_is_told_before_it_is_stored(threads, database, store):
    """Neither events nor the status: while the writer waits, clients see the job as it is on disk."""
    live = start(database, store, 1)
    subscriber, before = live.log.subscribe(), live.describe()
    go_on = hold_writes(threads)
    live.job.start()
    live.job.set_queue_position(7)
    live.job.advance(dict.fromkeys(live.job.graph.prompt, 0.5))
    await asyncio.sleep(0)
    assert live.job.progress > 0 == live.log.last_seq
    assert {**live.describe(), **before} == before | live.describe() == live.describe()
    assert live.describe()["progress"] == 0 and live.describe()["attempts"] == 0
    go_on.set()
    await live.stored()
    event = await subscriber.take()
    assert event.data["progress"] <= live.describe()["progress"] == live.job.progress
    assert database.find("job1").body["progress"] == live.job.progress
    assert [event.seq for event in live.log.since(0)] == list(range(1, live.log.last_seq + 1))


async def test_writing_holds_up_neither_the_loop_nor_readers(threads, database, store):
    live = start(database, store, 1)
    other = start(database, store, 2)
    await fail(store, other)
    go_on = hold_writes(threads)
    live.job.start()
    assert (await store.find("job2")).describe()["status"] == "failed"
    jobs, _ = await store.list_jobs("u", STATES, None, 5)
    assert [job.id for job in jobs] == ["job2", "job1"]
    assert not live._last_write.done()
    go_on.set()


async def test_progress_between_two_events_is_stored_like_that_of_an_event(database, store):
    live = start(database, store, 1)
    live.job.start()
    await live.stored()
    events = live.log.last_seq
    (node,) = (key for key, node in live.job.graph.prompt.items() if node["class_type"] == "C3DBakeTexture")
    for fraction in (0.3, 0.6, 0.9):
        before = live.job.progress
        live.job.advance({node: fraction})
        await live.stored()
        assert database.find(live.id).body["progress"] == live.describe()["progress"] > before
    assert live.log.last_seq == events


async def test_progress_is_history_once_a_job_has_ended(database, store):
    live = start(database, store, 1)
    live.job.start()
    live.job.advance(dict.fromkeys(live.job.graph.prompt, 1.0))
    await live.stored()
    assert {"progress_update", "stage_completed"} <= {event.type for event in database.events("job1")}
    await fail(store, live)
    stored = database.events("job1")
    assert stored == live.log.since(0) and stored[-1].type == "error"
    assert all(event.type != "progress_update" for event in stored)


async def test_a_full_disk_does_not_stop_a_job(database, store, monkeypatch):
    """It ends, is found so long as the server lives, and is stored when there is room again."""
    live = start(database, store, 1)

    def refuse(*update):
        raise DatabaseError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(JobDatabase, "update", refuse)
        live.job.start()
        await fail(store, live)
        assert live.log.is_closed and store.live == []
        assert (await store.find("job1")).text == live.text
        jobs, _ = await store.list_jobs("u", STATES, None, 5)
        assert [job.text for job in jobs] == [live.text]
        with pytest.raises(DatabaseError):
            await store.retry_unsaved()
        assert database.find("job1").ended is None
    retrying = asyncio.create_task(store.retry_unsaved())
    while database.find("job1").ended is None:
        await asyncio.sleep(0.001)
    retrying.cancel()
    assert (await store.find("job1")).text == live.text


async def test_a_jobs_end_and_its_webhook_are_one_commit(database, store):
    live = start(database, store, 1, webhook_url="https://example.com/hook?token=secret")
    live.job.start()
    await live.stored()
    assert database.next_delivery() is None
    execute(database, "ALTER TABLE deliveries RENAME TO elsewhere")
    live.job.fail(Failure("x", "", None), {})
    assert not await live.stored()
    assert database.find(live.id).state == "processing" and database.events(live.id)[-1].type != "error"


async def test_a_webhook_goes_to_the_whole_url_and_nobody_is_shown_its_query(database, store):
    live = start(database, store, 1, webhook_url="https://example.com/hook?token=secret#x")
    live.job.start()
    await fail(store, live)
    (delivery,) = database.due_deliveries(time.time() + 1)
    assert delivery.url == "https://example.com/hook?token=secret#x"
    shown = [live.text, str(live.describe_acceptance()), delivery.body, str(database.events("job1"))]
    for text in shown:
        assert "secret" not in text
    assert "https://example.com/hook" in live.text


def test_others_may_read_and_write_while_a_new_job_waits_for_the_disk(tmp_path, monkeypatch):
    synced, database = [], JobDatabase(SqliteEngine(tmp_path))

    def sync(descriptor):
        assert os.fstat(descriptor).st_ino == os.stat(f"{database.engine.path}-wal").st_ino
        assert database.find("job").state == "queued"
        database.update(dataclasses.replace(row, state="processing"))
        synced.append(descriptor)

    row = job_to_row(Run().job)
    monkeypatch.setattr(os, "fsync", sync)
    database.insert(row)
    database.sync()
    assert len(synced) == 1 and database.find("job").state == "processing"
    database.close()


def test_a_picture_is_on_disk_before_its_record(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    picture.store_input(tmp_path, "job", b"x" * 1000)
    assert synced == [1000]


def test_a_second_server_takes_another_file(tmp_path):
    first, second = JobDatabase(SqliteEngine(tmp_path)), JobDatabase(SqliteEngine(tmp_path))
    assert (first.engine.path.name, second.engine.path.name) == ("jobs.sqlite3", "jobs-2.sqlite3")
    first.close()
    third = JobDatabase(SqliteEngine(tmp_path))
    assert third.engine.path.name == "jobs.sqlite3"
    for database in (second, third):
        database.close()


def test_idempotency_keys_expire(database):
    run = Run()
    row = job_to_row(run.job)
    database.insert(row, ("key", "digest"))
    assert database.find_request("user", "key", row.created - 1) == ("digest", "job")
    assert database.find_request("user", "key", row.created + 1) is None
    assert database.find_request("other", "key", 0) is None


def test_a_job_that_is_discarded_leaves_nothing(database):
    row = job_to_row(Run().job)
    database.insert(row, ("key", "digest"))
    database.discard(row.id)
    assert database.find(row.id) is None and database.find_request("user", "key", 0) is None


def test_pages_go_on_exactly_where_they_ended_whatever_the_clock_does(database):
    ids = [str(number) for number in range(40)]
    for number, job_id in enumerate(ids):
        database.insert(Row(job_id, "anna", 1.79e9 - 0.37 * number, None, "queued", {}))
    database.mark_deleted("20", None)
    listed, before = [], None
    while page := database.jobs_of("anna", ("queued",), before, 7):
        listed += [row.id for row in page]
        before = listed[-1]
        if before == "19":
            database.mark_deleted("19", None)  # the page that follows has lost its beginning
    assert listed == [job_id for job_id in reversed(ids) if job_id != "20"]


DAMAGE = {
    "body": ["{}", "no JSON", "[]", "[" * 100_000, b"\x00\xff", '{"files": 3}'],
    "status": ["{}", "no JSON", None, "[]", b"\xff", '{"job_id": "another", "status": "completed"}'],
    "state": ["completed"],
    "created": ["yesterday", -1e300, 1e300, float("inf")],
    "ended": ["tomorrow", 1e300],
}


@pytest.mark.parametrize(
    ("column", "value"), [(column, value) for column in DAMAGE for value in DAMAGE[column]], ids=str
)
async def test_a_damaged_row_costs_its_own_job_only(database, store, tmp_path, column, value):
    """It is listed as failed, says so, has no files, and can be deleted."""
    sound = start(database, store, 1)
    await fail(store, sound)
    await fail(store, start(database, store, 2))
    try:
        execute(database, f"UPDATE jobs SET {column} = ? WHERE id = 'job2'", value)
    except DatabaseError:  # PostgreSQL: such damage cannot be
        assert not isinstance(database.engine, SqliteEngine)
        return
    jobs, _ = await store.list_jobs("u", STATES, None, 5)
    assert [job.id for job in jobs] == ["job2", "job1"] and jobs[1].text == sound.text
    damaged = await store.find("job2")
    assert damaged.text == jobs[0].text and damaged.is_over
    body = damaged.describe()
    assert (body["job_id"], body["status"], damaged.files) == ("job2", "failed", [])
    if column in ("body", "status", "state"):
        assert body["error"] == "Job record damaged"
        check_answer(
            "GET", "/job/job2/status", 200, {**body, "job_id": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}
        )
    log = await store.find_log(damaged)
    assert log.is_closed and log.since(0)[-1].type == "error" and log.since(0)[-1].data == body
    assert damaged.describe_acceptance()["job_id"] == "job2"
    await store.delete(damaged)
    with pytest.raises(ApiError):
        await store.find("job2")
    assert [job.id for job in (await store.list_jobs("u", STATES, None, 5))[0]] == ["job1"]


async def test_damaged_events_are_left_out(database, store):
    live = start(database, store, 1)
    live.job.start()
    await fail(store, live)
    execute(database, "UPDATE events SET data = 'no JSON' WHERE type = 'error'")
    log = await store.find_log(await store.find("job1"))
    assert [event.type for event in log.since(0)][-1] == "error" and log.since(0)[-1].data == live.describe()


async def test_a_job_is_one_object_while_it_is_being_accepted(threads, database, store):
    """It is known before its row can be seen, and unknown again where the row cannot be stored."""
    job = Run().job
    live = store.add(job)
    assert await store.find("job") is live
    await threads.write(JobDatabase.insert, job_to_row(job))
    assert await store.find("job") is live
    jobs, _ = await store.list_jobs("user", STATES, None, 5)
    assert jobs == [live]
    store.discard(live)
    database.discard("job")
    with pytest.raises(ApiError):
        await store.find("job")


async def test_a_file_that_was_edited_is_noted(database, store, tmp_path):
    job, _ = await run_to_its_end(database, store, tmp_path)
    before, file = await store.find("job"), job.files[0]
    (tmp_path / file.relative).write_text("edited")
    facts = measure_files(tmp_path, [file])[file]
    await store.update_facts(before, file, facts)
    after = await store.find("job")
    assert after.facts == {**before.facts, file: facts} and after.files == before.files
    (changed,) = (entry for entry in after.describe()["downloads"] if entry["name"] == file.name)
    assert changed["sha256"] == facts.sha256 and changed["size"] == 6
    assert {**after.describe(), "downloads": before.describe()["downloads"]} == before.describe()
    await store.delete(after)
    await store.update_facts(after, file, facts)
    with pytest.raises(ApiError):
        await store.find("job")
