"""The file of jobs: old ones are migrated, damaged ones set aside, and unusable ones stop nothing."""

import contextlib
import json
import os
import signal
import sqlite3
import tempfile
import time
from pathlib import Path

import pytest
from character3d.server_routes.database import JobDatabase, Row
from character3d.server_routes.ended_job import read_ended_job
from character3d.server_routes.estimates import History
from character3d.server_routes.graph import build_graph, load_template
from character3d.server_routes.job_record import read_parameters, row_to_job
from character3d.server_routes.migrations import MIGRATIONS
from character3d.server_routes.sqlite_engine import SqliteEngine

try:
    import resource
except ImportError:  # Windows
    resource = None

VERSION_0 = Path(__file__).with_name("data") / "jobs-version-0.sql"
"""Written by the release before schema versions, 33ea296, and killed with two live jobs."""

ROW = Row("a", "anna", 1.0, None, "queued", {"x": 1})


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "character3d"


def fill(folder, rows=300):
    """A file with so many jobs that there are pages to damage."""
    database = JobDatabase(SqliteEngine(folder))
    for number in range(rows):
        database.insert(Row(str(number), "anna", 1.0, 2.0, "failed", {"text": "x" * 500}))
    database.close()
    return folder / "jobs.sqlite3"


def overwrite(path, start, data):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def damage_pages(path):
    overwrite(path, 8192, b"\xaa" * (path.stat().st_size - 12_288))


def damage_header(path):
    overwrite(path, 0, b"SQLite format 2\x00")


def make_text(path):
    path.write_text("no database at all\n" * 1000)


def cut_off(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def damage_schema(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA writable_schema=ON")
        database.execute("UPDATE sqlite_master SET sql = 'CREATE TABLE jobs (' WHERE name = 'jobs'")
        database.commit()


@pytest.mark.parametrize("damage", [damage_pages, damage_header, make_text, cut_off, damage_schema])
def test_a_damaged_file_is_set_aside(folder, damage):
    path = fill(folder)
    damage(path)
    before = path.read_bytes()
    database = JobDatabase(SqliteEngine(folder))
    (broken,) = (found for found in folder.glob("jobs.sqlite3.broken-*") if found.suffix != "-wal")
    assert broken.read_bytes() == before
    assert broken.name in database.notice and database.problem == "" and database.engine.path == path
    database.insert(ROW)
    assert database.find("a") == ROW and database.find("1") is None
    database.close()
    again = JobDatabase(SqliteEngine(folder))
    assert again.notice == "" and again.find("a") == ROW
    again.close()


def test_a_sound_file_is_left_alone(folder):
    fill(folder)
    database = JobDatabase(SqliteEngine(folder))
    assert database.notice == database.problem == "" and database.find("7").state == "failed"
    assert not list(folder.glob("*broken*"))
    database.close()


def check_unusable(folder, word):
    """Requests are answered, no job is accepted, and the file stays as it is."""
    database = JobDatabase(SqliteEngine(folder))
    assert database.engine.path is None and word in database.problem and str(folder) not in database.problem
    assert database.live_jobs() == [] and database.find("1") is None and database.next_delivery() is None
    database.insert(ROW)
    database.sync()
    assert database.find("a") == ROW
    database.close()


def test_a_locked_file(folder, monkeypatch):
    monkeypatch.setattr("character3d.server_routes.database_file._BUSY_SECONDS", 0.05)
    path = fill(folder)
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        check_unusable(folder, "locked")
    assert JobDatabase(SqliteEngine(folder)).find("1") is not None


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "character3d").write_text("")
    check_unusable(tmp_path / "character3d", "exists")


def test_a_file_of_a_later_release_is_not_touched(folder):
    path = fill(folder)
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    check_unusable(folder, "schema version")
    assert path.read_bytes() == before


@pytest.fixture
def unprivileged():
    """A folder of a user for whom permissions count; root may write everywhere."""
    if os.name != "posix":
        pytest.skip("no permissions of this kind here")
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        nobody = os.geteuid() == 0
        if nobody:
            os.seteuid(65534)
        try:
            yield Path(name) / "character3d"
        finally:
            if nobody:
                os.seteuid(0)


def test_a_read_only_folder(unprivileged):
    unprivileged.mkdir()
    unprivileged.chmod(0o555)
    check_unusable(unprivileged, "unable to open")
    unprivileged.chmod(0o755)


def test_a_read_only_file(unprivileged):
    path = fill(unprivileged)
    path.chmod(0o444)
    check_unusable(unprivileged, "denied")
    path.chmod(0o644)
    assert JobDatabase(SqliteEngine(unprivileged)).find("1") is not None


@pytest.mark.skipif(resource is None, reason="no limits of this kind here")
@pytest.mark.parametrize("is_new", [True, False])
def test_a_full_disk_at_the_start(folder, is_new):
    """In a process of its own, none of whose files can grow."""
    if not is_new:
        fill(folder)
    pid = os.fork()
    if pid == 0:  # the child
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
            check_unusable(folder, "")
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    if not is_new:
        database = JobDatabase(SqliteEngine(folder))
        assert database.find("1") is not None and database.notice == ""
        database.close()


# -- migrations ------------------------------------------------------------------------------------


@pytest.fixture
def old(folder):
    folder.mkdir()
    with contextlib.closing(sqlite3.connect(folder / "jobs.sqlite3")) as database:
        database.executescript(VERSION_0.read_text(encoding="utf-8"))
    return folder


def read_version_0():
    """Jobs and events of the dump: {id: row}, {id: [(type, data)]}."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.row_factory = sqlite3.Row
        database.executescript(VERSION_0.read_text(encoding="utf-8"))
        jobs = {row["id"]: dict(row) for row in database.execute("SELECT * FROM jobs")}
        events = {job_id: [] for job_id in jobs}
        for row in database.execute("SELECT * FROM events ORDER BY seq"):
            events[row["job_id"]].append((row["type"], json.loads(row["data"])))
    return jobs, events


ADDED_SINCE = {
    "strict": False,
    "figure": -1,
    "root_motion": "keep",
    "views": "auto",
    "corrections": "",
    "face": False,
    "preset": "none",
    "lods": 0,
    "max_triangles": 0,
    "texture_size": 0,
    "compression": "none",
    "max_bytes": 0,
}
"""Form fields of later releases, with their defaults."""


def test_a_file_of_the_first_release_is_migrated(old):
    jobs, events = read_version_0()
    database = JobDatabase(SqliteEngine(old))
    assert (database.notice, database.problem) == ("", "")
    assert database._read("PRAGMA user_version") == [(len(MIGRATIONS),)]
    kinds = {job_id: (job["state"], job["ended"] is not None) for job_id, job in jobs.items()}
    assert sorted(kinds.values()) == [
        ("completed", True),
        ("completed", True),
        ("failed", True),
        ("failed", True),
        ("gone", True),
        ("processing", False),
        ("queued", False),
    ]
    for job_id, (state, has_ended) in kinds.items():
        row = database.find(job_id)
        assert (row.state, row.user, row.body) == (
            state,
            jobs[job_id]["user"],
            json.loads(jobs[job_id]["body"]),
        )
        if has_ended and state != "gone":
            ended = read_ended_job(row)
            kind, data = events[job_id][-1]
            data["parameters"]["webhook_url"] = data["parameters"]["webhook_url"].split("?")[0]
            assert not ended.is_damaged and ended.describe() == data and kind in ("job_completed", "error")
            assert len(ended.files) == len(ended.facts) == len(data["downloads"])
            assert ended.make_log(database.events(job_id)).since(0)[-1].data == data
    for row in database.live_jobs():
        graph = build_graph(load_template(), row.id, {"image": "x.tif"}, read_parameters(row.body).values)
        assert row_to_job(row, graph).parameters.values == {**ADDED_SINCE, **row.body["values"]}
    history = History()
    history.load(database.newest("completed", 5))
    assert len(history._runs) == 2
    database.close()


def test_what_belongs_to_old_jobs_is_there(old):
    database = JobDatabase(SqliteEngine(old))
    (delivery,) = database.due_deliveries(time.time() + 1e9)
    assert delivery.url == "http://127.0.0.1:9/hook?token=secret", "the receiver needs its query"
    live = {row.id for row in database.live_jobs()}
    assert set(database.pictures()) == live and len(live) == 2
    assert database.find_request("peer:127.9.9.1", "order-1", 0)
    assert database._read("SELECT COUNT(*) FROM events WHERE data LIKE '%token=%'") == [(0,)]
    database.close()


def test_a_migration_that_is_cut_off_is_done_again(old, monkeypatch):
    from character3d.server_routes import migrations

    def fail(connection):
        (_, _, path), *_ = connection.execute("PRAGMA database_list").fetchall()
        if path:
            connection.execute("CREATE TABLE half_done (x)")
            raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, fail))
        check_unusable(old, "disk is full")
    database = JobDatabase(SqliteEngine(old))
    assert database._read("PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert database._read("SELECT COUNT(*) FROM sqlite_master WHERE name = 'half_done'") == [(0,)]
    database.close()
